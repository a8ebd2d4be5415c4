"""Scores of a trained classifier on a split that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from impasto.classify.ensemble import AnyClassifier, load_classifier
from impasto.classify.judge.compare import Comparison
from impasto.classify.judge.confusion import Confusion
from impasto.classify.judge.evaluation import Evaluation, Judged
from impasto.classify.judge.leaks import LeakCheck, find_leaks
from impasto.classify.prediction import Prediction
from impasto.classify.prepare import read_hashed, read_split
from impasto.classify.views import check_views
from impasto.data.dataset import SPLITS, Dataset
from impasto.encoders import AnyEncoder
from impasto.errors import DataError, UnknownNameError
from impasto.runtime import OnProgress, ignore_progress
from impasto.statistics import mcnemar

Recorded = list[dict[str, str]]


def evaluate(
    model: str | Path,
    data: str | Path,
    split: str = "test",
    output: Path | None = None,
    *,
    views: str = "whole",
    against: str | Path | None = None,
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
        model: a folder that ``impasto train`` or ``impasto ensemble`` wrote.
        data: a labelled folder, see :func:`impasto.data.dataset.read_dataset`.
        split: train, validation, test, or "all" for every picture.
        output: where ``evaluation.json``, ``predictions.csv`` and two figures go; None writes nothing.
        views: what of each picture is looked at, see :data:`impasto.classify.views.VIEWS`.
        against: another such folder, to be compared on the same pictures, with the same views.
        device, weights: see :meth:`Classifier.load`.
        encoder: a frozen encoder that is already loaded and on ``device``, for the models that are built on it; lent.
        on_progress: told after every batch.

    Raises:
        UnknownNameError: no such split, no such views.
        DataError: the split is empty or unreadable, or has classes that the model does not know.
    """
    if split not in (*SPLITS, "all"):
        raise UnknownNameError("split", split, [*SPLITS, "all"])
    check_views(views)
    lent = () if encoder is None else (encoder,)
    classifier = load_classifier(model, device=device, weights=weights, lent=lent)
    other = against and load_classifier(against, device=device, lent=(*lent, *classifier.encoders))
    dataset = read_hashed(Path(data), on_progress)
    chosen = choose(dataset, split, read_split(Path(model)))
    _check_labels(chosen, classifier, model)
    if other and against:
        _check_labels(chosen, other, against)
    paths = [sample.path for sample in chosen.samples]
    checks = _leaks(chosen, dataset, [read_split(Path(run)) for run in (model, against) if run], split, on_progress)
    predictions = classifier.predict(paths, views=views, cached=True, on_progress=on_progress)
    evaluation = _judge(chosen, split, predictions, checks[0], classifier, views)
    if other:
        others = other.predict(paths, views=views, cached=True, on_progress=on_progress)
        evaluation = replace(evaluation, against=_compare(str(against), chosen, (predictions, others), checks))
    if output is not None:
        evaluation.save(output)
    return evaluation


def choose(dataset: Dataset, split: str, recorded: Recorded) -> Dataset:
    """Return the pictures of a split, where ``recorded`` (a model's ``split.csv``) says otherwise as it says.

    Raises:
        DataError: there are none.
    """
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


def _leaks(
    chosen: Dataset, dataset: Dataset, tables: Sequence[Recorded], split: str, on_progress: OnProgress
) -> list[LeakCheck]:
    """Look for what taught each model; models of one training set are looked after once."""
    checks = [find_leaks(chosen, dataset, tables[0], split, on_progress)]
    for table in tables[1:]:
        checks.append(checks[0] if table == tables[0] else find_leaks(chosen, dataset, table, split, on_progress))
    return checks


def _check_labels(dataset: Dataset, classifier: AnyClassifier, folder: str | Path) -> None:
    unknown = sorted(set(dataset.classes) - set(classifier.classes))
    if unknown:
        raise DataError(
            f"{dataset.root} has classes that {folder} was not taught: {', '.join(unknown)}.",
            f"It knows {', '.join(classifier.classes)}. Remove or rename the others.",
        )


def _judge(
    dataset: Dataset,
    split: str,
    predictions: Sequence[Prediction],
    check: LeakCheck,
    classifier: AnyClassifier,
    views: str,
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
    return Evaluation(
        split, len(pairs), confusion, judged, skipped, classifier.config, check, views, classifier.temperature
    )


def _compare(
    other: str,
    dataset: Dataset,
    predictions: tuple[Sequence[Prediction], Sequence[Prediction]],
    checks: Sequence[LeakCheck],
) -> Comparison:
    """Compare two models on the pictures that both can read and neither was taught with.

    Raises:
        DataError: there are none.
    """
    triples = list(zip(dataset.samples, *predictions, strict=True))
    read = [item for item in triples if not item[1].error and not item[2].error]
    new = [item for item in read if not any(item[0].path in check.leaks for check in checks)]
    if not new:
        raise DataError(
            f"no picture of {dataset.root} is left to compare with {other}: of {len(triples)}, "
            f"{len(triples) - len(read)} cannot be read and {len(read)} are not new to both models."
        )
    right = ([item[place].label == item[0].label for item in new] for place in (1, 2))
    return Comparison(other, mcnemar(*right), len(triples) - len(read), len(read) - len(new))
