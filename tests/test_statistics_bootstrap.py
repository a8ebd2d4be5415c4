"""Bootstrap intervals: against scipy called plainly, against theory, and where there is nothing to say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import bootstrap

from impasto.errors import UsageError
from impasto.statistics import bootstrap_interval

VALUES = np.random.default_rng(3).gamma(2.0, size=80)


def mean(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return VALUES[rows].mean(axis=1)


def test_the_plain_interval_is_scipys() -> None:
    expected = bootstrap((VALUES,), np.mean, n_resamples=2000, random_state=np.random.default_rng(7))
    found = bootstrap_interval(mean, 80, seed=7)
    assert found == pytest.approx(tuple(expected.confidence_interval), rel=1e-12)


def test_a_mean_has_about_the_interval_of_the_normal_distribution() -> None:
    low, high = bootstrap_interval(mean, 80, resamples=5000) or (0, 0)
    half = 1.96 * VALUES.std(ddof=1) / 80**0.5
    assert (high - low) / 2 == pytest.approx(half, rel=0.12)
    assert low < VALUES.mean() < high


def test_strata_take_away_what_lies_between_them() -> None:
    """A quantity that differs between strata only has no scatter within; noise of 1 % is all that is left."""
    strata = np.repeat([0, 1], 40)
    quantity = 10.0 * strata + 0.01 * VALUES
    within = bootstrap_interval(lambda rows: quantity[rows].mean(axis=1), 80, strata) or (0, 99)
    across = bootstrap_interval(lambda rows: quantity[rows].mean(axis=1), 80) or (0, 0)
    assert within[1] - within[0] < 0.02
    assert across[1] - across[0] == pytest.approx(2 * 1.96 * 5 / 80**0.5, rel=0.1)


def test_sizes_of_strata_stay_and_a_lone_picture_stays_itself() -> None:
    strata = np.array([0] * 5 + [1] * 3 + [2])
    met = []

    def statistic(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        met.extend(rows.tolist())
        return VALUES[rows].mean(axis=1)

    assert bootstrap_interval(statistic, 9, strata, resamples=200)
    full = [row for row in met if len(row) == 9]
    assert len(full) >= 200
    assert {tuple(np.bincount(strata[row], minlength=3)) for row in full} == {(5, 3, 1)}


def test_the_same_seed_gives_the_same_interval_and_another_one_another() -> None:
    assert bootstrap_interval(mean, 80, seed=1) == bootstrap_interval(mean, 80, seed=1)
    assert bootstrap_interval(mean, 80, seed=1) != bootstrap_interval(mean, 80, seed=2)


def test_batches_do_not_change_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap_interval(mean, 80)
    monkeypatch.setattr("impasto.statistics.bootstrap._LARGEST", 500)
    assert bootstrap_interval(mean, 80) == whole


def test_resamples_that_do_not_differ_have_no_interval() -> None:
    assert bootstrap_interval(lambda rows: np.ones(len(rows)), 10) is None
    assert bootstrap_interval(mean, 3, [0, 1, 2]) is None
    assert bootstrap_interval(mean, 1) is None


def test_nothing_to_draw_from() -> None:
    with pytest.raises(UsageError):
        bootstrap_interval(mean, 0)
    with pytest.raises(UsageError):
        bootstrap_interval(mean, 3, [0, 1])
