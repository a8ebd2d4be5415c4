"""Features of a frozen encoder, computed once for each picture and kept in a cache on disk.

A cache belongs to one encoder (by the digest of its weights), one preprocessing, one kind of device and one version of
impasto.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from impasto._version import __version__
from impasto.caches import RowCache
from impasto.data.load.pictures import Preprocessing, Skipped, read_batches, scaled
from impasto.encoders import AnyEncoder
from impasto.errors import NumericalError
from impasto.runtime import OnProgress, Progress, ignore_progress

# After how many pictures the cache is written: a killed run loses no more than these.
_CHUNK = 512


@dataclass(frozen=True)
class Features:
    """What an encoder makes of a list of pictures.

    Attributes:
        values: N x D float32 on the CPU, one row for each readable picture.
        kept: the positions of these pictures in the list.
        skipped: the others.
    """

    values: Tensor
    kept: list[int]
    skipped: list[Skipped]


@dataclass(frozen=True)
class Extractor:
    """A frozen encoder with its preprocessing, on the device it was put on.

    Args:
        encoder: pretrained network; lent, and neither moved nor changed.
        preprocessing: how pictures are cut and scaled for it.
        device: where the encoder is.
        folder: where features are kept; None keeps none.
        batch_size: pictures that go through the encoder together.
    """

    encoder: AnyEncoder
    preprocessing: Preprocessing
    device: torch.device
    folder: Path | None = None
    batch_size: int = 32

    def cache(self) -> RowCache | None:
        """Return the cache of exactly these features."""
        if self.folder is None:
            return None
        key = {
            "version": __version__,
            "encoder": self.encoder.identity(),
            "preprocessing": self.preprocessing.record(),
            "device": self.device.type,
        }
        return RowCache(self.folder, key)

    def __call__(
        self, paths: Sequence[Path], hashes: Sequence[str], on_progress: OnProgress = ignore_progress
    ) -> Features:
        """Return the features of ``paths``, computing only those that the cache does not hold.

        Args:
            paths: picture files.
            hashes: the SHA-256 of each file as 64 hexadecimal digits; "" for one that is not to be kept.
            on_progress: told after every batch.

        Raises:
            NumericalError: the encoder returns NaN or infinity.
        """
        cache = self.cache()
        known = cache.read(key for key in hashes if key) if cache else {}
        rows = {index: known[key] for index, key in enumerate(hashes) if key in known}
        failures: dict[int, str] = {}
        missing = [index for index in range(len(paths)) if index not in rows]
        for chunk in _chunks(missing):
            for new, bad in self._compute(paths, chunk):
                rows |= new
                failures |= bad
                on_progress(Progress("features", len(rows) + len(failures), len(paths)))
            if cache:
                cache.add({hashes[index]: rows[index] for index in chunk if index in rows and hashes[index]})
        kept = sorted(rows)
        values = torch.stack([rows[index] for index in kept]) if kept else torch.empty(0, 0)
        return Features(values, kept, [Skipped(paths[index], failures[index]) for index in sorted(failures)])

    def _compute(self, paths: Sequence[Path], chunk: list[int]) -> Iterator[tuple[dict[int, Tensor], dict[int, str]]]:
        for batch in read_batches([paths[index] for index in chunk], self.preprocessing, self.batch_size):
            new = self._forward(batch.pictures) if batch.pictures else []
            yield (
                {chunk[index]: row for index, row in zip(batch.indices, new, strict=True)},
                {chunk[index]: reason for index, reason in batch.failures.items()},
            )

    def _forward(self, pictures: list[Tensor]) -> list[Tensor]:
        with torch.no_grad():
            values = self.encoder.features(scaled(pictures).to(self.device)).float().cpu()
        if not bool(values.isfinite().all()):
            name = self.encoder.name
            raise NumericalError(f"the features of {name} are NaN or infinite.", "Are these its weights?")
        return list(values)


def _chunks(indices: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(indices), _CHUNK):
        yield indices[start : start + _CHUNK]
