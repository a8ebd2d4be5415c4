"""How predictions are printed: a table for people; CSV, JSON and JSON lines for programs."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Any, Protocol

from impasto.cli.console import print_table
from impasto.cli.models import printable

if TYPE_CHECKING:
    from impasto.classify import Prediction


class Format(StrEnum):
    """How predictions are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


@dataclass(frozen=True)
class Answer:
    """What is printed of one picture.

    Attributes:
        path: the picture.
        best: its most probable classes with probabilities, the first one first; empty where it cannot be read.
        abstained: whether the first one is not probable enough to be called the picture's label.
        error: why it cannot be read, else "".
    """

    path: str
    best: tuple[tuple[str, float], ...]
    abstained: bool
    error: str

    @classmethod
    def of(cls, prediction: Prediction, top: int, abstain: float) -> Answer:
        """Take the ``top`` classes; abstain where the first has a probability below ``abstain``."""
        unsure = not prediction.error and prediction.probability < abstain
        return cls(printable(prediction.path), tuple(prediction.top(top)), unsure, prediction.error)

    @property
    def label(self) -> str:
        """The first class, "" for an unsure or unreadable picture."""
        return self.best[0][0] if self.best and not self.abstained else ""

    def record(self) -> dict[str, Any]:
        """Return what programs get."""
        return {
            "path": self.path,
            "label": self.label,
            "probability": self.best[0][1] if self.best else None,
            "abstained": self.abstained,
            "error": self.error,
            "top": [{"label": label, "probability": share} for label, share in self.best],
        }


class Printer(Protocol):
    """Takes answers as they come."""

    def add(self, answer: Answer) -> None:
        """Print one, or keep it for the end."""

    def close(self) -> None:
        """Print what is still to be printed."""


class CsvPrinter:
    """One row a picture, ``top`` pairs of columns for the most probable classes."""

    def __init__(self, file: IO[str], top: int) -> None:
        self._file, self._top = file, top
        self._writer = csv.writer(file, lineterminator="\n")
        pairs = [f"{what}_{rank}" for rank in range(1, top + 1) for what in ("class", "probability")]
        self._writer.writerow(["path", "label", "probability", "abstained", "error", *pairs])

    def add(self, answer: Answer) -> None:
        """Print it."""
        record = answer.record()
        values = [record[name] for name in ("path", "label", "probability", "abstained", "error")]
        pairs = [value for pair in answer.best for value in pair]
        self._writer.writerow([*values, *pairs, *[""] * (2 * self._top - len(pairs))])
        self._file.flush()

    def close(self) -> None:
        """Have nothing left to do."""


class JsonLinesPrinter:
    """One object a line."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def add(self, answer: Answer) -> None:
        """Print it."""
        self._file.write(json.dumps(answer.record(), ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Have nothing left to do."""


class JsonPrinter:
    """One list, an object a line."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self._before = file, "[\n"

    def add(self, answer: Answer) -> None:
        """Print it."""
        self._file.write(f"{self._before}  {json.dumps(answer.record(), ensure_ascii=False)}")
        self._before = ",\n"

    def close(self) -> None:
        """End the list."""
        self._file.write("[]\n" if self._before == "[\n" else "\n]\n")


class TablePrinter:
    """A table of the pictures that could be read."""

    def __init__(self) -> None:
        self._rows: list[list[str]] = []

    def add(self, answer: Answer) -> None:
        """Keep its row: the columns are as wide as the longest of them."""
        if not answer.error:
            cells = [f"{label} {share:.1%}" for label, share in answer.best]
            if answer.abstained:
                cells[0] = f"unsure ({answer.best[0][0]} {100 * answer.best[0][1]:.0f} %)"
            self._rows.append([answer.path, *cells])

    def close(self) -> None:
        """Print the table."""
        if self._rows:
            print_table(["picture", *(f"{rank}." for rank in range(1, len(self._rows[0])))], self._rows)


def printer(form: Format, file: IO[str], top: int) -> Printer:
    """Return what prints in ``form``, for programs into ``file``."""
    if form is Format.TABLE:
        return TablePrinter()
    if form is Format.CSV:
        return CsvPrinter(file, top)
    return JsonPrinter(file) if form is Format.JSON else JsonLinesPrinter(file)
