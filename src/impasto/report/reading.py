"""Checked reading: a table or a JSON file is whole and plausible, or a RunError names it."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from impasto.errors import RunError
from impasto.files import file_digest
from impasto.runs import read_json

AGAIN = "Remove it and run the command that wrote it again."


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in ``path``.

    Raises:
        RunError: the file is absent, no JSON, or holds something other than an object.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise RunError(f"{path} is damaged: it holds no JSON object.", AGAIN)
    return value


def read_table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the rows of a CSV table that has at least ``columns``.

    Raises:
        RunError: a column is missing, a row is short or long, or the file is no UTF-8 table.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{path} is damaged: {error}.", AGAIN) from error
    if missing:
        raise RunError(f"{path} is damaged: it lacks the columns {', '.join(missing)}.", AGAIN)
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise RunError(f"{path} is damaged: row {number} has another length than the header.", AGAIN)
    return rows


def read_digests(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Return the SHA-256 of each file of ``names`` that ``folder`` holds."""
    return {name: file_digest(folder / name) for name in names if (folder / name).is_file()}


class Fields:
    """The fields of one record of ``path``, each read with its type and range.

    >>> Fields({"n": 3}, Path("evaluation.json")).count("n")
    3
    """

    def __init__(self, record: object, path: Path) -> None:
        if not isinstance(record, Mapping):
            raise RunError(f"{path} is damaged: {record!r:.80} is no record.", AGAIN)
        self._record = record
        self.path = path

    def text(self, name: str) -> str:
        """Return a string."""
        return str(self._of_type(name, str, "a text"))

    def items(self, name: str, *, optional: bool = False) -> list[Any]:
        """Return a list of anything, an empty one where an optional field is absent."""
        if optional and name not in self._record:
            return []
        return [*self._of_type(name, list, "a list")]

    def count(self, name: str) -> int:
        """Return an integer of 0 or more."""
        value = int(self._of_type(name, int, "a whole number"))
        if value < 0:
            self.refuse(name, "is negative")
        return value

    def share(self, name: str) -> float:
        """Return a number in 0..1."""
        value = float(self._of_type(name, int | float, "a number"))
        if not 0 <= value <= 1:
            self.refuse(name, f"is {value}, not in 0..1")
        return value

    def number(self, name: str) -> float | None:
        """Return the finite number that a table's cell holds, or None for an empty cell or nan."""
        cell = self.text(name).strip()
        try:
            value = float(cell) if cell else math.nan
        except ValueError:
            self.refuse(name, f"is {cell!r:.40}, not a number")
        return value if math.isfinite(value) else None

    def refuse(self, name: str, problem: str) -> NoReturn:
        """Raise the error that says what is wrong with the field ``name``."""
        raise RunError(f"{self.path} is damaged: {name!r} {problem}.", AGAIN)

    def _of_type(self, name: str, kind: Any, wanted: str) -> Any:
        value = self._record.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            self.refuse(name, f"is missing or not {wanted}")
        return value
