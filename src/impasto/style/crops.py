"""Square crops of photos, the same for the same seed and step however often a training is interrupted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from impasto.errors import DataError, PictureError
from impasto.images import open_picture, resize_short
from impasto.runtime import derive_seed

Pixels = npt.NDArray[np.uint8]
# Shorter side of a photo against the crop: the crop is between all of it and a little more than half.
_ZOOM = (1.0, 1.3)
# Bytes of reduced photos that are kept in memory; beyond, photos are opened again each time.
_CACHE = 1 << 30
_AHEAD = 3


class Crops:
    """Batches of crops, prepared ahead by one thread.

    Args:
        paths: photos; those that cannot be read are set aside in ``rejected`` (path -> reason) when their turn comes.
        size: side of a crop in pixels.
        batch: crops a batch.
        seed: of everything random.
    """

    def __init__(self, paths: Sequence[Path], size: int, batch: int, seed: int) -> None:
        self.paths, self.size, self.batch, self.seed = list(paths), size, batch, seed
        self.rejected: dict[Path, str] = {}
        self._kept: dict[Path, Pixels] = {}
        self._bytes = 0

    def from_step(self, step: int) -> Iterator[Tensor]:
        """Yield the batches of ``step``, ``step + 1`` .. for ever, B x 3 x size x size in 0..1."""
        with ThreadPoolExecutor(1) as pool:
            waiting: list[Future[Tensor]] = [pool.submit(self.at, step + ahead) for ahead in range(_AHEAD)]
            while True:
                yield waiting.pop(0).result()
                step += 1
                waiting.append(pool.submit(self.at, step + _AHEAD - 1))

    def at(self, step: int) -> Tensor:
        """Return the batch of one step.

        Raises:
            DataError: no photo can be read.
        """
        crops = []
        for place in range(step * self.batch, (step + 1) * self.batch):
            random = np.random.default_rng(derive_seed(self.seed, "crop", place))
            crops.append(self._crop(self._photo(place), random))
        return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().div(255)

    def _photo(self, place: int) -> Pixels:
        """Return the photo of a place; every photo comes once an epoch. After a bad one comes its neighbour."""
        epoch, number = divmod(place, len(self.paths))
        order = np.random.default_rng(derive_seed(self.seed, "epoch", epoch)).permutation(len(self.paths))
        for index in [*order[number:], *order[:number]]:
            pixels = self._open(self.paths[index])
            if pixels is not None:
                return pixels
        raise DataError("none of the photos can be read.", f"The first: {next(iter(self.rejected.values()), '')}")

    def _open(self, path: Path) -> Pixels | None:
        if path in self._kept:
            return self._kept[path]
        if path in self.rejected:
            return None
        try:
            pixels = np.asarray(resize_short(open_picture(path).image, round(self.size * _ZOOM[1])))
        except PictureError as error:
            self.rejected[path] = error.message
            return None
        if self._bytes + pixels.nbytes <= _CACHE:
            self._kept[path] = pixels
            self._bytes += pixels.nbytes
        return pixels

    def _crop(self, pixels: Pixels, random: np.random.Generator) -> Pixels:
        height, width = pixels.shape[:2]
        side = min(height, width) / random.uniform(*_ZOOM)
        left, top = random.uniform(0, width - side), random.uniform(0, height - side)
        square = (self.size, self.size)
        box = (left, top, left + side, top + side)
        crop = np.asarray(Image.fromarray(pixels).resize(square, Image.Resampling.BICUBIC, box=box))
        return crop[:, ::-1] if random.random() < 0.5 else crop
