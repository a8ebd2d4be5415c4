"""What of a picture a classifier looks at: all of it at once, or several squares whose probabilities are averaged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.data.load.pictures import Preprocessing
from impasto.errors import PictureError, UnknownNameError
from impasto.images import open_picture, resize_short

VIEWS = {
    "whole": "the whole picture, scaled to a square",
    "mirror": "the whole picture and its mirror image",
    "slide": "squares along the long side, which keep the aspect, and their mirror images",
    "patches": "the whole picture, and overlapping squares of it when it is 2 to 4 times as large as the model's input",
}
# Squares along one side: more of a ribbon than these is left out between them.
_MOST = 16
# How much larger than the model's input a picture is when patches are cut, where it has the pixels.
_LEAST_SCALE, _MOST_SCALE = 2.0, 4.0
# From one patch to the next, in parts of its side.
_STRIDE = 0.75
# Large pictures that are decoded at the same time.
_READERS = 4


def check_views(name: str) -> None:
    """Refuse what is no name of views.

    Raises:
        UnknownNameError: so it is.
    """
    if name not in VIEWS:
        raise UnknownNameError("views", name, VIEWS)


def squares(image: Image.Image, preprocessing: Preprocessing, name: str) -> Tensor:
    """Return the squares of one picture, uint8 of V x 3 x size x size, the same each time.

    >>> squares(Image.new("RGB", (300, 100)), Preprocessing(8), "slide").shape
    torch.Size([6, 3, 8, 8])

    Raises:
        UnknownNameError: no such views.
    """
    check_views(name)
    if name == "slide":
        found = torch.stack([preprocessing(part) for part in _along(image)])
    elif name == "patches":
        found = torch.stack([preprocessing(part) for part in (image, *_patches(image, preprocessing.size))])
    else:
        found = preprocessing(image).unsqueeze(0)
    return torch.cat([found, found.flip(-1)]) if name in ("mirror", "slide") else found


def read_squares(paths: Sequence[Path], preprocessing: Preprocessing, name: str) -> Iterator[Tensor | str]:
    """Yield the squares of each file in order, or why it cannot be read; few are decoded at a time."""

    def read(path: Path) -> Tensor | str:
        try:
            return squares(open_picture(path).image, preprocessing, name)
        except PictureError as error:
            return error.message.removeprefix(f"{path} ")

    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(paths), _READERS):
            yield from pool.map(read, paths[start : start + _READERS])


def _along(image: Image.Image) -> Iterator[Image.Image]:
    """Cut full-height (or full-width) squares at even distances that together hold the whole picture."""
    side = min(image.size)
    for left, top in product(_starts(image.width, side, 1.0), _starts(image.height, side, 1.0)):
        yield _cut(image, left, top, side)


def _patches(image: Image.Image, size: int) -> Iterator[Image.Image]:
    """Cut squares of ``size`` from the picture with a short side of 2 to 4 times that, as large as it is at most.

    A picture with fewer pixels has no patches: enlarged ones would show a sharpness that no training picture had.
    """
    scale = min(_MOST_SCALE, min(image.size) / size)
    if scale < _LEAST_SCALE:
        return
    scaled = resize_short(image, round(scale * size))
    for top, left in product(_starts(scaled.height, size, _STRIDE), _starts(scaled.width, size, _STRIDE)):
        yield _cut(scaled, left, top, size)


def _starts(length: int, side: int, stride: float) -> list[int]:
    """Return where squares begin along a side: at both ends, and evenly between, no more than ``stride`` apart."""
    count = min(_MOST, math.ceil((length - side) / (stride * side)) + 1)
    return [round(start) for start in np.linspace(0, length - side, count)]


def _cut(image: Image.Image, left: int, top: int, side: int) -> Image.Image:
    # crop() would warn of a decompression bomb above Pillow's own limit, which ours may exceed.
    return image.resize((side, side), Image.Resampling.NEAREST, (left, top, left + side, top + side))
