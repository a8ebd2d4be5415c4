"""Splits on disk: tables beside the pictures, or trees of links or copies that every other program reads."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from impasto._version import __version__
from impasto.data.dataset import TABLE_NAME, Dataset, Sample, read_split_rows, split_rows, write_split_table
from impasto.errors import ResourceError, RunError, UsageError
from impasto.files import atomic_path, file_digest
from impasto.runs import RunFolder, digest, write_csv, write_json
from impasto.runtime import OnProgress, Progress, free_disk, human_bytes, ignore_progress

_TREE_COLUMNS = ("output", "label", "split", "group", "output_sha256", "source")


def write_tables(
    whole: Dataset, dealt: Sequence[Dataset], names: Sequence[str], config: Mapping[str, Any]
) -> list[Path]:
    """Write a table for each split beside the pictures, and in one JSON file how they were made.

    Args:
        whole: every picture of the folder; those that a split does not have are listed without one.
        dealt: the splits.
        names: of the tables, without suffix.
        config: what determined them.

    Raises:
        RunError: there is a table of that name with another split.
    """
    tables = [whole.root / f"{name}.csv" for name in names]
    listed = [_with_left_out(whole, dataset) for dataset in dealt]
    for table, dataset in zip(tables, listed, strict=True):
        if table.exists() and read_split_rows(table) != split_rows(dataset):
            raise RunError(f"{table} holds another split.", "Remove it first, or write a tree with --output.")
    for table, dataset in zip(tables, listed, strict=True):
        write_split_table(table, dataset)
    record = re.sub(r"-0*1-of-", "-of-", names[0])  # fold-1-of-5, fold-2-of-5, ..: one record, fold-of-5
    digests = {table.name: file_digest(table) for table in tables}
    facts = {"procedure": "dataset split", "version": __version__, "config": dict(config), "tables": digests}
    write_json(whole.root / f"{record}.json", facts)
    return tables


def _with_left_out(whole: Dataset, dealt: Dataset) -> Dataset:
    known = {sample.path: sample for sample in dealt.samples}
    return replace(whole, samples=tuple(known.get(sample.path, replace(sample, split="")) for sample in whole.samples))


def write_trees(
    output: Path,
    dealt: Sequence[Dataset],
    names: Sequence[str],
    config: Mapping[str, Any],
    files: Literal["link", "copy"],
    on_progress: OnProgress = ignore_progress,
) -> list[Path]:
    """Write ``train|validation|test/<class>/`` for each split, of links or of copies, and its ``manifest.csv``.

    One split fills ``output`` itself, several a folder each. A killed run goes on, a finished one is left as it is.

    Raises:
        RunError: ``output`` holds something else. ResourceError: the disk is too small for copies.
        UsageError: ``output`` lies among the pictures, or links cannot be made there.
    """
    root = dealt[0].root
    if output.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"{output} lies in {root}, which is to be split.", "Choose another output folder.")
    facts = {"config": config, "files": files, "splits": [digest(split_rows(dataset)) for dataset in dealt]}
    run = RunFolder(output, facts, "dataset split")
    places = [output / name for name in names] if len(names) > 1 else [output]
    if not run.finished:
        if files == "copy":
            _require_disk(output, dealt)
        tables = []
        for number, (place, dataset) in enumerate(zip(places, dealt, strict=True)):
            on_progress(Progress("writing", number, len(places), {}, place.name))
            tables.append(_write_tree(place, dataset, files))
        run.finish(tables={table.relative_to(output).as_posix(): file_digest(table) for table in tables})
    on_progress(Progress("writing", len(places), len(places)))
    return places


def _require_disk(output: Path, dealt: Sequence[Dataset]) -> None:
    needed = sum(sample.path.stat().st_size for dataset in dealt for sample in dataset.samples if sample.split)
    there = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    if needed > free_disk(output) + there:
        raise ResourceError(
            f"copies need {human_bytes(needed)}, {output} has {human_bytes(free_disk(output))} free.",
            "Make links, or choose another disk.",
        )


def _write_tree(place: Path, dataset: Dataset, files: Literal["link", "copy"]) -> Path:
    rows = []
    taken: set[str] = set()
    for sample in dataset.samples:
        if sample.split:
            name = _free_name(sample, taken)
            _put(sample.path, place / name, files)
            rows.append(dict(zip(_TREE_COLUMNS, _row(dataset, sample, name), strict=True)))
    table = place / TABLE_NAME
    write_csv(table, rows, list(_TREE_COLUMNS))
    return table


def _row(dataset: Dataset, sample: Sample, name: str) -> tuple[str, ...]:
    return name, sample.label, sample.split, sample.group, sample.sha256, dataset.relative(sample)


def _free_name(sample: Sample, taken: set[str]) -> str:
    """Return a path in the tree; former splits or subfolders may hold several files of one name."""
    folder, number = f"{sample.split}/{sample.label}", 2
    name = f"{folder}/{sample.path.name}"
    while name.casefold() in taken:
        name, number = f"{folder}/{sample.path.stem}-{number}{sample.path.suffix}", number + 1
    taken.add(name.casefold())
    return name


def _put(source: Path, target: Path, files: Literal["link", "copy"]) -> None:
    if target.is_file():  # of this run, before it was killed: files are whole or absent
        return
    if files == "copy":
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        target.symlink_to(os.path.relpath(source.resolve(), target.parent.resolve()))
    except OSError as error:
        raise UsageError(f"{target} cannot be made a link: {error.strerror}.", "Use --files copy.") from error
