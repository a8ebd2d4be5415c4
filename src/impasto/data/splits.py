"""Seeded splits in which what belongs together stays together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from impasto.data.dataset import SPLITS, Dataset, Sample
from impasto.errors import DataError, UsageError
from impasto.runtime import derive_seed

# Greedy placement with single moves can end in a corner; the best of a few orders rarely does.
_ATTEMPTS = 4

_Array = npt.NDArray[np.float64]
_Places = npt.NDArray[np.intp]


def grouped_split(
    dataset: Dataset, fractions: tuple[float, float, float] = (0.7, 0.15, 0.15), seed: int = 0
) -> Dataset:
    """Return the samples, in their order, with their ``split`` set to train, validation or test.

    Samples of one group, and where hashes are recorded samples of the same bytes, are never parted; a sample
    without a group is a group of its own. Every class is in train, and in every other split if it has groups
    enough; under these conditions no move of one group brings the classes' shares closer to ``fractions``.
    The result depends on names and ``seed`` and not on the order of the samples.

    Args:
        dataset: samples whose former splits are ignored.
        fractions: shares of train, validation and test; they add up to 1, train is above 0.
        seed: another seed, another split.

    Raises:
        UsageError: fractions that cannot be.
        DataError: too few groups for the splits asked for.

    >>> from pathlib import Path
    >>> pictures = (Sample(Path(f"{i}.png"), "ab"[i % 2], group=str(i // 2)) for i in range(40))
    >>> grouped_split(Dataset(Path(), tuple(pictures))).split("train").counts()
    {'a': 14, 'b': 14}
    """
    shares = _checked_shares(fractions)
    if not dataset.samples:
        raise DataError(f"{dataset.root} holds no pictures to split.")
    group_of_sample = _groups(dataset)
    names = sorted(set(group_of_sample))
    groups = _Groups(_count_classes(dataset, group_of_sample, names), shares)
    orders = ([derive_seed(seed, "split", attempt, name) for name in names] for attempt in range(_ATTEMPTS))
    places = min((_place(groups, order) for order in orders), key=groups.cost)
    _check_filled(dataset, groups, places)
    split_of_group = {name: SPLITS[place] for name, place in zip(names, places, strict=True)}
    pairs = zip(dataset.samples, group_of_sample, strict=True)
    return replace(dataset, samples=tuple(replace(sample, split=split_of_group[group]) for sample, group in pairs))


def _checked_shares(fractions: Sequence[float]) -> _Array:
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.shape != (3,) or not (shares >= 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise UsageError(f"the fractions {tuple(fractions)} are not three shares that add up to 1.")
    if shares[0] == 0:
        raise UsageError("the share of train cannot be 0.")
    return shares


def _groups(dataset: Dataset) -> list[str]:
    """Return for each sample the name of the set that must stay on one side."""
    keys = [_keys(dataset, sample) for sample in dataset.samples]
    numbers = {key: number for number, key in enumerate(sorted(set().union(*keys)))}
    ends = [(numbers[own[0]], numbers[key]) for own in keys for key in own]
    graph = coo_matrix((np.ones(len(ends)), tuple(zip(*ends, strict=True))), shape=(len(numbers),) * 2)
    _, component = connected_components(graph, directed=False)
    name: dict[int, str] = {}
    for key, number in numbers.items():  # in the order of the keys: a set is named after its first
        name.setdefault(component[number], key)
    return [name[component[numbers[own[0]]]] for own in keys]


def _keys(dataset: Dataset, sample: Sample) -> list[str]:
    own = f"group {sample.group}" if sample.group else f"path {dataset.relative(sample)}"
    return [own, f"sha256 {sample.sha256}"] if sample.sha256 else [own]


def _count_classes(dataset: Dataset, group_of_sample: list[str], names: list[str]) -> _Array:
    """Return the groups x classes table of numbers of samples; a last column counts all of a group."""
    row = {name: index for index, name in enumerate(names)}
    column = {label: index for index, label in enumerate(dataset.classes)}
    counts = np.zeros((len(row), len(column) + 1))
    for sample, group in zip(dataset.samples, group_of_sample, strict=True):
        counts[row[group], [column[sample.label], -1]] += 1
    return counts


@dataclass(frozen=True)
class _Groups:
    """``counts`` of samples (groups x classes, then one column for all), to be spread by ``shares``."""

    counts: _Array
    shares: _Array

    @cached_property
    def weight(self) -> _Array:
        """Deviations count relative to a class's size; in the last column only absence counts."""
        weight: _Array = 1 / self.counts.sum(axis=0)
        weight[-1] = 0
        return weight

    @cached_property
    def wanted(self) -> _Array:
        """Samples of each class in each split (splits x classes) if groups could be cut."""
        wanted: _Array = self.shares[:, None] * self.counts.sum(axis=0)
        return wanted

    @cached_property
    def present(self) -> _Array:
        """1 where a group has a class, else 0."""
        return (self.counts > 0).astype(np.float64)

    @cached_property
    def relative(self) -> _Array:
        """The share that each group has of each class."""
        return self.counts * self.weight

    @cached_property
    def size(self) -> _Array:
        """Squared deviation that each group makes alone."""
        size: _Array = (self.counts * self.relative).sum(axis=1)
        return size

    @cached_property
    def absence(self) -> _Array:
        """What it costs a split to lack a class: more than any deviation, and most of all in train."""
        other = 2 * self.counts.sum() + 1
        price: _Array = np.where(self.shares > 0, other, 0.0)
        price[0] = other * (self.counts.shape[1] * len(SPLITS) + 1)
        return price

    def held(self, places: _Places) -> _Array:
        """Return the splits x classes table of samples placed."""
        held: _Array = np.eye(len(SPLITS))[places].T @ self.counts
        return held

    def cost(self, places: _Places) -> float:
        """Return the squared deviation relative to each class's size, and the price of classes lacking."""
        held = self.held(places)
        deviation = ((held - self.wanted) ** 2 * self.weight).sum()
        return float(deviation + (self.absence[:, None] * (held == 0)).sum())


def _place(groups: _Groups, order: list[int]) -> _Places:
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


def _change_by_move(groups: _Groups, places: _Places) -> _Array:
    """Return by how much the cost changes when one group goes to one split (groups x splits)."""
    held = groups.held(places)
    pull = 2 * groups.relative @ (held - groups.wanted).T
    arrive = pull + groups.size[:, None] - (groups.present @ (held == 0).T) * groups.absence
    last = (groups.present * (held[places] == groups.counts)).sum(axis=1)
    here = np.arange(len(places))
    leave = -pull[here, places] + groups.size + last * groups.absence[places]
    change: _Array = leave[:, None] + arrive
    change[here, places] = 0
    change[:, groups.shares == 0] = np.inf
    return change


def _check_filled(dataset: Dataset, groups: _Groups, places: _Places) -> None:
    asked = [split for split in range(len(SPLITS)) if groups.shares[split] > 0]
    empty = [SPLITS[split] for split in asked if split not in places]
    if empty:
        raise DataError(
            f"{dataset.root}: of {len(places)} group(s) of pictures that belong together none is left for a "
            f"{' and a '.join(empty)} split.",
            "Add pictures of other groups, or ask for fewer splits: every class must be in train.",
        )
