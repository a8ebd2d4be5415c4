"""Proportions: ``k`` of ``n`` with an interval, and whether a published percentage can be one."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral
from typing import Any

from scipy.stats import binomtest

from impasto.errors import UsageError


def wilson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson (1927) interval of a proportion of ``k`` in ``n``, both ends in 0..1.

    Raises:
        UsageError: ``n`` below 1, ``k`` outside 0..n, or one of them no whole number.

    >>> [round(end, 3) for end in wilson(50, 60)]
    [0.72, 0.907]
    """
    _check(k, n)
    low, high = binomtest(k, n).proportion_ci(confidence, method="wilson")
    # Rounding can leave the ends of 0/n and n/n a last digit on the wrong side.
    return min(float(low), k / n), max(float(high), k / n)


@dataclass(frozen=True)
class Proportion:
    """``k`` of ``n``, printed with its interval.

    Raises:
        UsageError: ``n`` below 1, ``k`` outside 0..n, or one of them no whole number: what cannot be is not printed.

    >>> print(Proportion(50, 60))
    50/60 = 83.3 % [72.0, 90.7]
    """

    k: int
    n: int

    def __post_init__(self) -> None:
        _check(self.k, self.n)

    @property
    def value(self) -> float:
        """``k / n``."""
        return self.k / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval."""
        return wilson(self.k, self.n)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.k}/{self.n} = {self.value:.1%} [{low * 100:.1f}, {high * 100:.1f}]".replace("%", " %")


def counts_behind(percentage: str, n: int) -> range:
    """Return every ``k`` for which ``k / n`` prints as ``percentage``: none where no count of ``n`` does.

    The GRIM test (Brown and Heathers 2017) for published scores. The decimals that were printed say how far a share
    may be from the figure, which is why it is a text; halves may have been rounded either way.

    >>> list(counts_behind("98.3", 60)), list(counts_behind("94.6", 60)), list(counts_behind("95 %", 60))
    ([59], [], [57])

    Raises:
        UsageError: ``percentage`` is none, or ``n`` is below 1.
    """
    match = re.fullmatch(r"\s*(\d+)(?:\.(\d*))?\s*%?\s*", percentage)
    if not match or Fraction(match[1]) > 100:
        raise UsageError(f"{percentage!r} is no percentage.", 'Write "94.6".')
    _check(0, n)
    decimals = match[2] or ""
    value = Fraction(f"{match[1]}.{decimals or 0}")
    half = Fraction(1, 2 * 10 ** len(decimals))
    first, last = (value - half) * n / 100, (value + half) * n / 100
    return range(max(0, math.ceil(first)), min(n, math.floor(last)) + 1)


def _check(k: Any, n: Any) -> None:
    whole = all(isinstance(count, Integral) and not isinstance(count, bool) for count in (k, n))
    if not whole or n < 1 or not 0 <= k <= n:
        raise UsageError(f"{k} of {n} is no proportion.")
