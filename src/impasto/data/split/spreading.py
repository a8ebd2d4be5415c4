"""Groups of pictures dealt to sides by share: greedy placement, then single moves while they help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from impasto.runtime import derive_seed

# Greedy placement with single moves can end in a corner; the best of a few orders rarely does.
_ATTEMPTS = 4

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Groups:
    """What is to be spread.

    Attributes:
        counts: of samples, groups x classes, and a last column for all of a group.
        shares: of each side; they add up to 1.
        first: the side in which a class must be before any other, -1 where all sides are equal.
    """

    counts: Array
    shares: Array
    first: int = 0

    @cached_property
    def weight(self) -> Array:
        """Deviations count relative to a class's size; in the last column only absence counts."""
        weight: Array = 1 / self.counts.sum(axis=0)
        weight[-1] = 0
        return weight

    @cached_property
    def wanted(self) -> Array:
        """Samples of each class in each side (sides x classes) if groups could be cut."""
        wanted: Array = self.shares[:, None] * self.counts.sum(axis=0)
        return wanted

    @cached_property
    def present(self) -> Array:
        """1 where a group has a class, else 0."""
        return (self.counts > 0).astype(np.float64)

    @cached_property
    def relative(self) -> Array:
        """The share that each group has of each class."""
        return self.counts * self.weight

    @cached_property
    def size(self) -> Array:
        """Squared deviation that each group makes alone."""
        size: Array = (self.counts * self.relative).sum(axis=1)
        return size

    @cached_property
    def absence(self) -> Array:
        """What it costs a side to lack a class: more than any deviation, and most of all the first."""
        other = 2 * self.counts.sum() + 1
        price: Array = np.where(self.shares > 0, other, 0.0)
        if self.first >= 0:
            price[self.first] = other * (self.counts.shape[1] * len(self.shares) + 1)
        return price

    def held(self, places: Places) -> Array:
        """Return the sides x classes table of samples placed."""
        held: Array = np.eye(len(self.shares))[places].T @ self.counts
        return held

    def cost(self, places: Places) -> float:
        """Return the squared deviation relative to each class's size, and the price of classes lacking."""
        held = self.held(places)
        deviation = ((held - self.wanted) ** 2 * self.weight).sum()
        return float(deviation + (self.absence[:, None] * (held == 0)).sum())


def spread(groups: Groups, names: Sequence[str], seed: int) -> Places:
    """Return the side of each group.

    Every class is on every side that it has groups enough for; under that condition no move of one group brings the
    classes' shares closer to what is asked.
    """
    orders = ([derive_seed(seed, "split", attempt, name) for name in names] for attempt in range(_ATTEMPTS))
    return min((_place(groups, order) for order in orders), key=groups.cost)


def _place(groups: Groups, order: list[int]) -> Places:
    """Place large groups first, each where most is wanted, then move single groups while it helps."""
    places = np.zeros(len(order), dtype=np.intp)
    lack = groups.wanted.copy()
    for group in sorted(range(len(order)), key=lambda index: (-groups.counts[index].sum(), order[index])):
        gain = lack @ groups.relative[group]
        places[group] = int(np.argmax(np.where(groups.shares > 0, gain, -np.inf)))
        lack[places[group]] -= groups.counts[group]
    while True:
        change = _change_by_move(groups, places)
        if change.min() > -1e-9:
            return places
        best, split = np.unravel_index(int(np.argmin(change)), change.shape)
        places[best] = split


def _change_by_move(groups: Groups, places: Places) -> Array:
    """Return by how much the cost changes when one group goes to one side (groups x sides)."""
    held = groups.held(places)
    pull = 2 * groups.relative @ (held - groups.wanted).T
    arrive = pull + groups.size[:, None] - (groups.present @ (held == 0).T) * groups.absence
    last = (groups.present * (held[places] == groups.counts)).sum(axis=1)
    here = np.arange(len(places))
    leave = -pull[here, places] + groups.size + last * groups.absence[places]
    change: Array = leave[:, None] + arrive
    change[here, places] = 0
    change[:, groups.shares == 0] = np.inf
    return change
