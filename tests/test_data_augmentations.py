"""Augmentations: what is drawn, where points go, which labels survive."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from impasto.data.load.augmentations import KINDS, NONE, PRESETS, STRICTEST, Augmentation, kind_of_labels
from impasto.errors import UnknownNameError, UsageError
from impasto.runtime import generator

MANY = range(300)
WARPS = [name for name, preset in PRESETS.items() if preset.warp]


def pictures(count: int, size: int = 24) -> Tensor:
    """Smooth ones, so that interpolation in another order changes little."""
    rough = torch.rand(count, 3, 5, 5, generator=generator(0, "picture"))
    return torch.nn.functional.interpolate(rough, size=size, mode="bicubic").clamp(0, 1)


def places(count: int, size: int = 33) -> Tensor:
    """Pictures that say where a pixel is: red grows from left to right, green from top to bottom; blue is even."""
    ramp = torch.linspace(0, 1, size).expand(size, size)
    return torch.stack([ramp, ramp.T, torch.full((size, size), 0.5)]).expand(count, 3, size, size)


def maps(name: str, indices: range = MANY, seed: int = 0) -> Tensor:
    """The matrix of each map, N x 2 x 2: how far red and green change for a step to the right and a step down."""
    changed = Augmentation(name)(places(len(indices)), seed=seed, epoch=1, indices=indices) * 32
    centre = changed[:, :2, 14:19, 14:19]
    right, down = centre[..., 2, 4] - centre[..., 2, 0], centre[..., 4, 2] - centre[..., 0, 2]
    return torch.stack([right, down], dim=-1) / 4


def numbers(count: int, index: int, seed: int = 0, epoch: int = 1) -> Tensor:
    return torch.rand(count, generator=generator(seed, "augment", epoch, index))


@pytest.mark.parametrize("name", ["r0", "r4+colour"])
@given(seed=st.integers(0, 1000), epoch=st.integers(1, 100), index=st.integers(0, 10_000))
def test_what_is_drawn_depends_on_seed_epoch_and_index_alone(name: str, seed: int, epoch: int, index: int) -> None:
    batch, change = pictures(3), Augmentation(name)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = change(batch, seed=seed, epoch=epoch, indices=[3, index, 7])
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(2)
    alone = change(batch[1:2], seed=seed, epoch=epoch, indices=[index])
    assert torch.allclose(first[1:2], alone, atol=1e-6)


@pytest.mark.parametrize("name", [*WARPS, "colour", "r1+crop"])
def test_pictures_epochs_and_seeds_differ(name: str) -> None:
    keys = [(0, 1, 0), (0, 1, 1), (0, 2, 0), (1, 1, 0)]
    change = Augmentation(name)
    results = [change(pictures(1), seed=seed, epoch=epoch, indices=[index]) for seed, epoch, index in keys]
    assert all(not torch.equal(a, b) for i, a in enumerate(results) for b in results[:i])


@pytest.mark.parametrize("name", WARPS)
def test_the_edge_is_continued_and_no_black_wedge_let_in(name: str) -> None:
    plain = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1).expand(50, 3, 21, 21)
    assert torch.allclose(Augmentation(name)(plain, seed=0, epoch=1, indices=range(50)), plain, atol=1e-5)


def test_r0_is_torchvisions_shear_zoom_and_flip_on_a_padded_picture() -> None:
    """As pictures were augmented one by one: edges continued far enough, one affine map, the centre cut out."""
    batch = pictures(40, 32)
    changed = Augmentation("r0")(batch, seed=5, epoch=3, indices=range(40))
    for index, picture in enumerate(batch):
        shear, zoom, flip = numbers(3, index, seed=5, epoch=3).tolist()
        padded = v2.pad(picture, [20], padding_mode="edge")
        turned = v2.affine(
            padded,
            angle=0,
            translate=[0, 0],
            scale=0.8 + 0.4 * zoom,
            shear=[(2 * shear - 1) * math.degrees(0.2), 0],
            interpolation=v2.InterpolationMode.BILINEAR,
        )
        cut = v2.center_crop(turned, [32, 32])
        expected = v2.horizontal_flip(cut) if flip < 0.5 else cut
        assert torch.allclose(changed[index], expected, atol=1e-4)


def test_r0_mirrors_half_and_zooms_and_slants_both_ways() -> None:
    found = maps("r0")
    across, slant = found[:, 0, 0], found[:, 0, 1] / found[:, 1, 1]
    assert 120 <= int((across < 0).sum()) <= 180
    zooms, degrees = 1 / across.abs(), torch.rad2deg(slant.atan())
    assert (zooms.min(), zooms.max()) == (pytest.approx(0.8, abs=0.02), pytest.approx(1.2, abs=0.02))
    assert (degrees.min(), degrees.max()) == (pytest.approx(-11.46, abs=0.3), pytest.approx(11.46, abs=0.3))
    assert torch.allclose(found[:, 1, 1], across.abs(), atol=1e-3)  # one zoom for both axes


def test_r1_turns_and_shifts_and_does_nothing_else() -> None:
    found = maps("r1")
    assert torch.allclose(found @ found.mT, torch.eye(2), atol=1e-3)
    assert float(torch.linalg.det(found).min()) > 0
    degrees = torch.rad2deg(torch.atan2(found[:, 1, 0], found[:, 0, 0]))
    assert (degrees.min(), degrees.max()) == (pytest.approx(-15, abs=0.5), pytest.approx(15, abs=0.5))
    changed = Augmentation("r1")(places(300), seed=0, epoch=1, indices=MANY)
    shift = (changed[:, :2, 16, 16] - 0.5) * 32 / 33  # in shares of the side
    assert 0.09 < float(shift.abs().max()) < 0.1 * math.sqrt(2) + 0.001


def test_r4_is_the_product_of_keras() -> None:
    """Row before column, centre at (n - 1) / 2, output to input, edges continued, as ImageDataGenerator composes it."""
    batch = pictures(20, 31)
    changed = Augmentation("r4")(batch, seed=2, epoch=1, indices=range(20))
    for index, picture in enumerate(batch):
        angle, x, y, shear, zoom_x, zoom_y, flip = (2 * numbers(7, index, seed=2).double().numpy() - 1).tolist()
        theta, slant = -math.radians(40) * angle, 0.2 * shear  # the sign of a symmetric draw is free
        rotation = np.array([[math.cos(theta), -math.sin(theta)], [math.sin(theta), math.cos(theta)]])
        shearing = np.array([[1, -math.sin(slant)], [0, math.cos(slant)]])
        zoom = np.diag([1 + 0.2 * zoom_y, 1 + 0.2 * zoom_x])
        linear = rotation @ shearing @ zoom
        offset = rotation @ (0.2 * 31 * np.array([y, x])) + 15 - linear @ [15, 15]
        channels = [ndimage.affine_transform(c, linear, offset, order=1, mode="nearest") for c in picture.numpy()]
        expected = np.stack(channels)[..., :: -1 if flip < 0 else 1]
        assert np.abs(changed[index].numpy() - expected).max() < 2e-3


def test_crops_stay_inside_and_hold_half_of_the_area_or_more() -> None:
    found = maps("crop")
    width, height = found[:, 0, 0].abs(), found[:, 1, 1]
    assert torch.allclose(found[:, 0, 1], torch.zeros(300), atol=1e-3)
    area, aspect = width * height, width / height
    assert 0.49 < float(area.min()) < 0.55
    assert float(width.max()) < 1.001
    assert float(aspect.min()) == pytest.approx(3 / 4, abs=0.03)
    assert float(aspect.max()) == pytest.approx(4 / 3, abs=0.03)
    assert 120 <= int((found[:, 0, 0] < 0).sum()) <= 180
    changed = Augmentation("crop")(places(300), seed=0, epoch=1, indices=MANY)
    corner = changed[:, 1, 0, 16]  # how far down the first row was taken from
    assert float(corner.max()) > 0.2
    assert float((corner + height).max()) < 1.05


def test_colour_is_torchvisions_brightness_contrast_and_saturation() -> None:
    batch = pictures(30)
    changed = Augmentation("colour")(batch, seed=0, epoch=1, indices=range(30))
    for index, picture in enumerate(batch):
        brightness, contrast, saturation = (0.6 + 0.8 * numbers(3, index)).tolist()
        bright = v2.adjust_brightness(picture, brightness)
        expected = v2.adjust_saturation(v2.adjust_contrast(bright, contrast), saturation)
        assert torch.allclose(changed[index], expected, atol=1e-5)


def test_presets_are_joined_in_order_with_one_interpolation() -> None:
    both, first = Augmentation("r0+crop"), maps("r0")
    numbers_of_both = [numbers(8, index) for index in range(3)]
    assert torch.equal(numbers_of_both[0][:3], numbers(3, 0))
    assert not torch.allclose(maps("r0+crop"), first)
    lines = both(places(3), seed=0, epoch=1, indices=range(3))
    warp_r0, warp_crop = PRESETS["r0"].warp, PRESETS["crop"].warp
    assert warp_r0
    assert warp_crop
    drawn = [generator(0, "augment", 1, index) for index in range(3)]
    product = warp_r0(PRESETS["r0"].draw(drawn)) @ warp_crop(PRESETS["crop"].draw(drawn))
    middle = product[:, :2, 2] / 2 * 33 / 32 + 0.5
    assert torch.allclose(lines[:, :2, 16, 16], middle, atol=1e-4)


@pytest.mark.parametrize("name", ["none", "r2", "none+r2"])
def test_nothing_is_nothing(name: str) -> None:
    batch = pictures(2)
    assert Augmentation(name)(batch, seed=0, epoch=1, indices=[0, 1]) is batch
    assert Augmentation(name).preserves == set(KINDS)


def test_every_preset_has_its_source_and_preserves_kinds_that_exist() -> None:
    for preset in PRESETS.values():
        assert preset.does
        assert preset.source
        assert preset.preserves <= set(KINDS)
        assert bool(preset.draws) == bool(preset.warp or preset.tint)


def test_no_kind_of_labels_is_refused_more_often_than_the_strictest() -> None:
    refused = {kind: {name for name, preset in PRESETS.items() if kind not in preset.preserves} for kind in KINDS}
    assert all(names <= refused[STRICTEST] for names in refused.values())


@pytest.mark.parametrize("labels", ["style", "artist"])
def test_colours_tell_styles_and_artists_apart_and_are_not_changed(labels: str) -> None:
    assert labels in Augmentation("r4+crop").preserves
    with pytest.raises(UsageError) as caught:
        Augmentation("r4+colour").check(labels)
    assert "r4+colour" in caught.value.message
    assert labels in caught.value.message
    assert "--labels subject" in caught.value.hint
    assert "--insist" in caught.value.hint
    Augmentation("r4+colour").check("subject")


@pytest.mark.parametrize("name", ["r3", "", "r0+", "color", "r0 + crop"])
def test_an_unknown_name_offers_the_known(name: str) -> None:
    with pytest.raises(UnknownNameError, match="augmentation"):
        Augmentation(name)


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"config": {"label": "content"}}, "subject"),
        ({"config": {"label": "style"}}, "style"),
        ({"config": {"label": ["content"]}}, "style"),
        ({"config": {}}, "style"),
        ([], "style"),
        (None, "style"),
    ],
)
def test_a_repainted_folder_says_what_its_classes_are(tmp_path: Path, config: object, kind: str) -> None:
    assert kind_of_labels(tmp_path) == "style"
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert kind_of_labels(tmp_path) == kind


def test_none_is_the_default_and_its_name() -> None:
    assert Augmentation("none") == NONE
