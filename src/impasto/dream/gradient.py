"""The gradient of an objective with respect to a picture, all at once or window by window."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from impasto.dream.leak import LEAK, leaking
from impasto.dream.objectives import Objective
from impasto.errors import NumericalError, ResourceError
from impasto.runtime import available_memory, human_bytes
from impasto.style.plan import BASE_MEMORY

# Of a window's side: what is looked at around the part whose gradient is used, on each side.
_MARGIN = 1 / 8
# Side in pixels at which one gradient is tried for its memory.
_PROBE = 160
# Gradients live beside the activations they come from (style/plan.py saw 1.3 to 1.8 times the saved tensors).
_GRADIENT_FACTOR = 1.8
# Share of the free memory that is used.
_SHARE = 0.5
# The smallest window in pixels that is worth it; and what sides are multiples of, and beginnings where the margin
# allows: the stride of most networks.
SMALLEST_TILE, _GRAIN = 128, 32
# Pictures, float32, that live beside a window's activations: the photo, the dream, gradients and their sums.
_PICTURES = 8


@dataclass(frozen=True)
class Span:
    """A part of one axis: ``start .. stop`` is looked at, ``first .. last`` of it is used."""

    start: int
    stop: int
    first: int
    last: int


def spans(length: int, side: int, shift: int, grain: int = 1) -> list[Span]:
    """Divide an axis: used parts follow one another without gap, each within a part that is looked at.

    >>> spans(100, 64, 20)
    [Span(start=0, stop=64, first=0, last=20), Span(start=12, stop=76, first=20, last=68), \
Span(start=36, stop=100, first=68, last=100)]

    Args:
        length: of the axis in pixels.
        side: of what is looked at; an axis that is no longer is one part.
        shift: of the first cut, in pixels; any number.
        grain: windows begin at multiples of it, so that a network's strides fall on the same pixels in all of them;
            at the end of the axis they may be shorter then. With 1 all are of one length.
    """
    if length <= side:
        return [Span(0, length, 0, length)]
    margin = round(side * _MARGIN)
    core = side - 2 * margin - (grain - 1)
    cuts = [0, *range(shift % core or core, length, core), length]
    found = []
    for first, last in pairwise(cuts):
        start = min(max(0, first - margin) // grain, -(-(length - side) // grain)) * grain
        found.append(Span(start, min(start + side, length), first, last))
    return found


def gradient(
    objective: Objective, picture: Tensor, side: int, shift: tuple[int, int] = (0, 0), leak: bool = False
) -> tuple[Tensor, float]:
    """Return the gradient 1 x 3 x H x W, and the objective's mean over the windows by their used area.

    Objectives are means over places. Each window's gradient is weighted by its share of the picture, so the parts fit
    together and add up to the gradient of the whole, but for what a window cannot see.

    Args:
        objective: what is to grow.
        picture: 1 x 3 x H x W in 0..1.
        side: of a window in pixels; a picture that fits in is one window.
        shift: rows and columns by which the cuts are moved, so that they are elsewhere in each step.
        leak: let gradients pass units that are off.

    Raises:
        NumericalError: the objective is no number.
    """
    total = torch.zeros_like(picture)
    score, area = 0.0, picture.shape[2] * picture.shape[3]
    grain = 1 if objective.looker.fixed else min(_GRAIN, 2 ** int(math.log2(max(1, side * _MARGIN))))
    for rows, columns in _windows(picture.shape[2:], side, shift, grain):
        window = picture[:, :, rows.start : rows.stop, columns.start : columns.stop].clone().requires_grad_()
        with leaking([LEAK if leak else 0.0]):
            value = objective(window)
        if not bool(value.isfinite()):
            raise NumericalError(f"the dream diverged: its objective is {value.item()}.", "Try --precision fp32.")
        (slope,) = torch.autograd.grad(value, window)
        used = slice(rows.first, rows.last), slice(columns.first, columns.last)
        inside = (
            slice(rows.first - rows.start, rows.last - rows.start),
            slice(columns.first - columns.start, columns.last - columns.start),
        )
        total[:, :, used[0], used[1]] = slope[:, :, inside[0], inside[1]] * (window[0, 0].numel() / area)
        score += value.item() * (rows.last - rows.first) * (columns.last - columns.first) / area
    return total, score


def _windows(size: Sequence[int], side: int, shift: tuple[int, int], grain: int) -> Iterator[tuple[Span, Span]]:
    across = spans(size[1], side, shift[1], grain)
    return ((rows, columns) for rows in spans(size[0], side, shift[0], grain) for columns in across)


def memory_per_pixel(objective: Objective) -> float:
    """Return the bytes that one gradient keeps for each pixel, measured on a small picture."""
    device = objective.looker.subject.device
    side = objective.looker.subject.size if objective.looker.fixed else _PROBE
    probe = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device).requires_grad_()
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        objective(probe)
    return sum(saved.values()) / side**2 * _GRADIENT_FACTOR


def choose_tile(objective: Objective, height: int, width: int, room: int | None = None) -> int:
    """Return the side of windows, in pixels: the longer side of the picture where memory allows.

    Args:
        objective: tells, by a try, how much memory a pixel takes.
        height, width: of the picture.
        room: bytes that may be used; None takes half of what is free.

    Raises:
        ResourceError: not even the smallest window fits.
    """
    if objective.looker.fixed:
        return objective.looker.subject.size
    room = room if room is not None else int(_free(objective.looker.subject.device) * _SHARE)
    left = room - BASE_MEMORY - _PICTURES * 3 * 4 * height * width
    each = memory_per_pixel(objective)
    if height * width * each <= left:
        return max(height, width)
    side = int((max(0.0, left) / each) ** 0.5) // _GRAIN * _GRAIN
    if side < SMALLEST_TILE:
        needed = human_bytes(SMALLEST_TILE**2 * each + room - left)
        raise ResourceError(
            f"{width}x{height} pixels need at least {needed} of memory, {human_bytes(room)} may be used.",
            "Choose a smaller --size or a smaller network.",
        )
    return side


def _free(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()
