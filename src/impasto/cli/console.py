"""What every command shares: option types, the progress bar, output as text or JSON."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from impasto.runs import to_plain
from impasto.runtime import OnProgress, Progress, ignore_progress

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random; same seed, same bytes.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1, mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no remarks.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights", help="File with the encoder's weights (safetensors, or a weights-only .pth); 'random' for none."
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Where to write.")]


@contextlib.contextmanager
def progress_bar(hidden: bool) -> Iterator[OnProgress]:
    """Yield an observer that draws one bar for each stage on standard error, or does nothing."""
    if hidden:
        yield ignore_progress
        return
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Bar(*columns, console=err) as bar:
        tasks: dict[str, Any] = {}

        def show(progress: Progress) -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bar.add_task(progress.stage, total=progress.total, note="")
            numbers = "  ".join(f"{name} {value:.4g}" for name, value in progress.values.items())
            note = f"{progress.message}  {numbers}".strip()
            bar.update(tasks[progress.stage], completed=progress.step, total=progress.total, note=note)

        yield show


def remark(text: str, *, hidden: bool) -> None:
    """Print a line for people on standard error, unless it was asked to be quiet."""
    if not hidden:
        err.print(text, highlight=False, markup=False)


def print_json(value: Any) -> None:
    """Print ``value`` (dataclasses and paths are understood) as JSON on standard output."""
    text = json.dumps(to_plain(value), indent=2, ensure_ascii=False)
    typer.echo(text.encode(errors="backslashreplace").decode())  # file names may be no UTF-8


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Print rows as a table on standard output; cells are plain text and are folded where they are too wide."""
    table = Table(header_style="bold")
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell.encode(errors="replace").decode()) for cell in row))
    out.print(table)
