"""Repeated k-fold cross-validation: a training for every fold, a score on pictures that it has not seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from impasto.classify.classifier import Classifier
from impasto.classify.config import TrainConfig
from impasto.classify.prepare import describe, read_hashed
from impasto.classify.train import train
from impasto.data.dataset import Dataset
from impasto.data.split.splits import fold_splits
from impasto.encoders import AnyEncoder, load_encoder
from impasto.errors import DataError, UsageError
from impasto.runs import RunFolder, write_csv, write_json
from impasto.runtime import OnProgress, Progress, choose_device, derive_seed, ignore_progress
from impasto.statistics import CorrectedT, Proportion, corrected_t

RESULT_NAME, TABLE_NAME = "crossvalidation.json", "folds.csv"


@dataclass(frozen=True)
class FoldScore:
    """What one fold came to.

    Attributes:
        repeat, fold: counted from 1.
        taught: pictures that it was trained on, validation among them.
        score: right answers on the fold.
        available: pictures of the fold, readable or not.
    """

    repeat: int
    fold: int
    taught: int
    score: Proportion
    available: int


@dataclass(frozen=True)
class CrossValidation:
    """What all folds came to."""

    folder: Path
    folds: tuple[FoldScore, ...]

    @property
    def pooled(self) -> tuple[Proportion, ...]:
        """Right answers of each repetition: every picture was tested once."""
        repeats = sorted({item.repeat for item in self.folds})
        own = [[item.score for item in self.folds if item.repeat == repeat] for repeat in repeats]
        return tuple(Proportion(sum(s.k for s in scores), sum(s.n for s in scores)) for scores in own)

    @property
    def mean(self) -> CorrectedT:
        """Mean accuracy of the folds, with an interval that knows that they share training pictures."""
        sizes = (sum(item.taught for item in self.folds), sum(item.score.n for item in self.folds))
        each = [round(size / len(self.folds)) for size in sizes]
        return corrected_t([item.score.value for item in self.folds], *each)

    @property
    def evaluated(self) -> tuple[int, int]:
        """Pictures evaluated, and available, in one repetition."""
        first = [item for item in self.folds if item.repeat == 1]
        return sum(item.score.n for item in first), sum(item.available for item in first)

    def record(self) -> dict[str, Any]:
        """Return what ``crossvalidation.json`` holds."""
        evaluated, available = self.evaluated
        mean = self.mean
        return {
            "n_evaluated": evaluated,
            "n_available": available,
            "repeats": [
                {"correct": item.k, "n": item.n, "accuracy": item.value, "wilson95": item.interval}
                for item in self.pooled
            ],
            "mean_accuracy": mean.mean,
            "corrected_resampled_t95": [max(0.0, mean.low), min(1.0, mean.high)],
        }


def cross_validate(
    config: TrainConfig,
    output: Path,
    folds: int = 5,
    repeats: int = 1,
    on_progress: OnProgress = ignore_progress,
    *,
    encoder: AnyEncoder | None = None,
) -> CrossValidation:
    """Train on all folds but one, test on that one, for every fold; and deal anew for each repetition.

    Pictures of one group stay in one fold. Of the others, 15 % are validation, as in every training. A test split
    that the data have is left alone. Each fold is a model folder below ``output``, kept as it is when the same command
    is given again.

    Args:
        config: what to train; its seed is that of the dealing, too.
        output: a new folder, or that of the same run.
        folds: how many; two or more.
        repeats: how often to deal.
        on_progress: told of each training.
        encoder: see :func:`impasto.classify.train`; not for fine-tuning, which would change it.

    Raises:
        UsageError: fewer than two folds or one repetition.
        DataError: a class has fewer groups than there are folds.
    """
    if repeats < 1:
        raise UsageError(f"{repeats} repetitions cannot be.", "One or more.")
    dataset = read_hashed(config.data, on_progress)
    rest = replace(dataset, samples=tuple(sample for sample in dataset.samples if sample.split != "test"))
    run = RunFolder(
        output,
        {**config.effective(), "folds": folds, "repeats": repeats, "image_size": config.image_size}
        | {"data": describe(dataset)},
        "cross-validate",
    )
    if config.name.kind == "frozen" and config.encoder is not None and encoder is None:
        encoder = load_encoder(config.encoder, weights=config.weights, seed=config.seed)
        encoder = encoder.to(choose_device(config.device))
    scores = tuple(
        _score(config, run.path, place, split, encoder, on_progress)
        for place, split in _dealt(rest, folds, repeats, config.seed)
    )
    result = CrossValidation(run.path, scores)
    _write(result)
    run.finish(**result.record())
    return result


def _dealt(dataset: Dataset, folds: int, repeats: int, seed: int) -> Iterator[tuple[tuple[int, int], Dataset]]:
    for repeat in range(1, repeats + 1):
        for fold, split in enumerate(fold_splits(dataset, folds, derive_seed(seed, "folds", repeat)), 1):
            yield (repeat, fold), split


def _score(
    config: TrainConfig,
    output: Path,
    place: tuple[int, int],
    dataset: Dataset,
    encoder: AnyEncoder | None,
    on_progress: OnProgress,
) -> FoldScore:
    repeat, fold = place
    folder = output / f"repeat-{repeat}-fold-{fold}"
    named = _named(on_progress, f"repetition {repeat}, fold {fold}")
    result = train(config, folder, named, encoder=encoder, dataset=dataset)
    lent = encoder if config.name.kind == "frozen" else None
    classifier = Classifier.load(folder, device=config.device, encoder=lent)
    tested = dataset.split("test").samples
    answers = classifier.predict([sample.path for sample in tested], cached=True, on_progress=named)
    pairs = [(item.label, sample.label) for item, sample in zip(answers, tested, strict=True) if not item.error]
    if not pairs:
        raise DataError(f"no picture of fold {fold} can be read: {answers[0].path} {answers[0].error}.")
    right = Proportion(sum(said == true for said, true in pairs), len(pairs))
    return FoldScore(repeat, fold, sum(result.pictures.values()), right, len(tested))


def _named(on_progress: OnProgress, place: str) -> OnProgress:
    def tell(progress: Progress) -> None:
        on_progress(replace(progress, message=f"{place} {progress.message}".strip()))

    return tell


def _write(result: CrossValidation) -> None:
    columns = ["repeat", "fold", "taught", "correct", "n", "available", "accuracy"]
    rows = (
        [item.repeat, item.fold, item.taught, item.score.k, item.score.n, item.available, item.score.value]
        for item in result.folds
    )
    write_csv(result.folder / TABLE_NAME, (dict(zip(columns, row, strict=True)) for row in rows), columns)
    write_json(result.folder / RESULT_NAME, result.record())
