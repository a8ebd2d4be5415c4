"""Whether two pictures are one: laid over each other, shifted and scaled, their lines must fall together everywhere.

Features of an encoder find what looks alike, which all portraits before a dark ground do. Copies that were scaled,
compressed, recoloured, or cut by a few per cent a side agree in their fine structure as well. A sketch of each picture
is compared: small, grey, even margins cut off, edges only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy.fft import next_fast_len
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional as F

# Side of a sketch, of its middle that is looked for in the other one, and of the blocks that are compared, in pixels.
SIDE, MIDDLE, BLOCK = 48, 32, 8
# Blocks may be shifted by so many pixels, because scales are steps and lenses are no projections.
_SLACK = 2
# Correlation of the middle; of its second worst block; and of the worst quarter of all blocks. Of 359 pictures in five
# classes of Caltech-101 eleven pairs of 711 alike reach all three, all of them copies; of 3,208 pairs of alike pictures
# of the Louvre, with copies after one another, pendants and series on equal mounts, none does.
_MIDDLE_AGREES, _BLOCKS_AGREE, _MOST_AGREE = 0.75, 0.7, 0.7
# What a first look at half the size must find.
_AT_A_GLANCE = 0.55
# Blocks of a smaller deviation show nothing; a picture of fewer than so many other ones cannot be told by them.
_EVEN, _FEWEST = 0.015, 3
# Differences of neighbours as a share of the whole: .76 to 1.45 in photos and drawings, .47 in noise of a few blobs, of
# which any two can be laid over each other so that they fit.
_LINES = 0.6
_MARGIN_DEVIATION = 9.0


def _scales(sizes: tuple[float, ...], aspects: tuple[float, ...]) -> list[tuple[float, float]]:
    return [(size * aspect**0.5, size / aspect**0.5) for size in sizes for aspect in aspects]


_COARSE = _scales((0.84, 1.0, 1.19), (0.87, 1.0, 1.15))
_FINE = _scales((0.8, 0.89, 1.0, 1.12, 1.25), (0.83, 0.91, 1.0, 1.1, 1.2))


class _Found(NamedTuple):
    """Where the middles of K sketches are best found in others: correlation, number of the scale, top, left."""

    score: Tensor
    scale: Tensor
    top: Tensor
    left: Tensor


def sketch(image: Image.Image) -> Tensor:
    """Return the edges of a picture without its even margins, SIDE x SIDE numbers around 0."""
    small = image.copy()
    small.thumbnail((4 * SIDE, 4 * SIDE), Image.Resampling.BILINEAR)
    grey = small.crop(_content(np.asarray(small, dtype=np.float32))).convert("L")
    pixels = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32) / 255
    return torch.from_numpy(gaussian_filter(pixels, 0.5, mode="nearest") - gaussian_filter(pixels, 3.0, mode="nearest"))


def _content(pixels: npt.NDArray[np.float32]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of what is left when even lines are taken off, a third a side at least."""
    height, width = pixels.shape[:2]
    top, bottom, left, right = 0, height, 0, width

    def is_even(line: npt.NDArray[np.float32]) -> bool:
        return float(line.std(0).max()) < _MARGIN_DEVIATION

    while True:
        before = (left, top, right, bottom)
        if bottom - top > max(3, height / 3):
            top += is_even(pixels[top, left:right])
            bottom -= is_even(pixels[bottom - 1, left:right])
        if right - left > max(3, width / 3):
            left += is_even(pixels[top:bottom, left])
            right -= is_even(pixels[top:bottom, right - 1])
        if before == (left, top, right, bottom):
            return before


def same_picture(first: Tensor, second: Tensor) -> Tensor:
    """Return for K pairs of sketches (K x SIDE x SIDE) whether they show one picture; without lines it is not told."""
    same = torch.zeros(len(first), dtype=torch.bool)
    one, other = (F.avg_pool2d(sketches[:, None], 2)[:, 0] for sketches in (first, second))
    glance = torch.maximum(_search(one, other, _COARSE).score, _search(other, one, _COARSE).score)
    rows = ((glance >= _AT_A_GLANCE) & has_lines(first) & has_lines(second)).nonzero().flatten()
    if len(rows):
        one, other = first[rows], second[rows]
        same[rows] = _is_in(one, other) | _is_in(other, one)
    return same


def has_lines(sketches: Tensor) -> Tensor:
    """Return for K sketches whether there is enough in them to tell them apart."""
    size = sketches.flatten(1).norm(dim=1)
    down, right = (sketches.diff(dim=dim).flatten(1).norm(dim=1) for dim in (1, 2))
    enough: Tensor = (size > _EVEN * SIDE) & (torch.hypot(down, right) > _LINES * size)
    return enough


def _is_in(first: Tensor, second: Tensor) -> Tensor:
    """Return whether the second sketches hold what is in the middle of the first, and agree around it."""
    found = _search(first, second, _FINE)
    agree = _agreement(first, *_laid_over(second, found))
    blocks = SIDE // BLOCK
    edge = (SIDE - MIDDLE) // 2 // BLOCK
    middle = agree.view(-1, blocks, blocks)[:, edge : blocks - edge, edge : blocks - edge].flatten(1)
    return (
        (found.score >= _MIDDLE_AGREES)
        & (torch.nanquantile(middle, 0.1, dim=1) >= _BLOCKS_AGREE)
        & (torch.nanquantile(agree, 0.25, dim=1) >= _MOST_AGREE)
        & ((~agree.isnan()).sum(1) >= _FEWEST)
    )


def _search(first: Tensor, second: Tensor, scales: list[tuple[float, float]]) -> _Found:
    """Look for the middle of each first sketch in its second one at several scales: normalised cross-correlation."""
    count, side = first.shape[:2]
    patch = side * MIDDLE // SIDE
    edge = (side - patch) // 2
    middle = first[:, edge : edge + patch, edge : edge + patch]
    middle = middle - middle.mean((1, 2), keepdim=True)
    length = middle.flatten(1).norm(dim=1).clamp(min=1e-4)[:, None, None]
    room = next_fast_len(max(round(side * factor) for scale in scales for factor in scale), real=True)
    spectrum = torch.fft.rfft2(middle, (room, room)).conj()
    best = _Found(torch.full((count,), -1.0), *(torch.zeros(count, dtype=torch.long) for _ in range(3)))
    for number, scale in enumerate(scales):
        other = _scaled(second, scale)
        height, width = (size - patch + 1 for size in other.shape[1:])
        products = torch.fft.irfft2(torch.fft.rfft2(other, (room, room)) * spectrum, (room, room))
        sums, squares = _window_sums(other, patch), _window_sums(other * other, patch)
        spread = (squares - sums**2 / patch**2).clamp(min=1e-8).sqrt()
        score, place = (products[:, :height, :width] / (spread * length)).flatten(1).max(1)
        here = _Found(score, torch.full_like(place, number), place // width, place % width)
        is_better = score > best.score
        best = _Found(*(torch.where(is_better, new, old) for new, old in zip(here, best, strict=True)))
    return best


def _scaled(sketches: Tensor, scale: tuple[float, float]) -> Tensor:
    size = [round(sketches.shape[1] * factor) for factor in scale]
    return F.interpolate(sketches[:, None], size, mode="bilinear", antialias=True, align_corners=False)[:, 0]


def _window_sums(pictures: Tensor, side: int) -> Tensor:
    """Return the sums over all windows of ``side``, from sums of rectangles that begin at a corner."""
    sums = F.pad(pictures.double().cumsum(1).cumsum(2), (1, 0, 1, 0))
    windows = sums[:, side:, side:] - sums[:, :-side, side:] - sums[:, side:, :-side] + sums[:, :-side, :-side]
    return windows.float()


def _laid_over(second: Tensor, found: _Found) -> tuple[Tensor, Tensor]:
    """Return what lies under each first sketch and ``_SLACK`` around it, and where there is anything at all."""
    around = (SIDE - MIDDLE) // 2 + _SLACK
    steps = torch.arange(SIDE + 2 * _SLACK)
    under = second.new_zeros(len(second), len(steps), len(steps))
    inside = torch.zeros_like(under, dtype=torch.bool)
    for number, scale in enumerate(_FINE):
        rows = (found.scale == number).nonzero().flatten()
        if len(rows):
            other = _scaled(second[rows], scale)
            down, right = found.top[rows, None, None] + steps[:, None], found.left[rows, None, None] + steps
            under[rows] = F.pad(other, (around,) * 4)[torch.arange(len(rows))[:, None, None], down, right]
            inside[rows] = F.pad(torch.ones_like(other[0], dtype=torch.bool), (around,) * 4)[down, right]
    return under, inside


def _agreement(first: Tensor, under: Tensor, inside: Tensor) -> Tensor:
    """Return the correlation of each block, the best within ``_SLACK``; NaN where a block is even or not covered."""
    mine = _blocks(first)
    mine_deviation, best = mine.std(2), torch.full(mine.shape[:2], -1.0)
    mine = mine - mine.mean(2, keepdim=True)
    deviation = mine_deviation
    for down in range(2 * _SLACK + 1):
        for right in range(2 * _SLACK + 1):
            window = (slice(None), slice(down, down + SIDE), slice(right, right + SIDE))
            yours = _blocks(under[window])
            deviation = torch.maximum(deviation, yours.std(2))
            yours = yours - yours.mean(2, keepdim=True)
            lengths = (mine.norm(dim=2) * yours.norm(dim=2)).clamp(min=1e-6)
            is_covered = _blocks(inside[window]).all(2)
            best = torch.where(is_covered, torch.maximum(best, (mine * yours).sum(2) / lengths), best)
    return torch.where((best > -1) & (deviation > _EVEN), best, torch.nan)


def _blocks(pictures: Tensor) -> Tensor:
    """Return K x SIDE x SIDE as K x blocks x pixels."""
    number = SIDE // BLOCK
    parts = pictures.reshape(-1, number, BLOCK, number, BLOCK).permute(0, 1, 3, 2, 4)
    return parts.reshape(len(pictures), number**2, BLOCK**2)
