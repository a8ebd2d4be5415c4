"""The hook for whoever says how strongly each photo is repainted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from impasto.errors import UsageError
from impasto.images import Picture
from impasto.runs import write_csv
from impasto.style.result import Repaint

if TYPE_CHECKING:
    from impasto.data.repaint.records import RepaintConfig, Row

# The table beside the pictures, and the key under which each picture says the same.
STRENGTHS_NAME = "strengths.csv"
CHOSEN_KEY = "chosen"


@dataclass(frozen=True)
class Choice:
    """How strongly one photo was repainted in one style, and why.

    Attributes:
        strength: what was taken.
        before: the judge's probability of the photo's class for the untouched photo, at the repaint's size.
        after: the same for the repaint.
        photo_answer, answer: what the judge names the untouched photo and the repaint.
        reason: why this strength.
        paintings: how many strengths were painted to find it.
        taught: whether the judge was taught with this very photo, which makes it lenient.
    """

    strength: float
    before: float
    after: float
    photo_answer: str
    answer: str
    reason: str
    paintings: int
    taught: bool

    def record(self) -> dict[str, Any]:
        """Return plain values, from which ``Choice(**record)`` is the same again."""
        return asdict(self)


class Chooser(Protocol):
    """Takes one of several repaints of a photo in a style."""

    # How many paintings a picture takes, about; and the judge's folder, if it has one.
    paintings: int
    folder: Path | None

    def identity(self) -> Mapping[str, Any]:
        """Return plain values that tell what will be chosen, in place of a strength."""

    def check_labels(self, labels: Collection[str]) -> None:
        """Raise a DataError for classes of photos about which nothing can be said."""

    def choose(
        self, photo: Picture, label: str, size: int, paint: Callable[[float], Repaint]
    ) -> tuple[Choice, Repaint]:
        """Return what was chosen and the picture.

        Args:
            photo: the untouched photo.
            label: its class.
            size: the repaints' longer side in pixels.
            paint: returns the repaint of a strength.
        """


_COLUMNS = ["output", "content", "style", "label", *Choice.__dataclass_fields__]


def check_chosen(chooser: Chooser | None, config: RepaintConfig, labels: Collection[str]) -> None:
    """Refuse a data set for which no strength can be chosen, if one is to be chosen.

    Raises:
        UsageError: its classes are styles, or it has strengths. DataError: photos of classes that nobody knows.
    """
    if chooser is None:
        return
    if config.label != "content" or config.strengths:
        raise UsageError(
            "the strength that keeps the label is chosen for a data set whose labels are the photos' own.",
            "Give --label content, and no other --strength.",
        )
    chooser.check_labels(labels)


def write_choices(folder: Path, rows: Sequence[Row], choices: Mapping[str, Choice]) -> dict[str, Any]:
    """Write ``strengths.csv``, which strength each repaint got and why; return counts for the manifest."""
    lines = [
        {"output": row.output, "content": row.content, "style": row.style, "label": row.label, **choice.record()}
        for row in rows
        if (choice := choices.get(row.output))
    ]
    write_csv(folder / STRENGTHS_NAME, lines, _COLUMNS)
    reasons = Counter(line["reason"] for line in lines)
    return {"chosen": {"reasons": dict(sorted(reasons.items())), "taught": sum(line["taught"] for line in lines)}}
