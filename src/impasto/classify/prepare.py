"""What a training needs of a data set: hashes, three splits, and a record of both."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from impasto.data.dataset import (
    SPLIT_NAME,
    SPLITS,
    Dataset,
    read_dataset,
    read_split_rows,
    split_rows,
    write_split_table,
)
from impasto.data.split.splits import grouped_split
from impasto.errors import DataError, RunError
from impasto.files import file_digests
from impasto.runs import digest
from impasto.runtime import OnProgress, Progress, ignore_progress

# What train gives up when there is a test split and no validation split: 15 of 85 of the whole.
_CARVED = (0.85, 0.15, 0.0)


def read_hashed(root: Path, on_progress: OnProgress = ignore_progress) -> Dataset:
    """Read a data set and the SHA-256 of each of its files as it is now, "" where a file cannot be opened."""
    dataset = read_dataset(root)
    _check_names(dataset)
    on_progress(Progress("hashing", 0, len(dataset)))
    digests = file_digests([sample.path for sample in dataset.samples])
    on_progress(Progress("hashing", len(dataset), len(dataset)))
    pairs = zip(dataset.samples, digests, strict=True)
    return replace(dataset, samples=tuple(replace(sample, sha256=sha256) for sample, sha256 in pairs))


def _check_names(dataset: Dataset) -> None:
    """Find out before the work, not when tables are written, that a name cannot be written."""
    for sample in dataset.samples:
        try:
            f"{sample.path} {sample.label} {sample.group}".encode()
        except UnicodeEncodeError as error:
            raise DataError(f"the file name {str(sample.path)!r} is no valid UTF-8.", "Rename the file.") from error


def with_splits(dataset: Dataset, seed: int) -> Dataset:
    """Return a data set that has a train and a validation split.

    Splits that are there are kept. Without any, groups are dealt 70 : 15 : 15; without validation, 15 % of train is
    set aside for it, by groups.

    Raises:
        DataError: no train split, samples outside the splits, a class that is not in train, or only one class.
    """
    if not dataset.splits:
        dataset = grouped_split(dataset, seed=seed)
    _check_placed(dataset)
    if "validation" not in dataset.splits:
        carved = iter(grouped_split(dataset.split("train"), _CARVED, seed).samples)
        samples = (next(carved) if sample.split == "train" else sample for sample in dataset.samples)
        dataset = replace(dataset, samples=tuple(samples))
    _check_classes(dataset)
    return dataset


def _check_placed(dataset: Dataset) -> None:
    lost = [sample for sample in dataset.samples if sample.split not in SPLITS]
    if lost:
        raise DataError(
            f"{dataset.root}: {len(lost)} of {len(dataset)} pictures are in none of the splits "
            f"{', '.join(SPLITS)}, for example {dataset.relative(lost[0])}.",
            "Give every picture a split, or none of them.",
        )
    if "train" not in dataset.splits:
        raise DataError(
            f"{dataset.root} has no train split, only {', '.join(dataset.splits)}.",
            "Expected train/<class>/picture.jpg, or <class>/picture.jpg.",
        )


def _check_classes(dataset: Dataset) -> None:
    known = dataset.split("train").classes
    unknown = sorted(set(dataset.classes) - set(known))
    if unknown:
        raise DataError(
            f"{dataset.root}: nothing to train on for {', '.join(unknown)}.",
            "Put pictures of every class into train.",
        )
    if len(known) < 2:
        raise DataError(f"{dataset.root} has one class, {known[0]}.", "A classifier needs two or more.")


def describe(dataset: Dataset) -> dict[str, Any]:
    """Return what identifies a data set in a run's ``config.json``: its name, a digest of everything, its sizes."""
    sizes = Counter(sample.split for sample in dataset.samples)
    return {
        "name": dataset.root.resolve().name,
        "sha256": digest(split_rows(dataset)),
        "pictures": {name: sizes[name] for name in dataset.splits},
    }


def write_split(folder: Path, dataset: Dataset) -> None:
    """Write ``split.csv``: which picture was in which split, so that an evaluation uses the same."""
    write_split_table(folder / SPLIT_NAME, dataset)


def read_split(folder: Path) -> list[dict[str, str]]:
    """Read the ``split.csv`` of a run folder; empty where there is none.

    Raises:
        RunError: the table is damaged.
    """
    table = folder / SPLIT_NAME
    if not table.is_file():
        return []
    try:
        return read_split_rows(table)
    except DataError as error:
        raise RunError(f"{table} is damaged.", "Train the model again into another folder.") from error
