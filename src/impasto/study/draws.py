"""How pictures are dealt to training and test: alike for all arms, so that they are compared on the same pictures."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from itertools import combinations, islice
from pathlib import Path

import numpy as np

from impasto.data.dataset import Dataset, Sample
from impasto.data.split.splits import fold_splits, grouped_split
from impasto.errors import DataError, UsageError
from impasto.runtime import derive_seed
from impasto.study.arms import Arm
from impasto.study.pool import Pool
from impasto.study.spec import Study


@dataclass(frozen=True)
class Item:
    """What is taught or tested: a photo of its class, or a repaint of a photo whose class is the style.

    ``photo`` and ``style`` are places in the pool; ``style`` is -1 for an untouched photo.
    """

    photo: int
    style: int
    label: str


@dataclass(frozen=True)
class Draw:
    """One deal of items, which are known by their places in the list of all.

    Attributes:
        replicate: which draw, repetition or seed it is.
        fold: of a cross-validation; 0 elsewhere.
        round: draws of one round have disjoint training photos; -1 where there are no such rounds.
        train: class by class in an order of its own, so that smaller training sets are the beginnings of larger ones.
        validation: taught networks choose their weights on these; empty where training pictures have to serve.
        test: what is scored.
    """

    replicate: int
    fold: int
    round: int
    train: tuple[tuple[int, ...], ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


@dataclass(frozen=True)
class Deal:
    """All items, and the draws of arms that keep them ``apart`` in one way."""

    items: tuple[Item, ...]
    draws: dict[str, tuple[Draw, ...]]

    def of(self, arm: Arm) -> tuple[Draw, ...]:
        """Return the draws of an arm, each with as many training pictures as it wants."""
        draws = self.draws[arm.settings.apart]
        if draws[0].round < 0:
            return draws
        most = arm.settings.train_per_class
        return tuple(replace(draw, train=tuple(rows[:most] for rows in draw.train)) for draw in draws)


def deal(study: Study, pool: Pool, arms: Sequence[Arm]) -> Deal:
    """Deal the pictures of a study.

    Raises:
        DataError: a class has too few. UsageError: a setting that this kind of split does not have.
    """
    items = items_of(study, pool)
    ways = sorted({arm.settings.apart for arm in arms})
    if study.task == "repaints":
        everything = Draw(0, 0, -1, (), (), tuple(range(len(items))))
        return Deal(items, dict.fromkeys(ways, (everything,)))
    numbers = {arm.settings.train_per_class for arm in arms}
    if study.split.kind == "few-shot":
        return Deal(items, {way: tuple(_few_shot(study, pool, items, max(numbers), way)) for way in ways})
    if len(numbers) > 1:
        raise UsageError(f"train_per_class changes nothing where split.kind is {study.split.kind}.", "Use few-shot.")
    make = _folds if study.split.kind == "folds" else _fixed
    return Deal(items, {way: tuple(make(study, pool, items, way)) for way in ways})


def items_of(study: Study, pool: Pool) -> tuple[Item, ...]:
    """Return all items: photos, or every photo in every style."""
    if study.task == "classes":
        return tuple(Item(index, -1, photo.label) for index, photo in enumerate(pool.photos))
    return tuple(
        Item(photo, style, pool.styles[style].label)
        for photo in range(len(pool.photos))
        for style in range(len(pool.styles))
    )


def overlap_of(photos: Sequence[Set[int]]) -> float:
    """Return the share of training photos that two draws have in common, on average over all pairs of draws."""
    if len(photos) < 2 or not all(photos):
        return 0.0
    return float(np.mean([len(one & other) / min(len(one), len(other)) for one, other in combinations(photos, 2)]))


def _few_shot(study: Study, pool: Pool, items: Sequence[Item], most: int, way: str) -> list[Draw]:
    """Cut each class into disjoint training sets, shuffle, and cut again, until there are enough draws.

    Disjoint sets are independent, which a sign test needs; and every picture teaches about as often as every other.
    """
    if way == "nothing":
        raise UsageError('apart = "nothing" is for split.kind = "folds" or "fixed".')
    # Repaints of one photo stay together where all styles have the same photos in the same order.
    alike = study.task == "styles" and way == "photo"
    rows = [[index for index, item in enumerate(items) if item.label == label] for label in pool.classes]
    per_round = _check_enough(study, pool, [len(each) for each in rows], most)
    draws: list[Draw] = []
    for number in range(-(-study.split.draws // per_round)):
        shuffled = [
            _shuffled(each, study.seed, "round", number, "" if alike else label)
            for each, label in zip(rows, pool.classes, strict=True)
        ]
        for part in range(per_round):
            train = tuple(each[part * most : (part + 1) * most] for each in shuffled)
            rest = (each[(part + 1) * most :] + each[: part * most] for each in shuffled)
            test = [index for each in rest for index in each[: study.split.test_per_class or None]]
            draws.append(Draw(len(draws), 0, number, tuple(map(tuple, train)), (), tuple(sorted(test))))
    return draws[: study.split.draws]


def _check_enough(study: Study, pool: Pool, counts: Sequence[int], most: int) -> int:
    wanted = study.split.test_per_class or 1
    if study.split.short == "refuse":
        for label, count in zip(pool.classes, counts, strict=True):
            if count < most + wanted:
                raise DataError(
                    f"{label} has {count} usable pictures: with {most} to teach {max(0, count - most)} are left to "
                    f"test, not {wanted}.",
                    "Ask for fewer: --set split.test_per_class=0 tests all that are left.",
                )
    per_round = min(counts) // most
    if per_round < 1 or min(counts) <= most:
        scarce = pool.classes[counts.index(min(counts))]
        raise DataError(f"{scarce} has {min(counts)} usable pictures; {most} are to teach, and some to be tested.")
    return per_round


def _shuffled(rows: Sequence[int], seed: int, *stream: int | str) -> list[int]:
    order = np.random.default_rng(derive_seed(seed, *stream)).permutation(len(rows))
    return [rows[index] for index in order]


def _folds(study: Study, pool: Pool, items: Sequence[Item], way: str) -> list[Draw]:
    dataset = _dataset(pool, items, way)
    draws = []
    for replicate in range(study.split.draws):
        seed = derive_seed(study.seed, "folds", replicate)
        for fold, split in enumerate(fold_splits(dataset, study.split.folds, seed)):
            places = [sample.split for sample in split.samples]
            draws.append(_drawn(pool, items, replicate, fold, places, way, study.seed))
    return draws


def _fixed(study: Study, pool: Pool, items: Sequence[Item], way: str) -> list[Draw]:
    """Take the data set's splits; the draws differ in the seed of what is taught."""
    places = [pool.photos[item.photo].split for item in items]
    if not {"train", "test"} <= set(places):
        if set(places) == {"train", "validation"}:  # two splits: the second is what nobody has learned from
            places = ["test" if place == "validation" else place for place in places]
        else:
            places = [sample.split for sample in grouped_split(_dataset(pool, items, way), seed=study.seed).samples]
    return [_drawn(pool, items, seed, 0, places, way, study.seed) for seed in range(study.split.draws)]


def _dataset(pool: Pool, items: Sequence[Item], way: str) -> Dataset:
    samples = (
        Sample(
            Path(f"{place:09}"), item.label, group=pool.photos[item.photo].sha256 if way == "photo" else f"{place:09}"
        )
        for place, item in enumerate(items)
    )
    return Dataset(pool.root, tuple(samples))


def _drawn(
    pool: Pool, items: Sequence[Item], replicate: int, fold: int, places: Sequence[str], way: str, seed: int
) -> Draw:
    train = [index for index, place in enumerate(places) if place == "train"]
    test = [index for index, place in enumerate(places) if place == "test"]
    if way == "nothing":
        # R2: a tenth of each class of the training pictures was copied to the test folder, not moved.
        stream = ("copied", replicate, fold)
        test = [index for label in pool.classes for index in _tenth(train, items, label, derive_seed(seed, *stream))]
    validation = tuple(index for index, place in enumerate(places) if place == "validation")
    by_class = tuple(tuple(index for index in train if items[index].label == label) for label in pool.classes)
    return Draw(replicate, fold, -1, by_class, validation, tuple(sorted(test)))


def _tenth(rows: Sequence[int], items: Sequence[Item], label: str, seed: int) -> list[int]:
    own = [index for index in rows if items[index].label == label]
    return list(islice(_shuffled(own, seed, label), max(1, len(own) // 10)))
