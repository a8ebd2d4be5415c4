"""The pictures of a map: a labelled folder, or one of pictures alone."""

from __future__ import annotations

from pathlib import Path

from impasto.classify.prepare import read_hashed
from impasto.data.dataset import SPLIT_NAME, TABLE_NAME, Dataset, Sample
from impasto.embed.config import ALL
from impasto.errors import DataError
from impasto.files import file_digests
from impasto.images import find_pictures
from impasto.runtime import OnProgress, Progress, ignore_progress


def read_collection(root: Path, split: str = ALL, on_progress: OnProgress = ignore_progress) -> Dataset:
    """Read a labelled folder, or one of pictures alone, whose labels are "", with the SHA-256 of each file.

    A folder is one of pictures alone if it has no table and no subfolder with pictures.

    Raises:
        DataError: no folder, or no pictures (in this split).
    """
    if root.is_dir() and not any((root / name).is_file() for name in (TABLE_NAME, SPLIT_NAME)):
        paths = find_pictures(root)
        if paths and all(path.parent == root for path in paths):
            on_progress(Progress("hashing", 0, len(paths)))
            pairs = zip(paths, file_digests(paths), strict=True)
            dataset = Dataset(root, tuple(Sample(path, "", sha256=sha256) for path, sha256 in pairs))
            on_progress(Progress("hashing", len(paths), len(paths)))
            return _of_split(dataset, split)
    return _of_split(read_hashed(root, on_progress), split)


def _of_split(dataset: Dataset, split: str) -> Dataset:
    chosen = dataset if split == ALL else dataset.split(split)
    if not len(chosen):
        there = f"It has {', '.join(dataset.splits)}." if dataset.splits else "It has no splits."
        raise DataError(f"{dataset.root} has no pictures in {split}.", there)
    return chosen
