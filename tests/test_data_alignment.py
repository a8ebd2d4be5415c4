"""Two pictures are one if their lines fall together, however they were scaled, cut, framed or recoloured."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor
from torch.nn import functional as F

from impasto.data.check import alignment
from impasto.data.check.alignment import same_picture, sketch
from impasto.samples.photos import sample_photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Image.Image]:
    paths = sample_photos(tmp_path_factory.mktemp("photos"))
    images = [Image.open(path).convert("RGB") for path in paths]
    for image in images:
        image.thumbnail((400, 400))
    return images


def same(first: Image.Image, second: Image.Image) -> bool:
    return bool(same_picture(sketch(first)[None], sketch(second)[None])[0])


def cut(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    return image.crop((int(left * width), int(top * height), int((1 - right) * width), int((1 - bottom) * height)))


def compressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=30)
    return Image.open(file)


CHANGES = {
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "squeezed": lambda image: image.resize((image.width, image.height * 9 // 10)),
    "quality 30": compressed,
    "grey": lambda image: ImageOps.grayscale(image).convert("RGB"),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
    "cut on all sides": lambda image: cut(image, 0.05, 0.05, 0.05, 0.05),
    "cut on two sides": lambda image: cut(image, 0.1, 0, 0, 0.08),
    "letterboxed": lambda image: ImageOps.pad(image, (400, 400), color="white"),
    "framed": lambda image: ImageOps.expand(image, 40, "black"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_the_same_picture(photos: list[Image.Image], change: str) -> None:
    changed = [CHANGES[change](photo) for photo in photos]
    assert sum(same(photo, other) for photo, other in zip(photos, changed, strict=True)) >= len(photos) - 1


def test_other_pictures_are_not_nor_mirrored_or_turned_ones(photos: list[Image.Image]) -> None:
    pairs = [(first, second) for index, first in enumerate(photos) for second in photos[:index]]
    assert not any(same(*pair) for pair in pairs)
    assert not any(same(photo, photo.rotate(90, expand=True)) for photo in photos)


def test_pictures_on_one_mount_differ_in_their_middle(photos: list[Image.Image]) -> None:
    """A series of prints on equal paper: most of the surface is the same."""
    mount = Image.fromarray(np.random.default_rng(0).integers(200, 230, (400, 400, 3), dtype=np.uint8))
    mounted = []
    for photo in photos[:4]:
        sheet = mount.copy()
        sheet.paste(ImageOps.fit(photo, (200, 200)), (100, 100))
        mounted.append(sheet)
    assert not any(same(first, second) for index, first in enumerate(mounted) for second in mounted[:index])
    assert same(mounted[0], cut(mounted[0], 0.05, 0.05, 0.05, 0.05))


def test_the_same_figure_before_another_background_is_another_picture(photos: list[Image.Image]) -> None:
    figure = ImageOps.fit(photos[0], (160, 160))
    scenes = [ImageOps.fit(photo, (400, 400)) for photo in photos[1:4]]
    for scene in scenes:
        scene.paste(figure, (120, 120))
    assert not any(same(first, second) for index, first in enumerate(scenes) for second in scenes[:index])


def test_the_search_is_normalised_cross_correlation() -> None:
    """Against the definition in float64, at scale 1."""
    first, second = torch.randn(2, 24, 24, generator=torch.Generator().manual_seed(0)), torch.zeros(2, 24, 24)
    second[0, 3:19, 5:21] = 2 * first[0, 4:20, 4:20] + 0.5
    second[1] = torch.randn(24, 24, generator=torch.Generator().manual_seed(1))
    found = alignment._search(first, second, [(1.0, 1.0)])
    assert (found.top[0], found.left[0]) == (3, 5)

    def correlation(row: int, top: int, left: int) -> float:
        middle, window = first[row, 4:20, 4:20].double(), second[row, top : top + 16, left : left + 16].double()
        return float(F.cosine_similarity(*((each - each.mean()).flatten() for each in (middle, window)), dim=0))

    for row in range(2):
        scores = [correlation(row, top, left) for top in range(9) for left in range(9)]
        assert float(found.score[row]) == pytest.approx(max(scores), abs=1e-4)


def test_even_margins_are_cut_off(photos: list[Image.Image]) -> None:
    plain, boxed = (sketch(image) for image in (photos[0], ImageOps.expand(photos[0], (60, 0, 0, 90), "white")))
    assert torch.corrcoef(torch.stack([plain.flatten(), boxed.flatten()]))[0, 1] > 0.95


def test_pictures_of_any_shape_have_a_sketch(tmp_path: Path) -> None:
    sketches: list[Tensor] = [sketch(Image.new("RGB", size, "red")) for size in ((1, 1), (3, 900), (900, 2))]
    assert all(each.shape == (48, 48) and float(each.abs().max()) < 1e-5 for each in sketches)
    assert not same_picture(torch.stack(sketches[:2]), torch.stack(sketches[1:])).any()
