"""Reading what ``impasto dataset stylize`` wrote: repaints, and the photos and styles they were made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from impasto.data.dataset import TABLE_NAME
from impasto.data.repaint.records import Row, read_rows
from impasto.errors import DataError
from impasto.judged.asking import Ask
from impasto.runs import CONFIG_NAME, MANIFEST_NAME, read_json

_HINT = "Give a folder that `impasto dataset stylize` wrote."


@dataclass(frozen=True)
class Repaints:
    """A folder of repaints.

    Attributes:
        folder: where it is.
        rows: the repaints.
        originals: the untouched photos beside them, by their path below ``photos``.
        photos, styles: where the pictures lie that they were made of; they may have gone.
        size: the repaints' longer side in pixels.
    """

    folder: Path
    rows: tuple[Row, ...]
    originals: dict[str, Row]
    photos: Path
    styles: Path
    size: int

    def repaint(self, row: Row) -> Ask:
        """Return the question about a repaint."""
        return Ask(self.folder / row.output)

    def photo(self, row: Row) -> Ask:
        """Return the question about its untouched photo, at the repaint's size."""
        path = self.photos / row.content
        if not path.is_file() and row.content in self.originals:
            return Ask(self.folder / self.originals[row.content].output)
        return Ask(path, self.size, row.content_sha256)

    def style(self, row: Row) -> Ask:
        """Return the question about its style picture, at the repaint's size."""
        return Ask(self.styles / row.style, self.size, row.style_sha256)


def read_repaints(folder: Path) -> Repaints:
    """Read a finished folder of repaints.

    Raises:
        DataError: it is none, or its photos were in no class folders.
    """
    if not (folder / TABLE_NAME).is_file() or not is_repainted(folder):
        raise DataError(f"{folder} holds no repaints.", _HINT)
    places = read_json(folder / MANIFEST_NAME)["folders"]
    rows = read_rows(folder)
    painted = tuple(row for row in rows if row.kind == "repaint")
    if not painted:
        raise DataError(f"{folder} holds no repaints, only photos.", _HINT)
    loose = next((row for row in painted if not class_of(row.content)), None)
    if loose:
        raise DataError(
            f"the photo {loose.content} lay in no class folder: it is not known what it shows.",
            "Repaint a folder of <class>/photo.jpg.",
        )
    size = int(read_json(folder / CONFIG_NAME)["config"]["stylize"]["size"])
    originals = {row.content: row for row in rows if row.kind == "original"}
    return Repaints(folder, painted, originals, folder / places["content"], folder / places["styles"], size)


def is_repainted(folder: Path) -> bool:
    """Whether ``impasto dataset stylize`` wrote a folder, and finished it."""
    if not (folder / MANIFEST_NAME).is_file():
        return False
    manifest = read_json(folder / MANIFEST_NAME)
    return isinstance(manifest, dict) and "stylize" in str(manifest.get("procedure")) and "folders" in manifest


def class_of(name: str) -> str:
    """Return the folder that a picture lies in, which is its class; "" without one.

    >>> class_of("train/crab/image_0001.jpg"), class_of("wave.jpg")
    ('crab', '')
    """
    return PurePosixPath(name).parent.name
