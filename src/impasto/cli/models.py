"""What the commands about trained models share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.console import remark

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that `impasto train` or `impasto ensemble` wrote.")]
Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="Labelled folder: train|validation|test/<class>/, <class>/, or what `impasto dataset stylize` wrote.",
    ),
]
Views = Annotated[
    str,
    typer.Option(
        "--views",
        help="What of each picture is looked at: whole; mirror (its mirror image too); slide (squares along the long "
        "side); patches (squares of an enlarged picture). The probabilities are averaged.",
    ),
]


def folder_for(network: str | Path, name: str) -> Path:
    """Return where results about a network go: into the folder of a model, else into one of that name."""
    return Path(network) / name if Path(network).is_dir() else Path(name)


def report_skipped(skipped: Iterable[tuple[str, str]], quiet: bool) -> None:
    """Name the pictures that were left out, with reasons."""
    for path, reason in skipped:
        remark(f"left out: {path} {reason}", hidden=quiet)


def printable(path: Path) -> str:
    """Return a path that can be printed even if its bytes are no UTF-8."""
    return str(path).encode(errors="replace").decode()
