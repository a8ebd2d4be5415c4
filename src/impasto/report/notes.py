"""Remarks on what is absent: the page never leaves a gap without a word."""

from __future__ import annotations

from collections.abc import Sequence

from impasto.report.records import DatasetRecord, RunRecord
from impasto.report.sheet import Sheet
from impasto.report.thumbnails import Thumbnails
from impasto.report.verdict import Scored
from impasto.report.wording import listing, plural


def dataset_notes(dataset: DatasetRecord, sheet: Sheet, thumbnails: Thumbnails) -> list[str]:
    """Return remarks on a data set that is unfinished, or whose files are not what its table says."""
    notes = []
    if not dataset.finished:
        notes.append("The repainting was interrupted: this is what was finished. Run it again to go on.")
    if thumbnails.missing:
        notes.append(f"Could not be read, so not shown: {listing(thumbnails.missing)}.")
    if thumbnails.changed:
        notes.append(f"Changed since they were recorded, so not shown: {listing(thumbnails.changed)}.")
    if any(head.image is None for head in (*sheet.columns, *(row.head for row in sheet.rows))):
        notes.append(
            "Photos or style pictures that are no longer where they were are left blank; --sources names other folders."
        )
    return notes


def run_notes(run: RunRecord, dataset: DatasetRecord) -> list[str]:
    """Return remarks on the parts that a run lacks."""
    notes = []
    if not run.finished:
        notes.append("The training was interrupted: this is what was finished. Run it again to go on.")
    if not run.curves:
        notes.append("This run kept no learning curves.")
    if run.evaluation is None:
        notes.append("Not evaluated yet: run `impasto evaluate` on it and make this report again.")
    elif run.evaluation.skipped:
        reasons = [f"{path} ({reason})" for path, reason in run.evaluation.skipped]
        notes.append(f"Left out of the evaluation: {listing(reasons)}.")
    if run.evaluation and not run.predictions:
        notes.append("The evaluation has no predictions.csv, so its pictures cannot be shown.")
    elif run.evaluation and not any(item.path in dataset.by_output for item in run.predictions):
        notes.append("It was evaluated on another data set, so its pictures cannot be shown.")
    return notes


def elsewhere_notes(runs: Sequence[RunRecord], ranked: Sequence[Scored]) -> list[str]:
    """Return a remark for each scored run that the ranking leaves out, being scored on another split."""
    inside = [item.run for item in ranked]
    return [
        f"{run.name} was scored on the {run.evaluation.split or 'whole'} pictures and is not compared: "
        f"{run.evaluation.correct} of {plural(run.evaluation.n_evaluated, 'picture')}."
        for run in runs
        if run.evaluation and run not in inside
    ]
