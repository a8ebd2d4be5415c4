"""Groups of pictures allotted to splits so that each class has a number of pictures in each.

Which numbers are possible is a question for integer programming: groups are whole and may hold several classes. Groups
that hold the same numbers of each class are the same to it, so that it is small: how many of each kind go where.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_matrix, csr_matrix, hstack, identity, kron

from impasto.data.split.spreading import Array, Places
from impasto.errors import DataError
from impasto.runtime import derive_seed

# Steps of the search, not seconds: the same request has the same answer on every machine.
_NODES = 500
# To which part of one picture the kinds of groups are spread as the splits are large.
_EVENNESS = 1e-3


@dataclass(frozen=True)
class Need:
    """Pictures of each class that one split must have; with ``takes_rest`` it gets all that nobody needs."""

    count: int
    takes_rest: bool = False


@dataclass(frozen=True)
class Allotment:
    """The split of each group, -1 for none, and how many pictures of each class (rows) each split (columns) lacks."""

    place: Places
    shortage: Array


def allot(counts: Array, needs: Sequence[Need], names: Sequence[str], seed: int) -> Allotment:
    """Allot groups so that as few pictures as possible are missing, and then as few as possible are too many.

    Args:
        counts: groups x classes, pictures.
        needs: one for each split, at most one takes the rest.
        names: of the groups; with ``seed`` they decide which of several equal groups goes where.
        seed: another seed, other groups.
    """
    kinds, kind_of = np.unique(counts, axis=0, return_inverse=True)
    kind_of = kind_of.reshape(-1)
    number = np.bincount(kind_of, minlength=len(kinds))
    dealt, shortage = _solve(kinds, number, needs)
    place = np.full(len(counts), _leftover(needs), dtype=np.intp)
    for kind, sizes in enumerate(dealt):
        groups = np.flatnonzero(kind_of == kind).tolist()
        groups.sort(key=lambda index: derive_seed(seed, "allot", names[index]))
        ends = np.cumsum(sizes)
        for split, (start, end) in enumerate(zip(ends - sizes, ends, strict=True)):
            place[groups[start:end]] = split
    return Allotment(place, shortage)


def _leftover(needs: Sequence[Need]) -> int:
    return next((index for index, need in enumerate(needs) if need.takes_rest), -1)


def _solve(kinds: Array, number: npt.NDArray[np.intp], needs: Sequence[Need]) -> tuple[npt.NDArray[np.intp], Array]:
    """Return how many groups of each kind go to each split, and the shortage (classes x splits).

    Variables, in this order: groups (kinds x splits), pictures lacking (classes x splits), and how far each number of
    groups is from its even share (kinds x splits).
    """
    n_kinds, n_classes, n_splits = *kinds.shape, len(needs)
    groups, lacks = n_kinds * n_splits, n_classes * n_splits
    wanted = np.array([need.count for need in needs], dtype=np.float64)
    total = float(number @ kinds.sum(axis=1))
    even = np.outer(number, wanted) * n_classes / total
    open_ended = np.array([need.takes_rest for need in needs])
    pictures = np.where(open_ended, 0.0, kinds.sum(axis=1)[:, None])
    cost = np.concatenate([pictures.ravel(), np.full(lacks, 10 * total), np.full(groups, _EVENNESS)])
    splits = identity(n_splits, format="csr")
    each_once = _padded(kron(identity(n_kinds), np.ones((1, n_splits))), 0, lacks + groups)
    enough = _padded(hstack([kron(csr_matrix(kinds.T), splits), identity(lacks)]), 0, groups)
    one = identity(groups)
    apart = [hstack([sign * one, coo_matrix((groups, lacks)), one]) for sign in (1, -1)]
    result = milp(
        cost,
        integrality=np.concatenate([np.ones(groups), np.zeros(lacks + groups)]),
        bounds=Bounds(0, np.inf),
        constraints=[
            LinearConstraint(each_once, ub=number.astype(np.float64)),
            LinearConstraint(enough, lb=np.tile(wanted, n_classes)),
            LinearConstraint(apart[0], lb=even.ravel()),
            LinearConstraint(apart[1], lb=-even.ravel()),
        ],
        options={"node_limit": _NODES, "mip_rel_gap": 1e-5},
    )
    if result.x is None:
        raise DataError(f"no split was found within {_NODES} steps.", "Ask for fractions instead of numbers.")
    dealt = result.x[:groups].round().astype(np.intp).reshape(n_kinds, n_splits)
    held = kinds.T @ dealt
    return dealt, np.maximum(wanted - held, 0)


def _padded(matrix: coo_matrix, left: int, right: int) -> coo_matrix:
    rows = matrix.shape[0]
    return hstack([coo_matrix((rows, left)), matrix, coo_matrix((rows, right))])
