"""The contact sheet: photos down, styles across, in each cell the photo repainted in that style."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from impasto.report.records import DatasetRecord, Repaint
from impasto.report.thumbnails import Thumbnails

MAX_PHOTOS = 12
MAX_STYLES = 10
T = TypeVar("T")


@dataclass(frozen=True)
class Cell:
    """One picture of the sheet, or its absence (``image`` is None)."""

    image: str | None
    alt: str
    split: str


@dataclass(frozen=True)
class Column:
    """One style: its picture, the name of its file without suffix, and the label it stands for."""

    image: str | None
    name: str
    label: str


@dataclass(frozen=True)
class Row:
    """One photo with its repaints, one for each column; None where the pair was not painted."""

    image: str | None
    name: str
    split: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Sheet:
    """The part of a data set that is shown, with the numbers of photos and styles there are."""

    columns: tuple[Column, ...]
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


def contact_sheet(dataset: DatasetRecord, thumbnails: Thumbnails) -> Sheet:
    """Lay out the sheet. Photos run through the splits in order, so each large one is represented.

    Where a pair was painted more than once, in several strengths say, the first in the table is shown.
    """
    order = {name: position for position, name in enumerate(dataset.splits)}
    photos = {picture.content: picture for picture in reversed(dataset.repaints)}
    styles = {picture.style: picture for picture in reversed(dataset.repaints)}
    pairs = {(picture.content, picture.style): picture for picture in reversed(dataset.repaints)}
    columns = spread(sorted(styles.values(), key=lambda item: (item.label, item.style)), MAX_STYLES)
    rows = spread(sorted(photos.values(), key=lambda item: (order[item.split], item.content)), MAX_PHOTOS)
    return Sheet(
        columns=tuple(
            Column(_style_picture(dataset, item, thumbnails), _stem(item.style), item.label) for item in columns
        ),
        rows=tuple(
            Row(
                image=_photo_picture(dataset, row, thumbnails),
                name=_stem(row.content),
                split=row.split,
                cells=tuple(_cell(dataset, pairs.get((row.content, column.style)), thumbnails) for column in columns),
            )
            for row in rows
        ),
        n_photos=len(photos),
        n_styles=len(styles),
    )


def _cell(dataset: DatasetRecord, picture: Repaint | None, thumbnails: Thumbnails) -> Cell | None:
    if picture is None:
        return None
    return Cell(
        image=thumbnails.data_uri(dataset.root / picture.output, picture.output_sha256),
        alt=f"{_stem(picture.content)} in the style of {_stem(picture.style)}, {picture.split}",
        split=picture.split,
    )


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _photo_picture(dataset: DatasetRecord, row: Repaint, thumbnails: Thumbnails) -> str | None:
    for picture in dataset.pictures:
        if picture.kind == "original" and picture.content == row.content:
            return thumbnails.data_uri(dataset.root / picture.output, picture.output_sha256)
    return _source_picture(dataset, row.content, row.content_sha256, thumbnails)


def _style_picture(dataset: DatasetRecord, row: Repaint, thumbnails: Thumbnails) -> str | None:
    return _source_picture(dataset, row.style, row.style_sha256, thumbnails)


def _source_picture(dataset: DatasetRecord, name: str, sha256: str, thumbnails: Thumbnails) -> str | None:
    """Look for a source in each folder that the configuration names; its hash tells whether it is the one."""
    for folder in _strings(dataset.config):
        path = Path(folder, name)
        if path.is_file() and sha256:
            return thumbnails.data_uri(path, sha256)
    return None


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(item)
