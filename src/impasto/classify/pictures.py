"""From files to batches of equal size: the preprocessing that a model carries, and parallel reading."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.errors import PictureError, UsageError, WrongWeightsError
from impasto.images import centre_crop, open_picture, resize_short
from impasto.runtime import OnProgress, Progress, available_memory, ignore_progress

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Preprocessing:
    """Central square, scaled to ``size`` x ``size`` pixels (Lanczos), sRGB in 0..1.

    The same picture as scaling the short side and cropping the centre, made in the order that an extreme aspect
    ratio cannot turn into gigabytes. Further normalisation is the business of the network.

    >>> Preprocessing(8)(Image.new("RGB", (400, 300))).shape
    torch.Size([3, 8, 8])
    """

    size: int

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 4096:
            raise UsageError(f"pictures of {self.size} pixels cannot be classified.", "Choose 32 .. 1024.")

    def __call__(self, image: Image.Image) -> Tensor:
        """Return a uint8 tensor of shape 3 x size x size; divided by 255 it is what a network takes."""
        side = min(image.size)
        square = resize_short(centre_crop(image, side, side), self.size)
        return torch.from_numpy(np.array(square)).permute(2, 0, 1).contiguous()

    def record(self) -> dict[str, Any]:
        """Return what ``config.json`` of a model says about its pictures."""
        return {
            "size": self.size,
            "crop": "central square",
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
    """Pictures read together: indices of the readable ones, their pixels, reasons why others are not."""

    indices: list[int]
    pictures: list[Tensor]
    failures: dict[int, str]


def read_batches(paths: Sequence[Path], preprocessing: Preprocessing, batch_size: int) -> Iterator[Batch]:
    """Read ``batch_size`` files at a time, in parallel; one that cannot be read does not stop the others."""
    for start in range(0, len(paths), batch_size):
        loaded = _in_parallel(lambda path: _load(path, preprocessing), paths[start : start + batch_size])
        numbered = list(enumerate(loaded, start))
        good = {index: item for index, item in numbered if isinstance(item, Tensor)}
        bad = {index: item for index, item in numbered if isinstance(item, str)}
        yield Batch(list(good), list(good.values()), bad)


def scaled(pictures: Sequence[Tensor]) -> Tensor:
    """Stack uint8 pictures to a float32 batch B x 3 x size x size in 0..1."""
    return torch.stack(list(pictures)).float() / 255


class PictureStore:
    """The readable pictures of a list of files, kept decoded when they fit into half of the free memory.

    Attributes:
        kept: positions in ``paths`` of the pictures that can be read; picture ``i`` is ``paths[kept[i]]``.
        skipped: the others.
    """

    def __init__(
        self, paths: Sequence[Path], preprocessing: Preprocessing, on_progress: OnProgress = ignore_progress
    ) -> None:
        self._preprocessing = preprocessing
        is_small = len(paths) * 3 * preprocessing.size**2 < available_memory() / 2
        self._decoded: list[Tensor] | None = [] if is_small else None
        self.kept: list[int] = []
        self.skipped: list[Skipped] = []
        for batch in read_batches(paths, preprocessing, batch_size=64):
            self.kept += batch.indices
            self.skipped += [Skipped(paths[index], reason) for index, reason in batch.failures.items()]
            if self._decoded is not None:
                self._decoded += batch.pictures
            on_progress(Progress("reading pictures", len(self.kept) + len(self.skipped), len(paths)))
        self._paths = [paths[index] for index in self.kept]

    def __len__(self) -> int:
        return len(self.kept)

    def batch(self, indices: Sequence[int], change: Callable[[int, Tensor], Tensor] | None = None) -> Tensor:
        """Return pictures as a float32 batch in 0..1, each after ``change(index, picture)``.

        Raises:
            UnreadablePictureError: a file has been damaged or removed since the store was made.
        """
        pictures = scaled(_in_parallel(self._picture, indices))
        if change is None:
            return pictures
        return torch.stack([change(index, picture) for index, picture in zip(indices, pictures, strict=True)])

    def _picture(self, index: int) -> Tensor:
        if self._decoded is not None:
            return self._decoded[index]
        return self._preprocessing(open_picture(self._paths[index]).image)


def _load(path: Path, preprocessing: Preprocessing) -> Tensor | str:
    try:
        return preprocessing(open_picture(path).image)
    except PictureError as error:
        return error.message.removeprefix(f"{path} ")


def _in_parallel(function: Callable[[T], U], items: Sequence[T]) -> list[U]:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, items))
