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
from impasto.cli.models import Data, Run, Views, report_skipped

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
        typer.Option(
            "--output", "-o", help="Folder for evaluation.json, predictions.csv and two figures.", show_default="RUN"
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Another model folder, to be compared on the same pictures (exact McNemar)."),
    ] = None,
    views: Views = "whole",
    weights: Weights = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Judge a classifier on pictures it has not seen.

    Prints k/n with interval, each class, confusion, calibration, and how well it answers where it may be silent.
    """
    from impasto.classify import evaluate as judge

    folder = output or run
    with progress_bar(quiet or as_json) as on_progress:
        evaluation = judge(
            run,
            data,
            split,
            folder,
            views=views,
            against=against,
            device=device,
            weights=weights,
            on_progress=on_progress,
        )
    if as_json:
        print_json(evaluation.record())
    else:
        _show_evaluation(evaluation, folder, quiet)


def _show_evaluation(evaluation: Evaluation, folder: Path, quiet: bool) -> None:
    report_skipped(evaluation.skipped, quiet)
    if evaluation.leaked:
        _show_leaks(evaluation, quiet)
    _show_scores(evaluation)
    _show_classes(evaluation)
    _show_confidence(evaluation)
    if evaluation.against:
        _line(str(evaluation.against))
    check = evaluation.check
    if check.compared < check.taught:
        missing = (
            f"{check.taught - check.compared} of the {check.taught} pictures that taught the model are not in DATA"
        )
        remark(f"leak check: {missing}; with them only hashes of files were compared", hidden=quiet)
    remark(f"One row a picture: {folder / 'predictions.csv'}; figures: reliability.png, roc.png", hidden=quiet)


def _show_scores(evaluation: Evaluation) -> None:
    counted = f"{evaluation.accuracy.n} of {evaluation.n_available} pictures evaluated"
    title = f"{evaluation.split}, leaked pictures included" if evaluation.leaked else evaluation.split
    _line(f"{title}: {evaluation.accuracy}   ({counted})")
    for k, share in evaluation.top_k.items():
        _line(f"label among the {k} most probable: {share}")
    confusion, (balanced, macro) = evaluation.confusion, evaluation.intervals
    _line(
        f"balanced accuracy {_percent(confusion.balanced_accuracy)}{_ends(balanced, 100, 1)}, "
        f"macro F1 {confusion.macro_f1:.3f}{_ends(macro, 1, 3)}, macro AUC {_area(evaluation.macro_area)}"
    )


def _show_classes(evaluation: Evaluation) -> None:
    confusion = evaluation.confusion
    print_table(
        ["class", "pictures", "precision", "recall", "F1", "AUC"],
        [
            [
                item.name,
                str(item.support),
                _share(item.correct, item.named),
                _share(item.correct, item.support),
                f"{item.f1:.3f}",
                _area(area),
            ]
            for item, area in zip(confusion.per_class, evaluation.areas, strict=True)
        ],
    )
    # Numbers in place of names keep the columns narrow enough for a terminal.
    rows = zip(confusion.classes, confusion.counts, strict=True)
    print_table(
        ["is \\ taken for", *(str(number) for number in range(1, len(confusion.classes) + 1))],
        [[f"{number} {name}", *map(str, counts)] for number, (name, counts) in enumerate(rows, 1)],
    )


def _show_confidence(evaluation: Evaluation) -> None:
    warmth = f", temperature {evaluation.temperature:.2f}" if evaluation.temperature else ""
    count = len(evaluation.reliability)
    bins = "1 bin" if count == 1 else f"{count} bins of equal mass"
    scores = f"ECE {evaluation.ece:.3f} ({bins}), Brier {evaluation.brier:.3f}, log loss {evaluation.nll:.3f}"
    _line(f"calibration: {scores}{warmth}")
    print_table(
        ["answers from", "answered", "right of those"],
        [
            [_percent(row.threshold, 0), _share(row.answered.k, row.answered.n), str(row.right or "none")]
            for row in evaluation.abstention
        ],
    )


def _line(text: str) -> None:
    out.print(text, highlight=False, markup=False)


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def _ends(interval: tuple[float, float] | None, factor: int, digits: int) -> str:
    return f" [{', '.join(f'{factor * end:.{digits}f}' for end in interval)}]" if interval else ""


def _share(k: int, n: int) -> str:
    return f"{k}/{n} = {_percent(k / n)}" if n else "none"


def _area(area: float | None) -> str:
    return "none" if area is None else f"{area:.3f}"


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
    _line(f"{evaluation.split}, new pictures only: {told}")
