"""The missed ones: every wrong answer with what it was made from, and the training pictures nearest to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto._version import __version__
from impasto.classify import evaluate
from impasto.classify.ensemble import is_ensemble
from impasto.classify.judge.evaluate import choose
from impasto.classify.judge.evaluation import Judged
from impasto.classify.prediction import Prediction
from impasto.classify.prepare import read_hashed, read_split
from impasto.data.dataset import Dataset, Sample
from impasto.embed.config import EmbedConfig
from impasto.embed.neighbours import nearest
from impasto.embed.seeing import extractor
from impasto.errors import DataError
from impasto.explain.config import ExplainConfig
from impasto.explain.explaining import Explained, explain
from impasto.files import check_place
from impasto.runs import write_csv, write_json
from impasto.runtime import OnProgress, ignore_progress
from impasto.statistics import Proportion
from impasto.subjects import ensemble_error, load_subject

# Why this and not the truth; what lies under it speaks for the wrong answer, blue for the right one.
TARGET = "predicted - label"
TABLE_NAME = "missed.csv"
# Training pictures that are shown with each.
NEIGHBOURS = 5


@dataclass(frozen=True)
class Near:
    """A training picture with the cosine of its features to those of a missed one."""

    sample: Sample
    cosine: float


@dataclass(frozen=True)
class Missed:
    """One wrong answer.

    Attributes:
        item: the picture with the map of what speaks for the answer against the truth.
        prediction: the probabilities of all classes.
        near: the nearest training pictures, the nearest first.
    """

    item: Explained
    prediction: Prediction
    near: tuple[Near, ...]

    @property
    def doubtful(self) -> bool:
        """Whether all of the nearest training pictures have the label that was answered: look at the truth again."""
        return bool(self.near) and all(each.sample.label == self.item.answer for each in self.near)


@dataclass(frozen=True)
class MissedOnes:
    """All wrong answers of a model on a split.

    Attributes:
        model, data: names of the folders.
        split: train, validation, test or all.
        accuracy: right of all.
        missed: the wrong ones, the surest first.
    """

    model: str
    data: str
    split: str
    accuracy: Proportion
    missed: tuple[Missed, ...]

    def record(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "made_by": f"impasto {__version__}",
            "procedure": "missed",
            "model": self.model,
            "data": self.data,
            "split": self.split,
            "correct": self.accuracy.k,
            "n": self.accuracy.n,
            "missed": [
                {
                    **each.item.record(),
                    "probabilities": each.prediction.probabilities,
                    "nearest": [
                        {"path": str(near.sample.path), "label": near.sample.label, "cosine": near.cosine}
                        for near in each.near
                    ],
                    "label_doubtful": each.doubtful,
                }
                for each in self.missed
            ],
        }

    def save(self, folder: Path) -> None:
        """Write ``missed.csv`` and ``missed.json``."""
        rows = [
            {
                "path": str(each.item.sample.path),
                "label": each.item.sample.label,
                "predicted": each.item.answer,
                "probability": each.item.probability,
                "nearest": " ".join(near.sample.label for near in each.near),
                "label_doubtful": each.doubtful,
            }
            for each in self.missed
        ]
        columns = ["path", "label", "predicted", "probability", "nearest", "label_doubtful"]
        write_csv(folder / TABLE_NAME, rows, columns)
        write_json(folder / "missed.json", self.record())


def show_missed(
    model: str | Path,
    data: str | Path,
    split: str = "test",
    *,
    method: str = "grad-cam",
    output: Path | None = None,
    device: str = "auto",
    weights: str | None = None,
    on_progress: OnProgress = ignore_progress,
) -> MissedOnes:
    """Gather every wrong answer of a trained model.

    Args:
        model: a folder that ``impasto train`` wrote.
        data: a labelled folder.
        split: train, validation, test or all.
        method: of the maps, see :data:`impasto.explain.METHODS`.
        output: a folder for tables; None writes nothing.
        device, weights: see :meth:`impasto.classify.Classifier.load`.
        on_progress: told after every batch.

    Raises:
        DataError: the split is empty, or none of its pictures can be read.
        UsageError: an ensemble. UnknownNameError: no such method or split.
    """
    config = ExplainConfig(method, TARGET, check=0)
    if is_ensemble(Path(model)):
        raise ensemble_error(Path(model))
    if output is not None:
        check_place(output / TABLE_NAME)
    evaluation = evaluate(model, data, split, device=device, weights=weights, on_progress=on_progress)
    wrong = sorted(
        (item for item in evaluation.judged if not item.correct), key=lambda item: -item.prediction.probability
    )
    missed: tuple[Missed, ...] = ()
    if wrong:
        subject = load_subject(model, device=device, weights=weights)
        shown = explain(subject, [item.sample for item in wrong], config, on_progress=on_progress).items
        taught = _taught(Path(model), Path(data))
        near = _near(str(model), wrong, taught, device, weights, on_progress)
        missed = tuple(
            Missed(item, judged.prediction, some) for item, judged, some in zip(shown, wrong, near, strict=True)
        )
    result = MissedOnes(Path(model).name, Path(data).name, split, evaluation.accuracy, missed)
    if output is not None:
        result.save(output)
    return result


def _taught(model: Path, data: Path) -> Dataset | None:
    """Return the pictures that taught the model, as far as they are in the data; None where none is."""
    try:
        return choose(read_hashed(data), "train", read_split(model))
    except DataError:
        return None


def _near(
    model: str,
    wrong: Sequence[Judged],
    taught: Dataset | None,
    device: str,
    weights: str | None,
    on_progress: OnProgress,
) -> list[tuple[Near, ...]]:
    if taught is None:
        return [()] * len(wrong)
    extract = extractor(EmbedConfig(Path(), model, weights=weights, device=device))
    collection = extract([sample.path for sample in taught.samples], [s.sha256 for s in taught.samples], on_progress)
    queries = extract([item.sample.path for item in wrong], [item.sample.sha256 for item in wrong], on_progress)
    samples = [taught.samples[index] for index in collection.kept]
    # Features are mostly positive: what all pictures have in common would make every cosine nearly 1.
    middle = collection.values.mean(0)
    # One more, for a training picture that was missed is the nearest to itself.
    places, cosines = nearest(queries.values - middle, collection.values - middle, NEIGHBOURS + 1)
    rows = zip(wrong, places, cosines, strict=True)
    return [_row(samples, item.sample.path, *row)[:NEIGHBOURS] for item, *row in rows]


def _row(samples: Sequence[Sample], own: Path, places: Tensor, cosines: Tensor) -> tuple[Near, ...]:
    pairs = zip(places.tolist(), cosines.tolist(), strict=True)
    return tuple(Near(samples[place], cosine) for place, cosine in pairs if samples[place].path != own)
