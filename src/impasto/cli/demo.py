"""``impasto demo``: the whole loop on sample pictures, and ``impasto report`` on any."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.console import AsJson, Device, Output, Quiet, Seed, print_json, progress_bar, remark
from impasto.runtime import human_time


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command("demo", rich_help_panel="Start here")(demo)
    app.command("report", rich_help_panel="Judge")(report)


def demo(
    output: Output = Path("impasto-demo"),
    content: Annotated[Path | None, typer.Option(help="Folder of photos.", show_default="sample photos")] = None,
    styles: Annotated[
        Path | None, typer.Option(help="Folder of style pictures.", show_default="painted samples")
    ] = None,
    device: Device = "auto",
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Paint styles, repaint photos, learn the styles, judge, and report: a first result in minutes."""
    from impasto.demo import DemoConfig, run_demo

    config = DemoConfig(content=content, styles=styles, device=device, seed=seed)
    with progress_bar(quiet or as_json) as on_progress:
        result = run_demo(config, output, on_progress)
    if as_json:
        scores = {name: {"correct": each.accuracy.k, "n": each.accuracy.n} for name, each in result.scores.items()}
        print_json({"report": result.report, "scores": scores, "seconds": result.seconds})
        return
    for name, score in result.scores.items():
        remark(f"{name}: {score.accuracy}", hidden=quiet)
    remark(f"{len(result.repaints.dataset)} repaints, two models, in {human_time(result.seconds)}", hidden=quiet)
    typer.echo(str(result.report))


def report(
    dataset: Annotated[Path, typer.Argument(help="Folder that `impasto dataset stylize` wrote.", show_default=False)],
    runs: Annotated[list[Path] | None, typer.Argument(help="Folders that `impasto train` wrote.")] = None,
    output: Output = Path("report.html"),
    sources: Annotated[
        list[Path] | None, typer.Option(help="Folders of the photos and style pictures, to show them, too.")
    ] = None,
    title: Annotated[str, typer.Option(help="Heading.", show_default="made from the numbers")] = "",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write one HTML file about a repainted data set and the models trained on it."""
    from impasto.report import build_report

    with progress_bar(quiet or as_json) as on_progress:
        path = build_report(dataset, runs or [], output, title=title, sources=sources or [], on_progress=on_progress)
    if as_json:
        print_json({"report": path})
    else:
        typer.echo(str(path))
