"""Counts of right and wrong answers, and the scores that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.statistics import Proportion, bootstrap_interval

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClassScore:
    """One class. A share whose denominator is 0 (a class never met, or never named) is 0 and has no interval.

    Attributes:
        name: of the class.
        support: pictures of the class.
        named: pictures that were taken for it.
        correct: those of both.
    """

    name: str
    support: int
    named: int
    correct: int

    @property
    def precision(self) -> float:
        """Right ones of those named."""
        return self.correct / max(self.named, 1)

    @property
    def recall(self) -> float:
        """Right ones of those there are."""
        return self.correct / max(self.support, 1)

    @property
    def f1(self) -> float:
        """The harmonic mean of the two."""
        return 2 * self.correct / max(self.named + self.support, 1)

    def record(self) -> dict[str, Any]:
        """Return the entry of ``per_class`` in ``evaluation.json``."""
        return {
            "class": self.name,
            "support": self.support,
            "named": self.named,
            "correct": self.correct,
            "precision": self.precision,
            "precision_wilson95": _interval(self.correct, self.named),
            "recall": self.recall,
            "recall_wilson95": _interval(self.correct, self.support),
            "f1": self.f1,
        }


@dataclass(frozen=True)
class Confusion:
    """How often each class (row) was taken for each class (column), and the scores that follow from it."""

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, classes: Sequence[str], truth: Sequence[str], predicted: Sequence[str]) -> Confusion:
        """Count pairs of names; every name is one of ``classes``."""
        index = {name: position for position, name in enumerate(classes)}
        counts = np.zeros((len(index), len(index)), dtype=np.int64)
        np.add.at(counts, ([index[name] for name in truth], [index[name] for name in predicted]), 1)
        return cls(tuple(classes), tuple(tuple(row) for row in counts.tolist()))

    @property
    def accuracy(self) -> Proportion:
        """Right answers of all answers."""
        return Proportion(int(np.trace(self._array)), int(self._array.sum()))

    @property
    def per_class(self) -> tuple[ClassScore, ...]:
        """Support, precision, recall and F1 of each class, in the order of ``classes``."""
        columns = (column.tolist() for column in self._columns)
        return tuple(ClassScore(*row) for row in zip(self.classes, *columns, strict=True))

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that were met."""
        return float(_balanced(*self._columns))

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that were met."""
        return float(_macro_f1(*self._columns))

    def intervals(self) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
        """Return the 95 % intervals of balanced accuracy and of macro F1, None where resamples do not differ.

        BCa bootstrap over pictures, drawn class by class so that each class keeps its size.
        """
        array = self._array
        truth, predicted = (np.repeat(place.ravel(), array.ravel()) for place in np.indices(array.shape))

        def scored(score: Callable[[Counts, Counts, Counts], Values]) -> tuple[float, float] | None:
            return bootstrap_interval(
                lambda rows: score(*_count(truth[rows], predicted[rows], len(array))), len(truth), truth
            )

        return scored(_balanced), scored(_macro_f1)

    @property
    def _array(self) -> Counts:
        return np.array(self.counts, dtype=np.int64)

    @property
    def _columns(self) -> tuple[Counts, Counts, Counts]:
        """Of each class: pictures there are, pictures named, right ones."""
        array = self._array
        return array.sum(axis=1), array.sum(axis=0), np.diag(array)


def _count(truth: Counts, predicted: Counts, classes: int) -> tuple[Counts, Counts, Counts]:
    """Count each of R rows of answers: pictures there are, named and right, R x C each."""
    rows = len(truth)
    start = classes * np.arange(rows)[:, None]

    def table(places: Counts) -> Counts:
        return np.bincount(places, minlength=rows * classes).reshape(rows, classes)

    right = (start + truth)[truth == predicted]
    return table((start + truth).ravel()), table((start + predicted).ravel()), table(right)


def _balanced(support: Counts, named: Counts, right: Counts) -> Values:
    return _mean_of_met(right / np.maximum(support, 1), support)


def _macro_f1(support: Counts, named: Counts, right: Counts) -> Values:
    return _mean_of_met(2 * right / np.maximum(named + support, 1), support)


def _mean_of_met(scores: Values, support: Counts) -> Values:
    met = support > 0
    means: Values = (scores * met).sum(axis=-1) / met.sum(axis=-1)
    return means


def _interval(k: int, n: int) -> list[float] | None:
    return list(Proportion(k, n).interval) if n else None
