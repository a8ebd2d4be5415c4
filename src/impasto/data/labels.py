"""How the files of a source get their labels: from folders, from their names, or from a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from impasto.data.dataset import SPLIT_FOLDERS
from impasto.data.sources import Entry
from impasto.errors import DataError, UnknownNameError, UsageError

# What columns are called in the tables of public data sets; the first that is there is taken.
_PATHS = ("path", "file", "filename", "file_name", "image", "image_path", "output")
_LABELS = ("label", "class", "style", "genre", "artist", "medium", "category")
_SPLITS, _GROUPS = ("split", "subset"), ("group", "artist_id", "painting_id")


@dataclass(frozen=True)
class Marked:
    """What is known of a file besides its pixels; ``problem`` says why it has no label."""

    label: str = ""
    split: str = ""
    group: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Columns:
    """Names of a table's columns; empty ones are guessed from the usual names."""

    path: str = ""
    label: str = ""
    split: str = ""
    group: str = ""


def from_folders(entries: Sequence[Entry]) -> list[Marked]:
    """Take the class folder as label, and a folder train, validation or test above it as split.

    Folders around everything in a source (``dataset/dataset_updated/..``) count for nothing.
    """
    around = {source: _folders_around([e.name for e in entries if e.source == source]) for source in _names(entries)}
    return [_of_parts(entry.name.split("/")[around[entry.source] :]) for entry in entries]


def _names(entries: Sequence[Entry]) -> list[str]:
    return list(dict.fromkeys(entry.source for entry in entries))


def _folders_around(names: Sequence[str]) -> int:
    """Return how many folders all files share, as long as a class folder is left to each."""
    deep = [name.split("/") for name in names if name.count("/") > 0]
    count = 0
    while deep and all(len(parts) > count + 2 for parts in deep):
        shared = {parts[count] for parts in deep}
        if len(shared) > 1 or shared.pop().lower() in SPLIT_FOLDERS:
            break
        count += 1
    return count


def _of_parts(parts: Sequence[str]) -> Marked:
    split = SPLIT_FOLDERS.get(parts[0].lower(), "") if len(parts) > 1 else ""
    folders = parts[1:-1] if split else parts[:-1]
    return Marked(folders[0], split) if folders else Marked(problem="it lies in no class folder")


def from_names(entries: Sequence[Entry], pattern: str) -> list[Marked]:
    """Search each path for a regular expression, whose group ``label``, or else its first, is the label.

    Raises:
        UsageError: no regular expression, or one without a group.
    """
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{pattern!r} is no regular expression: {error}.") from error
    if not regex.groups:
        raise UsageError(f"{pattern!r} has no group that could be the label.", "Put it into brackets: '([a-z]+)_'.")
    group: str | int = "label" if "label" in regex.groupindex else 1
    found = (regex.search(entry.name) for entry in entries)
    return [
        Marked(match[group]) if match and match[group] else Marked(problem="its name has no label") for match in found
    ]


def from_table(entries: Sequence[Entry], table: Path, columns: Columns) -> tuple[list[Marked], list[str]]:
    """Take labels from a CSV, TSV or Parquet table; return them, and the paths in it that no source has.

    A path of the table means the file of that path in any source, or the only file whose path ends so.

    Raises:
        DataError: a table that cannot be read, lacks a column, or gives one path two labels.
    """
    frame = _read_table(table)
    path, label = _column(frame, table, columns.path, _PATHS), _column(frame, table, columns.label, _LABELS)
    split, group = (_maybe(frame, name, usual) for name, usual in ((columns.split, _SPLITS), (columns.group, _GROUPS)))
    wanted: dict[str, Marked] = {}
    for row in frame.to_dict("records"):
        name = str(row[path]).replace("\\", "/").removeprefix("./").strip("/")
        place = SPLIT_FOLDERS.get(str(row[split]).lower(), "") if split else ""
        marked = Marked(str(row[label]).strip(), place, str(row[group]) if group else "")
        if name in wanted and wanted[name] != marked:
            raise DataError(f"{table} has two different lines for {name}.", "Remove one of them.")
        wanted[name] = marked
    meant = _meant(entries, wanted)
    unnamed = Marked(problem="the table does not name it")
    marks = [wanted[name] if name else unnamed for name in meant]
    marks = [mark if mark.label or mark.problem else Marked(problem="the table gives it no label") for mark in marks]
    return marks, [name for name in wanted if name not in set(meant)]


def _read_table(table: Path) -> pd.DataFrame:
    try:
        if table.suffix.lower() == ".parquet":
            return pd.read_parquet(table)
        return pd.read_csv(table, sep="\t" if table.suffix.lower() == ".tsv" else ",", dtype=str, keep_default_na=False)
    except ImportError as error:
        raise DataError(
            f"{table} needs a package that is not installed.", "pip install pyarrow, or use CSV."
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{table} cannot be read as a table: {error}.", "Tables may be CSV, TSV or Parquet.") from error


def _column(frame: pd.DataFrame, table: Path, name: str, usual: Sequence[str]) -> str:
    found = _maybe(frame, name, usual)
    if not found:
        raise DataError(
            f"{table} has none of the columns {', '.join(usual)}.", f"Name one of {', '.join(map(str, frame.columns))}."
        )
    return found


def _maybe(frame: pd.DataFrame, name: str, usual: Sequence[str]) -> str:
    known = [str(column) for column in frame.columns]
    if name and name not in known:
        raise UnknownNameError("column", name, known)
    return name or next((each for each in usual if each in known), "")


def _meant(entries: Sequence[Entry], wanted: Collection[str]) -> list[str]:
    """Return for each file the path of the table that means it, or "": the whole path, or an end no other file has.

    An end is looked for within one source, because archives may overlap.
    """
    distinct = dict.fromkeys((entry.source, entry.name) for entry in entries)
    ends = Counter((source, end) for source, name in distinct for end in _endings(name))

    def meant(entry: Entry) -> str:
        clear = (end for end in _endings(entry.name) if end == entry.name or ends[entry.source, end] == 1)
        return next((end for end in clear if end in wanted), "")

    return [meant(entry) for entry in entries]


def _endings(name: str) -> list[str]:
    """Return a path, and what is left of it without the first folder, the first two, and so on."""
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]


def renamed(marks: Sequence[Marked], mapping: dict[str, str]) -> list[Marked]:
    """Give classes other names; two of one name are merged, those of an empty name left out.

    Raises:
        UnknownNameError: a class that nothing has.
    """
    known = sorted({mark.label for mark in marks if mark.label})
    for old in mapping:
        if old not in known:
            raise UnknownNameError("class", old, known)
    return [_renamed(mark, mapping.get(mark.label, mark.label)) for mark in marks]


def _renamed(mark: Marked, label: str) -> Marked:
    if mark.problem or label == mark.label:
        return mark
    return Marked(label, mark.split, mark.group) if label else Marked(problem=f"its class {mark.label} is left out")
