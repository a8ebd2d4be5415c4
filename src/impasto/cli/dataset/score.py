"""``impasto dataset score``: what a classifier still sees on repaints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.console import AsJson, Device, Quiet, print_json, print_table, progress_bar, remark
from impasto.cli.models import report_skipped

if TYPE_CHECKING:
    from impasto.judged import RepaintScores, Tally
    from impasto.statistics import Proportion

# Rows of a table that are printed; scores.json has all.
_SHOWN = 12


def score(
    folder: Annotated[Path, typer.Argument(help="Repaints of `impasto dataset stylize`.", show_default=False)],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="Names the photos' classes: a folder of `impasto train`, torchvision:<name> or timm:<name>.",
        ),
    ],
    style_model: Annotated[
        str | None, typer.Option("--style-model", help="Names the styles: a folder of `impasto train`.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the tables.", show_default="FOLDER/scored")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures that are looked at together.")] = 32,
    weights: Annotated[
        str | None, typer.Option(help="File with the weights of --model, or of its encoder.", show_default="found")
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Judge repaints: is the photo's class kept, and is the style recognised? By strength, style and class."""
    from impasto.judged import score_repaints

    place = output or folder / "scored"
    with progress_bar(quiet or as_json) as on_progress:
        scores = score_repaints(
            folder,
            model,
            style_model=style_model,
            output=place,
            batch_size=batch_size,
            device=device,
            weights=weights,
            on_progress=on_progress,
        )
    if as_json:
        print_json({"folder": place, **scores.record()})
        return
    report_skipped(scores.skipped, quiet)
    _show(scores, quiet)
    if scores.taught:
        told = f"{scores.taught} of {len(scores.scores)} repaints are of photos that taught the model"
        remark(f"warning: {told}; it knows them, and is lenient with them", hidden=False)
    remark(f"One row a repaint: {place / 'scores.csv'}", hidden=quiet)
    typer.echo(str(place / "scores.json"))


def _show(scores: RepaintScores, quiet: bool) -> None:
    overall = scores.overall
    for key, title in (("strength", "strength"), ("style", "style"), ("label", "class")):
        rows = scores.by(key)
        columns = [title, "class kept", "photo named", "kept of those named", "probability", "style recognised"]
        shown = columns if overall.recognised else columns[:-1]
        print_table(shown, [_cells(row)[: len(shown)] for row in rows[:_SHOWN]])
        if len(rows) > _SHOWN:
            remark(f"and {len(rows) - _SHOWN} more, see scores.json", hidden=quiet)
    typer.echo(f"class kept: {overall.kept}; of the repaints whose photo is named: {overall.kept_of_named or 'none'}")
    if overall.recognised:
        typer.echo(f"style recognised: {overall.recognised}")


def _cells(row: Tally) -> list[str]:
    change = "unknown" if row.before is None or row.after is None else f"{row.before:.2f} → {row.after:.2f}"
    return [row.name, str(row.kept), _told(row.photos), _told(row.kept_of_named), change, _told(row.recognised)]


def _told(share: Proportion | None) -> str:
    return str(share) if share else "none"
