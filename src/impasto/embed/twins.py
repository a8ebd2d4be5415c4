"""Pictures that are there twice, or nearly: what nearest neighbours tell on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

# Cosine of mean features from which two pictures are named as nearly equal. The four copies in Caltech-101 that are
# known to us have .962 to .995 with SqueezeNet. `impasto dataset check` compares pictures line by line and is surer.
ALIKE = 0.96


@dataclass(frozen=True)
class Twin:
    """Two pictures that are equal ("bytes") or nearly so to the network ("features"), first < second."""

    first: int
    second: int
    similarity: float
    kind: str


def find_twins(hashes: Sequence[str], neighbours: Tensor, cosines: Tensor) -> tuple[Twin, ...]:
    """Return pairs of equal and of nearly equal pictures among nearest neighbours, equal ones first.

    Args:
        hashes: the SHA-256 of each of N files, "" where unknown.
        neighbours, cosines: N x k, see :func:`impasto.embed.neighbours.nearest`.
    """
    rows, columns = (cosines >= ALIKE).nonzero(as_tuple=True)
    pairs: dict[tuple[int, int], float] = {}
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        other = int(neighbours[row, column])
        pairs[min(row, other), max(row, other)] = float(cosines[row, column])
    found = [
        Twin(*pair, value, "bytes" if hashes[pair[0]] and hashes[pair[0]] == hashes[pair[1]] else "features")
        for pair, value in pairs.items()
    ]
    return tuple(sorted(found, key=lambda twin: (twin.kind, -twin.similarity, twin.first, twin.second)))
