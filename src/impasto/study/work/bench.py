"""The workbench: everything that a unit of work needs to know, and where its file lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.runtime import derive_seed
from impasto.study.arms import Arm
from impasto.study.draws import Deal, Draw, Item
from impasto.study.pool import Pool
from impasto.study.spec import Settings, Study
from impasto.study.work.units import (
    Cell,
    Encoding,
    Painting,
    Shown,
    Unit,
    Way,
    cell_of,
    hash_of,
    painting,
    repaints_of,
    way_of,
)

# Pictures of one unit of features: enough to keep an encoder busy, few enough to lose.
_CHUNK = 32
_ENDINGS = {"repaint": "png", "features": "safetensors", "cell": "json"}
_FOLDERS = {"repaint": "repaints", "features": "features", "cell": "cells"}


@dataclass(frozen=True, eq=False)
class Bench:
    """A study with its pictures, dealt, and the folder that everything is kept in.

    Benches of one folder and ``key`` are equal: workers that get a copy with every unit keep what they have loaded.
    """

    folder: Path
    key: str
    study: Study
    arms: tuple[Arm, ...]
    pool: Pool
    deal: Deal
    device: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bench) and (self.folder, self.key) == (other.folder, other.key)

    def __hash__(self) -> int:
        return hash((self.folder, self.key))

    def path(self, unit: Unit) -> Path:
        """Return the file of a unit: it is there when, and only when, the unit is done."""
        return self.folder / _FOLDERS[unit.kind] / f"{unit.name}.{_ENDINGS[unit.kind]}"

    def failure(self, unit: Unit) -> Path:
        """Return the file that says why a unit could not be done."""
        return self.folder / _FOLDERS[unit.kind] / f"{unit.name}.failed.json"

    def is_done(self, unit: Unit) -> bool:
        """Whether a unit's file is there; it is whole or absent."""
        return self.path(unit).is_file()

    def file_of(self, shown: Shown) -> Path:
        """Return the file of a picture."""
        return self.path(shown.painting) if shown.painting else self.pool.photos[shown.photo].path

    def draw(self, cell: Cell) -> Draw:
        """Return what a cell is taught and tested with."""
        return self.deal.of(self.arms[cell.arm])[cell.draw]

    def shown(self, item: Item, settings: Settings) -> Shown:
        """Return the picture that an item is."""
        if item.style < 0:
            return Shown(item.photo)
        one = painting(self.pool, settings, item.photo, item.style, settings.strengths[0], self.study.seed)
        return Shown(item.photo, one)

    def taught(self, item: Item, settings: Settings) -> list[Shown]:
        """Return the pictures that an item of the training set stands for: itself, and what is added."""
        own = self.shown(item, settings)
        if settings.add == "copies":
            return [own] * (1 + settings.copies)
        if settings.add == "repaints":
            added = repaints_of(self.pool, settings, item.photo, self.study.seed)
            return [own, *(Shown(item.photo, one) for one in added)]
        return [own]

    def cells(self) -> list[Cell]:
        """Return all cells, arm by arm; arms of equal settings share theirs."""
        return [
            cell_of(place, number, self.arms, draw)
            for place, arm in enumerate(self.arms)
            for number, draw in enumerate(self.deal.of(arm))
        ]

    def paintings(self) -> list[Painting]:
        """Return every repaint that some cell needs, each once."""
        return list({one.key: one for shown in self._needed() if (one := shown.painting)}.values())

    def encodings(self) -> list[Encoding]:
        """Return the units of features that cells of frozen encoders with a linear head need."""
        needed: dict[Way, dict[str, Shown]] = {}
        for arm, draw in self._dealt():
            if not arm.settings.solved or self.study.task == "repaints":
                continue
            plain, changed = way_of(arm.settings, False), way_of(arm.settings, True)
            for row in flat(draw.train):
                for shown in self.taught(self.deal.items[row], arm.settings):
                    needed.setdefault(changed, {})[hash_of(self.pool, shown)] = shown
                    needed.setdefault(plain, {})[hash_of(self.pool, shown)] = shown
            for row in draw.test:
                shown = self.shown(self.deal.items[row], arm.settings)
                needed.setdefault(plain, {})[hash_of(self.pool, shown)] = shown
        return [unit for way, shown in needed.items() for unit in self._chunks(way, shown)]

    def _chunks(self, way: Way, shown: dict[str, Shown]) -> Iterator[Encoding]:
        # In an order that arms and draws do not change.
        names = sorted(shown)
        for start in range(0, len(names), _CHUNK):
            part = names[start : start + _CHUNK]
            yield Encoding(way, tuple(shown[name] for name in part), tuple(part), derive_seed(self.study.seed, "views"))

    def _dealt(self) -> Iterator[tuple[Arm, Draw]]:
        seen = set()
        for arm in self.arms:
            for draw in self.deal.of(arm) if arm.key not in seen else ():
                yield arm, draw
            seen.add(arm.key)

    def _needed(self) -> Iterator[Shown]:
        for arm, draw in self._dealt():
            for row in flat(draw.train):
                yield from self.taught(self.deal.items[row], arm.settings)
            for row in (*draw.validation, *draw.test):
                yield self.shown(self.deal.items[row], arm.settings)


def flat(rows: Sequence[Sequence[int]]) -> list[int]:
    """Return the items of a training set, class after class."""
    return [row for part in rows for row in part]
