"""Greedy choice of the members of an ensemble on pictures that none of them learned from (Caruana et al. 2004)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from impasto.classify.judge.confidence import Labels, Shares, mean_log_loss
from impasto.errors import UsageError
from impasto.statistics import Proportion

# Additions after the first members: each later one would count for less than 2 %.
_MOST = 50


@dataclass(frozen=True)
class Step:
    """One addition.

    Attributes:
        member: position of the model that was added, possibly not for the first time.
        right: right answers of the ensemble with it.
        nll: the ensemble's mean log loss.
    """

    member: int
    right: Proportion
    nll: float

    @property
    def rank(self) -> tuple[int, float]:
        """More right answers are better, of as many the less loss."""
        return self.right.k, -self.nll


def select(probabilities: Sequence[Shares], labels: Labels) -> list[Step]:
    """Add models, each as often as it helps, until none makes the ensemble better.

    The ensemble begins with the best models, as many as are best together (the paper's sorted initialisation); then
    the one that helps most is added again and again, with replacement. A model's weight is how often it was added.
    Models are ranked by right answers, and among as many by mean log loss; ties go to the first one.

    Args:
        probabilities: N x C of each model, on the same pictures.
        labels: N class indices.

    Returns:
        The additions, in order.

    Raises:
        UsageError: no models or no pictures.
    """
    if not probabilities or not len(labels):
        raise UsageError(f"{len(probabilities)} models cannot be chosen by {len(labels)} pictures.")
    alone = [_step(index, shares, labels) for index, shares in enumerate(probabilities)]
    order = sorted(range(len(probabilities)), key=lambda index: (-alone[index].rank[0], alone[index].nll))
    sums = np.cumsum([probabilities[index] for index in order], axis=0)
    prefixes = [_step(index, total / (i + 1), labels) for i, (index, total) in enumerate(zip(order, sums, strict=True))]
    best = max(range(len(prefixes)), key=lambda i: prefixes[i].rank)
    steps, total = prefixes[: best + 1], sums[best]
    for _ in range(_MOST):
        count = len(steps) + 1
        tried = [_step(index, (total + shares) / count, labels) for index, shares in enumerate(probabilities)]
        step = max(tried, key=lambda item: item.rank)
        if step.rank <= steps[-1].rank:
            break
        steps.append(step)
        total = total + probabilities[step.member]
    return steps


def _step(member: int, shares: Shares, labels: Labels) -> Step:
    right = Proportion(int((shares.argmax(axis=1) == labels).sum()), len(labels))
    return Step(member, right, mean_log_loss(shares, labels))
