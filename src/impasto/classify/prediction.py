"""What a classifier says about one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Prediction:
    """What a classifier says about one picture.

    Attributes:
        path: the picture.
        probabilities: one for each class, in the classifier's order; empty when the picture could not be read.
        error: why it could not be read, else "".
    """

    path: Path
    probabilities: Mapping[str, float] = field(default_factory=dict)
    error: str = ""

    @property
    def label(self) -> str:
        """The most probable class, "" without one."""
        return max(self.probabilities, key=self.probabilities.__getitem__, default="")

    @property
    def probability(self) -> float:
        """That of the most probable class, 0 without one."""
        return max(self.probabilities.values(), default=0.0)

    def top(self, k: int) -> list[tuple[str, float]]:
        """Return the ``k`` most probable classes with their probabilities, the first one first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:k]
