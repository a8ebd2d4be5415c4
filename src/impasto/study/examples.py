"""A few pictures of every arm, small, kept with the result: what was compared is to be seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from impasto.data.load.augmentations import Augmentation
from impasto.data.load.pictures import Preprocessing, scaled
from impasto.errors import ImpastoError
from impasto.images import open_picture, resize_long
from impasto.runs import atomic_path, write_json
from impasto.runtime import derive_seed
from impasto.study.arms import PRIMARY, Arm
from impasto.study.work.bench import Bench
from impasto.study.work.units import Shown, hash_of

EXAMPLES_NAME = "examples.json"
_SIDE, _ITEMS = 160, 4


def write_examples(bench: Bench) -> None:
    """Write ``examples.json`` and thumbnails: of up to four items, what each arm makes of them."""
    found = []
    for arm in bench.arms:
        if arm.family == PRIMARY:
            for item in _items(bench, arm):
                pictures = [{"file": name, "caption": caption} for name, caption in _pictures(bench, arm, item)]
                found.append({"arm": arm.name, "photo": bench.pool.photos[item.photo].name, "pictures": pictures})
    write_json(bench.folder / EXAMPLES_NAME, found)


def _items(bench: Bench, arm: Arm) -> list[Any]:
    """Return one item of each class of the first draw, the same for all arms that have the same draws."""
    draw = bench.deal.of(arm)[0]
    rows = [part[0] for part in draw.train if part] or list(draw.test[:_ITEMS])
    return [bench.deal.items[row] for row in rows[:_ITEMS]]


def _pictures(bench: Bench, arm: Arm, item: Any) -> Iterator[tuple[str, str]]:
    taught = bench.taught(item, arm.settings) if bench.study.task == "classes" else [bench.shown(item, arm.settings)]
    for number, shown in enumerate(taught):
        caption = _caption(bench, shown, number)
        name = f"examples/{arm.key}-{hash_of(bench.pool, shown)[:16]}-{number}.jpg"
        try:
            image = open_picture(bench.file_of(shown)).image
        except ImpastoError:
            continue  # a repaint that failed is told among the failures
        if arm.settings.augment != "none":
            image, caption = _augmented(image, arm, hash_of(bench.pool, shown)), f"{caption}, {arm.settings.augment}"
        with atomic_path(bench.folder / name) as path:
            resize_long(image, _SIDE).save(path, "JPEG", quality=85)
        yield name, caption


def _caption(bench: Bench, shown: Shown, number: int) -> str:
    if shown.painting is None:
        return "the photo again" if number else "the photo"
    return f"{bench.pool.styles[shown.painting.style].label}, {shown.painting.config.strength:g}"


def _augmented(image: Image.Image, arm: Arm, key: str) -> Image.Image:
    batch = scaled(torch.stack([Preprocessing(_SIDE)(image)]))
    changed = Augmentation(arm.settings.augment)(
        batch, seed=derive_seed(0, "example"), epoch=1, indices=[int(key[:15], 16)]
    )
    pixels: Image.Image = to_pil_image(changed[0].clamp(0, 1))
    return pixels
