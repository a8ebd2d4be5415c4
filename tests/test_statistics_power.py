"""Power against simulated t-tests, published tables and its own inverse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from impasto.errors import UsageError
from impasto.statistics import detectable, draws_needed, power


@pytest.mark.parametrize(("size", "needed"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_cohens_effects_need_what_tables_say(size: float, needed: int) -> None:
    """Pairs for 80 % at a two-sided 5 %, as every table of the paired t-test has them."""
    assert draws_needed(size, 1.0) == needed


def test_the_recipe_needs_about_25_draws() -> None:
    assert [draws_needed(1.5, sd) for sd in (2.4, 2.5, 2.6)] == [23, 24, 26]


def test_power_is_the_share_of_t_tests_that_find_it() -> None:
    values = np.random.default_rng(0).normal(1.5, 2.5, (20_000, 12))
    found = (ttest_1samp(values, 0, axis=1).pvalue < 0.05).mean()
    assert power(1.5, 2.5, 12) == pytest.approx(found, abs=0.01)


def test_shared_pictures_correlate_by_the_square_of_their_share() -> None:
    """Draws that share half of their pictures have 25 % of the variance in common."""
    generator = np.random.default_rng(1)
    common, own = generator.normal(0, 0.5, (40_000, 1)), generator.normal(0, 0.75**0.5, (40_000, 8))
    error = (common + own).mean(axis=1).std()
    assert error == pytest.approx(math.sqrt(1 / 8 + 7 / 8 * 0.5**2), rel=0.02)
    alike = 1 / error**2
    assert power(1.0, 1.0, 8, overlap=0.5) == pytest.approx(power(math.sqrt(alike / 8), 1.0, 8), rel=0.02)


@settings(deadline=None, max_examples=40)
@given(st.floats(0.1, 3), st.integers(2, 60), st.floats(0, 0.9))
def test_more_draws_and_larger_effects_find_more_and_overlap_less(effect: float, draws: int, overlap: float) -> None:
    here = power(effect, 1.0, draws, overlap)
    assert 0.05 - 1e-9 <= here <= 1
    assert power(effect, 1.0, draws + 1, overlap) >= here - 1e-9
    assert power(1.1 * effect, 1.0, draws, overlap) >= here - 1e-9
    assert power(effect, 1.0, draws) >= here - 1e-9
    assert power(-effect, 1.0, draws, overlap) == here


def test_no_effect_is_found_as_often_as_the_level_says() -> None:
    assert power(0.0, 1.0, 10) == pytest.approx(0.05)
    assert power(0.0, 1.0, 10, alpha=0.01) == pytest.approx(0.01)
    assert power(1e9, 1.0, 2) == 1.0


@settings(deadline=None, max_examples=40)
@given(st.floats(0.3, 3), st.floats(0.1, 0.99), st.floats(0, 0.3))
def test_the_draws_needed_are_enough_and_one_less_is_not(effect: float, chance: float, overlap: float) -> None:
    draws = draws_needed(effect, 1.0, chance, overlap)
    if draws is None:
        assert power(effect, 1.0, 10_000, overlap) < chance
        return
    assert power(effect, 1.0, draws, overlap) >= chance
    assert draws == 2 or power(effect, 1.0, draws - 1, overlap) < chance


def test_some_effects_no_number_of_draws_of_one_pool_finds() -> None:
    assert draws_needed(0.5, 2.5, overlap=0.12) is None
    assert draws_needed(0.5, 2.5) == 199
    assert draws_needed(0.5, 2.5, most=198) is None
    assert draws_needed(0.0, 1.0) is None


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 200), st.floats(0.1, 0.99))
def test_the_detectable_effect_has_the_power_asked_for(draws: int, chance: float) -> None:
    effect = detectable(2.5 / math.sqrt(draws), draws - 1, chance)
    assert power(effect, 2.5, draws) == pytest.approx(chance, abs=1e-6)


def test_a_study_without_error_detects_everything() -> None:
    assert detectable(0.0, 24) == 0.0
    assert detectable(1.0, 1e6) == pytest.approx(1.95996 + 0.84162, abs=1e-3)


@pytest.mark.parametrize("call", [
    lambda: power(1, 0, 5),
    lambda: power(1, 1, 1),
    lambda: power(math.nan, 1, 5),
    lambda: power(1, 1, 5, overlap=1),
    lambda: power(1, 1, 5, alpha=0),
    lambda: draws_needed(1, 1, power=1),
    lambda: draws_needed(1, 1, power=0.04),
    lambda: draws_needed(1, -1),
    lambda: detectable(-1, 5),
    lambda: detectable(1, 0),
    lambda: detectable(1, 5, power=80),
])  # fmt: skip
def test_what_cannot_be_asked(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError):
        call()
