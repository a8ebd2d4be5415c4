"""Thumbnails of a whole collection as sheets: many small pictures in a few WebP files."""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from impasto.data.dataset import Sample
from impasto.errors import PictureError
from impasto.images import open_picture, resize_long
from impasto.runtime import OnProgress, Progress, ignore_progress

# Pixels of all thumbnails together: 96 MB in a browser's memory, about 8 MB on the page.
_PIXELS = 24_000_000
_SMALLEST, _LARGEST = 32, 160
# Cells of a sheet: 5120 pixels at most on each side, which every browser decodes.
COLUMNS, ROWS = 32, 32
# Base64 adds a third: a page stays below 20 MB, also where the pictures are noise.
_BYTES = 14_000_000
_QUALITIES = (80, 65, 50, 35, 20, 5)


@dataclass(frozen=True)
class Sprites:
    """Sheets of thumbnails.

    Attributes:
        side: of a cell in pixels; picture i is in the upper left of cell i % (32 x 32) of its sheet, row by row.
        sheets: ``data:`` URIs.
        sizes: width and height of each picture's thumbnail, 0 x 0 where it cannot be shown.
    """

    side: int
    sheets: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]

    @property
    def missing(self) -> int:
        """How many pictures cannot be shown."""
        return self.sizes.count((0, 0))


def side_for(count: int) -> int:
    """Return the longer side of the thumbnails of so many pictures.

    >>> side_for(10), side_for(1000), side_for(10_000)
    (160, 154, 48)
    """
    return max(_SMALLEST, min(_LARGEST, math.isqrt(_PIXELS // max(1, count))))


def make_sprites(samples: Sequence[Sample], on_progress: OnProgress = ignore_progress) -> Sprites:
    """Return thumbnails of whole pictures; one whose file is gone, or not the recorded one, has none."""
    side = side_for(len(samples))
    sheets: list[str] = []
    sizes: list[tuple[int, int]] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(samples), COLUMNS * ROWS):
            part = samples[start : start + COLUMNS * ROWS]
            small = list(pool.map(lambda sample: _thumbnail(sample, side), part))
            sizes += [image.size if image else (0, 0) for image in small]
            data = _encoded(_sheet(small, side), _BYTES * len(part) // len(samples))
            sheets.append("data:image/webp;base64," + base64.b64encode(data).decode())
            on_progress(Progress("thumbnails", start + len(part), len(samples)))
    return Sprites(side, tuple(sheets), tuple(sizes))


def _thumbnail(sample: Sample, side: int) -> Image.Image | None:
    try:
        picture = open_picture(sample.path)
    except PictureError:
        return None
    if sample.sha256 and picture.sha256 != sample.sha256:
        return None
    return resize_long(picture.image, side)


def _sheet(small: Sequence[Image.Image | None], side: int) -> Image.Image:
    columns = min(COLUMNS, len(small))
    sheet = Image.new("RGB", (columns * side, math.ceil(len(small) / columns) * side), "#888")
    for place, image in enumerate(small):
        if image:
            sheet.paste(image, (place % columns * side, place // columns * side))
    return sheet


def _encoded(sheet: Image.Image, limit: int) -> bytes:
    data = b""
    for quality in _QUALITIES:
        file = io.BytesIO()
        sheet.save(file, "WEBP", quality=quality, method=4)
        data = file.getvalue()
        if len(data) <= limit:
            break
    return data
