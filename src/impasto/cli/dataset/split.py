"""``impasto dataset split``: train, validation and test, folds, repeated subsets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.console import AsJson, Quiet, Seed, print_json, print_table, progress_bar, remark
from impasto.errors import UsageError

if TYPE_CHECKING:
    from impasto.data.split.splitting import SplitResult


def split(
    folder: Annotated[Path, typer.Argument(help="A data set.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A new folder train|validation|test/<class>/.",
            show_default="a table beside the pictures",
        ),
    ] = None,
    fractions: Annotated[tuple[float, float, float], typer.Option(help="Shares of train, validation, test.")] = (
        0.7,
        0.15,
        0.15,
    ),
    counts: Annotated[
        str, typer.Option(help="Pictures of each class in them: 240,30,30 or 10,0,rest.", show_default="shares")
    ] = "",
    folds: Annotated[int, typer.Option(help="So many splits; each picture is tested once.", show_default="one")] = 0,
    repeats: Annotated[int, typer.Option(min=1, help="So many random splits.")] = 1,
    group_by: Annotated[
        list[str] | None,
        typer.Option(help="A column of manifest.csv whose equals stay together; several times.", show_default=False),
    ] = None,
    group_regex: Annotated[
        str, typer.Option(help="Paths in which its brackets find the same stay together.", show_default=False)
    ] = "",
    near_duplicates: Annotated[
        bool, typer.Option("--near-duplicates/--ignore-near-duplicates", help="Whether they stay together, too.")
    ] = True,
    files: Annotated[str, typer.Option(help="With --output: link or copy.")] = "link",
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Deal pictures to train, validation and test. What belongs together stays together; classes are spread evenly."""
    from impasto.data.split.splitting import SplitConfig, split_dataset

    config = SplitConfig(
        fractions, _numbers(counts), folds, repeats, tuple(group_by or ()), group_regex, near_duplicates, seed
    )
    with progress_bar(quiet or as_json) as on_progress:
        result = split_dataset(folder, config, output, files=files, on_progress=on_progress)  # type: ignore[arg-type]
    if as_json:
        print_json(_record(result))
        return
    for path, reason in result.skipped:
        remark(f"left out: {path}: {reason}", hidden=quiet)
    _show(result)
    kept = f"{result.groups} groups of two or more pictures were kept together"
    remark(f"{kept}, near duplicates among them: {result.pairs} pairs", hidden=quiet)
    for place in result.places:
        typer.echo(str(place))


def _numbers(text: str) -> tuple[int, int, int] | None:
    from impasto.data.split.splits import REST

    if not text:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3 or not all(part == "rest" or part.isdigit() for part in parts):
        raise UsageError(f"--counts {text!r} is not three numbers.", "240,30,30 or 10,0,rest.")
    train, validation, test = (REST if part == "rest" else int(part) for part in parts)
    return train, validation, test


def _show(result: SplitResult) -> None:
    """Print pictures of each class in each split; of several splits the first."""
    data = result.datasets[0]
    counts = {name: data.split(name).counts() for name in data.splits}
    rows = [[label, *(str(counts[name].get(label, 0)) for name in data.splits)] for label in data.classes]
    print_table(["class" if len(result.datasets) == 1 else f"class ({result.places[0].stem})", *data.splits], rows)


def _record(result: SplitResult) -> dict[str, object]:
    return {
        "places": result.places,
        "counts": [{name: data.split(name).counts() for name in data.splits} for data in result.datasets],
        "groups": result.groups,
        "near_duplicates": result.pairs,
        "skipped": result.skipped,
    }
