"""The course of a training, one row for each step that was validated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from impasto.runs import write_csv

TABLE_NAME = "curves.csv"


@dataclass(frozen=True)
class CurvePoint:
    """One epoch of a network, or one penalty of a linear head, which has no epochs.

    Row 0 of a fine-tuned network is the linear head it began with. For a head that is solved for, rows go from the
    strongest penalty to the weakest (scikit-learn's ``C`` grows), so that the curves show under- and overfitting as
    those of epochs do. Losses are mean cross-entropies in nats, accuracies in 0..1.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float | None = None
    c: float | None = None

    @property
    def rank(self) -> tuple[float, float]:
        """What makes a row the best: validation accuracy, and at equal accuracy a lower validation loss."""
        return self.validation_accuracy, -self.validation_loss


def write_curves(folder: Path, points: Iterable[CurvePoint]) -> None:
    """Write ``curves.csv``."""
    write_csv(folder / TABLE_NAME, map(asdict, points), [field.name for field in fields(CurvePoint)])
