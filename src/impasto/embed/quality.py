"""How far a map can be believed: what it keeps of the neighbourhoods, and what labels have to do with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.embed.neighbours import blocks, largest
from impasto.errors import UsageError

# Pairs of classes that are told.
_MIXTURES = 50
# Distances of rows start..stop to all: (stop - start) x N.
Distances = Callable[[int, int], Tensor]


@dataclass(frozen=True)
class MapQuality:
    """What one map of a collection keeps.

    Attributes:
        purity: the share of a picture's nearest neighbours on the map that have its label, mean of all; None without
            labels.
        trustworthiness: 1 where all neighbours on the map are neighbours in the features; about 0.5 by chance.
        continuity: 1 where all neighbours in the features are neighbours on the map.
    """

    purity: float | None
    trustworthiness: float
    continuity: float


def by_angle(features: Tensor) -> Distances:
    """Return one less the cosine between N x D vectors: the order of distances between vectors of length 1."""
    unit = F.normalize(features, dim=1)
    return lambda start, stop: 1 - unit[start:stop] @ unit.T


def on_plane(coordinates: Tensor) -> Distances:
    """Return Euclidean distances between points of a map, N x 2."""
    return lambda start, stop: torch.cdist(
        coordinates[start:stop], coordinates, compute_mode="donot_use_mm_for_euclid_dist"
    )


def closest(distances: Distances, count: int, k: int) -> Tensor:
    """Return the ``k`` nearest others of each of ``count`` points, count x k; of equals, the first."""
    return torch.cat([largest(-_without_own(distances, *ends), k)[0] for ends in blocks(count, count)])


def ranks(distances: Distances, others: Tensor) -> Tensor:
    """Return how many places each of ``others`` (N x m indices) is from its point, 1 for the nearest: N x m."""
    found = []
    for start, stop in blocks(len(others), len(others)):
        table = _without_own(distances, start, stop)
        own = table.gather(1, others[start:stop])
        # By numpy, which sorts numbers alone: four times as fast as torch, which brings their places along.
        found.append(torch.searchsorted(torch.from_numpy(np.sort(table.numpy(), axis=1)), own) + 1)
    return torch.cat(found)


def trustworthiness(places: Tensor) -> float:
    """Return how much the neighbours on a map are neighbours in the original space (Venna and Kaski 2001), 0..1.

    .. math:: 1 - \\frac{2}{n k (2n - 3k - 1)} \\sum_i \\sum_{j \\in U_i} (r(i, j) - k)

    where U_i are those of the ``k`` neighbours of i on the map that are not among its k in the original space, and
    r(i, j) is the rank of j among the original neighbours of i. With the two spaces exchanged it is their continuity.

    Args:
        places: N x k, the original ranks (:func:`ranks`) of the neighbours on the map; k below N / 2, or the factor
            makes no sense.

    Raises:
        UsageError: too many neighbours.
    """
    count, k = places.shape
    if not k < count / 2:
        raise UsageError(f"{k} neighbours of {count} points are half of them all.", "Ask for fewer.")
    penalty = int((places - k).clamp_min(0).sum())
    return 1 - 2 / (count * k * (2 * count - 3 * k - 1)) * penalty


def agreement(labels: Sequence[str], neighbours: Tensor) -> npt.NDArray[np.float64]:
    """Return for each picture the share of its neighbours (N x k) that have its label. The mean is the purity."""
    numbers = np.unique(np.asarray(labels), return_inverse=True)[1]
    shares: npt.NDArray[np.float64] = (numbers[neighbours.numpy()] == numbers[:, None]).mean(1)
    return shares


def chance(labels: Sequence[str]) -> float:
    """Return the purity that neighbours drawn at random would have.

    >>> chance(["a", "a", "b", "b"])
    0.3333333333333333
    """
    counts = np.unique(np.asarray(labels), return_counts=True)[1].astype(np.float64)
    return float((counts * (counts - 1)).sum() / (counts.sum() * (counts.sum() - 1)))


@dataclass(frozen=True)
class Mixed:
    """One class among the pictures of another.

    Attributes:
        label: the class whose pictures were asked for their neighbours.
        among: the other class.
        share: of all these neighbours, how many are of the other class, 0..1.
        expected: what neighbours drawn at random would give.
    """

    label: str
    among: str
    share: float
    expected: float


def mixtures(labels: Sequence[str], neighbours: Tensor) -> tuple[Mixed, ...]:
    """Return which classes lie inside which others, the largest share first, at most fifty pairs."""
    names, numbers = np.unique(np.asarray(labels), return_inverse=True)
    counts = np.bincount(numbers)
    table = np.zeros((len(names), len(names)))
    np.add.at(table, (np.repeat(numbers, neighbours.shape[1]), numbers[neighbours.numpy()].ravel()), 1)
    table /= table.sum(1, keepdims=True)
    expected = counts / (len(numbers) - 1)
    found = [
        Mixed(str(names[row]), str(names[column]), float(table[row, column]), float(expected[column]))
        for row, column in np.argwhere(table > 0)
        if row != column
    ]
    return tuple(sorted(found, key=lambda item: (-item.share, item.label, item.among))[:_MIXTURES])


def _without_own(distances: Distances, start: int, stop: int) -> Tensor:
    found = distances(start, stop)
    here = torch.arange(stop - start)
    found[here, here + start] = torch.inf
    return found
