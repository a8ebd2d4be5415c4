"""``impasto missed``: every wrong answer of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.console import AsJson, Device, Quiet, Weights, out, print_json, print_table, progress_bar
from impasto.cli.models import Data, folder_for

# Rows that are printed; missed.csv has all.
_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Explain")(missed)


def missed(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that `impasto train` wrote.")],
    data: Data,
    split: Annotated[str, typer.Option(help="train, validation, test, or all pictures.")] = "test",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for page and tables.", show_default="RUN/missed"),
    ] = None,
    method: Annotated[
        str, typer.Option(help="grad-cam, grad-cam++, ablation-cam, integrated-gradients or occlusion.")
    ] = "grad-cam",
    weights: Weights = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show every wrong answer: what speaks for it, its probabilities, and the nearest training pictures."""
    from impasto.explain.missed import show_missed
    from impasto.report.missed import build_missed_page

    folder = output or folder_for(run, "missed")
    with progress_bar(quiet or as_json) as on_progress:
        found = show_missed(
            run, data, split, method=method, output=folder, device=device, weights=weights, on_progress=on_progress
        )
    page = build_missed_page(found, folder / "missed.html", method)
    if as_json:
        print_json({"page": page, **found.record()})
        return
    print_table(
        ["picture", "is", "taken for", "nearest training pictures", ""],
        [
            [
                each.item.sample.path.name,
                each.item.sample.label,
                f"{each.item.answer} {each.item.probability:.0%}",
                ", ".join(near.sample.label for near in each.near),
                "label?" if each.doubtful else "",
            ]
            for each in found.missed[:_SHOWN]
        ],
    )
    out.print(f"{found.split}: {found.accuracy}; {len(found.missed)} missed", highlight=False, markup=False)
    typer.echo(str(page))
