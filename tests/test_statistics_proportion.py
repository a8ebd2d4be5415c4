"""Proportions: Wilson's interval against known values, and scores that cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.errors import UsageError
from impasto.statistics import Proportion, counts_behind, wilson


@pytest.mark.parametrize(("k", "n", "low", "high"), [(50, 60, 72.0, 90.7), (59, 60, 91.1, 99.7), (52, 60, 75.8, 93.1)])
def test_wilson_of_the_published_scores(k: int, n: int, low: float, high: float) -> None:
    assert [round(100 * end, 1) for end in wilson(k, n)] == [low, high]


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_holds_the_proportion_and_mirrors(pair: tuple[int, int], confidence: float) -> None:
    k, n = pair
    low, high = wilson(k, n, confidence)
    assert 0 <= low <= k / n <= high <= 1
    mirrored = wilson(n - k, n, confidence)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-9)


def test_wilson_is_where_the_score_test_is_at_its_limit() -> None:
    """Its definition: |k/n - p| = z sqrt(p (1 - p) / n) at both ends."""
    for end in wilson(7, 33):
        assert abs(7 / 33 - end) == pytest.approx(1.959963984540054 * (end * (1 - end) / 33) ** 0.5)


def test_wilson_narrows_with_n_and_widens_with_confidence() -> None:
    assert wilson(500, 600)[0] > wilson(50, 60)[0]
    assert wilson(50, 60, 0.99)[0] < wilson(50, 60)[0]


@pytest.mark.parametrize(("k", "n"), [(0, 0), (5, 4), (-1, 4), (2.0, 4), (0.5, 1), (True, 4), (1, None)])
def test_what_is_no_proportion_is_refused_before_it_can_be_printed(k: int, n: int) -> None:
    for make in (Proportion, wilson):
        with pytest.raises(UsageError, match="is no proportion"):
            make(k, n)


def test_counts_of_numpy_are_counts() -> None:
    assert Proportion(np.int64(3), np.int64(4)).value == 0.75


def test_a_proportion_prints_counts_first() -> None:
    assert str(Proportion(59, 60)) == "59/60 = 98.3 % [91.1, 99.7]"


def test_published_percentages_that_can_and_cannot_be_of_sixty() -> None:
    assert list(counts_behind("94.6", 60)) == []
    assert list(counts_behind("98.3", 60)) == [59]
    assert list(counts_behind("83.3 %", 60)) == [50]
    assert list(counts_behind("100", 60)) == [60]
    assert list(counts_behind("95", 200)) == [189, 190, 191]


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.integers(0, 4))
def test_what_is_printed_leads_back_to_its_count(pair: tuple[int, int], decimals: int) -> None:
    k, n = pair
    found = counts_behind(f"{100 * k / n:.{decimals}f}", n)
    assert k in found
    assert all(abs(100 * (other - k) / n) <= 10.0**-decimals + 1e-9 for other in found)


@pytest.mark.parametrize(("text", "n"), [("", 60), ("many", 60), ("101", 60), ("-3", 60), ("50", 0), ("1e1", 60)])
def test_no_percentage(text: str, n: int) -> None:
    with pytest.raises(UsageError):
        counts_behind(text, n)
