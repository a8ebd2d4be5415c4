"""Scores of the order in which a classifier puts classes and pictures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from impasto.classify.judge.confidence import Labels, Shares
from impasto.statistics import Proportion

TOP = (3, 5)


def top_k(probabilities: Shares, labels: Labels) -> dict[int, Proportion]:
    """Return how many labels are among the k most probable classes, for each k of :data:`TOP` below all classes.

    Args:
        probabilities: N x C; of equal ones the first class comes first.
        labels: N class indices.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    place = (order == labels[:, None]).argmax(axis=1)
    return {k: Proportion(int((place < k).sum()), len(labels)) for k in TOP if k < probabilities.shape[1]}


def one_against_rest(probabilities: Shares, labels: Labels) -> list[float | None]:
    """Return the area under the ROC curve of each class against all others, None for a class absent or alone."""
    return [_area(column, labels == index) for index, column in enumerate(probabilities.T)]


def macro_area(areas: list[float | None]) -> float | None:
    """Return the mean of the areas there are, None without one."""
    known = [area for area in areas if area is not None]
    return sum(known) / len(known) if known else None


def _area(scores: Shares, positive: npt.NDArray[np.bool_]) -> float | None:
    """Return how often a picture of the class has a higher score than one of the others (Mann and Whitney 1947)."""
    n, others = int(positive.sum()), int((~positive).sum())
    if not n or not others:
        return None
    return float((rankdata(scores)[positive].sum() - n * (n + 1) / 2) / (n * others))
