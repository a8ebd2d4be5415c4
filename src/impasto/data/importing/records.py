"""What goes into and comes out of an import: configuration, table, result."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from impasto.data.dataset import Dataset
from impasto.data.importing.labels import Columns
from impasto.errors import UsageError


@dataclass(frozen=True)
class ImportConfig:
    """What determines an imported data set besides the files.

    Attributes:
        table: CSV, TSV or Parquet with paths and labels.
        columns: names of the columns of the table, or of Parquet files with pictures, where they are unusual.
        label_regex: searched in each path; the group ``label``, or the first, is the label, a group ``split`` the
            split. Without it and without a table the class folder is the label.
        rename: pairs of an old and a new class; an empty new one leaves the class out.
        smallest: pixels that a picture's shorter side must have.
        classes: those to take, by their new names, also several with commas between; empty for all.
        per_class: pictures to take of each class, over all splits; None for all.
        seed: another seed, other pictures; fewer pictures of one seed are among more.
    """

    table: Path | None = None
    columns: Columns = field(default_factory=Columns)
    label_regex: str = ""
    rename: tuple[tuple[str, str], ...] = ()
    smallest: int = 16
    classes: tuple[str, ...] = ()
    per_class: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.table is not None and self.label_regex:
            raise UsageError("a table and a label regex were given.", "Labels come from one of them.")
        if self.smallest < 1:
            raise UsageError(f"a smallest side of {self.smallest} pixels is not allowed.", "Allowed: 1 or more.")
        if self.per_class is not None and self.per_class < 1:
            raise UsageError(f"{self.per_class} pictures of each class are not allowed.", "Allowed: 1 or more.")


@dataclass(frozen=True)
class Rejected:
    """A file that was set aside: where it lies, of what kind the reason is, and the reason."""

    path: str
    kind: str
    reason: str


@dataclass(frozen=True)
class ImportedRow:
    """One line of ``manifest.csv``: a picture, and the file that it was."""

    output: str
    label: str
    split: str
    group: str
    output_sha256: str
    width: int
    height: int
    source: str


@dataclass(frozen=True)
class ImportResult:
    """A finished import.

    Attributes:
        folder: the data set's.
        dataset: what is in it.
        rejected: the files that were set aside.
        remarks: what there is to know, such as a class with fewer pictures than asked for.
        decoded: how many pictures were decoded now.
        seconds: how long it took.
    """

    folder: Path
    dataset: Dataset
    rejected: tuple[Rejected, ...]
    remarks: tuple[str, ...]
    decoded: int
    seconds: float

    def kinds(self) -> dict[str, int]:
        """Return the number of files set aside for each kind of reason, most first."""
        return dict(Counter(each.kind for each in self.rejected).most_common())
