"""Pictures that are nearly the same: copies that were scaled, compressed, recoloured, framed or cut.

Pairs that an encoder takes for the same thing, or whose perceptual hashes nearly agree, are laid over each other and
compared line by line (``impasto.data.check.alignment``).

Similarities are computed block by block, so that memory grows with the number of pictures and not with its square; time
grows with the square, and is a matrix product.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.data.check.alignment import has_lines, same_picture
from impasto.data.check.looks import Signatures
from impasto.runtime import one_core

# Cosine of mean features from which two pictures are compared. The copies in five classes of Caltech-101 that are known
# to us have .81 to .997; so have many pictures that are none, which comparing them tells.
ALIKE = 0.85
# Two gradient hashes of 64 bits that differ in at most so many, if the features do not speak against it.
HASH_BITS, NOT_UNLIKE = 6, 0.7
# Pictures without lines, and faint ones that features and hashes take for equal, are one picture if no colour of 8 x 8
# pixels differs by so much.
SAME_COLOURS, NEARLY_ALIKE = 0.03, 0.95
# Comparing a pair takes a fifth of a millisecond. Where more pairs are alike, the most alike of them are compared.
MOST_COMPARED = 500_000
_BLOCK, _CANDIDATES = 2048, 256


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
    with ThreadPoolExecutor(os.cpu_count()) as pool, one_core():
        parts = _candidates(signatures.features[firsts], signatures.hashes[firsts])
        for pair in _compared(signatures, (firsts[part] for part in parts), pool):
            one, other = ((signatures.looks[row].sha256, where[row]) for row in (pair.first, pair.second))
            if one[0] != other[0]:
                found += [pair] if one[1] == other[1] else _with_copies(pair, copies[one], copies[other])
    return [
        replace(pair, first=signatures.kept[pair.first], second=signatures.kept[pair.second])
        for pair in found
        if not across or where[pair.first] != where[pair.second]
    ]


def _compared(signatures: Signatures, parts: Iterator[Tensor], pool: ThreadPoolExecutor) -> Iterator[Pair]:
    """Yield the pairs of all candidates in order, while as many parts as there are cores are compared."""
    waiting: deque[Future[list[Pair]]] = deque()
    for part in parts:
        waiting.append(pool.submit(_confirmed, signatures, part))
        if len(waiting) > 2 * (os.cpu_count() or 1):
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


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


def _confirmed(signatures: Signatures, candidates: Tensor) -> list[Pair]:
    """Return which of the candidates (K x 2) are one picture, as rows."""
    first, second = candidates.unbind(1)
    sketches = signatures.sketches[first].float(), signatures.sketches[second].float()
    cosines = (signatures.features[first] * signatures.features[second]).sum(1)
    by_hash = _bits(signatures.hashes[first], signatures.hashes[second]) <= HASH_BITS
    no_lines = ~has_lines(sketches[0]) & ~has_lines(sketches[1])
    same_colours = (signatures.colours[first] - signatures.colours[second]).abs().amax(1) < SAME_COLOURS
    same = same_picture(*sketches) | (same_colours & (no_lines | (by_hash & (cosines >= NEARLY_ALIKE))))
    rows = zip(candidates[same].tolist(), cosines[same].tolist(), by_hash[same].tolist(), strict=True)
    return [Pair(one, other, cosine, "hash" if near else "features") for (one, other), cosine, near in rows]


def _bits(first: Tensor, second: Tensor) -> Tensor:
    """Return in how many of 64 bits hashes differ."""
    return (32 * (1 - (first * second).sum(1))).round()


def _candidates(directions: Tensor, hashes: Tensor) -> Iterator[Tensor]:
    """Yield K x 2 positions i < j of pictures worth comparing, K at most ``_CANDIDATES``.

    One block of rows against those behind it at a time.
    """
    near, least = 1 - 2 * HASH_BITS / 64, _least_cosine(directions)
    for top in range(0, len(directions), _BLOCK):
        here = slice(top, top + _BLOCK)
        for left in range(top, len(directions), _BLOCK):
            there = slice(left, left + _BLOCK)
            cosines = directions[here] @ directions[there].T
            alike = (cosines >= least) | ((cosines >= NOT_UNLIKE) & (hashes[here] @ hashes[there].T >= near - 1e-4))
            found = alike.nonzero() + torch.tensor([top, left])
            found = found[found[:, 0] < found[:, 1]]
            yield from (part for part in torch.split(found, _CANDIDATES) if len(part))


def _least_cosine(directions: Tensor) -> float:
    """Return ``ALIKE``, or what leaves ``MOST_COMPARED`` pairs in a large set of pictures that are all alike."""
    if len(directions) ** 2 / 2 <= MOST_COMPARED:
        return ALIKE
    steps = 100
    counts = torch.zeros(steps)
    for top in range(0, len(directions), _BLOCK):
        for left in range(top, len(directions), _BLOCK):
            cosines = directions[top : top + _BLOCK] @ directions[left : left + _BLOCK].T
            counts += torch.histc(cosines, steps, ALIKE, 1) / (2 if left == top else 1)
    above = counts.flip(0).cumsum(0).flip(0)  # pairs from each step on
    first = int((above > MOST_COMPARED).sum())
    return ALIKE + min(first, steps - 1) * (1 - ALIKE) / steps
