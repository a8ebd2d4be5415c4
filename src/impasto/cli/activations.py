"""``impasto activations``: what the layers of a network make of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.console import AsJson, Device, Quiet, Seed, Weights, print_json, print_table, progress_bar, remark
from impasto.cli.explain import PictureNames
from impasto.cli.models import folder_for, report_skipped
from impasto.cli.pictures import named_pictures
from impasto.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Explain")(activations)


def activations(
    network: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="Folder that `impasto train` wrote, torchvision:<name>, timm:<name>, or a name of `impasto encoders`.",
        ),
    ],
    pictures: PictureNames,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for figure, arrays and table.", show_default="RUN/activations"),
    ] = None,
    layer: Annotated[
        list[str] | None, typer.Option(help="A layer; several times for several.", show_default="four, first to last")
    ] = None,
    channels: Annotated[int, typer.Option(help="So many channels of each, those that vary most.")] = 16,
    channel: Annotated[str, typer.Option(help="These channels in place of them: 3,7,12.", show_default=False)] = "",
    weights: Weights = None,
    device: Device = "auto",
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show the maps of channels layer by layer, how sparse they are, and how much of the picture they see.

    The first picture is shown; the figures are from up to 32 of them.
    """
    from impasto.explain.activations import ActivationsConfig, show_activations
    from impasto.subjects import load_subject

    config = ActivationsConfig(tuple(layer or ()), channels, _numbers(channel))
    subject = load_subject(network, device=device, weights=weights, seed=seed)
    folder = output or folder_for(network, "activations")
    with progress_bar(quiet or as_json) as on_progress:
        found = show_activations(
            subject, list(named_pictures(pictures)), config, output=folder, on_progress=on_progress
        )
    if as_json:
        print_json({"folder": folder, **found.record()})
        return
    report_skipped(found.skipped, quiet)
    rows = [view.row() for view in found.layers]
    print_table(
        ["layer", "channels", "places", "zero", "quiet", "silent", "sees", "looks at"],
        [
            [
                str(row["layer"]),
                str(row["channels"]),
                str(row["places"]),
                f"{row['zero']:.0%}",
                f"{row['quiet']:.0%}",
                str(row["silent_channels"]),
                "everything" if row["whole_picture"] else f"{row['receptive_field']} px",
                f"{row['effective_field']} px",
            ]
            for row in rows
        ],
    )
    remark(f"{folder / 'activations.safetensors'}, {folder / 'layers.csv'}", hidden=quiet)
    typer.echo(str(folder / "activations.png"))


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise UsageError(f"{text!r} are no channels.", "Write 3,7,12.") from error
