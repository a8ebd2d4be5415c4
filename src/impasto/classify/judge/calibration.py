"""One temperature that makes the probabilities of a classifier mean what they say (Guo et al. 2017).

Logits are divided by it before the softmax, so that no answer changes, only how sure it is. It is fitted on
validation pictures: on those of train, a network is far too sure of itself, and test is for judging.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import softmax

from impasto.classify.judge.confidence import (
    BINS,
    Labels,
    Shares,
    expected_calibration_error,
    mean_log_loss,
    reliability,
)
from impasto.errors import NumericalError, UsageError

CALIBRATION_NAME = "calibration.json"
# How far the temperature may go from the standard deviation of the logits: beyond, all probabilities are equal or 0.
_REACH = 1e3


@dataclass(frozen=True)
class Fit:
    """Expected calibration error (0..1, at most :data:`BINS` bins of equal mass) and mean log loss (nats)."""

    ece: float
    nll: float


@dataclass(frozen=True)
class Calibration:
    """A fitted temperature, and what it did to the pictures it was fitted on.

    Attributes:
        temperature: above 1 where the classifier was too sure of itself.
        n: validation pictures it was fitted on.
        before, after: their scores with temperature 1 and with this one.
    """

    temperature: float
    n: int
    before: Fit
    after: Fit

    def record(self) -> dict[str, Any]:
        """Return what ``calibration.json`` holds."""
        return {**asdict(self), "binning": f"equal mass, at most {BINS}", "fitted_on": "validation"}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Calibration:
        """Read a record.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it is none, or the temperature is not above 0.
        """
        fits = (Fit(float(record[when]["ece"]), float(record[when]["nll"])) for when in ("before", "after"))
        temperature, n = float(record["temperature"]), int(record["n"])
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"a temperature of {temperature}")
        return cls(temperature, n, *fits)


def calibrate(logits: npt.ArrayLike, labels: npt.ArrayLike) -> Calibration:
    """Fit a temperature and measure what it does.

    Args:
        logits: N x C, of validation pictures (a tensor on the CPU will do).
        labels: N class indices.

    Raises:
        UsageError: no pictures, or other shapes. NumericalError: logits that are not finite.
    """
    values, truth = _checked(logits, labels)
    temperature = fit_temperature(values, truth)
    return Calibration(temperature, len(truth), _fit(values, truth), _fit(values / temperature, truth))


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the temperature T with the least mean log loss of softmax(logits / T).

    Targets are Platt's (1999), who expects one more right and one more wrong answer than there were: 1 - 1 / (n + 2)
    for the label, the rest for the other classes in equal parts. With targets of 1, n right answers of n would ask
    for T = 0 and for certainty. His counts are those of each class; all n here, for all of them share the one T.

    The loss is convex in 1 / T, whose best value is where its derivative is 0.

    Args:
        logits: N x C. labels: N class indices.
    """
    values, truth = _checked(logits, labels)
    scale = float(values.std(axis=1).mean())
    if not scale:
        return 1.0
    n, classes = values.shape
    wrong = 1 / (n + 2)
    targets = np.full((n, classes), wrong / (classes - 1))
    targets[np.arange(n), truth] = 1 - wrong
    centred = (values - values.mean(axis=1, keepdims=True)) / scale

    def slope(log_beta: float) -> float:
        shares = softmax(math.exp(log_beta) * centred, axis=1)
        return float(((shares - targets) * centred).sum(axis=1).mean())

    reach = math.log(_REACH)
    if slope(-reach) >= 0:  # no better than chance: nearly equal probabilities are the best
        return scale * _REACH
    if slope(reach) <= 0:
        return scale / _REACH
    return scale / math.exp(brentq(slope, -reach, reach, xtol=1e-10))


def _checked(logits: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Shares, Labels]:
    values, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if values.ndim != 2 or truth.shape != (len(values),) or not len(truth) or values.shape[1] < 2:
        raise UsageError(f"logits of shape {values.shape} and {truth.size} labels cannot be calibrated.")
    if not np.isfinite(values).all():
        raise NumericalError("the logits of the validation pictures are NaN or infinite.", "Train with another seed.")
    return values, truth


def _fit(logits: Shares, labels: Labels) -> Fit:
    shares = softmax(logits, axis=1)
    bins = reliability(shares.max(axis=1), logits.argmax(axis=1) == labels)
    return Fit(expected_calibration_error(bins), mean_log_loss(shares, labels))
