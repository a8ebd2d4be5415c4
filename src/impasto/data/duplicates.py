"""Pictures that are nearly the same: equal bytes, equal perceptual hashes, or the same thing to an encoder.

Copies that were scaled, recompressed or cut have other bytes and often another hash. What finds them is an encoder, in
two steps: the cosine of its mean features says that the same things are there, which is so for all pictures of one
texture; the correlation of where they are then says that it is the same picture.

Similarities are computed block by block, so that memory grows with the number of pictures and not with its square; time
grows with the square, and is a matrix product.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from impasto.data.looks import Signatures

# Cosine of mean features and correlation of maps from which two pictures count as one. With five classes of Caltech-101
# the pairs known have cosines of .961 to .997 and correlations from .72; copies cut by 5 % a side .95 and .73; repaints
# of other photos in one style up to .88 and .36, smooth noise .99 and .51.
ALIKE, IN_PLACE = 0.95, 0.62
# What an encoder makes of even textures differs less by the texture than by the picture's border; so colours must agree
# in 8 x 8 pixels, too: .66 for the pairs known, up to .2 for noise.
SAME_COLOURS = 0.4
# A gradient hash of 8 x 8 differs in at most so many bits, where the features agree a little less.
HASH_BITS, HASH_ALIKE = 3, 0.9
_BLOCK, _CANDIDATES = 2048, 4096


@dataclass(frozen=True)
class Pair:
    """Two pictures, as positions in the list, first < second; ``kind`` is "bytes", "hash" or "features"."""

    first: int
    second: int
    similarity: float
    kind: str


def near_pairs(signatures: Signatures, sides: Sequence[Hashable] = (), *, across: bool = False) -> list[Pair]:
    """Return pairs of near duplicates; positions are those of the list that was signed.

    Of pictures of equal bytes not all pairs are returned, which would be their square: each with the first of its side,
    and with the first of every other side. So every picture with a copy on another side is in a pair that says so.

    Args:
        signatures: of N pictures.
        sides: where each picture of the list is, in a split for instance; none: all on one side.
        across: whether only pairs from two sides are wanted.
    """
    where = [sides[index] if sides else None for index in signatures.kept]
    copies: dict[tuple[str, Hashable], list[int]] = {}
    for row, (look, side) in enumerate(zip(signatures.looks, where, strict=True)):
        copies.setdefault((look.sha256, side), []).append(row)
    found = _equal(copies)
    firsts = torch.tensor([rows[0] for rows in copies.values()], dtype=torch.long)
    for candidates in _candidates(signatures.features[firsts]):
        for pair in _confirmed(signatures, firsts[candidates]):
            one, other = ((signatures.looks[row].sha256, where[row]) for row in (pair.first, pair.second))
            if one[0] != other[0]:
                found += [pair] if one[1] == other[1] else _with_copies(pair, copies[one], copies[other])
    return [
        replace(pair, first=signatures.kept[pair.first], second=signatures.kept[pair.second])
        for pair in found
        if not across or where[pair.first] != where[pair.second]
    ]


def _equal(copies: Mapping[tuple[str, Hashable], list[int]]) -> list[Pair]:
    """Return pairs of equal bytes, as rows."""
    firsts: dict[str, list[int]] = {}
    for (sha256, _), rows in copies.items():
        firsts.setdefault(sha256, []).append(rows[0])
    within = {(rows[0], row) for rows in copies.values() for row in rows[1:]}
    between = {
        (min(row, first), max(row, first))
        for (sha256, _), rows in copies.items()
        for row in rows
        for first in firsts[sha256]
        if first != rows[0]
    }
    return [Pair(first, second, 1.0, "bytes") for first, second in sorted(within | between)]


def _with_copies(pair: Pair, first: Sequence[int], second: Sequence[int]) -> list[Pair]:
    """Return a pair of two sides, and the pairs that copies of either picture make with the other."""
    ends = [(row, pair.second) for row in first] + [(pair.first, row) for row in second[1:]]
    return [replace(pair, first=min(each), second=max(each)) for each in ends]


def _confirmed(signatures: Signatures, candidates: Tensor) -> Iterator[Pair]:
    """Yield which of the candidates (K x 2) are one picture, as rows."""
    first, second = candidates.unbind(1)
    cosines = (signatures.features[first] * signatures.features[second]).sum(1)
    bits = 32 * (1 - (signatures.hashes[first] * signatures.hashes[second]).sum(1))
    same = _in_place(signatures.maps[first].float(), signatures.maps[second].float()) >= IN_PLACE
    same &= _colours_agree(signatures.colours[first], signatures.colours[second]) >= SAME_COLOURS
    by_features = same & (cosines >= ALIKE)
    by_hash = same & (bits.round() <= HASH_BITS)
    for row in (by_features | by_hash).nonzero().flatten().tolist():
        one, other = candidates[row].tolist()
        yield Pair(one, other, cosines[row].item(), "features" if by_features[row] else "hash")


def _in_place(first: Tensor, second: Tensor) -> Tensor:
    """Return the correlation of maps K x C x H x W, the best of those with one moved by up to a cell."""
    height, width = first.shape[2:]
    best = torch.full((len(first),), -1.0)
    for down, right in product((-1, 0, 1), repeat=2):
        one = first[:, :, max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)].flatten(1)
        other = second[:, :, max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)].flatten(1)
        best = torch.maximum(best, torch.nn.functional.cosine_similarity(one, other))
    return best


def _colours_agree(first: Tensor, second: Tensor) -> Tensor:
    """Return the correlation of colours; 1 where both pictures are of one colour."""
    flat = (first == 0).all(1) & (second == 0).all(1)
    return torch.where(flat, 1.0, (first * second).sum(1))


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
