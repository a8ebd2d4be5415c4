"""Reading what lies on disk: the folder of a repainted data set and those of classifier runs.

What may rightly be absent (a run not yet evaluated, no curves) is None or empty, and the page says so;
what is there and does not add up is a ``RunError`` that names the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from impasto.errors import RunError
from impasto.report.reading import AGAIN, Fields, read_digests, read_object, read_table
from impasto.report.records import DatasetRecord, Epoch, Repaint, RunRecord
from impasto.report.scores import read_evaluation, read_predictions
from impasto.runs import CONFIG_NAME, MANIFEST_NAME

_DATASET_FILES = ("manifest.csv", CONFIG_NAME, "rejected.csv")
_RUN_FILES = (CONFIG_NAME, "model.safetensors", "curves.csv", "evaluation.json", "predictions.csv")
_REPAINT_COLUMNS = ("output", "output_sha256", "label", "split", "group", "content", "content_sha256")
_STYLE_COLUMNS = ("style", "style_sha256", "kind")
_EPOCH_COLUMNS = ("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


def read_dataset_record(root: Path) -> DatasetRecord:
    """Read a folder that ``impasto dataset stylize`` wrote.

    Raises:
        RunError: there is no ``manifest.csv``, it is empty, or a file is damaged.
    """
    table = root / "manifest.csv"
    if not table.is_file():
        raise RunError(f"{root} holds no manifest.csv.", "Give the folder that `impasto dataset stylize` wrote.")
    rows = read_table(table, _REPAINT_COLUMNS + _STYLE_COLUMNS)
    if not rows:
        raise RunError(f"{table} names no picture.", "Run `impasto dataset stylize` again.")
    rejected = root / "rejected.csv"
    return DatasetRecord(
        root=root,
        pictures=tuple(_repaint(row, table) for row in rows),
        rejected=_rejected(rejected) if rejected.is_file() else (),
        config=_optional(root / CONFIG_NAME),
        facts=_optional(root / MANIFEST_NAME),
        finished=(root / MANIFEST_NAME).is_file(),
        digests=read_digests(root, _DATASET_FILES),
    )


def read_run_records(folders: Sequence[Path]) -> tuple[RunRecord, ...]:
    """Read folders that ``impasto train`` wrote, with their evaluations if they have one.

    Raises:
        RunError: no folder, no ``config.json``, a damaged file, or files that contradict each other.
    """
    runs = [_run_record(folder) for folder in folders]
    kinds = Counter(run.model for run in runs)
    named = [run if kinds[run.model] == 1 else replace(run, name=f"{run.model}, {run.folder}") for run in runs]
    names = Counter(run.name for run in named)
    return tuple(
        run if names[run.name] == 1 else replace(run, name=f"{run.name} (run {position})")
        for position, run in enumerate(named, start=1)
    )


def _run_record(folder: Path) -> RunRecord:
    if not folder.is_dir():
        raise RunError(f"{folder} is not a folder.", "Give the folder that `impasto train` wrote.")
    config = read_object(folder / CONFIG_NAME)
    model = Fields(config, folder / CONFIG_NAME).text("model").replace("frozen:", "frozen ")
    facts, curves = _optional(folder / MANIFEST_NAME), _curves(folder / "curves.csv")
    evaluation = read_evaluation(folder / "evaluation.json")
    return RunRecord(
        folder=folder.resolve().name,
        model=model,
        name=model,
        config=config,
        curves=curves,
        best=next((epoch for epoch in curves if epoch.number == facts.get("best_epoch")), None),
        evaluation=evaluation,
        predictions=read_predictions(folder / "predictions.csv", evaluation),
        finished=(folder / MANIFEST_NAME).is_file(),
        facts=facts,
        digests=read_digests(folder, _RUN_FILES),
    )


def _optional(path: Path) -> dict[str, Any]:
    return read_object(path) if path.is_file() else {}


def _rejected(table: Path) -> tuple[tuple[str, str], ...]:
    return tuple((row["path"], row["reason"]) for row in read_table(table, ("path", "reason")))


def _repaint(row: dict[str, str], table: Path) -> Repaint:
    output = PurePosixPath(row["output"])
    if output.is_absolute() or ".." in output.parts:
        raise RunError(f"{table} names {row['output']!r}, which lies outside its folder.", AGAIN)
    return Repaint(**{name: row[name] for name in _REPAINT_COLUMNS + _STYLE_COLUMNS})


def _curves(table: Path) -> tuple[Epoch, ...]:
    if not table.is_file():
        return ()
    return tuple(_epoch(Fields({"c": ""} | row, table)) for row in read_table(table, _EPOCH_COLUMNS))


def _epoch(fields: Fields) -> Epoch:
    number = fields.number("epoch")
    if number is None:
        fields.refuse("epoch", "is empty")
    return Epoch(int(number), fields.number("c"), *(fields.number(name) for name in _EPOCH_COLUMNS[1:]))
