"""``impasto dataset import``: from downloads to one data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.console import AsJson, Quiet, print_json, progress_bar, remark
from impasto.errors import UsageError
from impasto.runtime import human_time


def import_(
    sources: Annotated[list[Path], typer.Argument(help="Folders, zip and tar archives.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The new data set.", show_default=False)],
    table: Annotated[
        Path | None, typer.Option(help="CSV, TSV or Parquet with paths and labels.", show_default="class folders")
    ] = None,
    path_column: Annotated[str, typer.Option(help="Its column of paths.", show_default="guessed")] = "",
    label_column: Annotated[str, typer.Option(help="Its column of labels.", show_default="guessed")] = "",
    split_column: Annotated[str, typer.Option(help="Its column of splits.", show_default="guessed")] = "",
    group_column: Annotated[
        str, typer.Option(help="Its column of what must stay in one split.", show_default="guessed")
    ] = "",
    label_regex: Annotated[
        str, typer.Option(help="Labels from file names: '([a-z]+)_[0-9]+'.", show_default="class folders")
    ] = "",
    rename: Annotated[
        list[str] | None,
        typer.Option(
            help="OLD=NEW, several times; equal names are merged, OLD= leaves a class out.", show_default=False
        ),
    ] = None,
    smallest: Annotated[int, typer.Option(help="Pixels that the shorter side must have.")] = 16,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Make one data set of downloads: each picture once, what is damaged set aside. Sources are left as they are."""
    from impasto.data.importing import REJECTED_NAME, ImportConfig, import_dataset
    from impasto.data.labels import Columns

    columns = Columns(path_column, label_column, split_column, group_column)
    config = ImportConfig(table, columns, label_regex, tuple(_renaming(each) for each in rename or ()), smallest)
    with progress_bar(quiet or as_json) as on_progress:
        result = import_dataset(sources, output, config, on_progress=on_progress)
    if as_json:
        print_json(
            {
                "folder": result.folder,
                "pictures": len(result.dataset),
                "classes": result.dataset.counts(),
                "set_aside": result.kinds(),
                "decoded": result.decoded,
                "seconds": result.seconds,
            }
        )
        return
    counts = ", ".join(f"{label} {count}" for label, count in result.dataset.counts().items())
    remark(f"{len(result.dataset)} pictures in {human_time(result.seconds)}: {counts}", hidden=quiet)
    if result.rejected:
        kinds = ", ".join(f"{count} {kind}" for kind, count in result.kinds().items())
        remark(f"set aside: {kinds}; see {result.folder / REJECTED_NAME}", hidden=quiet)
    typer.echo(str(result.folder))


def _renaming(value: str) -> tuple[str, str]:
    old, sign, new = value.partition("=")
    if not sign or not old:
        raise UsageError(f"--rename {value!r} is not OLD=NEW.")
    return old, new
