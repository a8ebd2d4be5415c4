"""Scores with what they are made of: counts, intervals, one line for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.statistics import Proportion as Proportion
from impasto.statistics import wilson as wilson


@dataclass(frozen=True)
class ClassScore:
    """One class. A share whose denominator is 0 (a class never met, or never named) is 0."""

    name: str
    support: int
    precision: float
    recall: float
    f1: float

    def record(self) -> dict[str, Any]:
        """Return the entry of ``per_class`` in ``evaluation.json``."""
        shares = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {"class": self.name, "support": self.support, **shares}


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
        array = self._array
        right, support, named = np.diag(array), array.sum(axis=1), array.sum(axis=0)
        columns = (_share(right, named), _share(right, support), _share(2 * right, named + support))
        rows = zip(self.classes, support.tolist(), *(column.tolist() for column in columns), strict=True)
        return tuple(ClassScore(*row) for row in rows)

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall of the classes that were met."""
        return float(np.mean([score.recall for score in self.per_class if score.support]))

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes that were met."""
        return float(np.mean([score.f1 for score in self.per_class if score.support]))

    @property
    def _array(self) -> npt.NDArray[np.int64]:
        return np.array(self.counts, dtype=np.int64)


def _share(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return part / np.maximum(whole, 1)
