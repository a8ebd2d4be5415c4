"""``ensemble``: several classifiers that answer together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.console import AsJson, Device, Output, Quiet, Weights, out, print_json, progress_bar, remark

if TYPE_CHECKING:
    from impasto.classify import Joined


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Learn")(ensemble)


def ensemble(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN RUN ...", help="Folders that `impasto train` wrote, of the same classes."),
    ],
    output: Output,
    greedy: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA",
            help="Data set of the training: choose the weights on its validation pictures.",
            show_default="equal weights",
        ),
    ] = None,
    weights: Weights = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Let several classifiers answer together, by the mean of their probabilities.

    The folder holds copies of its members. `impasto evaluate` and `impasto predict` take it like any other model.
    """
    from impasto.classify import join

    with progress_bar(quiet or as_json) as on_progress:
        joined = join(runs, output, greedy, device=device, weights=weights, on_progress=on_progress)
    if as_json:
        print_json(joined)
    else:
        _show(joined, quiet)


def _show(joined: Joined, quiet: bool) -> None:
    names = list(joined.weights)
    for step in joined.steps:
        line = f"with {names[step.member]}: validation {step.right}, log loss {step.nll:.4f}"
        out.print(line, highlight=False, markup=False)
    for name, weight in joined.weights.items():
        out.print(f"{weight:.3f}  {name}", highlight=False, markup=False)
    remark(f"The ensemble is in {joined.folder}.", hidden=quiet)
    if joined.steps:
        remark("Validation chose the weights; judge it on other pictures.", hidden=quiet)
