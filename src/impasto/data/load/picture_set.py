"""The readable pictures of a list of files: decoded once, before the first step, and kept on disk where there is room.

Once and before, because what cannot be read has to be known before a training begins, so that every picture is needed
twice at least.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from impasto.caches import cache_folder
from impasto.data.load.picture_cache import PictureCache, Place, open_pack
from impasto.data.load.pictures import Preprocessing, Skipped, read_batches, read_picture
from impasto.errors import ImpastoError
from impasto.runtime import OnProgress, Progress, ignore_progress


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

    def batch(self, rows: Sequence[int]) -> Tensor:
        """Return pictures as uint8 of B x 3 x size x size.

        Raises:
            PictureError: a file was removed or damaged that is not kept on disk.
        """
        pictures = self.__getitems__(rows)
        if isinstance(pictures, ImpastoError):
            raise pictures
        return pictures

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
    missing = [index for index in range(len(paths)) if index not in places]
    failures: dict[int, str] = {}
    done = len(places)
    on_progress(Progress("reading pictures", done, len(paths)))
    with _Keeper(cache, places) as keeper:
        for batch in read_batches([paths[index] for index in missing], preprocessing, min(64, cache.pack_size)):
            failures |= {missing[index]: reason for index, reason in batch.failures.items()}
            indices = [missing[index] for index in batch.indices]
            keeper.take(zip(indices, batch.hashes, batch.pictures, strict=True))
            done += len(batch.indices) + len(batch.failures)
            on_progress(Progress("reading pictures", done, len(paths), message=_remark(places)))
    return Pictures(paths, preprocessing, places, failures)


class _Keeper:
    """Writes packs in a thread of its own, one at a time, while the next pictures are decoded.

    Args:
        cache: where they go.
        places: position of each picture -> its place, None without one; filled when a pack is written.
    """

    def __init__(self, cache: PictureCache, places: dict[int, Place | None]) -> None:
        self._cache, self._places = cache, places
        self._waiting: list[tuple[int, str, Tensor]] = []
        self._pool = ThreadPoolExecutor(1)
        self._written: Future[None] | None = None

    def __enter__(self) -> _Keeper:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._pool:
            if kind is None:
                self._write()
                self._wait()

    def take(self, pictures: Iterable[tuple[int, str, Tensor]]) -> None:
        """Accept positions, hashes and pixels; a full pack is written as soon as the one before is."""
        self._waiting += pictures
        if len(self._waiting) >= self._cache.pack_size:
            self._write()

    def _write(self) -> None:
        self._wait()
        if self._waiting:
            self._written = self._pool.submit(self._keep, self._waiting)
            self._waiting = []

    def _wait(self) -> None:
        if self._written is not None:
            self._written.result()

    def _keep(self, pictures: Sequence[tuple[int, str, Tensor]]) -> None:
        indices, hashes, pixels = zip(*pictures, strict=True)
        pack = self._cache.add(hashes, pixels)
        for row, index in enumerate(indices):
            self._places[index] = None if pack is None else Place(pack, row)


def _remark(places: dict[int, Place | None]) -> str:
    return "no room to keep all of them: the others are decoded in every epoch" if None in places.values() else ""
