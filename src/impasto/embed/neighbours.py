"""Nearest neighbours by the cosine of feature vectors: exact, block by block."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.errors import UsageError

# Similarities that are in memory at once: 64 MB in float32, whatever the size of the collection.
_AT_ONCE = 16_000_000


def nearest(queries: Tensor, collection: Tensor, k: int, *, itself: bool = True) -> tuple[Tensor, Tensor]:
    """Return the ``k`` vectors of a collection that point most nearly in the direction of each query.

    Args:
        queries: Q x D, floating point.
        collection: N x D of the same type. A vector of length 0 has the cosine 0 with every other.
        k: how many; where the collection is smaller, all of it.
        itself: with False, query i is vector i of the collection and is not its own neighbour.

    Returns:
        Indices into the collection (Q x k int64) and cosines in -1..1 (Q x k), the most similar first; of equals, the
        one that comes first in the collection.

    Raises:
        UsageError: ``k`` below 1, lengths that differ, or ``itself=False`` with queries that are not the collection.

    >>> nearest(torch.eye(3)[:1], torch.tensor([[0.0, 1, 0], [3, 0, 0], [1, 1, 0]]), 2)[0]
    tensor([[1, 2]])
    """
    _check(queries, collection, k, itself)
    count = min(k, len(collection) - (not itself))
    rows, columns = F.normalize(queries, dim=1), F.normalize(collection, dim=1)
    found = [torch.empty(0, count, dtype=torch.long)], [columns.new_empty(0, count)]
    for start, stop in blocks(len(rows), len(columns)):
        cosines = (rows[start:stop] @ columns.T).clamp_(-1, 1)
        if not itself:
            here = torch.arange(stop - start)
            cosines[here, here + start] = -torch.inf
        indices, values = largest(cosines, count)
        found[0].append(indices)
        found[1].append(values)
    return torch.cat(found[0]).cpu(), torch.cat(found[1]).cpu()


def largest(table: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return places and values of the ``k`` largest numbers of each row, in order; of equals, the first."""
    values, indices = table.topk(k, dim=1)
    # topk leaves open how equals are ordered: by place first, then stably by value.
    indices, order = indices.sort(dim=1)
    values, order = values.gather(1, order).sort(dim=1, descending=True, stable=True)
    return indices.gather(1, order), values


def blocks(rows: int, columns: int) -> list[tuple[int, int]]:
    """Return the ends of blocks of rows, so that a block of a ``rows`` x ``columns`` matrix fits into memory."""
    step = max(1, _AT_ONCE // max(1, columns))
    return [(start, min(start + step, rows)) for start in range(0, rows, step)]


def _check(queries: Tensor, collection: Tensor, k: int, itself: bool) -> None:
    if k < 1:
        raise UsageError(f"{k} neighbours cannot be.", "One or more.")
    if queries.ndim != 2 or collection.ndim != 2 or queries.shape[1] != collection.shape[1]:
        raise UsageError(f"vectors of {tuple(queries.shape)} have no cosine with those of {tuple(collection.shape)}.")
    if not itself and len(queries) != len(collection):
        raise UsageError("only a collection's own vectors can be left out of their neighbours.")
