"""Paired comparisons against published and hand-worked values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from impasto.errors import UsageError
from impasto.statistics import McNemar, corrected_t, mcnemar

pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def test_the_airways_of_fagerland() -> None:
    """Fagerland, Lydersen and Laake 2014, table 1 and 4: 1, 1, 7, 12 of 21 patients."""
    test = McNemar(1, 1, 7, 12)
    assert test.p == pytest.approx(18 / 256)
    assert test.difference == pytest.approx(-6 / 21)
    assert [round(end, 3) for end in test.interval()] == [-0.507, -0.026]


def test_the_exact_p_is_a_sum_of_binomial_coefficients() -> None:
    assert McNemar(40, 10, 2, 8).p == pytest.approx(2 * sum(math.comb(12, k) for k in range(3)) / 2**12)
    assert McNemar(5, 3, 3, 0).p == 1.0
    assert McNemar(5, 0, 0, 0).p == 1.0


def test_answers_are_counted_where_they_belong() -> None:
    test = mcnemar([True, True, True, False, False, False], [True, False, False, True, False, False])
    assert (test.both, test.b, test.c, test.neither) == (1, 2, 1, 2)
    assert (test.first.k, test.second.k, test.n) == (3, 2, 6)


@given(pairs)
def test_exchanging_the_models_turns_the_signs(answers: list[tuple[bool, bool]]) -> None:
    one, other = zip(*answers, strict=True)
    there, back = mcnemar(one, other), mcnemar(other, one)
    assert there.p == back.p
    assert there.difference == -back.difference
    low, high = there.interval()
    assert back.interval() == pytest.approx((-high, -low))
    assert -1 <= low <= there.difference <= high <= 1


@given(pairs)
def test_the_difference_is_that_of_the_two_shares(answers: list[tuple[bool, bool]]) -> None:
    one, other = zip(*answers, strict=True)
    test = mcnemar(one, other)
    assert test.difference == pytest.approx(np.mean(one) - np.mean(other))
    assert test.record()["n"] == len(answers)


def test_agreement_narrows_the_interval() -> None:
    paired, crossed = McNemar(40, 5, 0, 15), McNemar(28, 17, 12, 3)
    assert paired.difference == crossed.difference
    assert np.ptp(paired.interval()) < np.ptp(crossed.interval())


@pytest.mark.parametrize(("one", "other"), [([], []), ([True], [True, False])])
def test_answers_that_cannot_be_paired(one: list[bool], other: list[bool]) -> None:
    with pytest.raises(UsageError):
        mcnemar(one, other)


def test_impossible_counts() -> None:
    with pytest.raises(UsageError):
        McNemar(3, -1, 0, 0)


def test_the_corrected_t_by_hand() -> None:
    """Differences 1, 2, 3, 4 (mean 2.5, s² 5/3), 90 : 10 pictures: error² = 5/3 (1/4 + 1/9), t(0.975, 3) = 3.18245."""
    found = corrected_t([1, 2, 3, 4], n_train=90, n_test=10)
    error = math.sqrt(5 / 3 * 13 / 36)
    assert found.mean == 2.5
    assert (found.low, found.high) == pytest.approx((2.5 - 3.18245 * error, 2.5 + 3.18245 * error), abs=1e-4)
    # The distribution function of t with 3 degrees of freedom in closed form.
    x = 2.5 / error / math.sqrt(3)
    assert found.p == pytest.approx(1 - 2 / math.pi * (x / (1 + x * x) + math.atan(x)))


@given(st.lists(st.floats(-1, 1).map(lambda value: round(value, 3)), min_size=3, max_size=30))
def test_without_overlap_it_is_the_plain_t_test_and_with_it_more_careful(values: list[float]) -> None:
    if np.std(values) < 1e-6:
        return
    plain = ttest_1samp(values, 0)
    almost = corrected_t(values, n_train=10**12, n_test=1)
    assert almost.p == pytest.approx(plain.pvalue, rel=1e-6, abs=1e-12)
    assert (almost.low, almost.high) == pytest.approx(tuple(plain.confidence_interval()), rel=1e-6, abs=1e-9)
    careful = corrected_t(values, n_train=9, n_test=1)
    assert careful.low < almost.low
    assert careful.p >= almost.p


def test_folds_that_all_say_the_same() -> None:
    assert corrected_t([0.0] * 5, 9, 1).p == 1.0
    assert corrected_t([0.5] * 5, 9, 1).p == 0.0


@pytest.mark.parametrize("values", [[], [0.1], [0.1, math.nan]])
def test_too_few_folds(values: list[float]) -> None:
    with pytest.raises(UsageError):
        corrected_t(values, 9, 1)
