"""The scores of one classifier on one split: what is counted, and what is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.classify.judge.compare import Comparison
from impasto.classify.judge.confidence import (
    Abstention,
    Bin,
    Labels,
    Shares,
    abstention,
    brier_score,
    expected_calibration_error,
    mean_log_loss,
    reliability,
)
from impasto.classify.judge.confusion import Confusion
from impasto.classify.judge.leaks import Leak, LeakCheck
from impasto.classify.judge.ranking import macro_area, one_against_rest, top_k
from impasto.classify.prediction import Prediction
from impasto.data.dataset import Sample
from impasto.errors import UsageError
from impasto.files import write_bytes
from impasto.runs import to_plain, write_csv, write_json
from impasto.statistics import Proportion

EVALUATION_NAME = "evaluation.json"
PREDICTIONS_NAME = "predictions.csv"
RELIABILITY_NAME = "reliability.png"
ROC_NAME = "roc.png"


@dataclass(frozen=True)
class Judged:
    """One evaluated picture.

    Attributes:
        sample: the picture with its true label.
        name: its path below the data set's root.
        prediction: what the classifier says.
        leak: the picture of train (for test and "all" of validation, too) that this one is, nearly is, or belongs to.
    """

    sample: Sample
    name: str
    prediction: Prediction
    leak: Leak | None

    @property
    def correct(self) -> bool:
        """Whether the most probable class is the label."""
        return self.prediction.label == self.sample.label


@dataclass(frozen=True)
class Evaluation:
    """The scores of one classifier on one split.

    Attributes:
        split: train, validation or test, or "all".
        n_available: pictures of the split, readable or not.
        confusion: counts, and the scores that follow from them.
        judged: the pictures that could be read.
        skipped: paths and reasons of the others.
        model: the classifier's ``config.json``.
        check: how leaks were looked for.
        views: what of each picture the classifier looked at, see :data:`impasto.classify.views.VIEWS`.
        temperature: that of the probabilities; None for an ensemble, whose members have their own.
        against: the comparison with another classifier, if one was asked for.

    Raises:
        UsageError: the counts contradict each other, so that no score can be made of them.
    """

    split: str
    n_available: int
    confusion: Confusion
    judged: tuple[Judged, ...]
    skipped: tuple[tuple[str, str], ...]
    model: Mapping[str, Any]
    check: LeakCheck
    views: str = "whole"
    temperature: float | None = 1.0
    against: Comparison | None = None

    def __post_init__(self) -> None:
        classes = self.confusion.classes
        sums = (
            len(self.judged) + len(self.skipped) == self.n_available,
            self.accuracy == Proportion(sum(item.correct for item in self.judged), len(self.judged)),
            sum(score.support for score in self.confusion.per_class) == len(self.judged),
            all(tuple(item.prediction.probabilities) == classes for item in self.judged),
        )
        if not all(sums):
            raise UsageError(
                f"{len(self.judged)} pictures evaluated and {len(self.skipped)} left out of {self.n_available}, "
                f"{self.accuracy.k} of {self.accuracy.n} right: these counts contradict each other.",
                "This is a fault of impasto: please report it.",
            )

    @property
    def accuracy(self) -> Proportion:
        """Right answers of all answers, with interval."""
        return self.confusion.accuracy

    @property
    def leaked(self) -> tuple[Judged, ...]:
        """Pictures that are not new to the model: a score with them says too much."""
        return tuple(item for item in self.judged if item.leak)

    @property
    def accuracy_without_leaked(self) -> Proportion | None:
        """The accuracy on pictures that are new to the model, None where there is none."""
        new = [item.correct for item in self.judged if not item.leak]
        return Proportion(sum(new), len(new)) if new else None

    @cached_property
    def probabilities(self) -> Shares:
        """N x C: a row for each of ``judged``."""
        return np.array([list(item.prediction.probabilities.values()) for item in self.judged])

    @cached_property
    def labels(self) -> Labels:
        """N true classes, as positions."""
        index = {name: position for position, name in enumerate(self.confusion.classes)}
        return np.array([index[item.sample.label] for item in self.judged])

    @cached_property
    def reliability(self) -> tuple[Bin, ...]:
        """Confidence and share right of parts of the pictures of equal size."""
        return reliability(self.confidence, self._correct)

    @property
    def ece(self) -> float:
        """The expected calibration error."""
        return expected_calibration_error(self.reliability)

    @property
    def brier(self) -> float:
        """The Brier score, 0..2."""
        return brier_score(self.probabilities, self.labels)

    @property
    def nll(self) -> float:
        """The mean negative log likelihood, in nats."""
        return mean_log_loss(self.probabilities, self.labels)

    @property
    def top_k(self) -> dict[int, Proportion]:
        """How many labels are among the 3 and 5 most probable classes, where there are more."""
        return top_k(self.probabilities, self.labels)

    @cached_property
    def areas(self) -> list[float | None]:
        """The area under the ROC curve of each class against the rest."""
        return one_against_rest(self.probabilities, self.labels)

    @property
    def macro_area(self) -> float | None:
        """The mean of ``areas``."""
        return macro_area(self.areas)

    @property
    def abstention(self) -> tuple[Abstention, ...]:
        """Coverage and accuracy where the classifier may be silent."""
        return abstention(self.confidence, self._correct)

    @cached_property
    def intervals(self) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
        """The 95 % bootstrap intervals of balanced accuracy and macro F1, None where there is nothing to draw."""
        return self.confusion.intervals()

    @property
    def confidence(self) -> Shares:
        """N probabilities of the class named."""
        return np.array([item.prediction.probability for item in self.judged])

    @property
    def _correct(self) -> npt.NDArray[np.bool_]:
        return np.array([item.correct for item in self.judged])

    def record(self) -> dict[str, Any]:
        """Return what ``evaluation.json`` holds."""
        clean = self.accuracy_without_leaked
        balanced, macro = self.intervals
        scores = zip(self.confusion.per_class, self.areas, strict=True)
        return {
            "split": self.split,
            "views": self.views,
            "n_evaluated": self.accuracy.n,
            "n_skipped": len(self.skipped),
            "n_available": self.n_available,
            "correct": self.accuracy.k,
            "accuracy": self.accuracy.value,
            "wilson95": list(self.accuracy.interval),
            "balanced_accuracy": self.confusion.balanced_accuracy,
            "balanced_accuracy_bca95": balanced and list(balanced),
            "macro_f1": self.confusion.macro_f1,
            "macro_f1_bca95": macro and list(macro),
            "macro_auc": self.macro_area,
            "top_k": {str(k): _counted(share) for k, share in self.top_k.items()},
            "classes": list(self.confusion.classes),
            "per_class": [{**score.record(), "auc": area} for score, area in scores],
            "confusion": to_plain(self.confusion.counts),
            "calibration": self._calibration(),
            "abstention": [
                {"threshold": row.threshold, "answered": _counted(row.answered), "right": _counted(row.right)}
                for row in self.abstention
            ],
            "against": self.against and self.against.record(),
            "model": dict(self.model),
            "skipped": [{"path": path, "reason": reason} for path, reason in self.skipped],
            "trained_on": [item.name for item in self.leaked],
            "leaks": [{"path": item.name, **to_plain(item.leak)} for item in self.leaked],
            "leak_check": {"taught": self.check.taught, "compared": self.check.compared},
            "without_leaks": clean and {"correct": clean.k, "n": clean.n, "wilson95": list(clean.interval)},
        }

    def _calibration(self) -> dict[str, Any]:
        return {
            "temperature": self.temperature,
            "ece": self.ece,
            "bins": len(self.reliability),
            "binning": "equal mass",
            "brier": self.brier,
            "nll": self.nll,
            "reliability": [
                {"confidence": item.confidence, "right": _counted(item.right)} for item in self.reliability
            ],
        }

    def save(self, folder: Path) -> None:
        """Write ``predictions.csv``, one row a picture, the two figures and ``evaluation.json``."""
        # Drawing takes a third of a second to import, which predicting need not wait for.
        from impasto.classify.judge.figures import draw_reliability, draw_roc, to_png

        write_csv(folder / PREDICTIONS_NAME, *self._table())
        write_bytes(folder / RELIABILITY_NAME, to_png(draw_reliability(self.reliability, self.ece, self.confidence)))
        curves = draw_roc(self.confusion.classes, self.probabilities, self.labels, self.areas)
        write_bytes(folder / ROC_NAME, to_png(curves))
        write_json(folder / EVALUATION_NAME, self.record())

    def _table(self) -> tuple[list[dict[str, Any]], list[str]]:
        columns = [f"p:{name}" for name in self.confusion.classes]
        rows = [
            {
                "path": item.name,
                "label": item.sample.label,
                "predicted": item.prediction.label,
                "correct": item.correct,
                "probability": item.prediction.probability,
                **dict(zip(columns, item.prediction.probabilities.values(), strict=True)),
            }
            for item in self.judged
        ]
        return rows, ["path", "label", "predicted", "correct", "probability", *columns]


def _counted(share: Proportion | None) -> dict[str, Any] | None:
    if share is None:
        return None
    return {"k": share.k, "n": share.n, "share": share.value, "wilson95": list(share.interval)}
