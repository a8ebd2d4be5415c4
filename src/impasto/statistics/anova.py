"""What several factors do, alone and together, where every draw has been through all their levels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import helmert
from scipy.stats import f

from impasto.errors import UsageError

_Floats = npt.NDArray[np.float64]
# Scatter below this share of the largest value is rounding.
_ROUNDING = 1e-13


@dataclass(frozen=True)
class Effect:
    """A main effect or an interaction.

    Attributes:
        name: of the factor, or of the factors with " x " between.
        df, df_error: degrees of freedom of F, both multiplied by ``epsilon``.
        F: mean square of the effect by that of its scatter over draws, for draws that share pictures made smaller.
        p: of an F at least as large where there is no effect.
        eta2: partial: sum of squares of the effect, by that and its scatter's.
        epsilon: Greenhouse and Geisser's, 1 where the contrasts of an effect scatter alike and independently.
    """

    name: str
    df: float
    df_error: float
    F: float
    p: float
    eta2: float
    epsilon: float

    def record(self) -> dict[str, Any]:
        """Return what a JSON file says of the effect; an infinite F, which JSON does not know, is None."""
        return {**asdict(self), "F": self.F if math.isfinite(self.F) else None}


def factorial_anova(
    values: npt.ArrayLike,
    factors: Sequence[str],
    overlap: float = 0.0,
) -> list[Effect]:
    """Return all main effects, then all interactions, of a complete factorial within draws.

    Each draw is a block: an effect is tested against how much it differs from draw to draw (repeated measures), with
    the correction of Greenhouse and Geisser (1959) for more than two levels. F is divided by 1 + (J - 1) overlap²
    for J draws that share training pictures, see ``crossed_mean``. Test pictures are taken as they are: a small p
    says that other training sets will show the effect on these pictures.

    Args:
        values: draws x levels of the first factor x levels of the second ..., for example mean recalls.
        factors: names, one for each axis but the first.
        overlap: share of training pictures that two draws have in common.

    Raises:
        UsageError: axes without a name, fewer than two draws or levels, or a value that is not finite.

    >>> strengths = [[0.70, 0.72], [0.71, 0.74], [0.68, 0.70], [0.72, 0.73]]
    >>> [(effect.name, round(effect.F, 1), round(effect.p, 3)) for effect in factorial_anova(strengths, ["strength"])]
    [('strength', 24.0, 0.016)]
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != len(factors) + 1 or not factors or len(set(factors)) < len(factors):
        raise UsageError(f"Values of shape {table.shape} are no draws x {' x '.join(factors)}.")
    if min(table.shape) < 2 or not np.isfinite(table).all():
        raise UsageError("An analysis of variance needs finite values of 2 draws and 2 levels of each factor, or more.")
    if not 0 <= overlap < 1:
        raise UsageError(f"An overlap of {overlap} is no share.")
    inflation = 1 + (len(table) - 1) * overlap**2
    centred = table - table.mean()
    rounding = table.size * (_ROUNDING * np.abs(table).max()) ** 2
    flat = centred.reshape(len(table), -1)
    return [
        _effect(" x ".join(factors[place] for place in places), flat @ contrasts.T, inflation, rounding)
        for places, contrasts in _contrasts(table.shape[1:])
    ]


def _contrasts(levels: Sequence[int]) -> Iterator[tuple[tuple[int, ...], _Floats]]:
    """Yield each set of factors with orthonormal contrasts of its effect, df x cells."""
    for order in range(1, len(levels) + 1):
        for places in combinations(range(len(levels)), order):
            contrasts = np.ones((1, 1))
            for place, count in enumerate(levels):
                own = helmert(count) if place in places else np.full((1, count), count**-0.5)
                contrasts = np.kron(contrasts, own)
            yield places, contrasts


def _effect(name: str, scores: _Floats, inflation: float, rounding: float) -> Effect:
    """Test whether the contrasts, draws x df, have a mean of 0."""
    J, count = scores.shape
    mean = scores.mean(axis=0)
    explained, scatter = J * float(mean @ mean), float(np.square(scores - mean).sum())
    explained, scatter = (value if value > rounding else 0.0 for value in (explained, scatter))
    if not scatter:
        found = bool(explained)
        return Effect(name, count, count * (J - 1), math.inf if found else 0.0, float(not found), float(found), 1.0)
    covariance = np.cov(scores, rowvar=False).reshape(count, count)
    epsilon = float(np.trace(covariance) ** 2 / (count * np.square(covariance).sum()))
    F = explained * (J - 1) / scatter / inflation
    df, df_error = epsilon * count, epsilon * count * (J - 1)
    return Effect(name, df, df_error, F, float(f.sf(F, df, df_error)), explained / (explained + scatter), epsilon)
