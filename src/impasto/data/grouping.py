"""Which pictures must stay on one side of a split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from impasto.data.dataset import Dataset, Sample


def together(dataset: Dataset, marks: Sequence[Sequence[str]] = (), pairs: Iterable[tuple[int, int]] = ()) -> list[str]:
    """Return for each sample the name of the set that it belongs to.

    Samples of one group are joined, and of equal bytes where hashes are recorded; so is what is joined to both, and so
    on. A sample without a group belongs to itself.

    Args:
        dataset: N samples.
        marks: N sequences of names; samples that share one are joined, too. Empty for none.
        pairs: positions of two samples each that are joined as well, near duplicates for instance.
    """
    keys = [_keys(dataset, sample) for sample in dataset.samples]
    for own, names in zip(keys, marks, strict=False):
        own += [f"mark {name}" for name in names]
    numbers = {key: number for number, key in enumerate(sorted(set().union(*keys)))}
    ends = [(numbers[own[0]], numbers[key]) for own in keys for key in own]
    ends += [(numbers[keys[first][0]], numbers[keys[second][0]]) for first, second in pairs]
    component = connected(ends, len(numbers))
    name: dict[int, str] = {}
    for key, number in numbers.items():  # in the order of the keys: a set is named after its first
        name.setdefault(component[number], key)
    return [name[component[numbers[own[0]]]] for own in keys]


def connected(ends: Sequence[tuple[int, int]], count: int) -> npt.NDArray[np.intp]:
    """Return for each of ``count`` things the number of its set: things that pairs join, directly or not."""
    first, second = np.array(ends, dtype=np.intp).reshape(-1, 2).T
    graph = coo_matrix((np.ones(len(ends)), (first, second)), shape=(count, count))
    numbers: npt.NDArray[np.intp] = connected_components(graph, directed=False)[1].astype(np.intp)
    return numbers


def _keys(dataset: Dataset, sample: Sample) -> list[str]:
    own = f"group {sample.group}" if sample.group else f"path {dataset.relative(sample)}"
    return [own, f"sha256 {sample.sha256}"] if sample.sha256 else [own]
