"""Attribution to the picture itself: integrated gradients, occlusion; and what a picture is without what it shows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.explain.targets import Goal
from impasto.subjects import Subject

# Points of the path: the sum differs from what it should be by a few per cent of ReLU networks' targets.
IG_STEPS = 32
# Side of what is hidden and how far it moves, as shares of the picture's side.
_WINDOW, _STRIDE = 1 / 7, 1 / 14
# Means of so many cells a side are left of a picture where nothing is to be recognised.
_CELLS = 6
_BATCH = 32


def veiled(pictures: Tensor) -> Tensor:
    """Return B x 3 x S x S pictures with colours in their places and nothing to recognise.

    Means of 6 x 6 cells, smoothly between. A black or grey picture would be something the network has never seen, and
    would leave black or grey parts of the picture without any say (Sturmfels et al. 2020).
    """
    return F.interpolate(
        F.adaptive_avg_pool2d(pictures, _CELLS), pictures.shape[2:], mode="bicubic", align_corners=False
    ).clamp(0, 1)


def integrated_gradients(
    subject: Subject, pictures: Tensor, goal: Goal, *, baseline: Tensor | None = None, steps: int = IG_STEPS
) -> Tensor:
    """Return B x S x S: (x - x') times the mean gradient between x' and x, summed over the colours.

    Sundararajan et al. 2017, by the midpoint rule; x' is :func:`veiled` or ``baseline``. The sum over a map is the
    target at x less that at x', but for the error of the rule.
    """
    baseline = veiled(pictures) if baseline is None else baseline
    total = torch.zeros_like(pictures)
    for step in range(steps):
        point = (baseline + (pictures - baseline) * ((step + 0.5) / steps)).requires_grad_()
        with torch.enable_grad():
            value = goal(subject(point)).sum()
            (slope,) = torch.autograd.grad(value, point)
        total += slope
    return ((pictures - baseline) * total / steps).sum(1)


def occlusion(
    subject: Subject,
    pictures: Tensor,
    goal: Goal,
    *,
    window: int | None = None,
    stride: int | None = None,
    baseline: Tensor | None = None,
) -> Tensor:
    """Return B x S x S: what the target loses where a square is hidden, the mean of all squares over a pixel.

    Zeiler and Fergus 2014, with the square as it is in :func:`veiled` (or in ``baseline``) in place of grey.

    Args:
        subject, pictures, goal: as everywhere.
        window, stride: the square's side and steps, in pixels; by default a seventh and a fourteenth of the side.
        baseline: what is seen where something is hidden.
    """
    side = pictures.shape[-1]
    window, stride = window or max(1, round(side * _WINDOW)), stride or max(1, round(side * _STRIDE))
    starts = _starts(side, window, stride)
    corners = [(top, left) for top in starts for left in starts]
    baseline = veiled(pictures) if baseline is None else baseline
    with torch.no_grad():
        rows = [
            _hidden(subject, pictures[row], baseline[row], goal, row, corners, window) for row in range(len(pictures))
        ]
    return torch.stack(rows)


def _starts(side: int, window: int, stride: int) -> list[int]:
    """Return where squares begin: every stride, and one that ends with the picture."""
    return sorted({*range(0, max(1, side - window + 1), stride), max(0, side - window)})


def _hidden(
    subject: Subject,
    picture: Tensor,
    baseline: Tensor,
    goal: Goal,
    row: int,
    corners: list[tuple[int, int]],
    window: int,
) -> Tensor:
    whole = goal.repeated(row, 1)(subject(picture.unsqueeze(0)))[0].cpu()
    total, count = torch.zeros(picture.shape[1:]), torch.zeros(picture.shape[1:])
    for first in range(0, len(corners), _BATCH):
        some = corners[first : first + _BATCH]
        changed = picture.repeat(len(some), 1, 1, 1)
        for index, (top, left) in enumerate(some):
            place = (slice(None), slice(top, top + window), slice(left, left + window))
            changed[index][place] = baseline[place]
        losses = whole - goal.repeated(row, len(some))(subject(changed)).cpu()
        for loss, (top, left) in zip(losses, some, strict=True):
            total[top : top + window, left : left + window] += loss
            count[top : top + window, left : left + window] += 1
    return total / count
