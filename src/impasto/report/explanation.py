"""The page of attribution maps: the verdict first, then every picture beside its map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from impasto._version import __version__
from impasto.errors import PictureError
from impasto.explain import Explained, Explanation
from impasto.explain.attribution import method_of
from impasto.explain.drawing import overlay
from impasto.files import write_text
from impasto.images import open_picture, resize_long
from impasto.report.page import environment
from impasto.report.thumbnails import data_uri

# Longer side of the pictures on the page, how many there are, and the quality of their WebP.
_SIDE, _MOST, QUALITY = 260, 120, 78


@dataclass(frozen=True)
class ShownMap:
    """One picture and its map, as data URIs; None where the file cannot be read any more."""

    item: Explained
    photo: str | None
    map: str | None


def build_explanation_page(result: Explanation, output: Path) -> Path:
    """Write one self-contained HTML file.

    Args:
        result: maps and verdict. Pictures are read again.
        output: the file.

    Raises:
        UsageError: ``output`` cannot be written. ResourceError: the disk is full.
    """
    html = (
        environment()
        .get_template("explanation.html.j2")
        .render(
            result=result,
            method=method_of(result.config.method),
            shown=[shown_map(item, signed=result.config.signed) for item in result.items[:_MOST]],
            hidden=max(0, len(result.items) - _MOST),
            version=__version__,
        )
    )
    write_text(output, html)
    return output


def shown_map(item: Explained, *, signed: bool) -> ShownMap:
    """Return a picture and its map for a page."""
    try:
        image = resize_long(open_picture(item.sample.path).image, _SIDE)
    except PictureError:
        return ShownMap(item, None, None)
    return ShownMap(item, *(data_uri(each, QUALITY) for each in (image, overlay(image, item.values, signed=signed))))
