"""Shortcut probes: how well something that is no content predicts the label."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold

from impasto.statistics import wilson

FOLDS = 5
# Four probes of every data set: at 95 % every fifth sound one would be accused.
CONFIDENCE = 0.99
# What is above chance by the interval is asked again with the labels shuffled: folds share what is in the whole sample
# by accident, so that their score scatters more than the interval says. Deviations above the shuffled ones' mean.
SHUFFLES, DEVIATIONS = 20, 3.5
# Less than this above chance is there, but not what a classifier learns first.
LEAST_GAIN = 0.05
_TREES, _LARGE = 50, 2000


@dataclass(frozen=True)
class Probe:
    """What one probe predicted, on pictures that it had not learned from.

    Attributes:
        name: what it was allowed to see.
        correct, total: pictures of the right label, and all.
        low, high: 99 % Wilson interval of the share.
        chance: the share of the largest class, which a guess without looking reaches.
        deviations: how many standard deviations the score is above those with the labels shuffled; 0 where the
            interval does not call for it.
    """

    name: str
    correct: int
    total: int
    low: float
    high: float
    chance: float
    deviations: float = 0.0

    @property
    def tells_the_label(self) -> bool:
        """Whether the share is above chance beyond doubt, and by enough to matter."""
        return self._stands_out and self.deviations > DEVIATIONS

    @property
    def _stands_out(self) -> bool:
        return self.low > self.chance and self.correct / self.total > self.chance + LEAST_GAIN

    def __str__(self) -> str:
        share = f"{100 * self.correct / self.total:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"
        return f"{self.correct}/{self.total} = {share}, chance {100 * self.chance:.1f} %"


def probe(
    name: str,
    values: npt.NDArray[np.float64],
    labels: npt.NDArray[np.str_],
    groups: npt.NDArray[np.intp],
    seed: int = 0,
) -> Probe | None:
    """Predict labels from ``values`` by a random forest, five folds, no group in two of them.

    Args:
        name: what the values are.
        values: N x k.
        labels: N names; classes of fewer than five groups are left out.
        groups: N numbers.
        seed: of the folds and the forest.

    Returns:
        None where fewer than two classes are large enough.
    """
    count = Counter(label for label, _ in {(label, group) for label, group in zip(labels, groups, strict=True)})
    usable = np.array([count[label] >= FOLDS for label in labels])
    x, y, belongs = values[usable], labels[usable], groups[usable]
    if len(set(y)) < 2:
        return None
    right = _right(x, y, belongs, seed)
    chance = max(Counter(y.tolist()).values()) / len(y)
    found = Probe(name, right, len(y), *wilson(right, len(y), CONFIDENCE), chance)
    if not found._stands_out:
        return found
    random = np.random.default_rng(seed)
    shuffled = [_right(x, _shuffled(y, belongs, random), belongs, seed) for _ in range(SHUFFLES)]
    scatter = max(float(np.std(shuffled, ddof=1)), 1.0)  # never below one picture
    return replace(found, deviations=(right - float(np.mean(shuffled))) / scatter)


def _right(x: npt.NDArray[np.float64], y: npt.NDArray[np.str_], groups: npt.NDArray[np.intp], seed: int) -> int:
    """Return how many labels are predicted rightly from the other folds."""
    right = 0
    for train, test in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(x, y, groups):
        jobs = -1 if len(y) > _LARGE else 1  # starting threads takes longer than a small forest
        forest = RandomForestClassifier(_TREES, min_samples_leaf=2, random_state=seed, n_jobs=jobs)
        right += int((forest.fit(x[train], y[train]).predict(x[test]) == y[test]).sum())
    return right


def _shuffled(
    y: npt.NDArray[np.str_], groups: npt.NDArray[np.intp], random: np.random.Generator
) -> npt.NDArray[np.str_]:
    """Return the labels in another order: among groups where each has one label, so that copies stay alike."""
    _, first, member = np.unique(groups, return_index=True, return_inverse=True)
    of_group = y[first]
    return random.permutation(of_group)[member] if (of_group[member] == y).all() else random.permutation(y)
