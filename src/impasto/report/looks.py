"""What ``impasto explain`` and ``impasto activations`` left in a model's folder, for its part of the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from impasto.errors import PictureError
from impasto.explain.activations import FIGURE_NAME
from impasto.explain.explaining import SHEET_NAME
from impasto.images import open_picture, resize_long
from impasto.report.reading import Fields, read_object
from impasto.report.thumbnails import data_uri
from impasto.runs import MANIFEST_NAME

EXPLAINED, ACTIVATIONS = "explained", "activations"
# Longer side of a figure on the page, and its quality.
_SIDE, _QUALITY = 1200, 70


@dataclass(frozen=True)
class LookedAt:
    """A figure with a heading and a sentence."""

    title: str
    words: str
    image: str
    shortcuts: tuple[str, ...] = ()


def read_looked_at(run: Path) -> tuple[LookedAt, ...]:
    """Return what there is; figures that cannot be read are left out.

    Raises:
        RunError: a damaged ``manifest.json``.
    """
    found = []
    for name, figure, title in (
        (EXPLAINED, SHEET_NAME, "What it looks at"),
        (ACTIVATIONS, FIGURE_NAME, "What its layers make of a picture"),
    ):
        folder = run / name
        if not (folder / MANIFEST_NAME).is_file():
            continue
        record = read_object(folder / MANIFEST_NAME)
        try:
            image = data_uri(resize_long(open_picture(folder / figure).image, _SIDE), _QUALITY)
        except PictureError:
            continue
        found.append(LookedAt(title, _words(record, folder / MANIFEST_NAME), image, _shortcuts(record)))
    return tuple(found)


def _words(record: dict[str, object], path: Path) -> str:
    verdict = record.get("verdict")
    if isinstance(verdict, dict):
        return Fields(verdict, path).text("words")
    return "" if record.get("procedure") == ACTIVATIONS else "Nobody has checked whether these maps can be believed."


def _shortcuts(record: dict[str, object]) -> tuple[str, ...]:
    shortcuts = record.get("shortcuts")
    known = shortcuts if isinstance(shortcuts, list) else []
    return tuple(str(item["words"]) for item in known if isinstance(item, dict) and "words" in item)
