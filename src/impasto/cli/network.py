"""``impasto network``: feed-forward style networks, imported and listed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.console import AsJson, Quiet, print_json, print_table, remark
from impasto.runtime import human_bytes

app = typer.Typer(help="Networks that repaint in one pass: import and list them.", no_args_is_help=True)


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    program.add_typer(app, name="network", rich_help_panel="Repaint")


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="Checkpoint: TensorFlow (Engstrom), deeplearn.js folder, .pth or .model of pytorch/examples, "
            "safetensors, ncnn .bin, ONNX.",
            show_default=False,
        ),
    ],
    name: Annotated[str, typer.Option(help="What to call it.", show_default="the file's name")] = "",
    licence: Annotated[str, typer.Option(help="Terms under which it was published.", show_default="unknown")] = "",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write it here.", show_default="the library"),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Read a network that another program trained, check it, and keep it as safetensors."""
    from impasto.style.checkpoints import import_network, save_network
    from impasto.style.library import home_of

    network = import_network(file, name=name, licence=licence)
    target = output or home_of(network.facts["name"])
    save_network(network, target)
    if as_json:
        print_json({"output": target, "architecture": network.architecture, **network.facts})
        return
    remark(f"{network.facts['name']}: {network.architecture}, {network.facts['width']} channels", hidden=quiet)
    typer.echo(str(target))


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the networks of the library: source, size, licence."""
    from impasto.style.library import list_networks, network_folders

    entries = list_networks()
    records = [
        {
            "name": entry.name,
            "architecture": entry.network.architecture if entry.network else "",
            "file": entry.path,
            "bytes": entry.path.stat().st_size,
            "problem": entry.problem,
            **(
                {f"{key}": value for key, value in entry.network.facts.items() if key != "name"}
                if entry.network
                else {}
            ),
        }
        for entry in entries
    ]
    if as_json:
        print_json(records)
        return
    rows = [
        [
            str(each["name"]),
            str(each["architecture"] or each["problem"]),
            human_bytes(int(str(each["bytes"]))),
            f"{each.get('source', '')} ({each.get('source_format', '')})" if each["architecture"] else "",
            str(each.get("licence") or "unknown"),
        ]
        for each in records
    ]
    if rows:
        print_table(["network", "architecture", "size", "source", "licence"], rows)
    else:
        typer.echo("No networks yet: impasto network import FILE.")
    typer.echo(f"Networks are looked for in {', '.join(map(str, network_folders()))}.")
