"""How the files of a source get their labels: from folders, from their names, from a table, or from their own row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from impasto.data.dataset import SPLIT_FOLDERS
from impasto.data.importing.entries import Entry
from impasto.errors import DataError, UnknownNameError, UsageError
from impasto.images import PICTURE_SUFFIXES

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
    """Names of a table's or a Parquet file's columns; empty ones are guessed from the usual names."""

    path: str = ""
    label: str = ""
    split: str = ""
    group: str = ""


def from_folders(entries: Sequence[Entry]) -> list[Marked]:
    """Take the class folder as label, and a folder train, validation or test above it as split.

    Folders around all pictures of a source (``dataset/dataset_updated/..``) count for nothing.
    """
    names: dict[str, list[str]] = {entry.source: [] for entry in entries}
    for entry in entries:
        if entry.name.lower().endswith(PICTURE_SUFFIXES):  # a list beside the classes is none of them
            names[entry.source].append(entry.name)
    around = {source: _folders_around(each) for source, each in names.items()}
    return [_of_parts(entry.name.split("/")[around[entry.source] :]) for entry in entries]


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

    A group ``split`` is the split, by any of its usual names.

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
    return [_of_match(regex.search(entry.name), group) for entry in entries]


def _of_match(match: re.Match[str] | None, group: str | int) -> Marked:
    if match is None or not match[group]:
        return Marked(problem="its name has no label")
    return Marked(match[group], SPLIT_FOLDERS.get((match.groupdict().get("split") or "").lower(), ""))


def from_rows(entries: Sequence[Entry], columns: Columns) -> list[Marked]:
    """Take labels, splits and groups from the rows of Parquet files.

    Raises:
        UnknownNameError: a column that one of the files lacks.
        DataError: no column with a usual name for labels, or several.
    """
    firsts = {entry.source: entry.columns or {} for entry in reversed(entries)}
    known = [name for name in next(iter(firsts.values()), {}) if all(name in each for each in firsts.values())]
    usual = [name for name in _LABELS if name in known]
    if not columns.label and len(usual) != 1:
        found = (
            f"several columns that could be labels: {', '.join(usual)}" if usual else "no column named as labels are"
        )
        raise DataError(
            f"{', '.join(firsts)} {'has' if len(firsts) == 1 else 'have'} {found}.",
            f"Choose with --label-column one of {', '.join(usual or known)}.",
        )
    label = _maybe(known, columns.label, _LABELS)
    split, group = _maybe(known, columns.split, _SPLITS), _maybe(known, columns.group, _GROUPS)
    return [_of_row(entry.columns or {}, label, split, group) for entry in entries]


def _of_row(row: Mapping[str, str], label: str, split: str, group: str) -> Marked:
    if not row[label].strip():
        return Marked(problem=f"its row has no {label}")
    place = SPLIT_FOLDERS.get(row[split].lower(), "") if split else ""
    return Marked(row[label].strip(), place, row[group] if group else "")


def from_table(entries: Sequence[Entry], table: Path, columns: Columns) -> tuple[list[Marked], list[str]]:
    """Take labels from a CSV, TSV or Parquet table; return them, and the paths in it that no source has.

    A path of the table means the file of that path in any source, or the only file whose path ends so.

    Raises:
        DataError: a table that cannot be read, lacks a column, or gives one path two labels.
    """
    frame = _read_table(table)
    known = [str(column) for column in frame.columns]
    path, label = _column(known, table, columns.path, _PATHS), _column(known, table, columns.label, _LABELS)
    split, group = _maybe(known, columns.split, _SPLITS), _maybe(known, columns.group, _GROUPS)
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
            frame = pd.read_parquet(table, dtype_backend="pyarrow")  # else whole numbers beside nothing become 3.0
            return frame.astype(object).where(frame.notna(), "")
        return pd.read_csv(table, sep="\t" if table.suffix.lower() == ".tsv" else ",", dtype=str, keep_default_na=False)
    except ImportError as error:
        raise DataError(
            f"{table} needs a package that is not installed.", "pip install 'impasto[sources]', or use CSV."
        ) from error
    except (OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{table} cannot be read as a table: {error}.", "Tables may be CSV, TSV or Parquet.") from error


def _column(known: Sequence[str], table: Path, name: str, usual: Sequence[str]) -> str:
    found = _maybe(known, name, usual)
    if not found:
        raise DataError(f"{table} has none of the columns {', '.join(usual)}.", f"Name one of {', '.join(known)}.")
    return found


def _maybe(known: Sequence[str], name: str, usual: Sequence[str]) -> str:
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


def named_classes(asked: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """Return the classes that were asked for, each once; one value may name several with commas between.

    >>> named_classes(["crab,scorpion", "Monet, Claude"], ["Monet, Claude", "crab", "scorpion"])
    ('Monet, Claude', 'crab', 'scorpion')

    Raises:
        UnknownNameError: one that is not known; the nearest are offered.
    """
    apart = [[value] if value in known else value.split(",") for value in asked]
    names = {name.strip() for each in apart for name in each if name.strip()}
    for name in sorted(names):
        if name not in known:
            raise UnknownNameError("class", name, sorted(known))
    return tuple(sorted(names))
