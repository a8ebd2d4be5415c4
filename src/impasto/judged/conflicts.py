"""Cue conflicts: photos of one class in the texture of another (Geirhos et al. 2019)."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from impasto.data.dataset import Dataset, read_dataset
from impasto.data.repaint.records import RepaintConfig, RepaintResult
from impasto.data.repaint.repainting import FolderPainter
from impasto.encoders import AnyEncoder
from impasto.errors import DataError, UsageError
from impasto.runtime import OnProgress, derive_seed, ignore_progress
from impasto.style.config import FastConfig, StylizeConfig


@dataclass(frozen=True)
class ConflictConfig:
    """What determines a folder of cue conflicts besides the photos.

    Attributes:
        stylize: how they are painted; its seed also draws the pairs. The bias that is measured depends on the strength:
            Geirhos et al. optimise until the texture is the style's.
        pictures: how many, at most.
    """

    stylize: StylizeConfig | FastConfig = field(default_factory=lambda: FastConfig(size=256))
    pictures: int = 200

    def __post_init__(self) -> None:
        if not 1 <= self.pictures <= 1_000_000:
            raise UsageError(f"{self.pictures} cue conflicts cannot be made.", "Choose --pictures 20 .. 2000.")


def make_conflicts(
    data: Path,
    output: Path,
    config: ConflictConfig | None = None,
    *,
    classes: Sequence[str] = (),
    encoder: AnyEncoder | None = None,
    on_progress: OnProgress = ignore_progress,
) -> RepaintResult:
    """Paint photos of a labelled folder in the style of photos of its other classes.

    Where the folder has a test split only its pictures are used. The result is a folder as ``impasto dataset stylize``
    writes it, labelled by the photos' classes and without splits; killed, it goes on to the same bytes.

    Args:
        data: a labelled folder with at least two classes.
        output: a new folder, or that of the same run.
        config: how many, and how they are painted.
        classes: those that may be used; empty for all.
        encoder: of an optimisation: use this one in place of loading the configuration's.
        on_progress: told after each picture.

    Raises:
        DataError: fewer than two classes that may be used.
        RunError: ``output`` belongs to a run with other settings or other pictures.
    """
    settings = config or ConflictConfig()
    dataset = read_dataset(data)
    usable = dataset.split("test") if "test" in dataset.splits else dataset
    photos = _by_class(usable, classes)
    if len(photos) < 2:
        known = f" that the model knows ({', '.join(classes[:6])} ...)" if classes else ""
        raise DataError(f"{data} has photos of {len(photos)} classes{known}.", "A conflict needs two.")
    pairs = pair_up(photos, settings.pictures, settings.stylize.seed)
    painted = RepaintConfig(settings.stylize, label="content")
    painter = FolderPainter(data, data, output, painted, encoder=encoder, pairs=pairs, on_progress=on_progress)
    return painter.paint()


def _by_class(dataset: Dataset, classes: Sequence[str]) -> dict[str, list[str]]:
    """Return paths below the root by class; a class is the folder that a picture lies in."""
    found: dict[str, list[str]] = {}
    for sample in dataset.samples:
        if sample.label == sample.path.parent.name and (not classes or sample.label in classes):
            found.setdefault(sample.label, []).append(dataset.relative(sample))
    return found


def pair_up(photos: Mapping[str, Sequence[str]], count: int, seed: int) -> list[tuple[str, str]]:
    """Return at most ``count`` different pairs of a content photo and a style photo of another class.

    Each class is content as often as it is style, and each pair of classes comes as often as any other, to one; within
    these bounds photos are used as evenly as they can be. The same seed gives the same pairs, and of more pairs the
    first ones are the fewer.

    >>> pair_up({"cat": ["c1", "c2"], "dog": ["d1", "d2"]}, 4, seed=0)
    [('d2', 'c2'), ('c2', 'd2'), ('d1', 'c1'), ('c1', 'd1')]
    """
    # Python's own: its shuffle of a seed is the same in all versions since 3.2.
    dice = random.Random(derive_seed(seed, "cue conflicts"))
    names = sorted(photos)
    dice.shuffle(names)
    order = {name: dice.sample(sorted(photos[name]), len(photos[name])) for name in names}
    shifts = dice.sample(range(1, len(names)), len(names) - 1)
    found: list[tuple[str, str]] = []
    turn = 0
    while len(found) < count:
        before = len(found)
        for place, shift in enumerate(shifts):
            for index, content in enumerate(names):
                style = names[(index + shift) % len(names)]
                pair = _turn(order[content], order[style], turn, place, len(shifts))
                found += [pair] if pair else []
        if len(found) == before:
            break
        turn += 1
    return found[:count]


def _turn(contents: Sequence[str], styles: Sequence[str], turn: int, place: int, shifts: int) -> tuple[str, str] | None:
    """Return the ``turn``-th pair of two classes, None after all were given.

    Both walk through their photos together; once that comes round, the styles are one further. Other pairs of classes
    begin elsewhere, so that all photos are used before one is used twice.
    """
    n, m = len(contents), len(styles)
    if turn >= n * m:
        return None
    shift = turn // math.lcm(n, m)
    return contents[(turn + place * n // shifts) % n], styles[(turn + shift + place * m // shifts) % m]
