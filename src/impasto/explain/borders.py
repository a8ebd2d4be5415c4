"""Letterboxes and borders of pictures: how much of a map lies there, and does the answer need it?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# A line of the edge belongs to a letterbox where its colours differ by less (of 0..1), and from the line outside it.
_FLAT, _SAME = 0.03, 0.08
# The border, where frames and labels are: this share of the shorter side, inside of any letterbox.
BORDER = 0.08


@dataclass(frozen=True)
class Regions:
    """Where in one picture what is; three masks S x S that do not overlap and add up to 1.

    Attributes:
        letterbox: flat strips along the edges.
        border: the ring along the inside of them.
        inside: the rest.
    """

    letterbox: Tensor
    border: Tensor
    inside: Tensor

    def shares(self, values: Tensor) -> dict[str, float]:
        """Return how much of S x S values that are not negative lies in each; all 0 where there are none."""
        total = float(values.sum())
        names = ("letterbox", "border", "inside")
        return {name: float((values * getattr(self, name)).sum()) / total if total else 0.0 for name in names}


def regions(picture: Tensor) -> Regions:
    """Return the regions of a picture 3 x S x S.

    >>> white = torch.ones(3, 40, 40)
    >>> white[:, 10:30] = torch.rand(3, 20, 40, generator=torch.Generator().manual_seed(0))
    >>> regions(white).letterbox.mean()
    tensor(0.5000)
    """
    height, width = picture.shape[1:]
    top, bottom = _strips(picture)
    left, right = _strips(picture.transpose(1, 2))
    content = torch.zeros(height, width)
    content[top : height - bottom, left : width - right] = 1
    ring = max(1, round(BORDER * min(height - top - bottom, width - left - right)))
    inside = torch.zeros(height, width)
    inside[top + ring : height - bottom - ring, left + ring : width - right - ring] = 1
    return Regions(1 - content, content - inside, inside)


def _strips(picture: Tensor) -> tuple[int, int]:
    """Return how many rows at the top and at the bottom are flat; less than the whole picture together."""
    height = picture.shape[1]
    top, bottom = _flat_rows(picture), _flat_rows(picture.flip(1))
    return (top, bottom) if top + bottom < height - 2 else (0, 0)


def _flat_rows(picture: Tensor) -> int:
    means = picture.mean(2)
    flat = picture.std(2, correction=0).amax(0) < _FLAT
    same = (means - means[:, :1]).abs().amax(0) < _SAME
    run = (flat & same).long().cumprod(0)
    return int(run.sum())
