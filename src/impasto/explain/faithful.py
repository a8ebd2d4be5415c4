"""Deletion and insertion: does the target fall when what a map points at is taken away, more than elsewhere?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.explain.attribution import GRID, on_grid
from impasto.explain.pixels import veiled
from impasto.explain.targets import Goal
from impasto.runtime import generator
from impasto.subjects import Subject

# Steps in which the whole picture goes or comes.
STEPS = 8
_BATCH = 32


@dataclass(frozen=True)
class Faithfulness:
    """How far a map's places matter, for one picture, in units of the target.

    Attributes:
        deletion: mean of the target while the cells go, the most pointed at first; small is good.
        insertion: mean of the target while they come into the veiled picture; large is good.
        moved: insertion less deletion of the same map moved to other places, one for each move.
        centre: insertion less deletion of a round spot in the middle, which knows nothing of the picture.
    """

    deletion: float
    insertion: float
    moved: tuple[float, ...]
    centre: float

    @property
    def gain(self) -> float:
        """Insertion less deletion."""
        return self.insertion - self.deletion

    @property
    def advantage(self) -> float:
        """How much more that is than the mean of the moved maps; 0 is what a map without any meaning has."""
        return self.gain - sum(self.moved) / len(self.moved)

    @property
    def beaten(self) -> int:
        """How many of the moved maps it is better than."""
        return sum(self.gain > other for other in self.moved)


def faithfulness(
    subject: Subject, picture: Tensor, goal: Goal, values: Tensor, *, moves: int, seed: int
) -> Faithfulness:
    """Take away and bring back the cells of a 14 x 14 grid in the order of a map (RISE, Petsiuk et al. 2018).

    The map is judged against itself in other places, moved around the edges of the picture and mirrored: a random map
    of exactly its smoothness. Scattered noise would take away a bit of everything, and any smooth map beats that or is
    beaten by it for its smoothness alone.

    Args:
        subject: the network.
        picture: 1 x 3 x S x S in 0..1.
        goal: the target, of this picture alone.
        values: h x w map.
        moves: how many other places.
        seed: of the moves.
    """
    grid = on_grid(values.unsqueeze(0))[0]
    others = [_moved(grid, seed, index) for index in range(moves)]
    scores = [_curves(subject, picture, goal, each) for each in (grid, *others, _spot())]
    gains = [inserted - deleted for deleted, inserted in scores]
    return Faithfulness(*scores[0], tuple(gains[1:-1]), gains[-1])


def _curves(subject: Subject, picture: Tensor, goal: Goal, grid: Tensor) -> tuple[float, float]:
    """Return the means of the target during deletion and insertion."""
    order = grid.flatten().argsort(descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    cut = torch.arange(1, STEPS + 1).view(-1, 1, 1) * len(order) / STEPS
    shown = (rank.view(1, GRID, GRID) < cut).float()
    masks = F.interpolate(torch.cat([1 - shown, shown]).unsqueeze(1), picture.shape[2:], mode="nearest")
    veil = veiled(picture)
    values = []
    with torch.no_grad():
        for some in torch.split(masks, _BATCH):
            changed = veil + some * (picture - veil)
            values.append(goal.repeated(0, len(some))(subject(changed)).cpu())
    scores = torch.cat(values).double()
    return float(scores[:STEPS].mean()), float(scores[STEPS:].mean())


def _moved(grid: Tensor, seed: int, index: int) -> Tensor:
    draw = generator(seed, "moved map", index)
    down, right, mirror = (
        int(torch.randint(low, high, (1,), generator=draw)) for low, high in ((0, GRID),) * 2 + ((0, 2),)
    )
    # At least a quarter of the picture away, or what it points at would still be pointed at.
    if min(down, GRID - down) < GRID // 4 and min(right, GRID - right) < GRID // 4:
        down = (down + GRID // 2) % GRID
    moved = grid.roll((down, right), (0, 1))
    return moved.flip(1) if mirror else moved


def _spot() -> Tensor:
    steps = torch.linspace(-1, 1, GRID)
    return -(steps.view(-1, 1).square() + steps.view(1, -1).square())
