"""Pictures that are nearly the same: equal bytes, equal perceptual hashes, or the same thing to an encoder.

Copies that were scaled, recompressed or cut have other bytes and often another hash. What finds them is an encoder, in
two steps: the cosine of its mean features says that the same things are there, which is so for all pictures of one
texture; the correlation of where they are then says that it is the same picture.

Similarities are computed block by block, so that memory grows with the number of pictures and not with its square; time
grows with the square, and is a matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from impasto.encoders import AnyEncoder, load_encoder
from impasto.errors import PictureError
from impasto.images import MAX_PIXELS, open_picture
from impasto.images.reading import open_header, reading
from impasto.runtime import OnProgress, Progress, deterministic, ignore_progress

# Side in pixels to which a picture is squeezed before the encoder sees it; cosine of mean features and correlation of
# maps from which two pictures count as one. With five classes of Caltech-101 the pairs known have cosines of .961 to
# .997 and correlations from .72; copies cut by 5 % a side .95 and .73; repaints of other photos in one style up to .88
# and .36, smooth noise .99 and .51.
SIDE, ALIKE, IN_PLACE = 128, 0.95, 0.62
# A gradient hash of 8 x 8 differs in at most so many bits, where the features agree a little less.
HASH_BITS, HASH_ALIKE = 3, 0.9
# Maps are kept of so many channels, random mixtures of the encoder's, which change correlations by a few hundredths.
MAP_CHANNELS = 32
_BATCH, _BLOCK, _CANDIDATES = 32, 2048, 4096
_NO_VIEW = torch.zeros(0)


@dataclass(frozen=True)
class Look:
    """What one opening of a picture tells.

    Attributes:
        view: 3 x SIDE x SIDE in 0..1, squeezed.
        hash: 64 numbers, see ``gradient_hash``.
        sha256: of the file's bytes.
        width, height: in pixels, upright.
        mode: of the file's pixels, as Pillow calls it: "RGB", "L" for grey, ..
        border: mean colour of the outermost pixels, three numbers in 0..1.
        thumbnail: 4 x 4 x 3 numbers in 0..1.
    """

    view: Tensor
    hash: Tensor
    sha256: str
    width: int
    height: int
    mode: str
    border: npt.NDArray[np.float64]
    thumbnail: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Signatures:
    """What is compared of each picture.

    Attributes:
        kept: positions of the readable ones in the list.
        features: N x D, of length 1.
        maps: N x MAP_CHANNELS x H x W in half precision, the mean of each channel taken off.
        hashes: N x 64, +1 or -1 divided by 8, so of length 1, too.
        looks: of the files, without their views.
        unreadable: the others with the reason.
    """

    kept: tuple[int, ...]
    features: Tensor
    maps: Tensor
    hashes: Tensor
    looks: tuple[Look, ...]
    unreadable: tuple[tuple[Path, str], ...]


@dataclass(frozen=True)
class Pair:
    """Two pictures, as positions in the list, first < second; ``kind`` is "bytes", "hash" or "features"."""

    first: int
    second: int
    similarity: float
    kind: str


@dataclass(frozen=True)
class _Seen:
    """What the encoder made of a batch."""

    features: Tensor
    maps: Tensor


def sign(
    paths: Sequence[Path], encoder: AnyEncoder | None = None, *, on_progress: OnProgress = ignore_progress
) -> Signatures:
    """Open every picture once and return what ``near_pairs`` compares."""
    network = encoder or load_encoder()
    kept: list[int] = []
    batches: list[_Seen] = []
    looks: list[Look] = []
    unreadable: list[tuple[Path, str]] = []
    with ThreadPoolExecutor() as pool, deterministic(), torch.no_grad():
        for start in range(0, len(paths), _BATCH):
            seen = list(enumerate(pool.map(_look, paths[start : start + _BATCH]), start))
            good = [(position, look) for position, look in seen if isinstance(look, Look)]
            unreadable += [(paths[position], reason) for position, reason in seen if isinstance(reason, str)]
            if good:
                batches.append(_see(network, torch.stack([look.view for _, look in good])))
            kept += [position for position, _ in good]
            looks += [replace(look, view=_NO_VIEW) for _, look in good]
            on_progress(Progress("comparing", min(start + _BATCH, len(paths)), len(paths)))
    empty = torch.zeros(0)
    return Signatures(
        tuple(kept),
        torch.cat([batch.features for batch in batches]) if batches else empty,
        torch.cat([batch.maps for batch in batches]) if batches else empty,
        torch.stack([look.hash for look in looks]) if looks else empty,
        tuple(looks),
        tuple(unreadable),
    )


def _see(network: AnyEncoder, views: Tensor) -> _Seen:
    maps = network(views, [network.recognition])[network.recognition].float()
    mixing = torch.randn(MAP_CHANNELS, maps.shape[1], generator=torch.Generator().manual_seed(0))
    means = maps.mean((2, 3), keepdim=True)
    small = torch.einsum("kc,bchw->bkhw", mixing, maps - means)
    features = torch.nn.functional.normalize(means.flatten(1), dim=1)
    return _Seen(features, torch.nn.functional.normalize(small.flatten(1), dim=1).view_as(small).half())


def _look(path: Path) -> Look | str:
    try:
        picture = open_picture(path)
        with reading(path) as file:
            mode = open_header(file, path, MAX_PIXELS).mode
    except PictureError as error:
        return error.message
    image = picture.image
    view = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=3)
    pixels = np.asarray(view, dtype=np.float32).transpose(2, 0, 1) / 255
    edges = np.asarray(image)
    rim = np.concatenate([edges[0], edges[-1], edges[:, 0], edges[:, -1]])
    thumbnail = np.asarray(view.resize((4, 4), Image.Resampling.BOX), dtype=np.float64).reshape(48) / 255
    return Look(
        torch.from_numpy(pixels.copy()),
        gradient_hash(image),
        picture.sha256,
        *image.size,
        mode,
        rim.mean(0, dtype=np.float64) / 255,
        thumbnail,
    )


def gradient_hash(image: Image.Image) -> Tensor:
    """Return 64 numbers, +1/8 where a 9 x 8 thumbnail in grey becomes darker to the right, else -1/8 (dHash)."""
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = (grey[:, :-1] > grey[:, 1:]).reshape(64)
    return torch.from_numpy(np.where(bits, 0.125, -0.125).astype(np.float32))


def near_pairs(signatures: Signatures) -> list[Pair]:
    """Return all pairs of near duplicates; positions are those of the list that was signed."""
    return [pair for candidates in _candidates(signatures.features) for pair in _confirmed(signatures, candidates)]


def _confirmed(signatures: Signatures, candidates: Tensor) -> Iterator[Pair]:
    """Yield which of the candidates (K x 2) are one picture."""
    first, second = candidates.unbind(1)
    cosines = (signatures.features[first] * signatures.features[second]).sum(1)
    bits = 32 * (1 - (signatures.hashes[first] * signatures.hashes[second]).sum(1))
    in_place = _in_place(signatures.maps[first].float(), signatures.maps[second].float()) >= IN_PLACE
    by_features = in_place & (cosines >= ALIKE)
    by_hash = in_place & (bits.round() <= HASH_BITS)
    for row, (one, other) in enumerate(candidates.tolist()):
        if signatures.looks[one].sha256 == signatures.looks[other].sha256:
            kind = "bytes"
        elif by_features[row]:
            kind = "features"
        elif by_hash[row]:
            kind = "hash"
        else:
            continue
        yield Pair(signatures.kept[one], signatures.kept[other], cosines[row].item(), kind)


def _in_place(first: Tensor, second: Tensor) -> Tensor:
    """Return the correlation of maps K x C x H x W, the best of those with one moved by up to a cell."""
    height, width = first.shape[2:]
    best = torch.full((len(first),), -1.0)
    for down, right in product((-1, 0, 1), repeat=2):
        one = first[:, :, max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)].flatten(1)
        other = second[:, :, max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)].flatten(1)
        best = torch.maximum(best, torch.nn.functional.cosine_similarity(one, other))
    return best


def _candidates(directions: Tensor) -> Iterator[Tensor]:
    """Yield K x 2 positions i < j of rows whose cosine is large enough, K at most ``_CANDIDATES``.

    One block of rows against those behind it at a time.
    """
    least = min(ALIKE, HASH_ALIKE)
    for top in range(0, len(directions), _BLOCK):
        rows = directions[top : top + _BLOCK]
        for left in range(top, len(directions), _BLOCK):
            found = (rows @ directions[left : left + _BLOCK].T >= least).nonzero() + torch.tensor([top, left])
            found = found[found[:, 0] < found[:, 1]]
            yield from (part for part in torch.split(found, _CANDIDATES) if len(part))


def clusters(pairs: Sequence[Pair], count: int) -> npt.NDArray[np.intp]:
    """Return for each of ``count`` pictures the number of its cluster: pictures that pairs join, directly or not."""
    ends = np.array([(pair.first, pair.second) for pair in pairs], dtype=np.intp).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    numbers: npt.NDArray[np.intp] = connected_components(graph, directed=False)[1].astype(np.intp)
    return numbers
