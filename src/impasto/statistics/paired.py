"""Two models on the same pictures, or on the same folds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, t

from impasto.errors import UsageError
from impasto.statistics.proportion import Proportion, wilson

Answers = Sequence[bool] | npt.NDArray[np.bool_]


@dataclass(frozen=True)
class McNemar:
    """How the right answers of two models on the same pictures fall together.

    Attributes:
        both: pictures that both name correctly.
        b: those that only the first does.
        c: those that only the second does.
        neither: those that neither does.
    """

    both: int
    b: int
    c: int
    neither: int

    def __post_init__(self) -> None:
        if min(self.both, self.b, self.c, self.neither) < 0 or self.n < 1:
            raise UsageError(f"{self.both}, {self.b}, {self.c}, {self.neither} are no counts of pictures.")

    @property
    def n(self) -> int:
        """Pictures compared."""
        return self.both + self.b + self.c + self.neither

    @property
    def first(self) -> Proportion:
        """Right answers of the first model."""
        return Proportion(self.both + self.b, self.n)

    @property
    def second(self) -> Proportion:
        """Right answers of the second model."""
        return Proportion(self.both + self.c, self.n)

    @property
    def p(self) -> float:
        """The two-sided p-value of McNemar's (1947) test, exact: of ``b`` in ``b + c`` where both are as likely."""
        return float(binomtest(self.b, self.b + self.c).pvalue) if self.b + self.c else 1.0

    @property
    def difference(self) -> float:
        """The first model's share of right answers less the second's."""
        return (self.b - self.c) / self.n

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the interval of the difference: Newcombe's (1998) square-and-add of two Wilson intervals, paired."""
        first, second = self.first, self.second
        low1, high1 = wilson(first.k, first.n, confidence)
        low2, high2 = wilson(second.k, second.n, confidence)
        down = _square_and_add(first.value - low1, high2 - second.value, self._phi)
        up = _square_and_add(high1 - first.value, second.value - low2, self._phi)
        return max(-1.0, self.difference - down), min(1.0, self.difference + up)

    @property
    def _phi(self) -> float:
        """Correlation of the two models' right answers, 0 where one of them is always right or always wrong.

        Newcombe's method 10 takes n / 2 off a positive numerator, for continuity.
        """
        first, second = self.first, self.second
        product = math.prod((first.k, first.n - first.k, second.k, second.n - second.k))
        if not product:
            return 0.0
        numerator = self.both * self.neither - self.b * self.c
        return (max(numerator - self.n / 2, 0) if numerator > 0 else numerator) / math.sqrt(product)

    def record(self) -> dict[str, Any]:
        """Return what a JSON file says of the comparison."""
        return {
            "n": self.n,
            "both": self.both,
            "b": self.b,
            "c": self.c,
            "neither": self.neither,
            "p": self.p,
            "difference": self.difference,
            "newcombe95": list(self.interval()),
        }


def mcnemar(first: Answers, second: Answers) -> McNemar:
    """Count right answers of two models on the same pictures, in the same order.

    >>> test = mcnemar([True] * 8 + [False], [True] * 3 + [False] * 5 + [True])
    >>> test.b, test.c, test.p
    (5, 1, 0.21875)

    Raises:
        UsageError: no pictures, or not the same number.
    """
    one, other = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if one.shape != other.shape or one.ndim != 1 or not len(one):
        raise UsageError(f"{one.size} and {other.size} answers cannot be compared one by one.")
    counts = np.bincount(2 * (~one) + (~other), minlength=4).tolist()
    return McNemar(*counts)


@dataclass(frozen=True)
class CorrectedT:
    """The mean of differences over folds, with an interval and the two-sided p-value of no difference."""

    mean: float
    low: float
    high: float
    p: float


def corrected_t(differences: Sequence[float], n_train: int, n_test: int, confidence: float = 0.95) -> CorrectedT:
    """Test differences of two models over repeated folds: the corrected resampled t-test (Nadeau and Bengio 2003).

    Folds share training pictures, so that the plain t-test finds differences where there are none. The variance of
    the mean is s² (1 / J + n_test / n_train) for J folds.

    Args:
        differences: one for each fold of each repetition, for example of accuracies.
        n_train, n_test: pictures taught and tested in one fold. No picture tested is the plain t-test.
        confidence: of the interval.

    Raises:
        UsageError: fewer than two differences, one that is not finite, no picture taught, or less than none tested.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all() or n_train < 1 or n_test < 0:
        raise UsageError(f"{values.size} differences with {n_train} : {n_test} pictures cannot be tested.")
    mean = float(values.mean())
    error = math.sqrt(float(values.var(ddof=1)) * (1 / len(values) + n_test / n_train))
    reach = float(t.ppf((1 + confidence) / 2, len(values) - 1)) * error
    away = abs(mean) / error if error else math.inf if mean else 0.0
    p = 2 * float(t.sf(away, len(values) - 1))
    return CorrectedT(mean, mean - reach, mean + reach, p)


def paired_t(differences: Sequence[float], confidence: float = 0.95) -> CorrectedT:
    """Test differences that are independent of each other: the plain paired t-test.

    Raises:
        UsageError: fewer than two differences, or one that is not finite.

    >>> round(paired_t([1, 2, 3, 4]).p, 3)
    0.03
    """
    return corrected_t(differences, 1, 0, confidence)


def _square_and_add(one: float, other: float, phi: float) -> float:
    # Rounding can leave a square of 0 below it.
    return math.sqrt(max(0.0, one**2 - 2 * phi * one * other + other**2))
