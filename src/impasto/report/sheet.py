"""The contact sheet: photos down, styles across, in each cell the photo repainted in that style."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from impasto.report.records import DatasetRecord, Repaint
from impasto.report.thumbnails import Thumbnails

MAX_PHOTOS = 12
MAX_STYLES = 10
T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Cell:
    """One picture of the sheet, or its absence (``image`` is None)."""

    image: str | None
    alt: str
    split: str


@dataclass(frozen=True)
class Head:
    """One style or photo: its picture, its name, and its label where all its repaints have the same."""

    image: str | None
    name: str
    label: str


@dataclass(frozen=True)
class Row:
    """One photo with its repaints, one for each column; None where the pair was not painted."""

    head: Head
    split: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Sheet:
    """The part of a data set that is shown, with the numbers of photos and styles there are."""

    columns: tuple[Head, ...]
    rows: tuple[Row, ...]
    n_photos: int
    n_styles: int


def spread(items: Sequence[T], count: int) -> list[T]:
    """Return at most ``count`` of ``items``, evenly spaced and in order.

    >>> spread("abcdefgh", 4), spread("ab", 4)
    (['b', 'd', 'f', 'h'], ['a', 'b'])
    """
    if len(items) <= count:
        return list(items)
    return [items[(2 * index + 1) * len(items) // (2 * count)] for index in range(count)]


def contact_sheet(dataset: DatasetRecord, thumbnails: Thumbnails, sources: Sequence[Path]) -> Sheet:
    """Lay out the sheet. Photos run through the splits in order, so each large one is represented.

    Photos and style pictures are looked for below the folders ``sources``. Where a pair was painted more than
    once, in several strengths say, the first in the table is shown.
    """
    order = {name: position for position, name in enumerate(dataset.splits)}
    originals_first = sorted(dataset.pictures, key=lambda item: item.kind != "original")
    photos = _first_by(originals_first, lambda item: item.content)
    styles = _first_by(dataset.repaints, lambda item: item.style)
    pairs = _first_by(dataset.repaints, lambda item: (item.content, item.style))
    columns = spread(sorted(styles.values(), key=lambda item: item.style), MAX_STYLES)
    rows = spread(sorted(photos.values(), key=lambda item: (order[item.split], item.content)), MAX_PHOTOS)
    return Sheet(
        columns=tuple(_style(dataset, item, thumbnails, sources) for item in columns),
        rows=tuple(
            Row(
                head=_photo(dataset, row, thumbnails, sources),
                split=row.split,
                cells=tuple(_cell(dataset, pairs.get((row.content, column.style)), thumbnails) for column in columns),
            )
            for row in rows
        ),
        n_photos=len(photos),
        n_styles=len(styles),
    )


def _first_by(pictures: Sequence[Repaint], key: Callable[[Repaint], K]) -> dict[K, Repaint]:
    return {key(picture): picture for picture in reversed(pictures)}


def _cell(dataset: DatasetRecord, picture: Repaint | None, thumbnails: Thumbnails) -> Cell | None:
    if picture is None:
        return None
    return Cell(
        image=thumbnails.data_uri(dataset.root / picture.output, picture.output_sha256),
        alt=f"{_stem(picture.content)} in the style of {_stem(picture.style)}, {picture.split}",
        split=picture.split,
    )


def _style(dataset: DatasetRecord, item: Repaint, thumbnails: Thumbnails, sources: Sequence[Path]) -> Head:
    labels = {picture.label for picture in dataset.repaints if picture.style == item.style}
    return _head(_source(sources, item.style, item.style_sha256, thumbnails), item.style, labels)


def _photo(dataset: DatasetRecord, item: Repaint, thumbnails: Thumbnails, sources: Sequence[Path]) -> Head:
    labels = {picture.label for picture in dataset.repaints if picture.content == item.content}
    if item.kind == "original":
        image = thumbnails.data_uri(dataset.root / item.output, item.output_sha256)
    else:
        image = _source(sources, item.content, item.content_sha256, thumbnails)
    return _head(image, item.content, labels)


def _head(image: str | None, file_name: str, labels: set[str]) -> Head:
    name = _stem(file_name)
    label = labels.pop() if len(labels) == 1 else ""
    return Head(image, name, "" if label == name else label)


def _source(sources: Sequence[Path], name: str, sha256: str, thumbnails: Thumbnails) -> str | None:
    for folder in sources:
        if (folder / name).is_file():
            return thumbnails.data_uri(folder / name, sha256)
    return None


def _stem(name: str) -> str:
    return PurePosixPath(name).stem
