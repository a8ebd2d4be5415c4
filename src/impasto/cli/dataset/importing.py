"""``impasto dataset import``: from downloads to one data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli.console import AsJson, Quiet, Seed, print_json, progress_bar, remark
from impasto.errors import UsageError
from impasto.runs import REJECTED_NAME
from impasto.runtime import human_time

if TYPE_CHECKING:
    from impasto.data.importing.records import ImportResult

Classes = Annotated[
    list[str] | None,
    typer.Option("--classes", help="Take only these: a,b or several times.", show_default="all"),
]
PerClass = Annotated[
    int | None,
    typer.Option("--per-class", min=1, help="Pictures of each class, drawn by the seed.", show_default="all"),
]


def import_(
    sources: Annotated[
        list[Path], typer.Argument(help="Folders, zip and tar archives, Parquet files.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The new data set.", show_default=False)],
    table: Annotated[
        Path | None, typer.Option(help="CSV, TSV or Parquet with paths and labels.", show_default="class folders")
    ] = None,
    path_column: Annotated[str, typer.Option(help="The table's column of paths.", show_default="guessed")] = "",
    label_column: Annotated[
        str, typer.Option(help="Its column of labels, or that of the Parquet files.", show_default="guessed")
    ] = "",
    split_column: Annotated[str, typer.Option(help="As --label-column, of splits.", show_default="guessed")] = "",
    group_column: Annotated[
        str, typer.Option(help="As --label-column, of what must stay in one split.", show_default="guessed")
    ] = "",
    label_regex: Annotated[
        str,
        typer.Option(
            help=r"Labels from paths: '^(\w+)_'; a group named split is the split.", show_default="class folders"
        ),
    ] = "",
    rename: Annotated[
        list[str] | None,
        typer.Option(
            help="OLD=NEW, several times; equal names are merged, OLD= leaves a class out.", show_default=False
        ),
    ] = None,
    smallest: Annotated[int, typer.Option(help="Pixels that the shorter side must have.")] = 16,
    classes: Classes = None,
    per_class: PerClass = None,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Make one data set of downloads: each picture once, what is damaged set aside. Sources are left as they are."""
    from impasto.data.importing.importing import import_dataset
    from impasto.data.importing.labels import Columns
    from impasto.data.importing.records import ImportConfig

    columns = Columns(path_column, label_column, split_column, group_column)
    renaming, named = tuple(_renaming(each) for each in rename or ()), tuple(classes or ())
    config = ImportConfig(table, columns, label_regex, renaming, smallest, named, per_class, seed)
    with progress_bar(quiet or as_json) as on_progress:
        result = import_dataset(sources, output, config, on_progress=on_progress)
    if as_json:
        print_json(told(result))
        return
    show(result, quiet)


def told(result: ImportResult) -> dict[str, Any]:
    """Return what is told of an import as JSON."""
    return {
        "folder": result.folder,
        "pictures": len(result.dataset),
        "classes": result.dataset.counts(),
        "set_aside": result.kinds(),
        "remarks": result.remarks,
        "decoded": result.decoded,
        "seconds": result.seconds,
    }


def show(result: ImportResult, quiet: bool) -> None:
    """Print what an import brought."""
    counts = ", ".join(f"{label} {count}" for label, count in result.dataset.counts().items())
    remark(f"{len(result.dataset)} pictures in {human_time(result.seconds)}: {counts}", hidden=quiet)
    for each in result.remarks:
        remark(each, hidden=quiet)
    if result.rejected:
        kinds = ", ".join(f"{count} {kind}" for kind, count in result.kinds().items())
        remark(f"set aside: {kinds}; see {result.folder / REJECTED_NAME}", hidden=quiet)
    typer.echo(str(result.folder))


def _renaming(value: str) -> tuple[str, str]:
    old, sign, new = value.partition("=")
    if not sign or not old:
        raise UsageError(f"--rename {value!r} is not OLD=NEW.")
    return old, new
