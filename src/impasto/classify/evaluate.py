"""Scores of a trained classifier on a split that it has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from impasto.classify.classifier import Classifier, Prediction
from impasto.classify.leaks import Leak, LeakCheck, find_leaks
from impasto.classify.prepare import read_hashed, read_split
from impasto.classify.statistics import Confusion, Proportion
from impasto.data.dataset import SPLITS, Dataset, Sample
from impasto.encoders import AnyEncoder
from impasto.errors import DataError, UnknownNameError
from impasto.runs import to_plain, write_csv, write_json
from impasto.runtime import OnProgress, ignore_progress

EVALUATION_NAME = "evaluation.json"
PREDICTIONS_NAME = "predictions.csv"


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
    """

    split: str
    n_available: int
    confusion: Confusion
    judged: tuple[Judged, ...]
    skipped: tuple[tuple[str, str], ...]
    model: Mapping[str, Any]
    check: LeakCheck

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

    def record(self) -> dict[str, Any]:
        """Return what ``evaluation.json`` holds."""
        clean = self.accuracy_without_leaked
        return {
            "split": self.split,
            "n_evaluated": self.accuracy.n,
            "n_available": self.n_available,
            "correct": self.accuracy.k,
            "accuracy": self.accuracy.value,
            "wilson95": list(self.accuracy.interval),
            "balanced_accuracy": self.confusion.balanced_accuracy,
            "macro_f1": self.confusion.macro_f1,
            "classes": list(self.confusion.classes),
            "per_class": [score.record() for score in self.confusion.per_class],
            "confusion": to_plain(self.confusion.counts),
            "model": dict(self.model),
            "skipped": [{"path": path, "reason": reason} for path, reason in self.skipped],
            "trained_on": [item.name for item in self.leaked],
            "leaks": [{"path": item.name, **to_plain(item.leak)} for item in self.leaked],
            "leak_check": {"taught": self.check.taught, "compared": self.check.compared},
            "without_leaks": clean and {"correct": clean.k, "n": clean.n, "wilson95": list(clean.interval)},
        }

    def save(self, folder: Path) -> None:
        """Write ``predictions.csv``, one row a picture, and ``evaluation.json``."""
        columns = [f"p:{name}" for name in self.confusion.classes]
        rows = (
            {
                "path": item.name,
                "label": item.sample.label,
                "predicted": item.prediction.label,
                "correct": item.correct,
                "probability": item.prediction.probability,
                **dict(zip(columns, item.prediction.probabilities.values(), strict=True)),
            }
            for item in self.judged
        )
        header = ["path", "label", "predicted", "correct", "probability", *columns]
        write_csv(folder / PREDICTIONS_NAME, rows, header)
        write_json(folder / EVALUATION_NAME, self.record())


def evaluate(
    model: str | Path,
    data: str | Path,
    split: str = "test",
    output: Path | None = None,
    *,
    device: str = "auto",
    weights: str | Path | None = None,
    encoder: AnyEncoder | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Evaluation:
    """Score a trained classifier.

    The split is that of the training where it dealt one (``split.csv`` in the model's folder): a data set without
    splits is tested on exactly the pictures that were set aside. Features of frozen encoders come from the cache.

    Before anything is scored, the pictures are compared with those that taught the model: equal files, near
    duplicates, and pictures of one group are named, and the score is also given without them.

    Args:
        model: a folder that ``impasto train`` wrote.
        data: a labelled folder, see :func:`impasto.data.dataset.read_dataset`.
        split: train, validation, test, or "all" for every picture.
        output: where ``evaluation.json`` and ``predictions.csv`` go; None writes nothing.
        device, weights, encoder: see :meth:`Classifier.load`.
        on_progress: told after every batch.

    Raises:
        UnknownNameError: no such split.
        DataError: the split is empty or unreadable, or has classes that the model does not know.
    """
    if split not in (*SPLITS, "all"):
        raise UnknownNameError("split", split, [*SPLITS, "all"])
    classifier = Classifier.load(model, device=device, weights=weights, encoder=encoder)
    dataset = read_hashed(Path(data), on_progress)
    recorded = read_split(Path(model))
    chosen = _choose(dataset, split, recorded)
    _check_labels(chosen, classifier)
    paths = [sample.path for sample in chosen.samples]
    check = find_leaks(chosen, dataset, recorded, split, on_progress)
    predictions = classifier.predict(paths, cached=True, on_progress=on_progress)
    evaluation = _judge(chosen, split, predictions, check, classifier)
    if output is not None:
        evaluation.save(output)
    return evaluation


def _choose(dataset: Dataset, split: str, recorded: list[dict[str, str]]) -> Dataset:
    if split == "all":
        return dataset
    known = {(row["path"], row["sha256"]): row["split"] for row in recorded}
    samples = (
        replace(sample, split=known.get((dataset.relative(sample), sample.sha256), sample.split))
        for sample in dataset.samples
    )
    dealt = replace(dataset, samples=tuple(samples))
    if split not in dealt.splits:
        there = f"It has {', '.join(dealt.splits)}. " if dealt.splits else ""
        raise DataError(
            f"{dataset.root} has no {split} split.", f"{there}--split all evaluates every picture there is."
        )
    return dealt.split(split)


def _check_labels(dataset: Dataset, classifier: Classifier) -> None:
    unknown = sorted(set(dataset.classes) - set(classifier.classes))
    if unknown:
        raise DataError(
            f"{dataset.root} has classes that the model was not taught: {', '.join(unknown)}.",
            f"It knows {', '.join(classifier.classes)}. Remove or rename the others.",
        )


def _judge(
    dataset: Dataset, split: str, predictions: list[Prediction], check: LeakCheck, classifier: Classifier
) -> Evaluation:
    pairs = list(zip(dataset.samples, predictions, strict=True))
    judged = tuple(
        Judged(sample, dataset.relative(sample), prediction, check.leaks.get(sample.path))
        for sample, prediction in pairs
        if not prediction.error
    )
    skipped = tuple((dataset.relative(sample), item.error) for sample, item in pairs if item.error)
    if not judged:
        raise DataError(
            f"none of the {len(pairs)} pictures of {dataset.root} can be read: {skipped[0][0]} {skipped[0][1]}"
        )
    truth = [item.sample.label for item in judged]
    confusion = Confusion.of(classifier.classes, truth, [item.prediction.label for item in judged])
    return Evaluation(split, len(pairs), confusion, judged, skipped, classifier.config, check)
