"""``train``, ``evaluate`` and ``predict``: classifiers from labelled folders."""

from __future__ import annotations

import csv
import glob
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli.console import (
    AsJson,
    Device,
    Output,
    Quiet,
    Seed,
    Weights,
    out,
    print_json,
    print_table,
    progress_bar,
    remark,
)
from impasto.errors import DataError

if TYPE_CHECKING:
    from impasto.classify import Evaluation, Prediction, TrainResult

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that `impasto train` wrote.")]
Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="Labelled folder: train|validation|test/<class>/, <class>/, or what `impasto dataset stylize` wrote.",
    ),
]


# Leaks that are named one by one, and what their kinds mean.
_SHOWN = 10
_LEAKS = {
    "bytes": "is the same file as",
    "hash": "is nearly the same picture as",
    "features": "is nearly the same picture as",
    "group": "belongs together with",
}


class Format(StrEnum):
    """How predictions are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the commands of this room."""
    app.command(rich_help_panel="Learn")(train)
    app.command(rich_help_panel="Judge")(evaluate)
    app.command(rich_help_panel="Judge")(predict)


def train(
    data: Data,
    output: Output,
    model: Annotated[
        str, typer.Option("--model", help="r0-cnn, or frozen:<encoder> (see `impasto encoders`).")
    ] = "frozen:impasto-vgg",
    epochs: Annotated[int | None, typer.Option(help="r0-cnn: at most so many.", show_default="30")] = None,
    batch_size: Annotated[int | None, typer.Option(help="r0-cnn: pictures of one step.", show_default="32")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="r0-cnn: Adam's.", show_default="0.001")] = None,
    image_size: Annotated[int | None, typer.Option(help="r0-cnn: side in pixels.", show_default="256")] = None,
    augment: Annotated[
        str | None,
        typer.Option(help="r0-cnn: none, r0, r1, r2, r4, crop, colour, or several: r4+crop.", show_default="r0"),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="r0-cnn: what the classes are: subject, style, artist, medium or genre. What does not preserve them "
            "is refused.",
            show_default="what the data set says, else style",
        ),
    ] = None,
    insist: Annotated[
        bool, typer.Option("--insist", help="r0-cnn: augment even if the labels are not preserved.")
    ] = False,
    patience: Annotated[
        int | None, typer.Option(help="r0-cnn: stop after so many epochs without a better one.", show_default="10")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="r0-cnn: processes that fetch pictures.", show_default="chosen")
    ] = None,
    weights: Weights = None,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Teach a classifier the classes of a folder.

    The model folder carries class names and preprocessing. Data without splits are dealt 70 : 15 : 15 by groups,
    and `impasto evaluate` then tests on the pictures set aside.
    """
    from impasto.classify import TrainConfig
    from impasto.classify import train as run

    settings = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "image_size": image_size,
        "augment": augment,
        "labels": labels,
        "insist": insist,
        "patience": patience,
        "workers": workers,
    }
    given: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    config = TrainConfig(data, model, seed=seed, device=device, weights=weights, **given)
    with progress_bar(quiet or as_json) as on_progress:
        result = run(config, output, on_progress)
    if as_json:
        print_json(_train_record(result))
    else:
        _show_training(result, data, quiet)


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
            remark(f"{_name(item.path)} {item.error}", hidden=False)
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


def _train_record(result: TrainResult) -> dict[str, Any]:
    score = result.validation
    return {
        "folder": result.folder,
        "model": result.model,
        "classes": result.classes,
        "pictures": result.pictures,
        "best_epoch": result.best_epoch,
        "validation": {"correct": score.k, "n": score.n, "accuracy": score.value, "wilson95": score.interval},
        "skipped": result.skipped,
    }


def _show_training(result: TrainResult, data: Path, quiet: bool) -> None:
    _report_skipped([(_name(item.path), item.reason) for item in result.skipped], quiet)
    out.print(f"validation: {result.validation}", highlight=False, markup=False)
    remark(f"The model is in {result.folder}. It was chosen by these pictures; judge it on others:", hidden=quiet)
    remark(f"  impasto evaluate {result.folder} {data}", hidden=quiet)


def _show_evaluation(evaluation: Evaluation, folder: Path, quiet: bool) -> None:
    confusion = evaluation.confusion
    _report_skipped(evaluation.skipped, quiet)
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


def _report_skipped(skipped: Iterable[tuple[str, str]], quiet: bool) -> None:
    for path, reason in skipped:
        remark(f"left out: {path} {reason}", hidden=quiet)


def _print_predictions(predictions: Sequence[Prediction], top: int, form: Format) -> None:
    ranked = [(_name(item.path), item.top(top)) for item in predictions]
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


def _name(path: Path) -> str:
    """Return a path that can be printed even if its bytes are no UTF-8."""
    return str(path).encode(errors="replace").decode()
