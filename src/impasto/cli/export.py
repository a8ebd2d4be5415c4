"""``export``: a classifier for programs that know nothing of impasto."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.console import AsJson, Output, Quiet, Weights, out, print_json, progress_bar, remark
from impasto.cli.models import Run
from impasto.cli.pictures import named_pictures
from impasto.errors import UsageError
from impasto.runtime import OnProgress

if TYPE_CHECKING:
    from impasto.classify.export import FolderExport, Labelled, OnnxExport


class Target(StrEnum):
    """What is written."""

    ONNX = "onnx"
    SAFETENSORS = "safetensors"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Learn")(export)


def export(
    run: Run,
    output: Output,
    target: Annotated[
        Target, typer.Option("--format", help="onnx: one file; safetensors: a folder for torchvision or timm.")
    ] = Target.ONNX,
    pictures: Annotated[
        list[str] | None,
        typer.Option("--pictures", help="Files, folders or patterns to check on.", show_default="sample photos"),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="How far apart any probability may be, or nothing is written.", show_default="0.001"),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="onnx: weights as int8, a quarter of the size.")] = False,
    data: Annotated[
        Path | None, typer.Option("--data", help="onnx with --int8: labelled folder to count what it costs.")
    ] = None,
    split: Annotated[str, typer.Option(help="Of --data: train, validation, test, or all pictures.")] = "test",
    weights: Weights = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write a classifier as ONNX or safetensors, and check that it says what the classifier says.

    ONNX takes RGB pixels of any size: the preprocessing is inside. Its metadata hold the classes, and a small picture
    with the probabilities that are expected of it.
    """
    from impasto.classify.export import TOLERANCE, export_folder, export_onnx

    if data is not None and not int8:
        raise UsageError("--data without --int8 has nothing to measure.", "Leave it out, or add --int8.")
    if int8 and target is not Target.ONNX:
        raise UsageError("--int8 is for --format onnx.", "Leave it out.")
    paths = list(named_pictures(pictures)) if pictures else []
    limit = TOLERANCE if tolerance is None else tolerance
    with progress_bar(quiet or as_json) as on_progress:
        if target is Target.SAFETENSORS:
            folder = export_folder(
                run, output, pictures=paths, tolerance=limit, weights=weights, on_progress=on_progress
            )
        else:
            labelled = _labelled(run, data, split, weights, on_progress) if data else None
            file = export_onnx(
                run,
                output,
                int8=int8,
                pictures=paths,
                labelled=labelled,
                tolerance=limit,
                weights=weights,
                on_progress=on_progress,
            )
    if as_json:
        print_json(folder if target is Target.SAFETENSORS else file)
    elif target is Target.SAFETENSORS:
        _show_folder(folder, quiet)
    else:
        _show_file(file, quiet)


def _labelled(run: Path, data: Path, split: str, weights: str | None, on_progress: OnProgress) -> Labelled:
    """Return the pictures of a split that can be read, as ``impasto evaluate`` chooses them."""
    from impasto.classify import evaluate
    from impasto.classify.export import Labelled

    judged = evaluate(run, data, split, device="cpu", weights=weights, on_progress=on_progress).judged
    return Labelled(tuple(item.sample.path for item in judged), tuple(item.sample.label for item in judged))


def _show_file(result: OnnxExport, quiet: bool) -> None:
    check = result.check
    _say(f"{check.pictures} pictures: probabilities differ by {check.largest_difference:.1g} at most")
    if result.int8:
        loss = result.int8.check
        _say(f"int8: {result.int8.size:,} bytes become {result.size:,}")
        _say(
            f"int8: probabilities differ by {loss.largest_difference:.2g} at most, "
            f"{loss.changed_labels} of {loss.pictures} labels change"
        )
        if result.int8.accuracy:
            exact, rounded = result.int8.accuracy
            _say(f"float32: {exact}")
            _say(f"int8:    {rounded}")
    remark(f"The model is in {result.path}.", hidden=quiet)


def _show_folder(result: FolderExport, quiet: bool) -> None:
    check = result.check
    _say(f"{check.pictures} pictures: probabilities differ by {check.largest_difference:.1g} at most")
    remark(f"The model is in {result.folder}; README.md there has the lines that load it.", hidden=quiet)


def _say(text: str) -> None:
    out.print(text, highlight=False, markup=False)
