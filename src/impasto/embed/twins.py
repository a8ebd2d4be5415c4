"""Pictures that are there twice, or nearly: what nearest neighbours tell on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

# Cosine of mean features from which two pictures are named as nearly equal. The four copies in Caltech-101 that are
# known to us have .962 to .995 with SqueezeNet. `impasto dataset check` compares pictures line by line and is surer.
ALIKE = 0.96
# And how much nearer to 1 that is than the mean cosine of all pairs: among the four copies .022 to .106. Layers before
# the last, and untrained networks, find all pictures alike: 0.83 and 0.999 are their usual cosines there, 0.63 that of
# the features by which copies are known.
_NEARER = 0.12


@dataclass(frozen=True)
class Twin:
    """Two pictures that are equal ("bytes") or nearly so to the network ("features"), first < second."""

    first: int
    second: int
    similarity: float
    kind: str


def usual_cosine(features: Tensor) -> float:
    """Return the mean cosine of all pairs of N x D features.

    >>> usual_cosine(torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]))
    0.3333333333333333
    """
    unit, count = F.normalize(features.double(), dim=1), len(features)
    total = float(unit.sum(0).square().sum() - unit.square().sum())
    return total / max(1, count * (count - 1))


def find_twins(hashes: Sequence[str], neighbours: Tensor, cosines: Tensor, usual: float = 0.0) -> tuple[Twin, ...]:
    """Return pairs of equal and of nearly equal pictures among nearest neighbours, equal ones first.

    Args:
        hashes: the SHA-256 of each of N files, "" where unknown.
        neighbours, cosines: N x k, see :func:`impasto.embed.neighbours.nearest`.
        usual: the mean cosine of all pairs, see :func:`usual_cosine`.
    """
    alike = max(ALIKE, 1 - _NEARER * (1 - usual))
    rows, columns = (cosines >= ALIKE).nonzero(as_tuple=True)
    pairs: dict[tuple[int, int], float] = {}
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        other, cosine = int(neighbours[row, column]), float(cosines[row, column])
        if cosine >= alike or hashes[row] == hashes[other] != "":
            pairs[min(row, other), max(row, other)] = cosine
    found = [
        Twin(*pair, value, "bytes" if hashes[pair[0]] and hashes[pair[0]] == hashes[pair[1]] else "features")
        for pair, value in pairs.items()
    ]
    return tuple(sorted(found, key=lambda twin: (twin.kind, -twin.similarity, twin.first, twin.second)))
