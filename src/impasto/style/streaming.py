"""A feed-forward network on a picture of any size, in bounded memory, with the statistics of the whole picture.

Cutting a picture into tiles changes it: instance norm sees another mean in every tile. Here the network is computed
layer by layer instead, each layer in strips of rows. A layer's raw output goes to a temporary file while the mean and
the variance of the whole are gathered; the next layer normalises what it reads. Every value is computed once, from
the same numbers as in one piece.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ResourceError
from impasto.runtime import free_disk, human_bytes
from impasto.style.networks import Stage, same_padding

ReadRows = Callable[[int, int], Tensor]


@dataclass
class Rows:
    """An activation 1 x C x H x W of which rows can be read; ``read(a, b)`` gives 1 x C x (b - a) x W."""

    channels: int
    height: int
    width: int
    read: ReadRows


class Store:
    """Rows of float32 in a temporary file: H x C x W, so that neighbouring rows lie together."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        self.channels, self.height, self.width = channels, height, width
        self._file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the object

    def write(self, first: int, rows: Tensor) -> None:
        """Write 1 x C x n x W from row ``first`` on."""
        self._file.seek(4 * first * self.channels * self.width)
        self._file.write(rows[0].transpose(0, 1).contiguous().numpy().data)

    def read(self, first: int, last: int) -> Tensor:
        """Return rows ``first`` .. ``last - 1``."""
        shape = (last - first, self.channels, self.width)
        buffer = np.empty(shape, dtype=np.float32)
        self._file.seek(4 * first * self.channels * self.width)
        view = buffer.data.cast("B")
        if self._file.readinto(view) != len(view):  # type: ignore[attr-defined]
            raise OSError(f"a temporary file is shorter than its {len(view)} bytes.")
        return torch.from_numpy(buffer).transpose(0, 1).unsqueeze(0)

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()


@torch.no_grad()
def stream(stages: Sequence[Stage], picture: Rows, strip: int) -> Iterator[tuple[int, Tensor]]:
    """Yield the result from top to bottom as (first row, 1 x C x n x W).

    Args:
        stages: what ``network.stages()`` gave.
        picture: the input of the first stage.
        strip: rows of a stage's output that are computed at once; memory grows with it.
    """
    outputs: list[Rows] = [picture]
    stores: list[Store | None] = [None]
    for number, stage in enumerate(stages):
        source = outputs[-stage.back]
        channels, height, width = output_shape(stage, source)
        store = Store(channels, height, width)
        moments = Moments(channels)
        for first in range(0, height, strip):
            rows = convolve(stage, source, first, min(height, first + strip))
            moments.add(rows)
            store.write(first, rows)
        follow = _follower(stage, moments)
        read = _reader(store, follow)
        if stage.bridge:
            _add_bridge(store, read, outputs[-stage.bridge], strip)
            read = store.read
        outputs.append(Rows(channels, height, width, read))
        stores.append(store)
        _forget(stages, number, stores)
    result = outputs[-1]
    for first in range(0, result.height, strip):
        yield first, result.read(first, min(result.height, first + strip))
    for last in stores:
        if last is not None:
            last.close()


def require_disk(stages: Sequence[Stage], picture: Rows) -> None:
    """Refuse a picture for whose temporary files the disk has no room.

    Raises:
        ResourceError: names the folder and what it would need.
    """
    needed, room = disk_needed(stages, picture), free_disk(Path(tempfile.gettempdir()))
    if needed > room:
        raise ResourceError(
            f"{picture.width}x{picture.height} pixels need {human_bytes(needed)} of temporary files, "
            f"{tempfile.gettempdir()} has {human_bytes(room)} free.",
            "Set TMPDIR to a folder on a larger disk, give a larger --memory, or a smaller --size.",
        )


def disk_needed(stages: Sequence[Stage], picture: Rows) -> int:
    """Return the bytes that ``stream`` will have in temporary files at its worst."""
    alive: dict[int, int] = {}
    shapes, most = [picture], 0
    for number, stage in enumerate(stages):
        shapes.append(Rows(*output_shape(stage, shapes[-stage.back]), read=picture.read))
        alive[number + 1] = 4 * shapes[-1].channels * shapes[-1].height * shapes[-1].width
        most = max(most, sum(alive.values()))
        needed = _needed(stages, number)
        alive = {index: size for index, size in alive.items() if index in needed}
    return most


def output_shape(stage: Stage, source: Rows) -> tuple[int, int, int]:
    """Return channels, height and width behind a stage."""
    channels = stage.kernel.shape[1] if stage.transposed else stage.kernel.shape[0]
    if stage.transposed or stage.enlarge:
        return channels, source.height * stage.stride, source.width * stage.stride
    return channels, -(-source.height // stage.stride), -(-source.width // stage.stride)


def convolve(stage: Stage, source: Rows, first: int, last: int) -> Tensor:
    """Return rows ``first`` .. ``last - 1`` of the convolution alone, bias included."""
    if stage.transposed:
        return _up_convolve(stage, source, first, last)
    size = stage.kernel.shape[-1]
    zoom = stage.stride if stage.enlarge else 1
    stride = 1 if stage.enlarge else stage.stride
    high, wide = source.height * zoom, source.width * zoom
    padded = [
        same_padding(side, size, stride) if stage.padding == "zeros" else (size // 2, size // 2)
        for side in (high, wide)
    ]
    start = first * stride - padded[0][0]
    wanted = range(start, (last - 1) * stride - padded[0][0] + size)
    x = _gather(source, wanted, high, zoom, stage.padding)
    x = x.repeat_interleave(zoom, dim=3) if zoom > 1 else x
    mode = "constant" if stage.padding == "zeros" else "reflect"
    return F.conv2d(F.pad(x, (*padded[1], 0, 0), mode=mode), stage.kernel, stage.bias, stride=stride)


def _gather(source: Rows, wanted: range, height: int, zoom: int, padding: str) -> Tensor:
    """Return the rows ``wanted`` of the enlarged source; those outside are zeros or mirrored."""
    rows = np.arange(wanted.start, wanted.stop)
    outside = (rows < 0) | (rows >= height)
    mirrored = np.where(rows < 0, -rows, np.where(rows >= height, 2 * (height - 1) - rows, rows))
    origin = np.where(outside, 0 if padding == "zeros" else mirrored, rows) // zoom
    inside = origin if padding != "zeros" else origin[~outside]
    low, high = int(inside.min()), int(inside.max()) + 1
    x = source.read(low, high)[:, :, torch.from_numpy(np.clip(origin - low, 0, high - low - 1))]
    if padding == "zeros" and outside.any():
        x = x.clone()
        x[:, :, torch.from_numpy(outside)] = 0
    return x


def _up_convolve(stage: Stage, source: Rows, first: int, last: int) -> Tensor:
    """Output row r is made of input rows (r - 2) / 2 .. r / 2, see SameUpConv."""
    low, high = max(0, (first - 1) // 2), min(source.height, (last - 1) // 2 + 1)
    whole = F.conv_transpose2d(source.read(low, high), stage.kernel, stage.bias, stride=stage.stride)
    return whole[:, :, first - 2 * low : last - 2 * low, : 2 * source.width]


class Moments:
    """Mean and variance of each channel, strip by strip (Chan, Golub and LeVeque 1983), in float64."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.mean = torch.zeros(channels, dtype=torch.float64)
        self.squares = torch.zeros(channels, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """Take 1 x C x n x W into account."""
        values = rows[0].flatten(1).double()
        count, mean = values.shape[1], values.mean(1)
        delta, total = mean - self.mean, self.count + count
        self.squares += (values - mean[:, None]).square().sum(1) + delta.square() * self.count * count / total
        self.mean += delta * count / total
        self.count = total

    @property
    def variance(self) -> Tensor:
        """The biased variance, as instance norm uses it."""
        return self.squares / self.count


def _follower(stage: Stage, moments: Moments) -> Callable[[Tensor], Tensor]:
    """Return what stands between the convolution and the bridge: instance norm and ReLU."""
    if stage.norm is None:
        return lambda x: x.relu() if stage.relu else x
    gain = stage.norm.weight.double() / (moments.variance + stage.norm.eps).sqrt()
    offset = stage.norm.bias.double() - moments.mean * gain
    scale, shift = (each.float().view(1, -1, 1, 1) for each in (gain, offset))

    def follow(x: Tensor) -> Tensor:
        x = torch.addcmul(shift, x, scale)
        return x.relu() if stage.relu else x

    return follow


def _reader(store: Store, follow: Callable[[Tensor], Tensor]) -> ReadRows:
    return lambda first, last: follow(store.read(first, last))


def _add_bridge(store: Store, read: ReadRows, other: Rows, strip: int) -> None:
    """Replace the raw rows by the finished ones: norm and the bridge, so that no chain of files is kept."""
    for first in range(0, store.height, strip):
        last = min(store.height, first + strip)
        store.write(first, read(first, last) + other.read(first, last))


def _forget(stages: Sequence[Stage], number: int, stores: list[Store | None]) -> None:
    """Close the files that no later stage reads: all but the newest, and those a bridge will come back to."""
    needed = _needed(stages, number)
    for index, store in enumerate(stores):
        if store is not None and index not in needed:
            store.close()
            stores[index] = None


def _needed(stages: Sequence[Stage], number: int) -> set[int]:
    """Return which outputs are still read once stage ``number`` is done; output 0 is the picture."""
    later = list(enumerate(stages))[number + 1 :]
    reads = {index + 1 - stage.back for index, stage in later}
    bridges = {index + 1 - stage.bridge for index, stage in later if stage.bridge}
    return {number + 1} | {index for index in reads | bridges if index <= number}
