"""Example pictures of every arm, from the thumbnails that a study keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from impasto.errors import RunError
from impasto.report.thumbnails import Thumbnails
from impasto.runs import read_json

EXAMPLES_NAME = "examples.json"
_SIDE = 160
# Base64 adds a third: 3 MB of pictures make 4 MB of page.
_PICTURE_BYTES, _LARGEST_PICTURE = 3_000_000, 16_000


class ExamplePicture(NamedTuple):
    """A thumbnail, None where it cannot be read, and what it is."""

    image: str | None
    caption: str


class ExamplePhoto(NamedTuple):
    """What an arm makes of a photo."""

    photo: str
    pictures: tuple[ExamplePicture, ...]


class ExampleRow(NamedTuple):
    """An arm with its photos."""

    arm: str
    photos: tuple[ExamplePhoto, ...]


def read_examples(folder: Path) -> tuple[ExampleRow, ...]:
    """Return the examples of a study, arm by arm; none where it keeps none.

    Raises:
        RunError: ``examples.json`` is damaged, or names a file outside the folder.
    """
    path = folder / EXAMPLES_NAME
    if not path.is_file():
        return ()
    try:
        entries = [(entry["arm"], entry["photo"], _pictures(entry, folder)) for entry in read_json(path)]
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged: {error!r}.", "Run the same `impasto study run` again.") from error
    count = sum(len(pictures) for _, _, pictures in entries)
    thumbnails = Thumbnails(_SIDE, min(_LARGEST_PICTURE, _PICTURE_BYTES // max(1, count)), whole=True)
    rows: dict[str, list[ExamplePhoto]] = {}
    for arm, photo, pictures in entries:
        shown = tuple(ExamplePicture(thumbnails.data_uri(file), caption) for file, caption in pictures)
        rows.setdefault(str(arm), []).append(ExamplePhoto(str(photo), shown))
    return tuple(ExampleRow(arm, tuple(photos)) for arm, photos in rows.items())


def _pictures(entry: dict[str, Any], folder: Path) -> list[tuple[Path, str]]:
    found = []
    for picture in entry["pictures"]:
        file = folder / picture["file"]
        if not file.resolve().is_relative_to(folder.resolve()):
            raise RunError(f"{folder / EXAMPLES_NAME} names {picture['file']!r}, which lies outside its folder.")
        found.append((file, str(picture["caption"])))
    return found
