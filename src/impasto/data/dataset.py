"""The one record of a labelled set of pictures, and the folder layouts it is read from."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from impasto.errors import DataError
from impasto.images import find_pictures

SPLITS = ("train", "validation", "test")
TABLE_NAME = "manifest.csv"
# Keras, torchvision and scikit-learn users name the middle split differently; all three mean the same.
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "training_set": "train",
    "validation": "validation",
    "validation_set": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
    "testing": "test",
    "test_set": "test",
}


@dataclass(frozen=True)
class Sample:
    """One picture of a data set.

    ``group`` names what must stay on one side of a split (the content photo of a repaint); ``split`` is "" where the
    data set has none; ``sha256`` is of the file's bytes, "" where it was not recorded.
    """

    path: Path
    label: str
    split: str = ""
    group: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Dataset:
    """Samples with the folder they came from."""

    root: Path
    samples: tuple[Sample, ...]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, sorted, each once."""
        return tuple(sorted({sample.label for sample in self.samples}))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that hold at least one sample, in the order train, validation, test."""
        present = {sample.split for sample in self.samples}
        return tuple(name for name in SPLITS if name in present)

    def split(self, name: str) -> Dataset:
        """Return the samples of one split; its classes may be fewer than those of the whole."""
        return replace(self, samples=tuple(sample for sample in self.samples if sample.split == name))

    def counts(self) -> dict[str, int]:
        """Return the number of samples of each class, in the order of ``classes``."""
        counter = Counter(sample.label for sample in self.samples)
        return {label: counter[label] for label in self.classes}

    def relative(self, sample: Sample) -> str:
        """Return a sample's path below the root with forward slashes, or its whole path when it lies elsewhere."""
        if sample.path.is_relative_to(self.root):
            return sample.path.relative_to(self.root).as_posix()
        return sample.path.as_posix()


def read_dataset(root: Path) -> Dataset:
    """Read a labelled folder.

    Three layouts are understood: a folder with the ``manifest.csv`` that ``impasto dataset stylize`` writes;
    ``train|validation|test/<class>/`` (also ``val`` and ``valid``); plain ``<class>/``. Class folders without a
    picture are errors rather than classes nobody can learn. Without a table, files of one name in several class folders
    (``waves/cat.png``, ``dots/cat.png``) count as one group: that is what repaints of one photo look like, and keeping
    unrelated ones together costs a split nothing.

    Raises:
        DataError: no such folder, no pictures, an empty class folder, a damaged table.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder.", "Give a folder with one subfolder of pictures for each class.")
    if (root / TABLE_NAME).is_file():
        samples = _from_table(root)
    elif split_folders := [path for path in _subfolders(root) if path.name.lower() in SPLIT_FOLDERS]:
        samples = [
            sample
            for folder in split_folders
            for sample in _from_class_folders(folder, SPLIT_FOLDERS[folder.name.lower()])
        ]
    else:
        samples = _from_class_folders(root, "")
    if not samples:
        raise DataError(f"{root} holds no pictures.", "Expected <class>/picture.jpg, or train/<class>/picture.jpg.")
    return Dataset(root, tuple(samples))


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _from_class_folders(folder: Path, split: str) -> list[Sample]:
    samples: list[Sample] = []
    for class_folder in _subfolders(folder):
        pictures = find_pictures(class_folder)
        if not pictures:
            raise DataError(f"the class folder {class_folder} is empty.", "Remove it, or put pictures into it.")
        samples += [Sample(path, class_folder.name, split, group=path.stem) for path in pictures]
    return samples


def _from_table(root: Path) -> list[Sample]:
    table = root / TABLE_NAME
    with table.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = {"output", "label", "split", "group"} - set(reader.fieldnames or ())
        if missing:
            raise DataError(f"{table} lacks the columns {', '.join(sorted(missing))}.")
        return [_sample_of_row(root, row) for row in reader]


def _sample_of_row(root: Path, row: dict[str, str]) -> Sample:
    relative = PurePosixPath(row["output"])
    if relative.is_absolute() or ".." in relative.parts:
        raise DataError(f"{root / TABLE_NAME} names {row['output']!r}, which lies outside its folder.")
    return Sample(root / relative, row["label"], row["split"], row["group"], row.get("output_sha256", ""))
