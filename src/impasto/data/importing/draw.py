"""Which pictures of each class are taken where only some are wanted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from impasto.runtime import derive_seed


class Draw:
    """Draws ``count`` files of each class, and others for those that turn out to be of no use.

    Which are drawn depends on their names and the seed and not on their order; those of a smaller ``count`` are among
    those of a larger one. Only the files drawn have to be read.

    Args:
        names: of each file what it is called and the class it belongs to; None for one that is never drawn.
        count: files wanted of each class.
        seed: another seed, other files.
    """

    def __init__(self, names: Sequence[tuple[str, str] | None], count: int, seed: int) -> None:
        self.count = count
        self._waiting: dict[str, list[int]] = defaultdict(list)
        keys = {place: (derive_seed(seed, "draw", *name), place) for place, name in enumerate(names) if name}
        for place in sorted(keys, key=keys.__getitem__, reverse=True):
            _, label = names[place] or ("", "")
            self._waiting[label].append(place)

    def next_round(self, kept: Mapping[str, int]) -> list[int]:
        """Return the files to try now, in their order: as many of each class as still lack; empty when done."""
        drawn: list[int] = []
        for label, waiting in self._waiting.items():
            lacking = max(0, self.count - kept.get(label, 0))
            drawn += [waiting.pop() for _ in range(min(lacking, len(waiting)))]
        return sorted(drawn)

    def shortages(self, kept: Mapping[str, int], expected: Sequence[str] = ()) -> list[str]:
        """Return a sentence for each class, also those expected, that has fewer files than wanted."""
        found = {label: kept.get(label, 0) for label in sorted({*self._waiting, *expected})}
        return [shortage(label, count, self.count) for label, count in found.items() if count < self.count]


def shortage(label: str, found: int, wanted: int) -> str:
    """Say that a class has too few pictures.

    >>> shortage("crab", 73, 100)
    'crab has 73 pictures, 27 fewer than asked for'
    """
    return f"{label} has {found} picture{'s' * (found != 1)}, {wanted - found} fewer than asked for"
