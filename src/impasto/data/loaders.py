"""Batches for training, at the speed of the machine, and the same ones whatever the number of processes.

A picture is decoded once, before the first step, because what cannot be read has to be known by then, and kept on disk
where there is room. An epoch only gathers rows of memory-mapped files; what is drawn for it (order, augmentation)
depends on seed, epoch and picture alone, and happens in the main process on the device, a whole batch at a time.
"""

from __future__ import annotations

import contextlib
import os
import traceback
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info

from impasto.caches import cache_folder
from impasto.data.augmentations import NONE, Augmentation
from impasto.data.picture_cache import PictureCache, Place, open_pack
from impasto.data.pictures import Preprocessing, Skipped, read_batches, read_picture, scaled
from impasto.errors import ImpastoError, ResourceError, UsageError
from impasto.runtime import OnProgress, Progress, generator, ignore_progress

# More processes than this rarely decode faster than a GPU learns.
_MOST_WORKERS = 8


class Pictures:
    """The readable pictures of a list of files, decoded, as a data set for torch.

    Picture ``i`` is ``paths[kept[i]]``. It may be pickled: files are mapped where and when they are first needed.

    Attributes:
        kept: positions in ``paths`` of the pictures that can be read.
        skipped: the others.
        is_cached: whether every picture lies decoded on the disk.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preprocessing: Preprocessing,
        places: dict[int, Place | None],
        failures: dict[int, str],
    ) -> None:
        self.kept = sorted(places)
        self.skipped = [Skipped(paths[index], failures[index]) for index in sorted(failures)]
        self.is_cached = None not in places.values()
        self._preprocessing = preprocessing
        self._paths = [paths[index] for index in self.kept]
        self._places = [places[index] for index in self.kept]
        self._packs: dict[Path, Tensor | None] | None = None

    def __len__(self) -> int:
        return len(self.kept)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_packs": None}

    def __getitems__(self, rows: Sequence[int]) -> Tensor | ImpastoError:
        """Return pictures as uint8 of B x 3 x size x size; an error is returned, because torch would reword it."""
        known = {row: self._mapped(row) for row in rows}
        lacking = [row for row, picture in known.items() if picture is None]
        try:
            known |= zip(lacking, self._decode(lacking), strict=True)
        except ImpastoError as error:
            return error
        return torch.stack([picture for row in rows if (picture := known[row]) is not None])

    def _mapped(self, row: int) -> Tensor | None:
        if self._packs is None:  # all at once: opened between batches, each left a hole of a batch's size in memory
            self._packs = {place.pack: open_pack(place.pack) for place in self._places if place}
        place = self._places[row]
        pack = self._packs[place.pack] if place else None
        return pack[place.row] if place and pack is not None else None

    def _decode(self, rows: Sequence[int]) -> list[Tensor]:
        def decode(row: int) -> Tensor:
            return read_picture(self._paths[row], self._preprocessing)[0]

        if len(rows) < 2 or get_worker_info() is not None:  # workers stand side by side already
            return [decode(row) for row in rows]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(decode, rows))


def read_pictures(
    paths: Sequence[Path],
    hashes: Sequence[str],
    preprocessing: Preprocessing,
    on_progress: OnProgress = ignore_progress,
    folder: Path | None = None,
) -> Pictures:
    """Decode pictures that are to be used more than once, and keep them on disk.

    Where the disk has no room for all, the rest is decoded whenever it is asked for.

    Args:
        paths: picture files.
        hashes: the SHA-256 of each file as 64 hexadecimal digits; "" for one that could not be opened.
        preprocessing: how they are cut and scaled.
        on_progress: told of "reading pictures".
        folder: of the cache; None takes that of the user, see :func:`impasto.caches.cache_folder`.
    """
    cache = PictureCache(folder or cache_folder("pictures"), preprocessing)
    known = cache.find(set(hashes))
    places: dict[int, Place | None] = {index: known[key] for index, key in enumerate(hashes) if key in known}
    failures: dict[int, str] = {}
    missing = [index for index in range(len(paths)) if index not in places]
    waiting: list[tuple[int, str, Tensor]] = []
    on_progress(Progress("reading pictures", len(places), len(paths)))
    for batch in read_batches([paths[index] for index in missing], preprocessing, min(64, cache.pack_size)):
        failures |= {missing[index]: reason for index, reason in batch.failures.items()}
        indices = [missing[index] for index in batch.indices]
        waiting += zip(indices, batch.hashes, batch.pictures, strict=True)
        if len(waiting) >= cache.pack_size:
            places |= _keep(cache, waiting)
            waiting.clear()
        done = len(places) + len(waiting) + len(failures)
        on_progress(Progress("reading pictures", done, len(paths), message=_remark(places)))
    places |= _keep(cache, waiting) if waiting else {}
    return Pictures(paths, preprocessing, places, failures)


def _keep(cache: PictureCache, waiting: Sequence[tuple[int, str, Tensor]]) -> dict[int, Place | None]:
    indices, hashes, pictures = zip(*waiting, strict=True)
    pack = cache.add(hashes, pictures)
    return {index: None if pack is None else Place(pack, row) for row, index in enumerate(indices)}


def _remark(places: dict[int, Place | None]) -> str:
    return "no room to keep all of them: the others are decoded in every epoch" if None in places.values() else ""


@dataclass(frozen=True)
class Side:
    """One side of a split: positions in a set of pictures, and the index of the class of each."""

    positions: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


class _Order:
    """Which pictures are in which batch of the present epoch. Processes that live on are told by the main one."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class Loader:
    """Feeds a device with batches: float32 pictures of B x 3 x size x size in 0..1, and labels.

    Use it in a ``with`` block, at whose end its processes end.

    Args:
        pictures: what :func:`read_pictures` returned.
        batch_size: pictures of a batch; the last of an epoch may have fewer.
        device: where the batches go.
        workers: processes that fetch pictures; 0 fetches in this one, None chooses. The batches are the same.

    >>> with Loader(pictures, 32, device) as loader:                          # doctest: +SKIP
    ...     for batch, labels in loader.shuffled(train, seed=0, epoch=1): ...

    Raises:
        ResourceError: a process was ended from outside.
        PictureError: a file was removed or damaged that is not kept on disk.
    """

    def __init__(self, pictures: Pictures, batch_size: int, device: torch.device, workers: int | None = None) -> None:
        self.workers = choose_workers(pictures, device) if workers is None else workers
        if self.workers < 0:
            raise UsageError(f"{self.workers} workers cannot be.", "Choose 0 or more.")
        self._batch_size, self._device = batch_size, device
        self._order = _Order()
        self._fetched: Iterator[Any] | None = None
        with _without_advice():
            self._loader: DataLoader[Tensor] | None = DataLoader(
                pictures,  # type: ignore[arg-type]  # typed as its own class, needs no more than __getitems__
                batch_sampler=self._order,
                collate_fn=_unchanged,
                num_workers=self.workers,
                persistent_workers=self.workers > 0,
                pin_memory=device.type == "cuda",
                generator=torch.Generator(),  # else an epoch moves the global one
            )

    def __enter__(self) -> Loader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loader = self._fetched = None
        traceback.clear_frames(trace)  # torch ends its processes when nobody knows its iterator any more
        # A signal handler of torch raises this wherever the main process happens to be.
        if isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker"):
            raise _died(error) from error

    def shuffled(
        self, side: Side, *, seed: int, epoch: int, augmentation: Augmentation = NONE
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Go once through ``side`` in the order of ``seed`` and ``epoch``, each picture augmented anew."""
        order = torch.randperm(len(side), generator=generator(seed, "order", epoch))
        for rows, pictures, labels in self._batches(side, order):
            yield augmentation(pictures, seed=seed, epoch=epoch, indices=rows), labels

    def in_order(self, side: Side) -> Iterator[tuple[Tensor, Tensor]]:
        """Go once through ``side`` as it is."""
        for _, pictures, labels in self._batches(side, torch.arange(len(side))):
            yield pictures, labels

    def count(self, side: Side) -> int:
        """Return the number of batches of ``side``."""
        return -(-len(side) // self._batch_size)

    def _batches(self, side: Side, order: Tensor) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        assert self._loader is not None, "the loader is closed"
        shares = torch.split(order, self._batch_size)
        self._order.batches = [side.positions[share].tolist() for share in shares]
        fast = self._device.type == "cuda"
        with _without_advice():
            self._fetched = iter(self._loader)
        for share, rows in zip(shares, self._order.batches, strict=True):
            pictures = self._next()
            batch = scaled(pictures.to(self._device, non_blocking=fast))
            yield rows, batch, side.labels[share].to(self._device, non_blocking=fast)

    def _next(self) -> Tensor:
        assert self._fetched is not None
        try:
            pictures: Tensor | ImpastoError = next(self._fetched)
        except (OSError, EOFError) as error:
            if not self.workers or str(error).startswith("Caught"):  # torch's word for what a worker raised
                raise
            raise _died(error) from error  # it went while its batch was handed over
        if isinstance(pictures, ImpastoError):
            raise pictures
        return pictures


def _died(error: Exception) -> ResourceError:
    return ResourceError(
        f"a process that reads pictures has died ({(str(error) or repr(error)).splitlines()[0]}).",
        "Too little memory is the usual reason. Choose fewer --workers, 0 for none.",
    )


def choose_workers(pictures: Pictures, device: torch.device) -> int:
    """Return how many processes to fetch with where nobody says.

    None where pictures are gathered from the cache, or where the processor that would decode them is the one that
    learns; else as many as there are cores, up to eight.
    """
    return 0 if pictures.is_cached or device.type == "cpu" else min(_MOST_WORKERS, os.cpu_count() or 1)


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Keep torch from advising against more workers than cores, and Python 3.12 and later against fork with threads.

    The workers use neither locks nor threads of this process.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
        yield


def _unchanged(batch: Any) -> Any:
    return batch
