"""``train``: a classifier from a labelled folder."""

from __future__ import annotations

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
    progress_bar,
    remark,
)
from impasto.cli.models import Data, printable, report_skipped

if TYPE_CHECKING:
    from impasto.classify import TrainResult


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Learn")(train)


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
    report_skipped([(printable(item.path), item.reason) for item in result.skipped], quiet)
    out.print(f"validation: {result.validation}", highlight=False, markup=False)
    remark(f"The model is in {result.folder}. It was chosen by these pictures; judge it on others:", hidden=quiet)
    remark(f"  impasto evaluate {result.folder} {data}", hidden=quiet)
