"""What is looked at of each picture: an encoder's features, a sketch, a perceptual hash, sizes and colours.

Opening and encoding is the slow part of every comparison, so it is done once a file: the results are kept by the
SHA-256 of its bytes (see ``impasto.caches``).
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from impasto._version import __version__
from impasto.caches import RowCache, cache_folder
from impasto.data.check import alignment
from impasto.data.check.alignment import sketch
from impasto.encoders import AnyEncoder, load_encoder
from impasto.errors import PictureError
from impasto.files import file_digests
from impasto.images import MAX_PIXELS, open_picture
from impasto.images.reading import open_header, reading
from impasto.runtime import OnProgress, Progress, choose_dtype, deterministic, ignore_progress, one_core

# Side in pixels to which a picture is squeezed before the encoder sees it.
SIDE = 128
_BATCH, _CHUNK = 16, 512
_HASH, _MODE, _BORDER, _SMALL = 64, 8, 3, 192
# Width, height, and the rest: so many numbers a picture.
_FACTS = 2 + _MODE + _BORDER + _SMALL


@dataclass(frozen=True)
class Look:
    """What one opening of a picture tells besides what the encoder sees.

    Attributes:
        sha256: of the file's bytes.
        width, height: in pixels, upright.
        mode: of the file's pixels, as Pillow calls it: "RGB", "L" for grey, ..
        border: mean colour of the outermost pixels, three numbers in 0..1.
        small: the picture in 8 x 8 pixels, 192 numbers in 0..1.
    """

    sha256: str
    width: int
    height: int
    mode: str
    border: npt.NDArray[np.float64]
    small: npt.NDArray[np.float64]

    @property
    def thumbnail(self) -> npt.NDArray[np.float64]:
        """The picture in 4 x 4 pixels, 48 numbers in 0..1."""
        cells: npt.NDArray[np.float64] = self.small.reshape(4, 2, 4, 2, 3).mean((1, 3)).reshape(-1)
        return cells


@dataclass(frozen=True)
class Signatures:
    """What is compared of each picture.

    Attributes:
        kept: positions of the readable ones in the list.
        features: N x D, of length 1.
        sketches: N x 48 x 48 in half precision, see ``impasto.data.check.alignment``.
        hashes: N x 64, +1 or -1 divided by 8, so of length 1, too.
        colours: N x 192, the pictures in 8 x 8 pixels, in 0..1.
        looks: of the files.
        unreadable: the others with the reason.
    """

    kept: tuple[int, ...]
    features: Tensor
    sketches: Tensor
    hashes: Tensor
    colours: Tensor
    looks: tuple[Look, ...]
    unreadable: tuple[tuple[Path, str], ...]


# Rows, and reasons why there is none, by place in a batch.
_Encoded = tuple[dict[int, Tensor], dict[int, str]]


class _Opened(NamedTuple):
    """A picture squeezed for the encoder (3 x SIDE x SIDE in 0..1), sketch, hash, and its facts in a row of numbers."""

    view: Tensor
    sketch: Tensor
    hash: Tensor
    facts: Tensor


def sign(
    paths: Sequence[Path],
    encoder: AnyEncoder | None = None,
    *,
    digests: Sequence[str] = (),
    on_progress: OnProgress = ignore_progress,
) -> Signatures:
    """Return what is compared of every picture; those known from an earlier call are not opened again.

    Args:
        paths: picture files.
        encoder: what sees them; the embedded one by default.
        digests: the SHA-256 of each file as it is now, where they are known: else all files are read for them.
        on_progress: told after every batch.
    """
    network = encoder or load_encoder()
    digests = digests or file_digests(paths)
    kind = {"side": SIDE, "precision": str(_precision())}
    cache = RowCache(cache_folder("looks"), {"version": __version__, "encoder": network.identity(), **kind})
    rows = cache.read(sha256 for sha256 in digests if sha256)
    missing = [index for index, sha256 in enumerate(digests) if sha256 not in rows]
    unreadable: list[tuple[Path, str]] = []
    new: dict[str, Tensor] = {}
    done = len(paths) - len(missing)
    on_progress(Progress("comparing", done, len(paths)))
    for batch, found, failed in _encoded(paths, missing, network):
        new |= {digests[batch[place]]: row for place, row in found.items()}
        unreadable += [(paths[batch[place]], reason) for place, reason in failed.items()]
        done += len(batch)
        if len(new) >= _CHUNK or done == len(paths):
            cache.add(new)
            rows |= new
            new = {}
        on_progress(Progress("comparing", done, len(paths)))
    kept = tuple(index for index, sha256 in enumerate(digests) if sha256 in rows)
    return _signatures(kept, [digests[index] for index in kept], rows, unreadable)


def _encoded(
    paths: Sequence[Path], missing: list[int], network: AnyEncoder
) -> Iterator[tuple[list[int], dict[int, Tensor], dict[int, str]]]:
    """Yield batches of positions with what ``_encode`` returns for them, in order.

    There is a batch on each core: for pictures as small as these, several cores on one take longer than one.
    """
    batches = [missing[start : start + _BATCH] for start in range(0, len(missing), _BATCH)]
    cores = min(os.cpu_count() or 1, len(batches))
    networks: SimpleQueue[AnyEncoder] = SimpleQueue()
    for number in range(cores):  # one cannot serve two at once
        networks.put(copy.deepcopy(network) if number else network)
    with one_core(), deterministic(), ThreadPoolExecutor(max(1, cores)) as pool:
        results = pool.map(lambda batch: _encode([paths[index] for index in batch], networks), batches)
        for batch, (found, failed) in zip(batches, results, strict=True):
            yield batch, found, failed


def _encode(paths: Sequence[Path], networks: SimpleQueue[AnyEncoder]) -> _Encoded:
    """Open pictures and encode them together; return rows, and reasons, by their place in ``paths``."""
    opened = dict(enumerate(map(_open, paths)))
    failed = {place: each for place, each in opened.items() if isinstance(each, str)}
    good = {place: each for place, each in opened.items() if not isinstance(each, str)}
    if not good:
        return {}, failed
    network = networks.get()
    try:
        features = _features(network, torch.stack([each.view for each in good.values()]))
    finally:
        networks.put(network)
    # Numbers that need 32 bits travel as twice as many halves, so that one row holds everything.
    rows = [
        torch.cat([feature.half(), each.sketch.half().flatten(), each.hash.half(), each.facts.view(torch.float16)])
        for each, feature in zip(good.values(), features, strict=True)
    ]
    return dict(zip(good, rows, strict=True)), failed


def _precision() -> torch.dtype:
    return choose_dtype("auto", torch.device("cpu"))


def _features(network: AnyEncoder, views: Tensor) -> Tensor:
    """Return the means of the encoder's maps over the picture, B x D of length 1."""
    dtype = _precision()
    # A third of the time of plain fp32 with AMX; cosines differ by 0.004 at most.
    with torch.no_grad():
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            seen = network(views.contiguous(memory_format=torch.channels_last), [network.recognition])
        return torch.nn.functional.normalize(seen[network.recognition].float().mean((2, 3)), dim=1)


def _open(path: Path) -> _Opened | str:
    try:
        image = open_picture(path).image
        with reading(path) as file:
            mode = open_header(file, path, MAX_PIXELS).mode
    except PictureError as error:
        return error.message
    view = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=3)
    pixels = np.asarray(view, dtype=np.float32).transpose(2, 0, 1) / 255
    edges = np.asarray(image)
    rim = np.concatenate([edges[0], edges[-1], edges[:, 0], edges[:, -1]])
    small = np.asarray(view.resize((8, 8), Image.Resampling.BOX), dtype=np.float64).reshape(_SMALL) / 255
    letters = np.frombuffer(mode.ljust(_MODE).encode(), dtype=np.uint8)
    facts = np.concatenate([image.size, letters, rim.mean(0, dtype=np.float64) / 255, small])
    return _Opened(
        torch.from_numpy(pixels.copy()),
        sketch(image),
        gradient_hash(image),
        torch.from_numpy(facts.astype(np.float32)),
    )


def gradient_hash(image: Image.Image) -> Tensor:
    """Return 64 numbers, +1/8 where a 9 x 8 thumbnail in grey becomes darker to the right, else -1/8 (dHash)."""
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = (grey[:, :-1] > grey[:, 1:]).reshape(_HASH)
    return torch.from_numpy(np.where(bits, 0.125, -0.125).astype(np.float32))


def _signatures(
    kept: tuple[int, ...], digests: list[str], rows: dict[str, Tensor], unreadable: list[tuple[Path, str]]
) -> Signatures:
    """Take rows apart again."""
    empty = torch.zeros(0)
    if not kept:
        return Signatures((), empty, empty, empty, empty, (), tuple(unreadable))
    table = torch.stack([rows[sha256] for sha256 in digests])
    facts = table[:, -2 * _FACTS :].contiguous().view(torch.float32).double().numpy()
    sizes = [alignment.SIDE**2, _HASH, 2 * _FACTS]
    features, sketches, hashes, _ = torch.split(table, [table.shape[1] - sum(sizes), *sizes], dim=1)
    return Signatures(
        kept,
        torch.nn.functional.normalize(features.float(), dim=1),
        sketches.reshape(-1, alignment.SIDE, alignment.SIDE),
        hashes.float(),
        torch.from_numpy(facts[:, -_SMALL:]).float(),
        tuple(_look(*pair) for pair in zip(digests, facts, strict=True)),
        tuple(unreadable),
    )


def _look(sha256: str, facts: npt.NDArray[np.float64]) -> Look:
    width, height, letters, border, small = np.split(facts, np.cumsum([1, 1, _MODE, _BORDER]))
    mode = bytes(letters.astype(np.uint8)).decode().strip()
    return Look(sha256, int(width[0]), int(height[0]), mode, border, small)
