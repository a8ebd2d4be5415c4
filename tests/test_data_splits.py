"""Seeded splits: groups stay whole, classes are spread, the order of the samples does not matter."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.data.dataset import Dataset, Sample
from impasto.data.split.splits import grouped_split
from impasto.errors import DataError, UsageError

ROOT = Path("photos")


def dataset_of(rows: list[tuple[str, str]]) -> Dataset:
    """Samples from (label, group) pairs."""
    pictures = enumerate(rows)
    return Dataset(ROOT, tuple(Sample(ROOT / f"{i:04}.png", label, "", group) for i, (label, group) in pictures))


def splits_of_groups(dataset: Dataset) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for sample in dataset.samples:
        found[sample.group].add(sample.split)
    return found


# Twelve group names over up to three classes: small enough for collisions, large enough to be split.
rows = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("0123456789XY")), min_size=1, max_size=60)


@settings(max_examples=100, deadline=None)
@given(rows, st.integers(0, 5))
def test_no_group_straddles_and_every_class_is_in_train(rows: list[tuple[str, str]], seed: int) -> None:
    dataset = dataset_of(rows)
    try:
        split = grouped_split(dataset, seed=seed)
    except DataError:
        assert len({group for _, group in rows}) < 3 + len(dataset.classes)
        return
    assert all(len(found) == 1 for found in splits_of_groups(split).values())
    assert split.split("train").classes == dataset.classes
    assert split.splits == ("train", "validation", "test")
    assert [(s.path, s.label, s.group) for s in split.samples] == [(s.path, s.label, s.group) for s in dataset.samples]


@settings(max_examples=50, deadline=None)
@given(rows, st.randoms(use_true_random=False))
def test_order_of_samples_does_not_matter(rows: list[tuple[str, str]], shuffler: random.Random) -> None:
    pictures = enumerate(dataset_of(rows).samples)
    dataset = Dataset(ROOT, tuple(replace(sample, sha256=f"{i // 2}" if i % 10 < 2 else "") for i, sample in pictures))
    mixed = list(dataset.samples)
    shuffler.shuffle(mixed)
    try:
        expected = {sample.path: sample.split for sample in grouped_split(dataset).samples}
    except DataError:
        with pytest.raises(DataError):
            grouped_split(Dataset(ROOT, tuple(mixed)))
        return
    assert {sample.path: sample.split for sample in grouped_split(Dataset(ROOT, tuple(mixed))).samples} == expected


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(20, 60), min_size=1, max_size=4), st.integers(0, 3))
def test_single_pictures_come_within_one_of_the_fractions(sizes: list[int], seed: int) -> None:
    rows = [(f"class {label}", "") for label, size in enumerate(sizes) for _ in range(size)]
    split = grouped_split(dataset_of(rows), seed=seed)
    for name, fraction in (("train", 0.7), ("validation", 0.15), ("test", 0.15)):
        for count, size in zip(split.split(name).counts().values(), sizes, strict=True):
            assert abs(count - fraction * size) <= 1


@settings(max_examples=50, deadline=None)
@given(rows)
def test_no_move_of_one_group_comes_closer_to_the_fractions(rows: list[tuple[str, str]]) -> None:
    fractions = {"train": 0.6, "validation": 0.4}
    dataset = dataset_of(rows)
    try:
        split = grouped_split(dataset, (0.6, 0.4, 0.0))
    except DataError:
        return

    def quality(places: dict[str, str]) -> tuple[int, int, float]:
        """Classes lacking in train, classes lacking elsewhere, squared deviation: less is better."""
        lacking, deviation = {"train": 0, "validation": 0}, 0.0
        for label, total in dataset.counts().items():
            for name, fraction in fractions.items():
                held = sum(places[group] == name for row_label, group in rows if row_label == label)
                lacking[name] += held == 0
                deviation += (held - fraction * total) ** 2 / total
        return lacking["train"], lacking["validation"], round(deviation, 6)

    places = {group: found.pop() for group, found in splits_of_groups(split).items()}
    best = quality(places)
    for group, name in places.items():
        other = "train" if name == "validation" else "validation"
        assert quality({**places, group: other}) >= best


def test_repaints_of_one_photo_stay_together_and_classes_are_equal() -> None:
    """R0: every photo is repainted in every style, so groups cross all classes."""
    rows = [(style, f"photo {photo}") for style in ("udnie", "wave", "scream") for photo in range(20)]
    split = grouped_split(dataset_of(rows))
    assert [set(split.split(name).counts().values()) for name in split.splits] == [{14}, {3}, {3}]


def test_same_bytes_stay_together_whatever_their_groups() -> None:
    samples = [Sample(ROOT / f"{i}.png", "ab"[i % 2], "", f"group {i}", f"{i // 4}") for i in range(80)]
    split = grouped_split(Dataset(ROOT, tuple(samples)))
    of_bytes = defaultdict(set)
    for sample in split.samples:
        of_bytes[sample.sha256].add(sample.split)
    assert all(len(found) == 1 for found in of_bytes.values())


def test_a_rare_class_reaches_every_split() -> None:
    rows = [("common", "") for _ in range(97)] + [("rare", "") for _ in range(3)]
    split = grouped_split(dataset_of(rows))
    assert [split.split(name).counts()["rare"] for name in split.splits] == [1, 1, 1]


def test_a_rare_class_goes_to_train_first() -> None:
    rows = [("common", "") for _ in range(20)] + [("rare", "")]
    split = grouped_split(dataset_of(rows))
    assert split.split("train").counts()["rare"] == 1


def test_seeds_differ_and_repeat() -> None:
    dataset = dataset_of([("a", ""), ("b", "")] * 30)
    assert grouped_split(dataset, seed=1) == grouped_split(dataset, seed=1)
    assert grouped_split(dataset, seed=1) != grouped_split(dataset, seed=2)


def test_former_splits_are_ignored() -> None:
    samples = [Sample(ROOT / f"{i}.png", "a", "test") for i in range(20)]
    assert len(grouped_split(Dataset(ROOT, tuple(samples))).split("test")) == 3


def test_a_share_of_zero_leaves_the_split_empty() -> None:
    split = grouped_split(dataset_of([("a", "")] * 20), (0.8, 0.2, 0.0))
    assert split.splits == ("train", "validation")


def test_too_few_groups_say_which_split_is_empty() -> None:
    with pytest.raises(DataError, match=r"2 group.*validation and a test split.*every class must be in train"):
        grouped_split(dataset_of([("a", "one"), ("b", "two")] * 5))


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.5), (1.2, -0.1, -0.1), (0.0, 0.5, 0.5), (0.5, 0.5)])
def test_impossible_fractions(fractions: tuple[float, ...]) -> None:
    with pytest.raises(UsageError):
        grouped_split(dataset_of([("a", "")] * 5), fractions)  # type: ignore[arg-type]


def test_an_empty_dataset() -> None:
    with pytest.raises(DataError, match="no pictures to split"):
        grouped_split(Dataset(ROOT, ()))
