"""``predict``: the class of pictures."""

from __future__ import annotations

import csv
import glob
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli.console import (
    AsJson,
    Device,
    Quiet,
    Weights,
    print_json,
    print_table,
    progress_bar,
    remark,
)
from impasto.cli.models import Run, printable
from impasto.errors import DataError

if TYPE_CHECKING:
    from impasto.classify import Prediction


class Format(StrEnum):
    """How predictions are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Judge")(predict)


def predict(
    run: Run,
    pictures: Annotated[list[str], typer.Argument(metavar="PICTURES", help="Picture files, folders or patterns.")],
    top: Annotated[int, typer.Option(min=1, help="Name so many classes for each picture.")] = 3,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
    weights: Weights = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Name the class of pictures, with probabilities.

    Pictures that cannot be read are reported on standard error and the others go on; exit status 1 if none works.
    """
    from impasto.classify import Classifier

    paths = _expand(pictures)
    classifier = Classifier.load(run, device=device, weights=weights)
    with progress_bar(quiet or as_json) as on_progress:
        predictions = classifier.predict(paths, on_progress=on_progress)
    good = [item for item in predictions if not item.error]
    for item in predictions:
        if item.error:
            remark(f"{printable(item.path)} {item.error}", hidden=False)
    _print_predictions(good, top, Format.JSON if as_json else form)
    if not good:
        raise typer.Exit(1)


def _expand(arguments: Sequence[str]) -> list[Path]:
    """Return the files meant, each once: files as they are, the pictures of folders, and matches of patterns."""
    from impasto.images import find_pictures

    found: dict[Path, None] = {}
    for argument in arguments:
        for place in _matches(argument):
            found |= dict.fromkeys(find_pictures(place) if place.is_dir() else [place])
    if not found:
        raise DataError(f"no pictures in {', '.join(arguments)}.", "Give picture files, folders or patterns.")
    return list(found)


def _matches(argument: str) -> list[Path]:
    if Path(argument).exists() or not glob.has_magic(argument):
        return [Path(argument)]
    matches = glob.glob(argument, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute patterns
    return [Path(match) for match in sorted(matches)]


def _print_predictions(predictions: Sequence[Prediction], top: int, form: Format) -> None:
    ranked = [(printable(item.path), item.top(top)) for item in predictions]
    if form is Format.JSON:
        print_json([{"path": path, "top": _as_records(best)} for path, best in ranked])
    elif form is Format.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["path", "rank", "label", "probability"])
        for path, best in ranked:
            writer.writerows([path, rank, label, share] for rank, (label, share) in enumerate(best, 1))
    elif ranked:
        columns = ["picture", *(f"{rank}." for rank in range(1, len(ranked[0][1]) + 1))]
        rows = [[path, *(f"{label} {share:.1%}" for label, share in best)] for path, best in ranked]
        print_table(columns, rows)


def _as_records(best: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    return [{"label": label, "probability": share} for label, share in best]
