"""Bootstrap intervals of statistics that have no interval of their own, such as a macro F1."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import DegenerateDataWarning, bootstrap

from impasto.errors import UsageError

Rows = npt.NDArray[np.int64]
# Numbers that lie in memory at once.
_LARGEST = 2_000_000


def bootstrap_interval(
    statistic: Callable[[Rows], npt.NDArray[np.float64]],
    n: int,
    strata: Sequence[int] | npt.NDArray[np.int64] | None = None,
    *,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Return the BCa interval (Efron 1987) of a statistic of ``n`` pictures.

    Args:
        statistic: takes R x m positions of pictures in 0..n-1, the same one several times, and returns R values.
        n: how many pictures there are.
        strata: n numbers; pictures of one stratum are replaced by such of the same, so that its size stays.
            A stratum of a single picture stays as it is. None draws from all.
        confidence: share of the intervals that hold the true value.
        resamples: how often the pictures are drawn.
        seed: of the draws.

    Returns:
        None where the resamples do not differ: then they say nothing, and an interval of no width would be a lie.

    Raises:
        UsageError: no pictures, or another number of strata.
    """
    labels = np.zeros(n, dtype=np.int64) if strata is None else np.asarray(strata)
    if n < 1 or labels.shape != (n,):
        raise UsageError(f"{n} pictures with strata of shape {labels.shape} cannot be drawn from.")
    parts = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    drawn = [part for part in parts if len(part) > 1]
    fixed = np.array([part[0] for part in parts if len(part) == 1], dtype=np.int64)

    def of(*samples: Rows, axis: int) -> npt.NDArray[np.float64]:
        rows = np.concatenate([np.atleast_2d(sample) for sample in samples], axis=-1)
        values = statistic(np.concatenate([rows, np.broadcast_to(fixed, (len(rows), len(fixed)))], axis=-1))
        return values if samples[0].ndim > 1 else values[0]

    if not drawn:
        return None
    with warnings.catch_warnings():  # NaN is what we ask for, below
        warnings.simplefilter("ignore", DegenerateDataWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        found = bootstrap(
            drawn,
            of,
            vectorized=True,
            n_resamples=resamples,
            batch=max(1, _LARGEST // n),
            confidence_level=confidence,
            method="BCa",
            random_state=np.random.default_rng(seed),
        ).confidence_interval
    ends = float(found.low), float(found.high)
    return ends if all(map(math.isfinite, ends)) else None
