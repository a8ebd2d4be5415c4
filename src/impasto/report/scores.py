"""Reading ``evaluation.json`` and ``predictions.csv``: counts are checked against each other."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

from impasto.errors import RunError
from impasto.report.reading import Fields, read_object, read_table
from impasto.report.records import ClassScore, Evaluation, Prediction


def read_evaluation(path: Path) -> Evaluation | None:
    """Return the evaluation in ``path``, or None where there is no such file.

    Raises:
        RunError: a field is missing, out of range, or contradicts the confusion matrix.
    """
    if not path.is_file():
        return None
    fields = Fields({"views": "whole"} | read_object(path), path)
    classes = tuple(str(name) for name in fields.items("classes"))
    confusion = _confusion(fields, len(classes))
    evaluation = Evaluation(
        split=fields.text("split"),
        n_evaluated=fields.count("n_evaluated"),
        n_available=fields.count("n_available"),
        correct=fields.count("correct"),
        accuracy=fields.share("accuracy"),
        wilson95=_interval(fields),
        balanced_accuracy=fields.share("balanced_accuracy"),
        macro_f1=fields.share("macro_f1"),
        classes=classes,
        per_class=_per_class(fields, classes, confusion),
        confusion=confusion,
        skipped=tuple(
            (skip.text("path"), skip.text("reason"))
            for skip in (Fields(item, path) for item in fields.items("skipped"))
        ),
        trained_on=tuple(map(str, fields.items("trained_on", optional=True))),
        views=fields.text("views"),
    )
    _check_sums(evaluation, fields)
    return evaluation


def _confusion(fields: Fields, n: int) -> tuple[tuple[int, ...], ...]:
    rows = fields.items("confusion")
    whole = all(isinstance(row, list) and all(type(cell) is int and cell >= 0 for cell in row) for row in rows)
    if not n or not whole or len(rows) != n or any(len(row) != n for row in rows):
        fields.refuse("confusion", f"is no table of {n} x {n} counts")
    return tuple(tuple(row) for row in rows)


def _interval(fields: Fields) -> tuple[float, float]:
    ends = fields.items("wilson95")
    if len(ends) != 2 or not all(isinstance(end, int | float) and 0 <= end <= 1 for end in ends):
        fields.refuse("wilson95", "is not two numbers in 0..1")
    return float(ends[0]), float(ends[1])


def _per_class(
    fields: Fields, classes: tuple[str, ...], confusion: tuple[tuple[int, ...], ...]
) -> tuple[ClassScore, ...]:
    scores = [Fields(item, fields.path) for item in fields.items("per_class")]
    if tuple(score.text("class") for score in scores) != classes:
        fields.refuse("per_class", "does not list the classes in their order")
    return tuple(_class_score(score, index, confusion) for index, score in enumerate(scores))


def _class_score(score: Fields, index: int, confusion: tuple[tuple[int, ...], ...]) -> ClassScore:
    support = sum(confusion[index])
    if score.count("support") != support:
        score.refuse("support", f"is not the {support} that the confusion matrix counts")
    return ClassScore(
        name=score.text("class"),
        support=support,
        named=sum(row[index] for row in confusion),
        correct=confusion[index][index],
        precision=score.share("precision"),
        recall=score.share("recall"),
        f1=score.share("f1"),
    )


def _check_sums(evaluation: Evaluation, fields: Fields) -> None:
    total = sum(sum(row) for row in evaluation.confusion)
    right = sum(score.correct for score in evaluation.per_class)
    low, high = evaluation.wilson95
    if not total or (total, right) != (evaluation.n_evaluated, evaluation.correct):
        fields.refuse("confusion", f"counts {right} of {total} right, which is not what the totals say")
    if not math.isclose(evaluation.accuracy, right / total, abs_tol=1e-6):
        fields.refuse("accuracy", f"is {evaluation.accuracy}, not {right}/{total}")
    if not low - 1e-9 <= evaluation.accuracy <= high + 1e-9:
        fields.refuse("wilson95", "does not hold the accuracy")
    if evaluation.n_available < total:
        fields.refuse("n_available", "is less than n_evaluated")


def read_predictions(table: Path, evaluation: Evaluation | None) -> tuple[Prediction, ...]:
    """Return the predictions that ``evaluation`` counts; none where either is absent.

    Raises:
        RunError: the table is damaged, or its counts are not those of the evaluation.
    """
    if not table.is_file() or evaluation is None:
        return ()
    rows = read_table(table, ("path", "label", "predicted", "probability"))
    predictions = tuple(_prediction(Fields(row, table)) for row in rows)
    index = {name: position for position, name in enumerate(evaluation.classes)}
    pairs = Counter((index.get(item.label), index.get(item.predicted)) for item in predictions)
    counts = tuple(tuple(pairs[truth, said] for said in index.values()) for truth in index.values())
    if counts != evaluation.confusion or len(predictions) != evaluation.n_evaluated:
        raise RunError(f"{table} and evaluation.json beside it disagree.", "Run `impasto evaluate` again.")
    return predictions


def _prediction(fields: Fields) -> Prediction:
    label, predicted, probability = (
        fields.text("label"),
        fields.text("predicted"),
        fields.number("probability"),
    )
    if probability is None or not 0 <= probability <= 1:
        fields.refuse("probability", "is not in 0..1")
    return Prediction(fields.text("path"), label, predicted, label == predicted, probability)
