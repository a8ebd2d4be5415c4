"""The one record of a labelled set of pictures, and the folder layouts it is read from."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from impasto.errors import DataError, UnknownNameError
from impasto.images import find_pictures
from impasto.runs import write_csv

SPLITS = ("train", "validation", "test")
TABLE_NAME = "manifest.csv"
SPLIT_NAME = "split.csv"
SPLIT_COLUMNS = ("path", "sha256", "split", "label", "group")
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


def read_dataset(root: Path, *, dealt: bool = True) -> Dataset:
    """Read a labelled folder, or a table that ``impasto dataset split`` wrote beside one.

    Three layouts are understood: a folder with the ``manifest.csv`` that ``impasto dataset stylize`` and ``import``
    write; ``train|validation|test/<class>/`` (also ``val`` and ``valid``); plain ``<class>/``. A ``split.csv`` in the
    folder says which picture is in which split; those without a split there are left out. Class folders without a
    picture are errors rather than classes nobody can learn.

    Without a table, files of one name in several class folders (``waves/cat.png``, ``dots/cat.png``) count as one
    group: that is what repaints of one photo look like. Names that merely count (``crab/image_0001.jpg``) do not,
    unless all folders count equally far.

    Args:
        root: the folder, or a CSV table whose paths are relative to its own folder.
        dealt: whether ``split.csv`` is obeyed.

    Raises:
        DataError: no such folder, no pictures, an empty class folder, a damaged table, or one that knows other files.
    """
    if root.suffix.lower() == ".csv" and root.is_file():
        return _from_split_table(root)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder.", "Give a folder with one subfolder of pictures for each class.")
    samples = _from_folder(root)
    if not samples:
        raise DataError(f"{root} holds no pictures.", "Expected <class>/picture.jpg, or train/<class>/picture.jpg.")
    if dealt and (root / SPLIT_NAME).is_file():
        dataset = _from_split_table(root / SPLIT_NAME)
        _check_known(root, samples)
        return dataset
    return Dataset(root, tuple(samples))


def _from_folder(root: Path) -> list[Sample]:
    if (root / TABLE_NAME).is_file():
        return _from_table(root)
    split_folders = [path for path in _subfolders(root) if path.name.lower() in SPLIT_FOLDERS]
    places = [(folder, SPLIT_FOLDERS[folder.name.lower()]) for folder in split_folders] or [(root, "")]
    samples = [sample for folder, split in places for sample in _from_class_folders(folder, split)]
    return [replace(sample, group="") for sample in samples] if _merely_count(samples) else samples


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


def _merely_count(samples: Sequence[Sample]) -> bool:
    """Whether the names in each folder are one word with numbers that hardly leave any out, and not all the same."""
    folders: dict[tuple[str, str], set[str]] = {}
    for sample in samples:
        folders.setdefault((sample.split, sample.label), set()).add(sample.group)
    names = list(folders.values())
    return all(map(_is_enumeration, names)) and any(each != names[0] for each in names)


def _is_enumeration(names: Collection[str]) -> bool:
    parts = [re.fullmatch(r"(.*?)(\d+)", name) for name in names]
    numbers = {int(part[2]) for part in parts if part}
    alike = len({part and part[1] for part in parts}) == 1
    return alike and len(numbers) == len(names) and max(numbers) - min(numbers) < 1.2 * len(numbers)


def _from_table(root: Path) -> list[Sample]:
    return [_sample_of_row(root, row) for row in _read_rows(root / TABLE_NAME, {"output", "label", "split", "group"})]


def _read_rows(table: Path, columns: Collection[str]) -> list[dict[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = set(columns) - set(reader.fieldnames or ())
            if missing:
                raise DataError(f"{table} lacks the columns {', '.join(sorted(missing))}.")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as a table: {error}.") from error
    if any(None in row.values() for row in rows):
        raise DataError(f"{table} is damaged: a line is shorter than its header.", "Make it again.")
    return rows


def _sample_of_row(root: Path, row: Mapping[str, str]) -> Sample:
    path = _inside(root, row["output"], TABLE_NAME)
    return Sample(path, row["label"], row["split"], row["group"], row.get("output_sha256", ""))


def _inside(root: Path, name: str, table: str) -> Path:
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise DataError(f"{root / table} names {name!r}, which lies outside its folder.")
    return root / relative


def _from_split_table(table: Path) -> Dataset:
    """Return the pictures that a table gives a split.

    Raises:
        DataError: a damaged table, an unknown split, no picture, or one that is not there.
    """
    rows = [row for row in read_split_rows(table) if row["split"]]
    strange = sorted({row["split"] for row in rows} - set(SPLITS))
    if strange:
        raise DataError(f"{table} knows the split {strange[0]!r}.", f"Splits are {', '.join(SPLITS)}.")
    root = table.parent
    samples = [
        Sample(_inside(root, row["path"], table.name), row["label"], row["split"], row["group"], row["sha256"])
        for row in rows
    ]
    lost = [sample for sample in samples if not sample.path.is_file()]
    if lost or not samples:
        what = f"names {len(lost)} pictures that are not there, the first {lost[0].path}" if lost else "has no pictures"
        raise DataError(f"{table} {what}.", "Run `impasto dataset split` again.")
    return Dataset(root, tuple(samples))


def _check_known(root: Path, samples: Sequence[Sample]) -> None:
    """Refuse pictures that came after the split: nobody decided where they belong."""
    known = {row["path"] for row in read_split_rows(root / SPLIT_NAME)}
    names = (Dataset(root, ()).relative(sample) for sample in samples)
    new = [name for name in names if name not in known]
    if new:
        raise DataError(
            f"{root / SPLIT_NAME} does not know {len(new)} pictures of its folder, the first {new[0]}.",
            "Remove the table and run `impasto dataset split` again.",
        )


def split_rows(dataset: Dataset) -> list[dict[str, str]]:
    """Return the lines of a split table, one for each sample."""
    return [
        {
            "path": dataset.relative(sample),
            "sha256": sample.sha256,
            "split": sample.split,
            "label": sample.label,
            "group": sample.group,
        }
        for sample in dataset.samples
    ]


def write_split_table(table: Path, dataset: Dataset) -> None:
    """Write which picture is in which split; a sample without one is left out by who reads the table."""
    write_csv(table, split_rows(dataset), list(SPLIT_COLUMNS))


def read_split_rows(table: Path) -> list[dict[str, str]]:
    """Return the lines of a split table.

    Raises:
        DataError: it is damaged.
    """
    return _read_rows(table, SPLIT_COLUMNS)


def read_columns(root: Path, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return what columns of ``manifest.csv`` say of each picture, by its path.

    Raises:
        DataError: the folder has no such table. UnknownNameError: the table has no such column.
    """
    table = root / TABLE_NAME
    if not table.is_file():
        raise DataError(f"{root} has no {TABLE_NAME}, so its pictures have no {names[0]}.", "Group by --group-regex.")
    rows = _read_rows(table, {"output"})
    for name in names:
        if rows and name not in rows[0]:
            raise UnknownNameError("column", name, list(rows[0]))
    return {row["output"]: tuple(row[name] for name in names) for row in rows}
