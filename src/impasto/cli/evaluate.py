"""``evaluate``: how good a classifier is on pictures that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.console import (
    AsJson,
    Device,
    Quiet,
    Weights,
    out,
    print_json,
    print_table,
    progress_bar,
    remark,
)
from impasto.cli.models import Data, Run, report_skipped

if TYPE_CHECKING:
    from impasto.classify import Evaluation

# Leaks that are named one by one, and what their kinds mean.
_SHOWN = 10
_LEAKS = {
    "bytes": "is the same file as",
    "hash": "is nearly the same picture as",
    "features": "is nearly the same picture as",
    "group": "belongs together with",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Judge")(evaluate)


def evaluate(
    run: Run,
    data: Data,
    split: Annotated[str, typer.Option(help="train, validation, test, or all pictures.")] = "test",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for evaluation.json and predictions.csv.", show_default="RUN"),
    ] = None,
    weights: Weights = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Judge a classifier on pictures it has not seen: k/n with interval, each class, confusion."""
    from impasto.classify import evaluate as judge

    folder = output or run
    with progress_bar(quiet or as_json) as on_progress:
        evaluation = judge(run, data, split, folder, device=device, weights=weights, on_progress=on_progress)
    if as_json:
        print_json(evaluation.record())
    else:
        _show_evaluation(evaluation, folder, quiet)


def _show_evaluation(evaluation: Evaluation, folder: Path, quiet: bool) -> None:
    confusion = evaluation.confusion
    report_skipped(evaluation.skipped, quiet)
    if evaluation.leaked:
        _show_leaks(evaluation, quiet)
    counted = f"{evaluation.accuracy.n} of {evaluation.n_available} pictures evaluated"
    title = f"{evaluation.split}, leaked pictures included" if evaluation.leaked else evaluation.split
    out.print(f"{title}: {evaluation.accuracy}   ({counted})", highlight=False, markup=False)
    means = f"balanced accuracy {confusion.balanced_accuracy:.1%}, macro F1 {confusion.macro_f1:.3f}"
    out.print(means, highlight=False, markup=False)
    print_table(
        ["class", "pictures", "precision", "recall", "F1"],
        [
            [item.name, str(item.support), f"{item.precision:.1%}", f"{item.recall:.1%}", f"{item.f1:.3f}"]
            for item in confusion.per_class
        ],
    )
    # Numbers in place of names keep the columns narrow enough for a terminal.
    rows = zip(confusion.classes, confusion.counts, strict=True)
    print_table(
        ["is \\ taken for", *(str(number) for number in range(1, len(confusion.classes) + 1))],
        [[f"{number} {name}", *map(str, counts)] for number, (name, counts) in enumerate(rows, 1)],
    )
    check = evaluation.check
    if check.compared < check.taught:
        missing = (
            f"{check.taught - check.compared} of the {check.taught} pictures that taught the model are not in DATA"
        )
        remark(f"leak check: {missing}; with them only hashes of files were compared", hidden=quiet)
    remark(f"One row a picture: {folder / 'predictions.csv'}", hidden=quiet)


def _show_leaks(evaluation: Evaluation, quiet: bool) -> None:
    """Say which pictures are not new to the model, and the score of the others before that of all."""
    for item in evaluation.leaked[:_SHOWN]:
        assert item.leak is not None
        remark(f"leak: {item.name} {_LEAKS[item.leak.kind]} {item.leak.of}", hidden=quiet)
    if len(evaluation.leaked) > _SHOWN:
        remark(f"leak: and {len(evaluation.leaked) - _SHOWN} more, see evaluation.json", hidden=quiet)
    count = f"{len(evaluation.leaked)} of {evaluation.accuracy.n} pictures are not new to the model"
    remark(f"warning: {count}; the score of the others is the one to believe", hidden=False)
    clean = evaluation.accuracy_without_leaked
    told = str(clean) if clean else "nothing is left to judge"
    out.print(f"{evaluation.split}, new pictures only: {told}", highlight=False, markup=False)
