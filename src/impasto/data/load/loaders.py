"""Batches for training, at the speed of the machine, and the same ones whatever the number of processes.

An epoch gathers rows of memory-mapped files. What is drawn for it (order, augmentation) depends on seed, epoch and
picture alone and happens in the main process, on the device, a whole batch at a time: processes fetch and do not draw.
"""

from __future__ import annotations

import contextlib
import os
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from impasto.data.load.augmentations import NONE, Augmentation
from impasto.data.load.picture_set import Pictures
from impasto.data.load.pictures import scaled
from impasto.errors import ImpastoError, ResourceError, UsageError
from impasto.runtime import generator

# More processes than this rarely decode faster than a GPU learns.
_MOST_WORKERS = 8


@dataclass(frozen=True)
class Side:
    """One side of a split: positions in a set of pictures, and the index of the class of each."""

    positions: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Share:
    """What one of several processes takes of a batch: every ``world``-th row, beginning with row ``rank``.

    >>> Share(1, 2).own(torch.tensor([7, 8, 9]))
    tensor([8])
    """

    rank: int = 0
    world: int = 1

    def own(self, rows: Tensor) -> Tensor:
        """Return the rows of this process."""
        return rows[self.rank :: self.world]

    def of(self, rows: Tensor) -> Tensor:
        """Return the rows of this process; the batch's first where there are none, to be counted as nothing."""
        own = self.own(rows)
        return own if len(own) else rows[:1]

    def size(self, total: int) -> int:
        """How many rows of a batch of ``total`` are this process's."""
        return len(range(self.rank, total, self.world))


WHOLE = Share()


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
        pictures: what :func:`impasto.data.load.picture_set.read_pictures` returned.
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

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._loader = self._fetched = None
        _forget_frames(error)
        # A signal handler of torch raises this wherever the main process happens to be.
        if isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker"):
            raise _died(error) from error

    def shuffled(
        self,
        side: Side,
        *,
        seed: int,
        epoch: int,
        augmentation: Augmentation = NONE,
        first: int = 0,
        share: Share = WHOLE,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Go once through ``side`` in the order of ``seed`` and ``epoch``, each picture augmented anew.

        Args:
            side: what to go through.
            seed, epoch: of the order and the augmentation.
            augmentation: how pictures are changed.
            first: how many batches are left out, because a former run has had them.
            share: which rows of each batch are wanted, where several processes part them.
        """
        order = torch.randperm(len(side), generator=generator(seed, "order", epoch))
        batches = [share.of(batch) for batch in torch.split(order, self._batch_size)[first:]]
        for rows, pictures, labels in self._batches(side, batches):
            yield augmentation(pictures, seed=seed, epoch=epoch, indices=rows), labels

    def in_order(self, side: Side, share: Share = WHOLE) -> Iterator[tuple[Tensor, Tensor]]:
        """Go once through ``side`` as it is."""
        batches = torch.split(share.own(torch.arange(len(side))), self._batch_size)
        for _, pictures, labels in self._batches(side, batches):
            yield pictures, labels

    def count(self, side: Side) -> int:
        """Return the number of batches of ``side``."""
        return -(-len(side) // self._batch_size)

    def _batches(self, side: Side, batches: Sequence[Tensor]) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        assert self._loader is not None, "the loader is closed"
        self._order.batches = [side.positions[batch].tolist() for batch in batches]
        fast = self._device.type == "cuda"
        with _without_advice():
            self._fetched = iter(self._loader)
        for batch_rows, rows in zip(batches, self._order.batches, strict=True):
            pictures = self._next()
            batch = scaled(pictures.to(self._device, non_blocking=fast))
            yield rows, batch, side.labels[batch_rows].to(self._device, non_blocking=fast)

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


def _forget_frames(error: BaseException | None) -> None:
    """Torch ends its processes when nobody knows its iterator any more, and the traceback of an error knows it."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


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
