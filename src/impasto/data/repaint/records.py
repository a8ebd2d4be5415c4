"""What goes into and comes out of repainting a folder: configuration, table, estimate, result."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from impasto.data.dataset import TABLE_NAME, Dataset, Sample
from impasto.data.repaint.choosing import Choice
from impasto.errors import UsageError
from impasto.runtime import human_bytes, human_time
from impasto.style.config import FastConfig, StylizeConfig


@dataclass(frozen=True)
class RepaintConfig:
    """What determines a repainted data set besides the pictures.

    Attributes:
        stylize: how each repaint is made, by a network or by optimisation; its seed is the data set's.
        label: "style": the class is the style picture's name; "content": the class is the photo's own folder.
        originals: whether the untouched photos are included, as class ``original`` or as their own class.
        fractions: shares of train, validation and test, by number of photos; splits never divide a photo.
        strengths: one repaint for each; empty for the one of ``stylize``.
    """

    stylize: StylizeConfig | FastConfig = field(default_factory=lambda: FastConfig(size=256))
    label: Literal["style", "content"] = "style"
    originals: bool = False
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15)
    strengths: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.label not in ("style", "content"):
            raise UsageError(f"label {self.label!r} is neither style nor content.")
        if len(self.fractions) != 3 or min(self.fractions) < 0 or abs(sum(self.fractions) - 1) > 1e-6:
            raise UsageError(f"the fractions {self.fractions} are not three shares that sum to 1.")
        if self.stylize.size is None:
            raise UsageError("a data set needs one size.", "Give --size, 256 for instance.")

    @property
    def size(self) -> int:
        """Longer side of all pictures in pixels."""
        assert self.stylize.size is not None
        return self.stylize.size


@dataclass(frozen=True)
class Row:
    """One line of ``manifest.csv``: a picture of the data set and where it came from. Paths are relative."""

    output: str
    output_sha256: str
    label: str
    split: str
    group: str
    content: str
    content_sha256: str
    style: str
    style_sha256: str
    strength: str
    seed: str
    method: str
    config: str
    kind: str


COLUMNS = [field.name for field in fields(Row)]


@dataclass(frozen=True)
class Estimate:
    """What repainting a folder will cost: pictures still to be made, seconds, bytes on disk, bytes of memory."""

    pictures: int
    seconds: float
    disk: int
    memory: int

    def __str__(self) -> str:
        return (
            f"{self.pictures} pictures to make: about {human_time(self.seconds)}, {human_bytes(self.disk)} on disk, "
            f"{human_bytes(self.memory)} of memory"
        )


@dataclass(frozen=True)
class RepaintResult:
    """A finished folder: the data set in it, how many pictures were made now, and what was set aside.

    ``choices`` has one record a repaint where a judge chose the strengths.
    """

    folder: Path
    dataset: Dataset
    painted: int
    reused: int
    rejected: tuple[tuple[str, str], ...]
    seconds: float
    choices: tuple[Choice, ...] = ()


def sample_of(root: Path, row: Row) -> Sample:
    """Return the data set's record of one line."""
    return Sample(root / row.output, row.label, row.split, row.group, row.output_sha256)


def read_rows(folder: Path) -> list[Row]:
    """Return the lines of a repainted folder's ``manifest.csv``."""
    with (folder / TABLE_NAME).open(newline="", encoding="utf-8") as file:
        return [Row(**row) for row in csv.DictReader(file)]
