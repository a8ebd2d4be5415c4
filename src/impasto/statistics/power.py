"""How many draws a study needs, and what a study that found nothing could have found."""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.stats import nct, t

from impasto.errors import UsageError


def power(effect: float, sd: float, draws: int, overlap: float = 0.0, alpha: float = 0.05) -> float:
    """Return the chance that a two-sided t-test over ``draws`` finds a difference of ``effect``.

    Args:
        effect: the true difference, in the unit of ``sd``.
        sd: standard deviation of the differences of single draws.
        draws: how many, at least 2.
        overlap: share of training pictures that two draws have in common, as in ``crossed_mean``: their differences
            are taken to correlate by its square, and the error is sd sqrt(1 / J + (1 - 1 / J) overlap²) for J draws.
        alpha: a p-value below it counts as found.

    In simulated studies (``python -m benchmarks planted``) ``crossed_mean`` found a difference of 2.26 points, with a
    standard deviation of 2.77, in 95, 59 and 25 % of those with 25, 10 and 5 draws. This says 92, 58 and 28 %.

    Raises:
        UsageError: fewer than two draws, ``sd`` not above 0, or a share that cannot be.

    >>> round(power(1.5, 2.5, 25), 2)
    0.82
    """
    _check(sd, overlap, alpha)
    if draws < 2 or not math.isfinite(effect):
        raise UsageError(f"The power to find {effect} with {draws} draws is not defined.", "Take 2 draws or more.")
    return _chance(abs(effect) / (sd * math.sqrt(1 / draws + (1 - 1 / draws) * overlap**2)), draws - 1, alpha)


def draws_needed(
    effect: float,
    sd: float,
    power: float = 0.8,
    overlap: float = 0.0,
    alpha: float = 0.05,
    most: int = 10_000,
) -> int | None:
    """Return the least number of draws that finds a difference of ``effect`` with a chance of ``power``.

    Returns:
        None where ``most`` draws are not enough. Draws from one pool share pictures: with an overlap there are effects
        that no number of draws will find.

    Raises:
        UsageError: as ``power`` raises it, or a ``power`` outside ``alpha``..1.

    >>> draws_needed(1.5, 2.5), draws_needed(0.5, 2.5, overlap=0.12)
    (24, None)
    """
    _check_power(power, alpha)
    low, high = 1, most + 1  # not enough, and perhaps enough; more draws never find less
    while high - low > 1:
        middle = (low + high) // 2
        if _power(effect, sd, middle, overlap, alpha) >= power:
            high = middle
        else:
            low = middle
    return high if high <= most else None


def detectable(error: float, df: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the smallest difference that a study of this standard error finds with a chance of ``power``.

    Args:
        error: standard error of the difference, for example of a ``CrossedMean``.
        df: its degrees of freedom.
        power: chance to find the difference, above ``alpha``.
        alpha: a p-value below it counts as found.

    Raises:
        UsageError: a negative error, ``df`` not above 0, or a ``power`` outside ``alpha``..1.

    >>> round(detectable(0.5, 24), 2)
    1.46
    """
    _check_power(power, alpha)
    if not (0 <= error < math.inf and df > 0):
        raise UsageError(f"A standard error of {error} with {df} degrees of freedom cannot be.")
    most = 1.0
    while _chance(most, df, alpha) < power:
        most *= 2
    return error * float(brentq(lambda away: _chance(away, df, alpha) - power, 0.0, most))


# ``draws_needed`` has an argument of that name.
_power = power


def _chance(away: float, df: float, alpha: float) -> float:
    """Return the chance of a significant t where the true difference is ``away`` standard errors from 0."""
    critical = float(t.isf(alpha / 2, df))
    found = float(nct.sf(critical, df, away)), float(nct.cdf(-critical, df, away))
    return min(1.0, sum(value for value in found if not math.isnan(value)))


def _check(sd: float, overlap: float, alpha: float) -> None:
    if not (0 < sd < math.inf and 0 <= overlap < 1 and 0 < alpha < 1):
        raise UsageError(f"A standard deviation of {sd}, an overlap of {overlap} or a level of {alpha} cannot be.")


def _check_power(power: float, alpha: float) -> None:
    if not 0 < alpha < power < 1:
        raise UsageError(f"A power of {power} at a level of {alpha} cannot be.", "Ask for 0.8 at 0.05.")
