"""Decisions for shape or for texture: records, counts with intervals, and what they say in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from impasto.judged.scores import proportion_record
from impasto.runs import write_csv, write_json
from impasto.statistics import Proportion

CSV_NAME, JSON_NAME, SHEET_NAME = "bias.csv", "bias.json", "conflicts.png"
Cue = Literal["shape", "texture", "other"]
CUES: tuple[Cue, ...] = ("shape", "texture", "other")
# With fewer decisions for one of the two classes a single picture moves the share by more than 5 points.
_FEWEST = 20
# An answer to more than this share of all pictures, and to twice as many as show it or are painted with it, is one to
# everything. In pairs of classes that are content as often as style it is right about the shape as often as about the
# texture.
_FAVOURITE = 0.25


@dataclass(frozen=True)
class Decision:
    """What a network says of one picture whose shape and texture are of different classes.

    Attributes:
        output, content, style, strength: as in ``manifest.csv``.
        shape, texture: the classes of the content photo and of the style photo.
        answer, probability: the network's first answer.
        shape_probability, texture_probability: those of the two classes.
        photo_answer, style_answer: what the two untouched photos are named; "" where they are not at hand.
    """

    output: str
    content: str
    style: str
    strength: str
    shape: str
    texture: str
    answer: str
    probability: float
    shape_probability: float
    texture_probability: float
    photo_answer: str
    style_answer: str

    @property
    def cue(self) -> Cue:
        """What the answer follows."""
        return "shape" if self.answer == self.shape else "texture" if self.answer == self.texture else "other"

    @property
    def counts(self) -> bool:
        """Whether the untouched content photo is named as its class; else nothing was there to be kept."""
        return self.photo_answer == self.shape

    @property
    def counts_twice(self) -> bool:
        """Whether the style photo is named as its class, too."""
        return self.counts and self.style_answer == self.texture

    def record(self) -> dict[str, Any]:
        """Return the line of the table."""
        return {**asdict(self), "decision": self.cue, "counts": self.counts, "both_named": self.counts_twice}


@dataclass(frozen=True)
class CueCounts:
    """How many answers follow shape, texture, or neither.

    ``likelier`` of all pictures have a shape whose class is more probable than the texture's, whatever the answer is:
    with many classes most answers are neither, and this still says which of the two the network sees.
    """

    shape: int
    texture: int
    other: int
    likelier: int

    @classmethod
    def of(cls, decisions: Sequence[Decision]) -> CueCounts:
        """Count."""
        counter = Counter(decision.cue for decision in decisions)
        likelier = sum(each.shape_probability > each.texture_probability for each in decisions)
        return cls(counter["shape"], counter["texture"], counter["other"], likelier)

    @property
    def n(self) -> int:
        """All pictures."""
        return self.shape + self.texture + self.other

    @property
    def bias(self) -> Proportion | None:
        """The shape bias of Geirhos et al. 2019: shape / (shape + texture); None without a decision for either."""
        decided = self.shape + self.texture
        return Proportion(self.shape, decided) if decided else None

    @property
    def preference(self) -> Proportion | None:
        """The share of pictures whose shape's class is the more probable of the two; None without pictures."""
        return Proportion(self.likelier, self.n) if self.n else None

    def record(self) -> dict[str, Any]:
        """Return plain values."""
        cues = {str(cue): Proportion(getattr(self, cue), self.n) for cue in CUES} if self.n else {}
        shares = {name: proportion_record(share) for name, share in cues.items()}
        figures = {"shape_bias": self.bias, "shape_likelier": self.preference}
        return {
            "pictures": self.n,
            **shares,
            **{name: proportion_record(share) if share else None for name, share in figures.items()},
        }


@dataclass(frozen=True)
class ShapeBias:
    """What a network decides by, on pictures whose shape and texture are of different classes.

    Attributes:
        name: the network's.
        decisions: one a picture.
        skipped: pictures that could not be judged, with reasons.
        judge: what tells the network from any other.
        painted: how the pictures were made, in words; ``weak``: below a network's full strength, where some of the
            photo's own texture is left.
        taught: how many of the pictures have a content photo that taught the network.
    """

    name: str
    decisions: tuple[Decision, ...]
    skipped: tuple[tuple[str, str], ...]
    judge: dict[str, Any]
    painted: str = ""
    weak: bool = False
    taught: int = 0

    @property
    def every(self) -> CueCounts:
        """Counts over all pictures."""
        return CueCounts.of(self.decisions)

    @property
    def counted(self) -> CueCounts:
        """Counts over the pictures whose untouched content photo is named correctly: the figure to quote."""
        return CueCounts.of([item for item in self.decisions if item.counts])

    @property
    def both(self) -> CueCounts:
        """Counts over those whose style photo is named correctly as well, which the paper's own stimuli were."""
        return CueCounts.of([item for item in self.decisions if item.counts_twice])

    def by_class(self) -> dict[str, CueCounts]:
        """Return the counted pictures by the class of their shape, the most frequent first."""
        classes = Counter(item.shape for item in self.decisions if item.counts)
        names = sorted(classes, key=lambda name: (-classes[name], name))
        return {
            name: CueCounts.of([item for item in self.decisions if item.counts and item.shape == name])
            for name in names
        }

    @property
    def words(self) -> str:
        """What was found, in a sentence or two; also that nothing was."""
        counts, bias = self.counted, self.counted.bias
        if not counts.n:
            return f"Cannot tell: of {self.every.n} pictures none has a content photo that {self.name} names correctly."
        if bias is None:
            return f"Cannot tell: {self.name} names none of the {counts.n} pictures as its shape's or texture's class."
        told = f"{bias} of the decisions for one of the two classes are for the shape"
        sides = {_side(bias), _side(self.both.bias)}
        if bias.n < _FEWEST:
            verdict = f"Cannot tell from {bias.n} decisions: {told}."
        elif favourite := self._favourite():
            verdict = f"Cannot tell: {favourite} ({told}.)"
        elif len(sides) > 1 or "" in sides:
            # Photos that must be named favour the shape, unless the style photos must be named as well.
            verdict = (
                f"Cannot tell whether {self.name} decides by shape or by texture: {told}; where the style photo is "
                f"named as well, {self.both.bias or 'there is no decision'}."
            )
        else:
            verdict = f"{self.name} decides by {_side(bias)}: {told}."
        return " ".join([verdict, *self._reserves(counts)])

    def _favourite(self) -> str:
        """Return what must be said where one answer is given to nearly everything, else ""."""
        counted = [item for item in self.decisions if item.counts]
        name, often = Counter(item.answer for item in counted).most_common(1)[0]
        shown, worn = (sum(getattr(item, cue) == name for item in counted) for cue in ("shape", "texture"))
        if often <= max(_FAVOURITE * len(counted), 2 * shown, 2 * worn):
            return ""
        return (
            f"{often} of {len(counted)} are named {name}, which {shown} show and {worn} are painted with, and what is "
            "answered to everything is as often right about the one as about the other."
        )

    def _reserves(self, counts: CueCounts) -> Iterator[str]:
        """Yield what must be said beside the share."""
        if 2 * counts.other > counts.n:
            yield (
                f"{Proportion(counts.other, counts.n)} of the pictures are named as neither; in {counts.preference} of "
                "all the class of the shape is more probable than that of the texture."
            )
        if self.weak:
            yield "Painted below full strength they keep some of the photo's own texture, which favours the shape."

    def record(self) -> dict[str, Any]:
        """Return what the JSON file says."""
        return {
            "model": self.judge,
            "painted": self.painted,
            "verdict": self.words,
            "content_named": self.counted.record(),
            "both_named": self.both.record(),
            "all": self.every.record(),
            "classes": {name: counts.record() for name, counts in self.by_class().items()},
            "pictures_of_photos_that_taught_the_model": self.taught,
            "skipped": self.skipped,
        }

    def save(self, folder: Path) -> None:
        """Write ``bias.csv``, a line a picture, and ``bias.json``, the counts."""
        rows = [decision.record() for decision in self.decisions]
        write_csv(folder / CSV_NAME, rows, list(rows[0]))
        write_json(folder / JSON_NAME, self.record())


def _side(bias: Proportion | None) -> str:
    """Return which of the two most decisions are surely for, "" where that is open."""
    low, high = bias.interval if bias else (0.0, 1.0)
    return "shape" if low > 0.5 else "texture" if high < 0.5 else ""
