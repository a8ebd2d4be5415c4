"""``train``: a classifier from a labelled folder."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
from impasto.errors import UsageError

if TYPE_CHECKING:
    from impasto.classify import CrossValidation, TrainResult

_TAUGHT, _CROSS = "How it is taught (else as goes with the model)", "Cross-validation"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Learn")(train)


def _own(help: str, panel: str = _TAUGHT) -> Any:
    return typer.Option(help=help, show_default=False, rich_help_panel=panel)


def train(
    data: Data,
    output: Output,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            help="r0-cnn, r2-cnn-a, r2-cnn-b, r4-cnn, r4-cnn-bn, impasto-cnn; frozen:<encoder> or finetune:<encoder> "
            "(see `impasto encoders`); torchvision:<name> or timm:<name>.",
        ),
    ] = "frozen:impasto-vgg",
    head: Annotated[str | None, _own("frozen, finetune: linear, linear-mean, r2, r4 or r4-mean.", "Options")] = None,
    open_blocks: Annotated[
        str | None,
        typer.Option("--open", help="finetune: how many of the last blocks learn, or all.", show_default="2"),
    ] = None,
    probe: Annotated[
        bool | None,
        typer.Option("--probe/--no-probe", help="finetune: begin with the linear head solved for.", show_default="on"),
    ] = None,
    augment: Annotated[
        str | None,
        _own("none, r0, r1, r2, r4, crop, colour, or several: r4+crop. Of frozen encoders, see --views.", "Pictures"),
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(help="frozen: augmented views encoded once.", show_default="4", rich_help_panel="Pictures"),
    ] = None,
    image_size: Annotated[int | None, _own("Side of the square it sees, in pixels.", "Pictures")] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="What the classes are: subject, style, artist, medium or genre. What does not preserve them is "
            "refused.",
            show_default="what the data set says, else style",
            rich_help_panel="Pictures",
        ),
    ] = None,
    insist: Annotated[
        bool, typer.Option("--insist", help="Augment even if labels are not preserved.", rich_help_panel="Pictures")
    ] = False,
    epochs: Annotated[int | None, _own("At most so many.")] = None,
    batch_size: Annotated[int | None, _own("Pictures of one step.")] = None,
    accumulate: Annotated[int | None, _own("Parts in which a batch goes through the network: less memory.")] = None,
    optimiser: Annotated[str | None, _own("adam, adamw, sgd or rmsprop.")] = None,
    learning_rate: Annotated[str | None, _own("The highest, of the head; auto looks for one.")] = None,
    layer_decay: Annotated[float | None, _own("Each block learns at this share of the rate above it.")] = None,
    weight_decay: Annotated[float | None, _own("Of weights, not of biases.")] = None,
    schedule: Annotated[str | None, _own("constant, plateau, cosine or one-cycle.")] = None,
    warmup: Annotated[float | None, _own("Epochs in which the rate rises.")] = None,
    label_smoothing: Annotated[float | None, _own("Share of the target given to all classes.")] = None,
    mixup: Annotated[float | None, _own("Alpha of mixing pairs of pictures.")] = None,
    class_weights: Annotated[str | None, _own("none, or balanced.")] = None,
    ema: Annotated[float | None, _own("Decay of the average of weights that is kept.")] = None,
    patience: Annotated[int | None, _own("Stop after so many epochs without a better one; 0 never.")] = None,
    precision: Annotated[str | None, _own("auto, fp32 or bf16.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that fetch pictures.", show_default="chosen")
    ] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard's files as well.")] = False,
    weights: Weights = None,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Cross-validate: a model for each of so many folds.", rich_help_panel=_CROSS),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Deal folds so often.", rich_help_panel=_CROSS)] = 1,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Teach a classifier the classes of a folder.

    The model folder carries class names and preprocessing. Data without splits are dealt 70 : 15 : 15 by groups,
    and `impasto evaluate` then tests on the pictures set aside. The same command goes on after being killed. Several
    processes: torchrun --nproc-per-node N -m impasto train ...
    """
    from impasto.classify import TrainConfig, cross_validate
    from impasto.classify import train as run

    own = locals()
    given = {item.name: own[item.name] for item in fields(TrainConfig) if item.name in own}
    given |= {
        "open_blocks": _number_or(open_blocks, "all", int),
        "learning_rate": _number_or(learning_rate, "auto", float),
    }
    config = TrainConfig(**given)
    if repeats > 1 and folds is None:
        raise UsageError("--repeats deals folds again.", "Say how many: --folds 5.")
    with progress_bar(quiet or as_json) as on_progress:
        if folds is not None:
            _show_folds(cross_validate(config, output, folds, repeats, on_progress), as_json)
            return
        result = run(config, output, on_progress)
    if as_json:
        print_json(_train_record(result))
    else:
        _show_training(result, data, quiet)


def _show_folds(result: CrossValidation, as_json: bool) -> None:
    if as_json:
        print_json({"folder": result.folder, **result.record()})
        return
    evaluated, available = result.evaluated
    for repeat, score in enumerate(result.pooled, 1):
        out.print(f"repetition {repeat}: {score}   ({evaluated} of {available} pictures evaluated)", highlight=False)
    low, high = (100 * share for share in result.record()["corrected_resampled_t95"])
    told = f"mean of {len(result.folds)} folds: {result.mean.mean:.1%} [{low:.1f}, {high:.1f}]".replace("%", " %")
    out.print(f"{told}, corrected for the training pictures that folds share", highlight=False, markup=False)


def _number_or(text: str | None, word: Literal["all", "auto"], number: type[int] | type[float]) -> Any:
    """Read an option that is a number or one word."""
    if text is None or text == word:
        return text
    try:
        return number(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is neither a number nor {word}.") from error


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
