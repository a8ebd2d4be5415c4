"""Whether probabilities mean what they say: reliability, scores of whole distributions, and when to abstain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from impasto.statistics import Proportion

Shares = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

# Guo et al. 2017 take 15 bins of equal width; of equal mass here, because most confidences of a good classifier would
# fall into the last one, and a bin of three pictures says nothing.
BINS = 15
# Of fewer pictures, the share right says more of luck than of the classifier, and the error grows with each bin.
_LEAST = 10
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class Bin:
    """Pictures of about the same confidence: how many are right, and how many the classifier expected to be.

    Attributes:
        right: right answers of the bin's pictures.
        confidence: the mean probability of the class named.
    """

    right: Proportion
    confidence: float


def reliability(confidence: Shares, correct: npt.NDArray[np.bool_], bins: int | None = None) -> tuple[Bin, ...]:
    """Sort pictures by confidence into bins of equal mass.

    Pictures of equal confidence are not parted, so that the order they come in does not matter.

    Args:
        confidence: N probabilities of the class named.
        correct: N answers.
        bins: how many; None for :data:`BINS`, or fewer, so that each holds ten pictures or more.
    """
    n = len(confidence)
    bins = bins or max(1, min(BINS, n // _LEAST))
    starts = np.sort(confidence)[np.arange(1, bins) * n // bins]
    place = np.searchsorted(np.unique(starts), confidence, side="right")
    members = [np.flatnonzero(place == index) for index in np.unique(place)]
    return tuple(
        Bin(Proportion(int(correct[rows].sum()), len(rows)), float(confidence[rows].mean())) for rows in members
    )


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Return the mean distance of share right and confidence, bins weighed by their pictures (Naeini et al. 2015)."""
    total = sum(item.right.n for item in bins)
    return sum(item.right.n / total * abs(item.right.value - item.confidence) for item in bins)


def brier_score(probabilities: Shares, labels: Labels) -> float:
    """Return the mean squared distance of N x C probabilities from certainty of the N labels, 0..2 (Brier 1950)."""
    truth = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def mean_log_loss(probabilities: Shares, labels: Labels) -> float:
    """Return the mean negative log likelihood of the N labels, in nats.

    A probability of 0 counts as the least step of a float64, as in scikit-learn: one picture is no infinite loss.
    """
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(chosen, np.finfo(np.float64).eps, 1.0)).mean())


@dataclass(frozen=True)
class Abstention:
    """What a classifier answers, and how well, where it may be silent below a threshold.

    Attributes:
        threshold: the least probability of the class named for which it answers.
        answered: pictures answered of all.
        right: right answers of those, None where there are none.
    """

    threshold: float
    answered: Proportion
    right: Proportion | None


def abstention(confidence: Shares, correct: npt.NDArray[np.bool_]) -> tuple[Abstention, ...]:
    """Return coverage and accuracy at each of :data:`THRESHOLDS`."""
    rows = []
    for threshold in THRESHOLDS:
        kept = correct[confidence >= threshold]
        right = Proportion(int(kept.sum()), len(kept)) if len(kept) else None
        rows.append(Abstention(threshold, Proportion(len(kept), len(correct)), right))
    return tuple(rows)
