"""Two-way clustering against plain sums, what may not change it, and what it must not hide."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from impasto.errors import UsageError
from impasto.statistics import CrossedMean, crossed_mean

Table = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def table(seed: int = 0, draws: int = 6, sizes: tuple[int, ...] = (9, 6, 12), trained: int = 2) -> Table:
    """A study in which every draw leaves ``trained`` pictures of each class out of its test."""
    generator = np.random.default_rng(seed)
    rows = []
    for draw in range(draws):
        first = 0
        for stratum, size in enumerate(sizes):
            for item in first + generator.permutation(size)[trained:]:
                rows.append((draw, item, stratum, generator.choice([-1, 0, 0, 1, 1])))
            first += size
    draw, item, stratum, difference = np.array(rows).T
    return draw, item, stratum, difference.astype(float)


def rows_of(study: Table) -> list[tuple[int, int, int, float]]:
    return [(int(j), int(i), int(s), float(d)) for j, i, s, d in zip(*study, strict=True)]


def by_hand(study: Table, overlap: float) -> tuple[float, float, float]:
    """Mean, error and degrees of freedom as sums over answers, one after the other."""
    rows = rows_of(study)
    draws, strata = sorted({row[0] for row in rows}), sorted({row[2] for row in rows})
    items, J, S = {row[1] for row in rows}, len({row[0] for row in rows}), len({row[2] for row in rows})
    own = {key: [d for j, _, s, d in rows if (j, s) == key] for key in itertools.product(draws, strata)}
    means = {s: sum(math.fsum(own[j, s]) / len(own[j, s]) for j in draws) / J for s in strata}

    def variance(key: Any) -> float:
        sums: dict[Any, float] = {}
        for j, i, s, d in rows:
            sums[key(j, i)] = sums.get(key(j, i), 0) + (d - means[s]) / (J * S * len(own[j, s]))
        return math.fsum(value**2 for value in sums.values())

    v_draws, v_items = variance(lambda j, i: j) * J / (J - 1), variance(lambda j, i: i) * len(items) / (len(items) - S)
    v_cells = variance(lambda j, i: (j, i))
    more = (J - 1) * overlap**2 if v_draws > v_cells else 0
    pictures, common = max(0, v_items - v_cells), more * (v_draws - v_cells)
    total = v_draws + pictures + common + 2 * math.sqrt(pictures * common)
    spread = ((1 + more) * v_draws) ** 2 / (J - 1) + v_items**2 / (len(items) - S)
    return sum(means.values()) / S, math.sqrt(total), max(J - 1, total**2 / spread)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("overlap", [0.0, 0.12, 0.75])
def test_it_is_the_sum_it_says(seed: int, overlap: float) -> None:
    study = table(seed)
    found = crossed_mean(*study, overlap=overlap, confidence=0.9)
    mean, error, df = by_hand(study, overlap)
    assert (found.mean, found.error, found.df) == pytest.approx((mean, error, df))
    reach = t.ppf(0.95, found.df) * error
    assert (found.low, found.high) == pytest.approx((mean - reach, mean + reach))
    assert found.p == pytest.approx(2 * t.sf(abs(mean) / error, found.df))
    assert sum(found.parts.values()) == pytest.approx(1)
    assert min(found.parts.values()) >= 0


def test_each_class_counts_the_same() -> None:
    study = [0] * 12, range(12), [0] * 2 + [1] * 10, [1.0, 1.0] + [0.0] * 9 + [-1.0]
    assert crossed_mean(*study).mean == pytest.approx((1 - 0.1) / 2)


def same(one: CrossedMean, other: CrossedMean) -> None:
    numbers = [[each.mean, each.low, each.high, each.p, each.error, each.df] for each in (one, other)]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-6, abs=1e-9)
    assert one.parts == pytest.approx(other.parts, rel=1e-6, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.randoms(use_true_random=False))
def test_names_and_order_do_not_matter(seed: int, random: Any) -> None:
    draw, item, stratum, difference = table(seed)
    order = list(range(len(draw)))
    random.shuffle(order)
    names = list(range(100))
    random.shuffle(names)
    renamed = (np.array(names)[labels][order] for labels in (draw, item, stratum))
    there = crossed_mean(draw, item, stratum, difference, overlap=0.2)
    same(there, crossed_mean(*renamed, difference[order], overlap=0.2))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.integers(1, 6))
def test_exchanging_the_arms_turns_the_signs(seed: int, draws: int) -> None:
    draw, item, stratum, difference = table(seed, draws)
    there, back = (crossed_mean(draw, item, stratum, sign * difference, overlap=0.1) for sign in (1, -1))
    assert (back.mean, back.low, back.high) == pytest.approx((-there.mean, -there.high, -there.low))
    assert back.p == pytest.approx(there.p)


@pytest.mark.parametrize("draws", [1, 2, 25])
def test_an_arm_against_itself_is_exactly_zero(draws: int) -> None:
    draw, item, stratum, _ = table(draws=draws)
    found = crossed_mean(draw, item, stratum, np.zeros(len(draw)), overlap=0.12)
    assert (found.mean, found.error, found.low, found.high, found.p) == (0, 0, 0, 0, 1)
    assert set(found.parts.values()) == {0.0}
    assert math.isfinite(found.df)


def test_always_the_same_difference_has_no_error() -> None:
    draw, item, stratum, _ = table()
    found = crossed_mean(draw, item, stratum, np.full(len(draw), 1.0))
    assert (found.error, found.p) == (0, 0)
    assert found.low == found.high == pytest.approx(1)


def test_classes_that_cancel_are_no_difference() -> None:
    """Rounding may leave a last digit of the mean, which is no certainty."""
    draw, item, stratum, _ = table(draws=7, sizes=(9, 13, 11))
    found = crossed_mean(draw, item, stratum, np.array([0.1, 0.2, -0.3])[stratum])
    assert found.mean == pytest.approx(0, abs=1e-15)
    assert (found.error, found.p) == (0, 1)


def test_it_can_be_written() -> None:
    record = json.loads(json.dumps(crossed_mean(*table(), overlap=0.1).record(), allow_nan=False))
    assert set(record) > {"mean", "low", "high", "p", "error", "df", "parts", "of_one_draw"}


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 999), st.floats(0, 0.9))
def test_it_is_never_surer_than_the_plain_variance_over_draws(seed: int, overlap: float) -> None:
    draw, _, stratum, difference = study = table(seed)
    scores = [
        np.mean([difference[(draw == j) & (stratum == s)].mean() for s in np.unique(stratum)]) for j in np.unique(draw)
    ]
    found = crossed_mean(*study, overlap=overlap)
    assert found.mean == pytest.approx(np.mean(scores))
    assert found.error >= np.std(scores, ddof=1) / math.sqrt(6) - 1e-12
    assert found.error >= crossed_mean(*study).error


def test_parts_say_where_the_scatter_is() -> None:
    """Draws that differ, pictures that differ, and chance: each planted alone is found alone."""
    generator = np.random.default_rng(1)
    draw, item, stratum, _ = table(draws=12, sizes=(40, 40, 40))
    planted = {
        "training sets": generator.uniform(-1, 1, 12)[draw],
        "test pictures": generator.uniform(-1, 1, 120)[item],
        "rest": generator.uniform(-1, 1, len(draw)),
    }
    for name, difference in planted.items():
        assert crossed_mean(draw, item, stratum, difference).parts[name] > 0.7


def test_one_draw_knows_of_test_pictures_only_and_says_so() -> None:
    study = table(draws=1)
    found = crossed_mean(*study, overlap=0.5)
    assert found.of_one_draw
    assert found.record()["of_one_draw"] is True
    assert found.parts == pytest.approx({"training sets": 0, "test pictures": 1, "rest": 0})
    assert found.df == pytest.approx(21 - 3)
    assert not crossed_mean(*table(draws=2)).of_one_draw


def test_pictures_of_one_cluster_are_one() -> None:
    """Twins in place of each picture change nothing; taken for different pictures they would narrow the interval."""
    draw, item, stratum, _ = table()
    difference = np.random.default_rng(2).uniform(-1, 1, 27)[item]
    draws, items, strata, differences = (np.tile(column, 2) for column in (draw, item, stratum, difference))
    together = crossed_mean(draws, items, strata, differences)
    same(crossed_mean(draw, item, stratum, difference), together)
    apart = crossed_mean(draws, np.concatenate([item, item + 100]), strata, differences)
    assert apart.error < 0.85 * together.error


@pytest.mark.parametrize(
    ("study", "message"),
    [
        (([], [], [], []), "no table"),
        (([0, 0], [0, 1], [0], [1.0, 0.0]), "no table"),
        (([0, 0], [0, 1], [0, 0], [1.0, math.nan]), "lies in -1..1"),
        (([0, 0], [0, 1], [0, 0], [1.0, 2.0]), "lies in -1..1"),
        (([0, 0, 4], [0, 1, 2], [0, 7, 0], [0.0] * 3), "Draw 4 tests no picture of class 7"),
        (([0, 0, 0], [0, 1, 2], [0, 0, 5], [0.0] * 3), "Class 5 has one test picture"),
    ],
)
def test_tables_that_cannot_be(study: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        crossed_mean(*study)


@pytest.mark.parametrize("options", [{"overlap": 1.0}, {"overlap": -0.1}, {"overlap": math.nan}, {"confidence": 95}])
def test_shares_that_cannot_be(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="cannot be"):
        crossed_mean(*table(), **options)


def test_photos_that_lie_in_every_class_may_be_fewer_than_classes() -> None:
    # Four photos in six styles, each tested once: clusters less classes would be negative.
    rng = np.random.default_rng(3)
    photos, styles = (table.ravel() for table in np.meshgrid(np.arange(4), np.arange(6)))
    found = crossed_mean(photos % 2, photos, styles, rng.integers(-1, 2, 24))
    assert 0 < found.error < 1
    assert found.df >= 1
