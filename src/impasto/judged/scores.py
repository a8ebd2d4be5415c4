"""What became of classes and styles in repaints: records, counts with intervals, and tables of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from impasto.runs import write_csv, write_json
from impasto.statistics import Proportion

CSV_NAME, JSON_NAME = "scores.csv", "scores.json"


@dataclass(frozen=True)
class RepaintScore:
    """What the judges say of one repaint and of its untouched photo.

    Attributes:
        output, content, style, strength: as in ``manifest.csv``.
        label: the photo's class.
        photo_answer: what the untouched photo is named; "" where it is not at hand.
        before, after: probability of ``label`` for the photo (None where it is not at hand) and for the repaint.
        answer: what the repaint is named.
        style_label: the style's name, "" where the judge of styles has no such class or there is none.
        style_answer, style_probability: what the repaint's style is named, and how probable ``style_label`` is.
        taught: whether the judge was taught with this very photo.
    """

    output: str
    content: str
    style: str
    strength: str
    label: str
    photo_answer: str
    before: float | None
    answer: str
    after: float
    style_label: str = ""
    style_answer: str = ""
    style_probability: float | None = None
    taught: bool = False

    @property
    def kept(self) -> bool:
        """Whether the repaint is named as its photo's class."""
        return self.answer == self.label

    @property
    def named(self) -> bool:
        """Whether the untouched photo is at hand and is named as its class."""
        return self.photo_answer == self.label

    def record(self) -> dict[str, Any]:
        """Return the line of the table."""
        recognised = self.style_answer == self.style_label if self.style_label else ""
        return {**asdict(self), "named": self.named if self.photo_answer else "", "kept": self.kept} | {
            "style_recognised": recognised
        }


@dataclass(frozen=True)
class Tally:
    """Counts over some repaints; shares are of repaints, and repaints of one photo count each.

    Attributes:
        name: what they have in common.
        kept: named as their photo's class.
        photos: of those whose photo is at hand, how many photos are named as their class.
        kept_of_named: of those whose photo is named as its class; what the painting alone has cost.
        recognised: of those whose style the judge of styles can name, how many styles it names.
        before, after: mean probability of the class for the photos and for the repaints, over those with a photo.
    """

    name: str
    kept: Proportion
    photos: Proportion | None
    kept_of_named: Proportion | None
    recognised: Proportion | None
    before: float | None
    after: float | None

    @classmethod
    def of(cls, name: str, scores: Iterable[RepaintScore]) -> Tally:
        """Count."""
        every = list(scores)
        at_hand = [item for item in every if item.before is not None]
        named = [item for item in at_hand if item.named]
        styled = [item for item in every if item.style_label]
        return cls(
            name,
            Proportion(sum(item.kept for item in every), len(every)),
            _share(item.named for item in at_hand),
            _share(item.kept for item in named),
            _share(item.style_answer == item.style_label for item in styled),
            _mean([item.before or 0.0 for item in at_hand]),
            _mean([item.after for item in at_hand]),
        )

    def record(self) -> dict[str, Any]:
        """Return plain values, shares with their 95 % Wilson intervals."""
        shares = {
            "kept": self.kept,
            "photos_named": self.photos,
            "kept_of_named": self.kept_of_named,
            "style_recognised": self.recognised,
        }
        facts = {name: proportion_record(share) if share else None for name, share in shares.items()}
        return {"name": self.name, **facts, "before": self.before, "after": self.after}


@dataclass(frozen=True)
class RepaintScores:
    """The scores of a folder of repaints.

    Attributes:
        folder: the repaints.
        scores: one a repaint.
        skipped: what could not be judged, with reasons.
        judges: what tells the judge of classes, and that of styles, from any other.
    """

    folder: Path
    scores: tuple[RepaintScore, ...]
    skipped: tuple[tuple[str, str], ...]
    judges: dict[str, Any]

    @property
    def overall(self) -> Tally:
        """All repaints together."""
        return Tally.of("all", self.scores)

    @property
    def taught(self) -> int:
        """How many repaints are of photos that taught the judge, which makes it lenient with them."""
        return sum(item.taught for item in self.scores)

    def by(self, key: str) -> list[Tally]:
        """Return counts by "strength", "style" or "label"."""
        order: Callable[[str], Any] = float if key == "strength" else str
        names = sorted({getattr(item, key) for item in self.scores}, key=order)
        return [Tally.of(name, [item for item in self.scores if getattr(item, key) == name]) for name in names]

    def record(self) -> dict[str, Any]:
        """Return what the JSON file says."""
        return {
            "judges": self.judges,
            "all": self.overall.record(),
            "strengths": [tally.record() for tally in self.by("strength")],
            "styles": [tally.record() for tally in self.by("style")],
            "classes": [tally.record() for tally in self.by("label")],
            "repaints_of_photos_that_taught_the_judge": self.taught,
            "skipped": self.skipped,
        }

    def save(self, folder: Path) -> None:
        """Write ``scores.csv``, a line a repaint, and ``scores.json``, the counts."""
        rows = [score.record() for score in self.scores]
        write_csv(folder / CSV_NAME, rows, list(rows[0]))
        write_json(folder / JSON_NAME, self.record())


def proportion_record(share: Proportion) -> dict[str, Any]:
    """Return a proportion as plain values.

    >>> {key: value for key, value in proportion_record(Proportion(1, 4)).items() if key != "wilson95"}
    {'k': 1, 'n': 4, 'value': 0.25}
    """
    return {"k": share.k, "n": share.n, "value": share.value, "wilson95": list(share.interval)}


def _share(hits: Iterable[bool]) -> Proportion | None:
    found = list(hits)
    return Proportion(sum(found), len(found)) if found else None


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
