"""The page of wrong answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from impasto._version import __version__
from impasto.errors import PictureError
from impasto.explain.attribution import method_of
from impasto.explain.missed import Missed, MissedOnes, Near
from impasto.files import write_text
from impasto.images import centre_crop, open_picture, resize_short
from impasto.report.explanation import QUALITY, ShownMap, shown_map
from impasto.report.page import environment
from impasto.report.thumbnails import data_uri

PAGE_NAME = "missed.html"
# Classes whose probabilities are shown; side of the training pictures.
_CLASSES, _SIDE = 4, 88
# How many wrong answers are on the page; each has up to seven pictures.
_MOST = 240


@dataclass(frozen=True)
class ShownMiss:
    """One wrong answer, as the page has it."""

    missed: Missed
    map: ShownMap
    near: tuple[tuple[Near, str | None], ...]

    @property
    def shares(self) -> list[tuple[str, float]]:
        """The most probable classes, the true one in any case."""
        best = self.missed.prediction.top(_CLASSES)
        label = self.missed.item.sample.label
        known = [name for name, _ in best]
        return best if label in known else [*best[:-1], (label, self.missed.prediction.probabilities[label])]


def build_missed_page(result: MissedOnes, output: Path, method: str = "grad-cam") -> Path:
    """Write one self-contained HTML file with the wrong answers, the surest first.

    Raises:
        UsageError: ``output`` cannot be written. ResourceError: the disk is full.
    """
    shown = [
        ShownMiss(
            each, shown_map(each.item, signed=True), tuple((near, _small(near.sample.path)) for near in each.near)
        )
        for each in result.missed[:_MOST]
    ]
    html = (
        environment()
        .get_template("missed.html.j2")
        .render(
            result=result,
            shown=shown,
            hidden=len(result.missed) - len(shown),
            method=method_of(method),
            version=__version__,
        )
    )
    write_text(output, html)
    return output


def _small(path: Path) -> str | None:
    try:
        return data_uri(centre_crop(resize_short(open_picture(path).image, _SIDE), _SIDE, _SIDE), QUALITY)
    except PictureError:
        return None
