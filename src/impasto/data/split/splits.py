"""Seeded splits in which what belongs together stays together: by share, by number, and folds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from impasto.data.dataset import SPLITS, Dataset
from impasto.data.grouping import together
from impasto.data.split.counted import Need, allot
from impasto.data.split.spreading import Array, Groups, spread
from impasto.errors import DataError, UsageError

# How many pictures of a class a split gets: a number, or what the others leave.
REST = -1


def grouped_split(
    dataset: Dataset,
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    *,
    belongs: Sequence[str] | None = None,
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
        belongs: the name of the set of each sample that stays together, see ``together``; None asks that.

    Raises:
        UsageError: fractions that cannot be.
        DataError: too few groups for the splits asked for.

    >>> from pathlib import Path
    >>> from impasto.data.dataset import Sample
    >>> pictures = (Sample(Path(f"{i}.png"), "ab"[i % 2], group=str(i // 2)) for i in range(40))
    >>> grouped_split(Dataset(Path(), tuple(pictures))).split("train").counts()
    {'a': 14, 'b': 14}
    """
    shares = _checked_shares(fractions)
    belongs, names, counts = _groups(dataset, belongs)
    places = spread(Groups(counts, shares), names, seed)
    empty = [split for split, share in enumerate(shares) if share > 0 and split not in places]
    if empty:
        raise DataError(
            f"{dataset.root}: of {len(places)} group(s) of pictures that belong together none is left for a "
            f"{' and a '.join(SPLITS[split] for split in empty)} split.",
            "Add pictures of other groups, or ask for fewer splits: every class must be in train.",
        )
    side = dict(zip(names, places, strict=True))
    return _dealt(dataset, [SPLITS[side[name]] for name in belongs])


def fold_splits(
    dataset: Dataset, folds: int, seed: int = 0, *, belongs: Sequence[str] | None = None
) -> Iterator[Dataset]:
    """Yield ``folds`` splits into train and test; every sample is in the test split of exactly one.

    Groups and classes are treated as by ``grouped_split``, all folds alike.

    Raises:
        UsageError: fewer than two folds.
        DataError: a class has fewer groups than there are folds; it says how many.
    """
    if folds < 2:
        raise UsageError(f"{folds} folds cannot be.", "Two or more.")
    belongs, names, counts = _groups(dataset, belongs)
    places = spread(Groups(counts, np.full(folds, 1 / folds), first=-1), names, seed)
    side = dict(zip(names, places, strict=True))
    require_every_class(dataset, [f"fold {side[name] + 1}" for name in belongs], belongs, folds)
    for fold in range(folds):
        yield _dealt(dataset, ["test" if side[name] == fold else "train" for name in belongs])


def counted_split(
    dataset: Dataset, counts: tuple[int, int, int], seed: int = 0, *, belongs: Sequence[str] | None = None
) -> Dataset:
    """Return the samples with ``split`` set so that each class has exactly so many pictures in each split.

    What is not needed, and what a group has too many of, is in no split (""); groups are never parted.

    Args:
        dataset: samples whose former splits are ignored.
        counts: pictures of each class in train, validation and test; ``REST`` for one of them: all that is left.
        seed: another seed, other pictures.
        belongs: as for ``grouped_split``.

    Raises:
        UsageError: numbers that cannot be.
        DataError: too few pictures, or groups that do not come out; by how many, in which class.
    """
    _check_counts(counts)
    belongs, names, table = _groups(dataset, belongs)
    needs = [Need(1 if count == REST else count, takes_rest=count == REST) for count in counts]
    sides = allot(table[:, :-1], needs, names, seed)
    held = dict(zip(names, sides.place, strict=True))
    missing = {label: lack for label, lack in zip(dataset.classes, sides.shortage, strict=True) if lack.any()}
    if missing:
        raise DataError(
            f"{dataset.root} cannot be split into {_told(counts)} pictures of each class: "
            f"{'; '.join(_shortage(dataset, label, lack, belongs) for label, lack in missing.items())}.",
            "Ask for fewer, or leave these classes out: impasto dataset import --rename CLASS=.",
        )
    return _dealt(dataset, _trimmed(dataset, [int(held[name]) for name in belongs], belongs, counts, seed))


def require_every_class(dataset: Dataset, places: Sequence[str], belongs: Sequence[str], wanted: int) -> None:
    """Refuse a split in which a class lacks on one of the ``wanted`` sides.

    Args:
        dataset: N samples.
        places: the side of each, by name.
        belongs: the set of each that stays together.
        wanted: how many sides there are.

    Raises:
        DataError: which classes, and how many groups they have too few.
    """
    told = []
    for label in dataset.classes:
        rows = [index for index, sample in enumerate(dataset.samples) if sample.label == label]
        sides, sets = {places[row] for row in rows}, {belongs[row] for row in rows}
        if len(sets) < wanted:
            told.append(f"{label} has {len(rows)} pictures in {len(sets)} groups, {wanted - len(sets)} too few")
        elif len(sides) < wanted:
            told.append(f"the groups of {label} are tied to those of other classes")
    if told:
        raise DataError(
            f"{dataset.root}: not every class can be on each of {wanted} sides: {'; '.join(told)}.",
            "Ask for fewer, or add pictures.",
        )


def _groups(dataset: Dataset, belongs: Sequence[str] | None) -> tuple[Sequence[str], list[str], Array]:
    """Return the set of each sample, the names of the sets, and how many of each class (last column: all) they hold."""
    if not dataset.samples:
        raise DataError(f"{dataset.root} holds no pictures to split.")
    belongs = together(dataset) if belongs is None else belongs
    names = sorted(set(belongs))
    row = {name: index for index, name in enumerate(names)}
    column = {label: index for index, label in enumerate(dataset.classes)}
    counts = np.zeros((len(row), len(column) + 1))
    for sample, group in zip(dataset.samples, belongs, strict=True):
        counts[row[group], [column[sample.label], -1]] += 1
    return belongs, names, counts


def _dealt(dataset: Dataset, splits: Sequence[str]) -> Dataset:
    pairs = zip(dataset.samples, splits, strict=True)
    return replace(dataset, samples=tuple(replace(sample, split=split) for sample, split in pairs))


def _checked_shares(fractions: Sequence[float]) -> Array:
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.shape != (3,) or not (shares >= 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise UsageError(f"the fractions {tuple(fractions)} are not three shares that add up to 1.")
    if shares[0] == 0:
        raise UsageError("the share of train cannot be 0.")
    return shares


def _check_counts(counts: Sequence[int]) -> None:
    numbers = [count for count in counts if count != REST]
    if len(counts) != 3 or len(numbers) < 2 or min(numbers) < 0 or counts[0] == 0 or sum(numbers) == 0:
        raise UsageError(
            f"{_told(counts)} are not numbers of pictures for train, validation and test.",
            "Three numbers, one of them may be rest: 240,30,30 or 10,0,rest; train needs some.",
        )


def _told(counts: Sequence[int]) -> str:
    return ", ".join("rest" if count == REST else str(count) for count in counts)


def _shortage(dataset: Dataset, label: str, lack: Array, belongs: Sequence[str]) -> str:
    rows = [name for name, sample in zip(belongs, dataset.samples, strict=True) if sample.label == label]
    groups = f" in {len(set(rows))} groups that stay whole" if len(set(rows)) < len(rows) else ""
    return f"{label} has {len(rows)} pictures{groups}, {lack.sum():.0f} too few"


def _trimmed(
    dataset: Dataset, places: Sequence[int], belongs: Sequence[str], counts: Sequence[int], seed: int
) -> list[str]:
    """Return the split of each sample, "" for those that a split has too many of."""
    held: dict[tuple[int, str], list[int]] = {}
    for index in sorted(range(len(places)), key=lambda index: dataset.relative(dataset.samples[index])):
        held.setdefault((places[index], dataset.samples[index].label), []).append(index)
    splits = [SPLITS[place] if place >= 0 else "" for place in places]
    random = np.random.default_rng(seed)
    for (place, _), here in sorted(held.items()):
        if place >= 0 and counts[place] != REST:
            sizes = Counter(belongs[index] for index in here)
            # From the largest groups first: another picture of the same thing adds least.
            order = sorted(random.permutation(here).tolist(), key=lambda index: -sizes[belongs[index]])
            for index in order[: len(here) - counts[place]]:
                splits[index] = ""
    return splits
