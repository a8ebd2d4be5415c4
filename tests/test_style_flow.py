"""Motion between frames is found, what is covered is told, and painted frames hold still."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.style.flow import consistent, optical_flow, warp
from impasto.style.steady import Steadier


def texture(seed: int, size: int = 96) -> Tensor:
    """Smooth random blobs: 1 x 3 x size x size."""
    small = torch.from_numpy(np.random.default_rng(seed).random((1, 3, 12, 12))).float()
    return F.interpolate(small, (size, size), mode="bicubic", align_corners=False).clamp(0, 1)


def shifted(image: Tensor, x: float, y: float) -> Tensor:
    """The image moved to the right by x and down by y pixels."""
    flow = torch.tensor([-x, -y])[None, :, None, None].expand(1, 2, *image.shape[2:])
    return warp(image, flow)


def test_warp_by_whole_pixels_is_a_shift_and_by_nothing_the_image() -> None:
    image = texture(0)
    assert torch.allclose(warp(image, torch.zeros(1, 2, 96, 96)), image, atol=1e-6)
    moved = shifted(image, 3, -2)
    assert torch.allclose(moved[:, :, :94, 3:], image[:, :, 2:, :93], atol=1e-5)


def test_the_flow_of_a_shift_is_the_shift() -> None:
    image = texture(1)
    for x, y in ((0.0, 0.0), (2.5, -1.5), (9.0, 6.0)):
        flow = optical_flow(image, shifted(image, x, y))[0, :, 16:-16, 16:-16]
        error = (flow - torch.tensor([x, y])[:, None, None]).norm(dim=0)
        assert error.median() < 0.25
        assert (error < 0.75).float().mean() > 0.9


def test_flat_and_tiny_frames_do_not_move() -> None:
    for shape in ((96, 96), (5, 7), (1, 1)):
        flat = torch.full((1, 3, *shape), 0.4)
        assert optical_flow(flat, flat).abs().max() < 1e-6


def test_what_is_covered_is_told() -> None:
    """A square moves over a background that stands still: in front of it the background is covered."""
    back, square = texture(2, 128), texture(3, 128)
    frames = []
    for left in (40, 48):
        frame = back.clone()
        frame[:, :, 40:88, left : left + 40] = square[:, :, 40:88, :40]
        frames.append(frame)
    seen = consistent(optical_flow(frames[0], frames[1]), optical_flow(frames[1], frames[0]))
    assert seen[0, 0, 52:76, 81:86].mean() < 0.6  # now under the square
    assert seen[0, 0, :, :24].mean() > 0.9


def flickering(random: np.random.Generator, photo: Tensor) -> Tensor:
    """A painter who never paints the same twice: strokes of noise over the photo."""
    noise = torch.from_numpy(random.standard_normal((1, 3, 24, 24))).float()
    return (photo + 0.15 * F.interpolate(noise, photo.shape[2:], mode="nearest")).clamp(0, 1)


def test_flicker_is_reduced_and_told() -> None:
    random, image = np.random.default_rng(0), texture(4)
    figures = {}
    for smoothing in (0.0, 0.7):
        steadier, found = Steadier(smoothing), []
        for number in range(6):
            photo = shifted(image, 1.5 * number, 0.5 * number)
            painted = flickering(random, photo)
            steadied = steadier.next(photo, painted)
            steadier.keep(photo, steadied.image, painted)
            found.append((steadied.flicker, steadied.flicker_alone))
        assert found[0] == (None, None)
        figures[smoothing] = np.mean(found[1:], axis=0)
    assert figures[0.0][0] == figures[0.0][1]
    assert figures[0.7][0] < 0.3 * figures[0.7][1]


def test_a_new_scene_starts_afresh() -> None:
    steadier = Steadier(0.9)
    one, other = texture(5), texture(6)
    steadier.keep(one, one, one)
    steadied = steadier.next(other, other)
    assert (steadied.flicker, torch.equal(steadied.image, other)) == (None, True)
    steadied = steadier.next(texture(5, 64), texture(5, 64))  # and so does another size
    assert steadied.flicker is None


def test_strokes_stay_where_the_photo_moves() -> None:
    """Nothing of the frame before is left behind as a ghost: what is uncovered is fresh."""
    back, square = torch.zeros(1, 3, 96, 96) + 0.2, texture(7, 96)
    frames = []
    for left in (20, 34):
        frame = back.clone()
        frame[:, :, 30:66, left : left + 30] = square[:, :, 30:66, :30] * 0.5 + 0.5
        frames.append(frame)
    steadier = Steadier(0.8)
    steadier.keep(frames[0], frames[0], frames[0])
    shown = steadier.next(frames[1], frames[1]).image
    assert (shown - frames[1]).abs().mean() < 0.01
