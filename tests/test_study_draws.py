"""How pictures are dealt: alike for all arms, never on both sides, and again the same from the same seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.errors import DataError, UsageError
from impasto.study.arms import arms_of
from impasto.study.draws import Deal, Draw, deal
from impasto.study.pool import Photo, Pool, StylePicture
from impasto.study.reading import study_from
from impasto.study.spec import Study


def study(**more: Any) -> Study:
    return study_from({"name": "mine", "title": "t", "question": "q?", **more})


def pool_of(counts: Mapping[str, int], splits: Sequence[str] = (), styles: int = 0) -> Pool:
    """Return a pool of so many photos of each class; ``splits`` go round each class."""
    photos = tuple(
        Photo(Path(f"{label}/{i}.png"), f"{label}/{i}.png", f"{label}-{i}", label, splits[i % len(splits)])
        if splits
        else Photo(Path(f"{label}/{i}.png"), f"{label}/{i}.png", f"{label}-{i}", label)
        for label, count in counts.items()
        for i in range(count)
    )
    painted = tuple(StylePicture(Path(f"{i}.png"), f"{i}.png", f"s{i}", f"style {i}") for i in range(styles))
    classes = tuple(style.label for style in painted) if styles else tuple(counts)
    return Pool(Path("photos"), photos, painted, classes, ())


def dealt(of: Study, pool: Pool) -> Deal:
    return deal(of, pool, arms_of(of))


def photos_of(found: Deal, rows: Sequence[int]) -> set[int]:
    return {found.items[row].photo for row in rows}


def taught(draw: Draw) -> list[int]:
    return [row for part in draw.train for row in part]


def labels(found: Deal, rows: Sequence[int]) -> Counter[str]:
    return Counter(found.items[row].label for row in rows)


# -- few-shot


@given(
    counts=st.lists(st.integers(6, 30), min_size=2, max_size=4),
    most=st.integers(1, 5),
    draws=st.integers(1, 12),
    seed=st.integers(0, 2**31),
)
def test_few_shot_draws(counts: list[int], most: int, draws: int, seed: int) -> None:
    pool = pool_of({f"c{i}": count for i, count in enumerate(counts)})
    said = study(seed=seed, split={"draws": draws}, settings={"train_per_class": most})
    found = dealt(said, pool)
    (own,) = (found.of(arm) for arm in arms_of(said))
    assert [draw.replicate for draw in own] == list(range(draws))
    for draw in own:
        assert not set(taught(draw)) & set(draw.test)
        assert len(set(draw.test)) == len(draw.test)
        assert len(set(taught(draw))) == len(taught(draw))
        assert {*taught(draw), *draw.test} == set(range(len(pool.photos)))
        assert [[found.items[row].label for row in part] for part in draw.train] == [[c] * most for c in pool.classes]
    per_round = min(counts) // most
    assert Counter(draw.round for draw in own) == Counter(number // per_round for number in range(draws))
    for number in {draw.round for draw in own}:
        rows = [row for draw in own if draw.round == number for row in taught(draw)]
        assert len(rows) == len(set(rows))  # draws of one round share no training picture
    assert dealt(said, pool) == found


def test_another_seed_deals_otherwise() -> None:
    pool = pool_of({"a": 20, "b": 20})
    one, other = (dealt(study(seed=seed, settings={"train_per_class": 5}), pool) for seed in (0, 1))
    assert one.draws["photo"][0].train != other.draws["photo"][0].train


def test_smaller_training_sets_are_the_beginning_of_larger_ones() -> None:
    factors = {"size": {"9": {"train_per_class": 9}, "3": {"train_per_class": 3}, "1": {"train_per_class": 1}}}
    said = study(factors=factors, split={"draws": 7})
    found = dealt(said, pool_of({"a": 25, "b": 30}))
    nine, three, one = (found.of(arm) for arm in arms_of(said))
    for large, small, least in zip(nine, three, one, strict=True):
        assert large.test == small.test == least.test
        assert [part[:3] for part in large.train] == list(small.train)
        assert [part[:1] for part in large.train] == list(least.train)
        assert {len(part) for part in large.train} == {9}


def test_so_many_of_each_class_are_tested() -> None:
    said = study(split={"draws": 5, "test_per_class": 4}, settings={"train_per_class": 3})
    found = dealt(said, pool_of({"a": 12, "b": 30}))
    for draw in found.of(arms_of(said)[0]):
        assert labels(found, draw.test) == {"a": 4, "b": 4}
        assert not set(draw.test) & set(taught(draw))


def test_another_class_or_order_changes_nothing_for_the_others() -> None:
    said = study(split={"draws": 6}, settings={"train_per_class": 4})
    pools = [pool_of(counts) for counts in ({"a": 12, "b": 12}, {"b": 12, "a": 12}, {"z": 12, "b": 12, "a": 12})]
    named = []
    for pool in pools:
        found = dealt(said, pool)
        named.append(
            [
                {
                    label: [pool.photos[found.items[row].photo].name for row in part]
                    for label, part in zip(pool.classes, draw.train, strict=True)
                    if label != "z"
                }
                for draw in found.draws["photo"]
            ]
        )
    assert named[0] == named[1] == named[2]


def test_crab_has_63_left_and_not_70() -> None:
    counts = {"scorpion": 84, "crab": 73, "butterfly": 91}
    wanted = {"split": {"draws": 3, "test_per_class": 70}, "settings": {"train_per_class": 10}}
    with pytest.raises(DataError, match="crab has 73 usable pictures: with 10 to teach 63 are left to test, not 70"):
        dealt(study(**wanted), pool_of(counts))
    wanted["split"]["short"] = "take"
    said = study(**wanted)
    found = dealt(said, pool_of(counts))
    for draw in found.of(arms_of(said)[0]):
        assert labels(found, draw.test) == {"scorpion": 70, "crab": 63, "butterfly": 70}


@pytest.mark.parametrize("short", ["refuse", "take"])
@pytest.mark.parametrize("count", [0, 3, 10])
def test_too_few_to_teach_and_test(short: str, count: int) -> None:
    with pytest.raises(DataError, match=f"few has {count} usable pictures"):
        dealt(study(split={"draws": 2, "short": short}), pool_of({"many": 50, "few": count}))


def test_the_least_that_can_be_dealt() -> None:
    said = study(settings={"train_per_class": 4}, split={"draws": 3})
    (draw, *_) = dealt(said, pool_of({"a": 5, "b": 5})).draws["photo"]
    assert len(draw.test) == 2


@given(seed=st.integers(0, 99), styles=st.integers(2, 4), most=st.integers(1, 4))
def test_few_shot_repaints_of_one_photo_are_on_one_side(seed: int, styles: int, most: int) -> None:
    said = study(task="styles", seed=seed, split={"draws": 4}, settings={"train_per_class": most})
    found = dealt(said, pool_of({"": 9}, styles=styles))
    for draw in found.draws["photo"]:
        assert not photos_of(found, taught(draw)) & photos_of(found, draw.test)
        assert {len(part) for part in draw.train} == {most}
    first = [photos_of(found, taught(draw)) for draw in found.draws["photo"] if draw.round == 0]
    assert len(set().union(*first)) == sum(map(len, first))


def test_few_shot_repaints_at_random_are_on_both_sides() -> None:
    said = study(task="styles", split={"draws": 4}, settings={"train_per_class": 3, "apart": "picture"})
    found = dealt(said, pool_of({"": 9}, styles=3))
    assert all(photos_of(found, taught(draw)) & photos_of(found, draw.test) for draw in found.draws["picture"])


def test_a_few_shot_test_set_cannot_be_copied() -> None:
    with pytest.raises(UsageError, match="nothing"):
        dealt(study(settings={"apart": "nothing"}), pool_of({"a": 30, "b": 30}))


# -- folds


@given(counts=st.lists(st.integers(5, 20), min_size=2, max_size=3), folds=st.integers(2, 5), seed=st.integers(0, 99))
def test_every_picture_is_tested_once_in_each_repetition(counts: list[int], folds: int, seed: int) -> None:
    said = study(seed=seed, split={"kind": "folds", "folds": folds, "draws": 2})
    pool = pool_of({f"c{i}": count for i, count in enumerate(counts)})
    found = dealt(said, pool)
    draws = found.of(arms_of(said)[0])
    assert [(draw.replicate, draw.fold) for draw in draws] == [(r, f) for r in range(2) for f in range(folds)]
    for replicate in range(2):
        tested = [row for draw in draws if draw.replicate == replicate for row in draw.test]
        assert sorted(tested) == list(range(len(pool.photos)))
    for draw in draws:
        assert not set(draw.test) & set(taught(draw))
        assert {*draw.test, *taught(draw)} == set(range(len(pool.photos)))
        assert set(labels(found, draw.test)) == set(pool.classes)
        assert not draw.validation
    first, second = ([draw.test for draw in draws if draw.replicate == number] for number in (0, 1))
    assert first != second
    assert dealt(said, pool) == found


def test_folds_keep_repaints_of_a_photo_together_or_do_not() -> None:
    factors = {"split": {"by photo": {}, "at random": {"apart": "picture"}}}
    said = study(task="styles", split={"kind": "folds", "folds": 3, "draws": 2}, factors=factors)
    found = dealt(said, pool_of({"": 12}, styles=3))
    apart, mixed = (found.of(arm) for arm in arms_of(said))
    assert all(not photos_of(found, taught(draw)) & photos_of(found, draw.test) for draw in apart)
    assert all(photos_of(found, taught(draw)) & photos_of(found, draw.test) for draw in mixed)
    for draws in (apart, mixed):
        for replicate in range(2):
            tested = [row for draw in draws if draw.replicate == replicate for row in draw.test]
            assert sorted(tested) == list(range(36))


def test_folds_of_too_few_say_so() -> None:
    with pytest.raises(DataError, match="b has 2 pictures in 2 groups, 1 too few"):
        dealt(study(split={"kind": "folds", "folds": 3}), pool_of({"a": 9, "b": 2}))


@pytest.mark.parametrize("kind", ["folds", "fixed"])
def test_a_number_of_training_pictures_that_would_do_nothing_is_refused(kind: str) -> None:
    factors = {"size": {"3": {"train_per_class": 3}, "9": {"train_per_class": 9}}}
    with pytest.raises(UsageError, match="train_per_class"):
        dealt(study(split={"kind": kind}, factors=factors), pool_of({"a": 20, "b": 20}))


# -- fixed


def test_the_data_sets_own_splits_are_respected() -> None:
    pool = pool_of({"a": 12, "b": 9}, ["train", "train", "test", "validation"])
    said = study(split={"kind": "fixed", "draws": 3})
    found = dealt(said, pool)
    draws = found.of(arms_of(said)[0])
    assert [draw.replicate for draw in draws] == [0, 1, 2]
    for draw in draws:
        sides = {"train": taught(draw), "validation": draw.validation, "test": draw.test}
        for side, rows in sides.items():
            assert {pool.photos[row].split for row in rows} == {side}
        assert sum(map(len, sides.values())) == len(pool.photos)


@pytest.mark.parametrize("second", ["validation", "test"])
def test_of_two_splits_the_second_is_tested(second: str) -> None:
    pool = pool_of({"a": 8, "b": 8}, ["train", "train", second])
    found = dealt(study(split={"kind": "fixed", "draws": 1}), pool)
    (draw,) = found.draws["photo"]
    assert {pool.photos[row].split for row in draw.test} == {second}
    assert {pool.photos[row].split for row in taught(draw)} == {"train"}
    assert not draw.validation


def test_without_splits_photos_are_dealt_by_shares() -> None:
    said = study(task="styles", split={"kind": "fixed", "draws": 2})
    found = dealt(said, pool_of({"": 40}, styles=3))
    one, other = found.of(arms_of(said)[0])
    assert replace(other, replicate=0) == one  # another seed teaches, the pictures are the same
    sides = [photos_of(found, rows) for rows in (taught(one), one.validation, one.test)]
    assert [len(side) for side in sides] == [28, 6, 6]
    assert len(set().union(*sides)) == 40


@pytest.mark.parametrize("kind", ["folds", "fixed"])
def test_with_nothing_apart_a_tenth_of_what_teaches_is_tested(kind: str) -> None:
    said = study(split={"kind": kind, "draws": 2}, settings={"apart": "nothing"})
    found = dealt(said, pool_of({"a": 60, "b": 30, "c": 8}))
    for draw in found.of(arms_of(said)[0]):
        assert set(draw.test) <= set(taught(draw))
        own = labels(found, taught(draw))
        assert labels(found, draw.test) == {label: max(1, count // 10) for label, count in own.items()}


# -- repaints


def test_repaints_are_all_looked_at_once() -> None:
    said = study(task="repaints")
    found = dealt(said, pool_of({"": 4}, styles=3))
    (draw,) = found.of(arms_of(said)[0])
    assert draw.test == tuple(range(12))
    assert not draw.train
    assert {(item.photo, item.style) for item in found.items} == {(p, s) for p in range(4) for s in range(3)}
