"""From files to batches of equal size: the preprocessing that a model carries, and parallel reading."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.errors import PictureError, UsageError, WrongWeightsError
from impasto.images import open_picture


@dataclass(frozen=True)
class Preprocessing:
    """The whole picture, scaled to ``size`` x ``size`` pixels (Lanczos), sRGB in 0..1.

    Nothing is cut off, as in Keras, which the recipes used: of Caltech-101 the sides are worth 2.4 points. What aspect
    a picture had is lost; views of squares keep it (:mod:`impasto.classify.views`). Further normalisation is the
    business of the network.

    >>> Preprocessing(8)(Image.new("RGB", (400, 300))).shape
    torch.Size([3, 8, 8])
    """

    size: int

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 4096:
            raise UsageError(f"pictures of {self.size} pixels cannot be classified.", "Choose 32 .. 1024.")

    def __call__(self, image: Image.Image) -> Tensor:
        """Return a uint8 tensor of shape 3 x size x size; divided by 255 it is what a network takes."""
        # The longer side first: no aspect can make it gigabytes, and Pillow's own order is not that of all versions.
        between = (self.size, image.height) if image.width >= image.height else (image.width, self.size)
        square = image.resize(between, Image.Resampling.LANCZOS)
        square = square.resize((self.size, self.size), Image.Resampling.LANCZOS)
        # Not by torch, which would start threads of its own in each thread that reads pictures.
        return torch.from_numpy(np.array(np.asarray(square).transpose(2, 0, 1), order="C"))

    def record(self) -> dict[str, Any]:
        """Return what ``config.json`` of a model says about its pictures."""
        return {
            "size": self.size,
            "crop": "none, the whole picture",
            "resampling": "lanczos",
            "colour": "sRGB",
            "range": [0, 1],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Preprocessing:
        """Read a record.

        Raises:
            WrongWeightsError: it asks for anything that this version does not do.
        """
        size = record.get("size")
        if not isinstance(size, int) or cls(size).record() != record:
            raise WrongWeightsError(
                f"the model asks for a preprocessing that is unknown here: {dict(record)}.",
                "Use the version of impasto that trained it.",
            )
        return cls(size)


@dataclass(frozen=True)
class Skipped:
    """A picture that was set aside, and why."""

    path: Path
    reason: str


class Batch(NamedTuple):
    """Pictures read together: indices of the readable ones, their pixels and files, reasons why others are not."""

    indices: list[int]
    pictures: list[Tensor]
    failures: dict[int, str]
    hashes: list[str]


def read_batches(paths: Sequence[Path], preprocessing: Preprocessing, batch_size: int) -> Iterator[Batch]:
    """Read ``batch_size`` files at a time, on all cores; one that cannot be read does not stop the others.

    ``hashes`` of a batch holds the SHA-256 of the bytes that each of its pictures was decoded from.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(paths), batch_size):
            loaded = pool.map(lambda path: _load(path, preprocessing), paths[start : start + batch_size])
            good, bad = {}, {}
            for index, item in enumerate(loaded, start):
                if isinstance(item, str):
                    bad[index] = item
                else:
                    good[index] = item
            yield Batch(list(good), [item[0] for item in good.values()], bad, [item[1] for item in good.values()])


def read_picture(path: Path, preprocessing: Preprocessing) -> tuple[Tensor, str]:
    """Return the pixels of one file, uint8 of 3 x size x size, and the SHA-256 of its bytes.

    Raises:
        PictureError: it cannot be read, or is too large.
    """
    picture = open_picture(path)
    return preprocessing(picture.image), picture.sha256


def scaled(pictures: Sequence[Tensor] | Tensor) -> Tensor:
    """Turn uint8 pictures, or a batch of them, into a float32 batch B x 3 x size x size in 0..1."""
    batch = pictures if isinstance(pictures, Tensor) else torch.stack(list(pictures))
    return batch.float().div_(255)  # in place: the second copy took four times as long as the division


def _load(path: Path, preprocessing: Preprocessing) -> tuple[Tensor, str] | str:
    try:
        return read_picture(path, preprocessing)
    except PictureError as error:
        return error.message.removeprefix(f"{path} ")
