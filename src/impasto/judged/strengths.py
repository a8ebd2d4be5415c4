"""The strongest repaint whose class a judge still names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from impasto.data.repaint.choosing import Choice
from impasto.errors import UsageError
from impasto.images import Picture, resize_long, to_image
from impasto.judged.asking import Answer, answer_of
from impasto.judged.judges import Judge, check_known, share_of
from impasto.style.result import Repaint

# Networks paint in a fraction of a second: every tenth is tried, from the strongest down, so that what is taken is the
# strongest that keeps the label even where a weaker repaint loses it. (Most repaints are decided after a few.)
FAST_LADDER = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
# Optimisation takes from seconds to minutes: seven strengths are bisected by three paintings, which supposes that
# what a strength loses a greater one does not bring back.
SLOW_LADDER = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
# Paintings a picture: exactly so many by bisection; about so many from the strongest down.
_FAST_PAINTINGS, _SLOW_PAINTINGS = 5, 3
# Probabilities are written with so many digits after the point.
_DIGITS = 6

NAMED = "still named"
MISNAMED = "misnamed as the photo itself is"
NOTHING = "no strength keeps the class; the weakest was taken"


@dataclass(frozen=True)
class _Tried:
    strength: float
    repaint: Repaint
    answer: Answer


class KeepLabel:
    """Chooses, for each photo and style, the strongest repaint that keeps the photo's class.

    A repaint keeps it if its class is the judge's first answer, and at least ``keep`` times as probable as for the
    untouched photo at the same size. Of a photo that the judge misnames itself it is enough that the judge goes on to
    see what it saw: the wrong answer is the same, and it and the class are each at least ``keep`` times as probable.
    Where no strength keeps the class the weakest is taken, so that every photo has every style; the reason says so, and
    such pictures can be left out by it.

    Args:
        judge: names the photos' classes.
        keep: 0..1; 0 asks for the first answer alone.
        slow: whether the painter optimises, see ``FAST_LADDER`` and ``SLOW_LADDER``.

    Raises:
        UsageError: ``keep`` outside 0..1.
    """

    def __init__(self, judge: Judge, keep: float = 0.5, *, slow: bool = False) -> None:
        if not 0 <= keep <= 1:
            raise UsageError(f"a share of {keep} of the probability cannot be kept.", "Choose --keep within 0..1.")
        self.judge, self.keep, self.slow = judge, keep, slow
        self.ladder = SLOW_LADDER if slow else FAST_LADDER
        self.paintings = _SLOW_PAINTINGS if slow else _FAST_PAINTINGS
        self.folder: Path | None = judge.folder
        self._known: dict[str, Answer] = {}

    def identity(self) -> dict[str, Any]:
        """Return what determines the choice: the judge's digest, the share, the strengths tried."""
        return {"strength": "auto", "keep": self.keep, "ladder": self.ladder, "judge": self.judge.identity()}

    def check_labels(self, labels: Collection[str]) -> None:
        """Raise a DataError for classes that the judge does not know."""
        check_known(self.judge, set(labels))

    def choose(
        self, photo: Picture, label: str, size: int, paint: Callable[[float], Repaint]
    ) -> tuple[Choice, Repaint]:
        """Return the strongest repaint that keeps ``label``; see :class:`impasto.data.repaint.choosing.Chooser`."""
        untouched = self._of_photo(photo, size)
        tried: dict[float, _Tried] = {}

        def keeps(strength: float) -> bool:
            repaint = paint(strength)
            answer = self._ask(_as_read(repaint))
            tried[strength] = _Tried(strength, repaint, answer)
            return self._keeps(label, untouched, answer)

        found = bisect_up(self.ladder, keeps) if self.slow else first_that(self.ladder, keeps)
        best = tried[min(self.ladder) if found is None else found]
        reason = NOTHING if found is None else NAMED if best.answer.label == label else MISNAMED
        choice = Choice(
            strength=best.strength,
            before=self._share(untouched, label),
            after=self._share(best.answer, label),
            photo_answer=untouched.label,
            answer=best.answer.label,
            reason=reason,
            paintings=len(tried),
            taught=photo.sha256 in self.judge.taught,
        )
        return choice, best.repaint

    def _of_photo(self, photo: Picture, size: int) -> Answer:
        if photo.sha256 not in self._known:
            self._known[photo.sha256] = self._ask(resize_long(photo.image, size))
        return self._known[photo.sha256]

    def _keeps(self, label: str, untouched: Answer, answer: Answer) -> bool:
        watched = {label, answer.label}
        probable = all(self._share(answer, name) >= self.keep * self._share(untouched, name) for name in watched)
        return probable and answer.label in (label, untouched.label)

    def _ask(self, image: Image.Image) -> Answer:
        # One at a time: in a batch of another size the last bits may differ, and a killed run goes on with others.
        return answer_of(self.judge, self.judge.shares([image])[0])

    def _share(self, answer: Answer, label: str) -> float:
        assert answer.shares is not None
        return round(share_of(self.judge, answer.shares, label), _DIGITS)


def first_that(ladder: Sequence[float], keeps: Callable[[float], bool]) -> float | None:
    """Return the first strength that keeps the label, None where none does.

    >>> first_that((1.0, 0.5, 0.25), lambda strength: strength < 0.8)
    0.5
    """
    return next((strength for strength in ladder if keeps(strength)), None)


def bisect_up(ladder: Sequence[float], keeps: Callable[[float], bool]) -> float | None:
    """Return the greatest strength of an ascending ladder that keeps the label, by bisection; None where none does.

    >>> bisect_up((0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95), lambda strength: strength < 0.4)
    0.35
    """
    low, high = 0, len(ladder)
    while low < high:
        middle = (low + high) // 2
        if keeps(ladder[middle]):
            low = middle + 1
        else:
            high = middle
    return ladder[low - 1] if low else None


def _as_read(repaint: Repaint) -> Image.Image:
    """Return a repaint as it will be read from its file: in 8 bits, what is transparent on white."""
    image = to_image(repaint.image)
    if repaint.alpha is None:
        return image
    white = Image.new("RGB", image.size, "white")
    return Image.composite(image, white, repaint.alpha.convert("L").resize(image.size, Image.Resampling.LANCZOS))
