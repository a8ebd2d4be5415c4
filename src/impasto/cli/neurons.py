"""``impasto neurons``: the pictures that channels, neurons, directions and classes of a network answer to most."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.console import AsJson, Device, Quiet, Seed, Weights, print_json, progress_bar, remark


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("neurons", rich_help_panel="Explain")(neurons)


def neurons(
    network: Annotated[
        str, typer.Argument(help="A name of `impasto encoders`, a model folder, torchvision:<name> or timm:<name>.")
    ] = "impasto-vgg",
    layer: Annotated[str, typer.Option(help="Layer.", show_default="one that dreams well")] = "",
    channels: Annotated[str, typer.Option(help="0-15, 3,7 or all.", show_default="0-15")] = "",
    centre: Annotated[
        bool, typer.Option("--centre", help="The neuron in the middle of the map in place of all of it.")
    ] = False,
    direction: Annotated[
        list[str] | None, typer.Option(help="Channels added and subtracted: 12-40.", show_default=False)
    ] = None,
    class_name: Annotated[
        list[str] | None, typer.Option("--class", help="A class of a classifier.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder, or a .png for the contact sheet alone.", show_default="<network>--<layer>"
        ),
    ] = None,
    size: Annotated[int | None, typer.Option(help="Side of the pictures in pixels.", show_default="128")] = None,
    steps: Annotated[int, typer.Option(help="Steps for each picture.")] = 160,
    batch: Annotated[int, typer.Option(help="Pictures at once.")] = 8,
    weights: Weights = None,
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    device: Device = "auto",
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show what single channels, neurons, directions or classes of a network answer to most; dead ones are named."""
    from impasto.dream import NeuronsConfig, see_neurons
    from impasto.runtime import human_time

    config = NeuronsConfig(
        network=network,
        weights=weights,
        layer=layer,
        channels=channels,
        place="centre" if centre else "all",
        directions=tuple(direction or ()),
        classes=tuple(class_name or ()),
        size=size,
        steps=steps,
        batch=batch,
        precision=precision,  # type: ignore[arg-type]
        device=device,
        seed=seed,
    )
    _check_output(output)
    with progress_bar(quiet or as_json) as on_progress:
        result = see_neurons(config, on_progress=on_progress)
    name = Path(network).name.replace(":", "-")
    target = result.save(output or Path(f"{name}--{result.provenance['layer'] or 'classes'}"))
    if as_json:
        print_json({"output": target, "seconds": result.seconds, "dead": result.dead, "answers": result.answers})
    else:
        remark(f"{len(result.answers)} pictures in {human_time(result.seconds)}", hidden=quiet)
        if result.dead:
            remark(f"dead, they answer to nothing: {', '.join(result.dead)}", hidden=quiet)
        typer.echo(str(target))
    if result.interrupted:
        raise KeyboardInterrupt


def _check_output(output: Path | None) -> None:
    from impasto.dream.records import RECORD_NAME
    from impasto.errors import UsageError
    from impasto.files import check_place

    if output is not None and output.suffix.lower() in (".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff"):
        raise UsageError(f"{output}: a contact sheet is written as .png.", "Or name a folder.")
    if output is not None and output.is_file() and output.suffix.lower() != ".png":
        raise UsageError(f"{output} is a file.", "Name a folder, or a .png.")
    if output is not None:
        check_place(output if output.suffix.lower() == ".png" else output / RECORD_NAME)
