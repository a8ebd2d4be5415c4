"""``impasto network``: feed-forward style networks, trained, imported and listed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.console import AsJson, Device, Quiet, Seed, Weights, print_json, print_table, progress_bar, remark
from impasto.runtime import human_bytes, human_time, parse_time

app = typer.Typer(help="Networks that repaint in one pass: train, import and list them.", no_args_is_help=True)


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
    from impasto.style.checkpoints import save_network
    from impasto.style.library import home_of, read_network

    network = read_network(file, name=name, licence=licence)
    target = output or home_of(network.facts["name"])
    save_network(network, target)
    if as_json:
        print_json({"output": target, "architecture": network.architecture, **network.facts})
        return
    remark(f"{network.facts['name']}: {network.architecture}, {network.facts['width']} channels", hidden=quiet)
    typer.echo(str(target))


@app.command("train")
def train(
    styles: Annotated[list[Path], typer.Argument(help="Style pictures, or folders of them.", show_default=False)],
    photos: Annotated[Path, typer.Option("--photos", help="Folder of photos to learn on.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the training.", show_default="network-<name>")
    ] = None,
    name: Annotated[str, typer.Option(help="What to call it.", show_default="the first style's name")] = "",
    budget: Annotated[str, typer.Option(help="Time for everything: 90s, 30m, 2h.")] = "30m",
    steps: Annotated[
        int | None, typer.Option(help="Batches in place of a time; the same seed gives the same bytes.")
    ] = None,
    size: Annotated[int, typer.Option(help="Side of the training crops in pixels.")] = 256,
    batch: Annotated[int, typer.Option(help="Crops a step.")] = 4,
    strength: Annotated[float, typer.Option(help="0..1: more photo or more style.")] = 0.2,
    style_size: Annotated[float, typer.Option(help="Size of the style pictures against the crops.")] = 1.0,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 5e-4,
    encoder: Annotated[str, typer.Option(help="A name of `impasto encoders`, or two joined by +.")] = "impasto-vgg",
    weights: Weights = None,
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    device: Device = "auto",
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Train a network on one or several styles. Killed, the same command goes on from the last sample sheet."""
    from impasto.style.train import NetworkTrainer, style_paths
    from impasto.style.train_config import NetworkTrainConfig

    paths = style_paths(styles)
    called = name or (paths[0].stem if paths else "network")
    config = NetworkTrainConfig(
        name=called,
        steps=steps,
        budget=parse_time(budget),
        size=size,
        batch=batch,
        strength=strength,
        style_size=style_size,
        rate=rate,
        encoder=encoder,
        weights=weights,
        precision=precision,  # type: ignore[arg-type]
        device=device,
        seed=seed,
    )
    target = output or Path(f"network-{called}")
    with progress_bar(quiet or as_json) as on_progress:
        result = NetworkTrainer(paths, photos, target, config, on_progress=on_progress).train()
    if as_json:
        print_json(result)
        return
    for path, reason in result.rejected:
        remark(f"set aside: {path}: {reason}", hidden=quiet)
    remark(
        f"{result.steps} steps in {human_time(result.seconds)} ({result.stopped}): "
        f"held-out loss {result.before:.3f} before, {result.held_out:.3f} now",
        hidden=quiet,
    )
    typer.echo(str(result.network))


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
    print_table(["network", "architecture", "size", "source", "licence"], rows)
    typer.echo(f"Networks are looked for in {', '.join(map(str, network_folders()))}.")
