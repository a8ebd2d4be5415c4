"""``impasto encoders``: the networks that can be used, and whether their weights are here; and which paints best."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.console import AsJson, Device, Quiet, Seed, err, print_json, print_table, progress_bar
from impasto.errors import UsageError

if TYPE_CHECKING:
    from impasto.style.compare import EncoderRow

app = typer.Typer(help="List the encoders, or compare what they paint.", invoke_without_command=True)


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    program.add_typer(app, name="encoders", rich_help_panel="About")


@app.callback()
def encoders(context: typer.Context, as_json: AsJson = False) -> None:
    """List the encoders: layers, parameters, licence, and where their weights are."""
    if context.invoked_subcommand:
        if as_json:
            raise UsageError(
                "--json stands before the command.", f"Write encoders {context.invoked_subcommand} --json."
            )
        return
    _list(as_json)


@app.command()
def compare(
    content: Annotated[Path, typer.Argument(help="The photo.", show_default=False)],
    style: Annotated[Path, typer.Argument(help="The style picture.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for pictures and tables.", show_default=False)],
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="A name of `impasto encoders`; several times.", show_default="all with weights here"),
    ] = None,
    size: Annotated[int, typer.Option(help="Longer side in pixels.")] = 320,
    steps: Annotated[int | None, typer.Option(help="Optimisation steps of each.", show_default="the preset's")] = None,
    weights: Annotated[str | None, typer.Option(help="random: untrained networks.", show_default="their own")] = None,
    device: Device = "auto",
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Paint a photo in a style with each encoder, and let another one judge it. Ctrl-C keeps what is finished."""
    from impasto.images import open_picture
    from impasto.style.compare import CompareConfig, compare_encoders

    config = CompareConfig(tuple(encoder or ()), size, steps, weights, device, seed)  # type: ignore[arg-type]
    photo, painting = open_picture(content), open_picture(style)
    with progress_bar(quiet or as_json) as on_progress:
        result = compare_encoders(photo, painting, output, config, on_progress)
    if as_json:
        print_json(result)
    else:
        columns = ["encoder", "parameters", "steps", "seconds", "style left", "content", "judged by"]
        print_table(columns, [_cells(row) for row in result.rows])
        for name, reason in result.left_out:
            err.print(f"left out: {name}: {reason}", highlight=False, markup=False)
        typer.echo(str(result.folder))
    if result.interrupted:
        raise KeyboardInterrupt


def _cells(row: EncoderRow) -> list[str]:
    style = "" if row.style is None else f"{100 * row.style:.1f} %"
    content = "" if row.content is None else f"{row.content:.3f}"
    return [
        row.encoder,
        f"{row.parameters / 1e6:.1f} M",
        str(row.steps),
        f"{row.seconds:.1f}",
        style,
        content,
        row.judge or "no other one here",
    ]


def _list(as_json: bool) -> None:
    from impasto.encoders import ENCODERS
    from impasto.encoders.weights import find_weights, weights_folders

    records = []
    for spec in ENCODERS.values():
        path = find_weights(spec)
        here = (
            "embedded" if spec.embedded else f"file {path.name}" if path else "to be fetched" if spec.url else "absent"
        )
        records.append(
            {
                "name": spec.name,
                "parameters": spec.parameters(),
                "weights": here,
                "content": list(spec.content_layers),
                "style": list(spec.style_layers),
                "recognition": spec.recognition,
                "layers": list(spec.layers),
                "licence": spec.licence,
                "source": spec.source,
            }
        )
    if as_json:
        print_json(records)
        return
    rows = [
        [
            str(each["name"]),
            f"{each['parameters'] / 1e6:.1f} M",  # type: ignore[operator]
            str(each["weights"]),
            _shortened(each["layers"]),  # type: ignore[arg-type]
            str(each["licence"]),
        ]
        for each in records
    ]
    print_table(["encoder", "parameters", "weights", "layers", "licence"], rows)
    typer.echo("timm:<name> is any network of timm (extra timm); a+b takes layers from a first, then from b.")
    typer.echo(f"Weights files are looked for in {', '.join(map(str, weights_folders()))} and torch's hub cache.")


def _shortened(layers: list[str]) -> str:
    return ", ".join(layers) if len(layers) <= 6 else f"{', '.join(layers[:3])} .. {layers[-1]} ({len(layers)})"
