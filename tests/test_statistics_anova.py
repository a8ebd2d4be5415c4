"""Repeated measures by contrasts against sums of squares, and where there is nothing to divide by."""

from __future__ import annotations

import json
import math
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f, ttest_1samp

from impasto.errors import UsageError
from impasto.statistics import factorial_anova, paired_t


def scores(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.7, 0.03, shape)


@given(st.integers(0, 999), st.integers(2, 30))
def test_two_levels_are_the_squared_paired_t(seed: int, draws: int) -> None:
    values = scores(seed, draws, 2)
    (effect,) = factorial_anova(values, ["strength"])
    plain = ttest_1samp(values[:, 1] - values[:, 0], 0)
    assert pytest.approx(plain.statistic**2) == effect.F
    assert effect.p == pytest.approx(plain.pvalue) == pytest.approx(paired_t(values[:, 1] - values[:, 0]).p)
    assert (effect.df, effect.df_error, effect.epsilon) == pytest.approx((1, draws - 1, 1))
    assert effect.eta2 == pytest.approx(effect.F / (effect.F + draws - 1))


def by_sums(values: np.ndarray) -> dict[str, tuple[float, float, float]]:
    """Sum of squares of the effects of two factors, that of effect x draw, and degrees of freedom."""
    J, a, b = values.shape
    m = values.mean()
    A, B, AB = values.mean((0, 2)) - m, values.mean((0, 1)) - m, values.mean(0)
    AB = AB - A[:, None] - B[None] - m
    D = values.mean((1, 2)) - m
    AD = values.mean(2) - m - A[None] - D[:, None]
    BD = values.mean(1) - m - B[None] - D[:, None]
    rest = values - m - A[None, :, None] - B[None, None] - D[:, None, None] - AB[None]
    rest = rest - AD[:, :, None] - BD[:, None]
    return {
        "a": (J * b * (A**2).sum(), b * (AD**2).sum(), a - 1),
        "b": (J * a * (B**2).sum(), a * (BD**2).sum(), b - 1),
        "a x b": (J * (AB**2).sum(), (rest**2).sum(), (a - 1) * (b - 1)),
    }


@pytest.mark.parametrize("shape", [(25, 4, 2), (5, 3, 3), (12, 2, 5)])
def test_two_factors_by_sums_of_squares(shape: tuple[int, ...]) -> None:
    values = scores(3, *shape) + 0.01 * np.arange(shape[1])[None, :, None]
    effects, expected = factorial_anova(values, ["a", "b"]), by_sums(values)
    assert [effect.name for effect in effects] == ["a", "b", "a x b"]
    for effect in effects:
        explained, scatter, df = expected[effect.name]
        assert pytest.approx(explained * (shape[0] - 1) / scatter) == effect.F
        assert effect.eta2 == pytest.approx(explained / (explained + scatter))
        assert (effect.df / effect.epsilon, effect.df_error / effect.epsilon) == pytest.approx(
            (df, df * (shape[0] - 1))
        )
        assert effect.p == pytest.approx(f.sf(effect.F, effect.df, effect.df_error))


def test_epsilon_is_that_of_the_doubly_centred_covariance() -> None:
    """Greenhouse and Geisser's formula over levels, which knows no contrasts."""
    values = scores(4, 10, 4) * np.array([1, 2, 3, 1])
    (effect,) = factorial_anova(values, ["strength"])
    S = np.cov(values, rowvar=False)
    centred = S - S.mean(0) - S.mean(1)[:, None] + S.mean()
    assert effect.epsilon == pytest.approx(np.trace(centred) ** 2 / (3 * (centred**2).sum()))
    assert 1 / 3 < effect.epsilon < 1


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 999))
def test_the_order_of_draws_levels_and_factors_does_not_matter(seed: int) -> None:
    values = scores(seed, 6, 2, 3, 2)
    names = ["a", "b", "c"]
    there = {frozenset(effect.name.split(" x ")): effect for effect in factorial_anova(values, names)}
    assert len(there) == 7
    generator = np.random.default_rng(seed)
    for order in permutations(range(3)):
        turned = values[generator.permutation(6)].transpose(0, *(1 + np.array(order)))[:, :, ::-1]
        for effect in factorial_anova(turned, [names[place] for place in order]):
            twin = there[frozenset(effect.name.split(" x "))]
            assert (effect.F, effect.p, effect.df, effect.eta2) == pytest.approx((twin.F, twin.p, twin.df, twin.eta2))


def test_what_a_draw_adds_to_all_levels_is_no_effect() -> None:
    values = scores(5, 8, 3, 2)
    shifted = values + np.arange(8)[:, None, None]
    for one, other in zip(factorial_anova(values, ["a", "b"]), factorial_anova(shifted, ["a", "b"]), strict=True):
        assert pytest.approx(other.F) == one.F


def test_shared_pictures_make_f_smaller() -> None:
    values = scores(6, 25, 3)
    (plain,), (careful,) = factorial_anova(values, ["a"]), factorial_anova(values, ["a"], overlap=0.5)
    assert pytest.approx(plain.F / (1 + 24 * 0.25)) == careful.F
    assert careful.p > plain.p
    assert careful.eta2 == plain.eta2


def test_false_alarms_are_as_rare_as_they_should_be() -> None:
    """Levels whose scatter differs, which without the correction gives too many of them."""
    generator = np.random.default_rng(0)
    alarms = [factorial_anova(generator.normal(size=(10, 4)) * [1, 1, 1, 4], ["a"])[0].p < 0.05 for _ in range(1500)]
    assert 0.03 < np.mean(alarms) < 0.065


@pytest.mark.parametrize("draws", [2, 5])
def test_values_that_do_not_differ(draws: int) -> None:
    for effect in factorial_anova(np.full((draws, 3, 2), 0.7), ["a", "b"]):
        assert (effect.F, effect.p, effect.eta2) == (0, 1, 0)


def test_an_effect_without_scatter_is_certain() -> None:
    values: Any = np.tile([0.7, 0.8, 0.9], (4, 1)) + np.arange(4)[:, None] / 3
    (effect,) = factorial_anova(values, ["a"])
    assert (effect.F, effect.p, effect.eta2) == (math.inf, 0, 1)
    assert json.loads(json.dumps(effect.record(), allow_nan=False))["F"] is None


@pytest.mark.parametrize(
    ("values", "factors"),
    [
        (np.zeros((5, 2)), []),
        (np.zeros((5, 2)), ["a", "b"]),
        (np.zeros((5, 2, 2)), ["a", "a"]),
        (np.zeros((1, 2)), ["a"]),
        (np.zeros((5, 1)), ["a"]),
        (np.full((5, 2), math.nan), ["a"]),
    ],
)
def test_what_is_no_factorial(values: Any, factors: list[str]) -> None:
    with pytest.raises(UsageError):
        factorial_anova(values, factors)


@pytest.mark.parametrize("overlap", [-0.1, 1.0, math.nan])
def test_an_overlap_is_a_share(overlap: float) -> None:
    with pytest.raises(UsageError, match="no share"):
        factorial_anova(np.eye(3), ["a"], overlap)
