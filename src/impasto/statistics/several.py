"""Several comparisons at once, and the test that asks for signs only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scipy.stats import binomtest

from impasto.errors import UsageError


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for their number by Holm's (1979) step-down procedure, in the order given.

    An adjusted value below 0.05 is a difference that may be claimed beside all others: the chance of one false claim
    or more stays below 0.05, however the tests depend on each other.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

    Raises:
        UsageError: a value outside 0..1, or NaN.
    """
    for value in p_values:
        if not 0 <= value <= 1:
            raise UsageError(f"{value} is no p-value.", "Leave out what could not be tested.")
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * float(p_values[place])))
        adjusted[place] = largest
    return adjusted


@dataclass(frozen=True)
class SignTest:
    """How many differences are above and below 0.

    Attributes:
        positive: differences above 0.
        negative: those below.
        ties: those that are 0; they say nothing of the sign and are left out of the test.
    """

    positive: int
    negative: int
    ties: int

    @property
    def p(self) -> float:
        """The two-sided p-value, exact: of ``positive`` in ``positive + negative`` where both are as likely."""
        told = self.positive + self.negative
        return float(binomtest(self.positive, told).pvalue) if told else 1.0

    def record(self) -> dict[str, Any]:
        """Return what a JSON file says of the test."""
        return {**asdict(self), "p": self.p}


def sign_test(differences: Sequence[float]) -> SignTest:
    """Count the signs of independent differences, such as those of draws that share no training picture.

    >>> sign_test([0.02, 0.01, 0.03, 0.01, 0.0, 0.04, 0.02]).p
    0.03125

    Raises:
        UsageError: a difference that is not a number.
    """
    if any(math.isnan(value) for value in differences):
        raise UsageError("A difference that is not a number has no sign.", "Leave out what could not be measured.")
    positive, negative = (sum(bool(sign * value > 0) for value in differences) for sign in (1, -1))
    return SignTest(positive, negative, len(differences) - positive - negative)
