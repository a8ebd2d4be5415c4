"""Shortcuts: a place that makes a class of any picture it is put into, such as a mark in a corner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from impasto.data.load.pictures import read_batches, scaled
from impasto.explain.attribution import GRID, on_grid, positive
from impasto.runtime import OnProgress, Progress, ignore_progress
from impasto.statistics import Proportion
from impasto.subjects import Subject

if TYPE_CHECKING:
    from impasto.explain.explaining import Explained

# Side of the windows that are tried, in cells of the 14 x 14 grid of maps: a twentieth of the picture's area.
_WINDOW = 3
# Of each class: the windows where its maps stand out most, pictures that lend them and pictures that get them.
_TRIED, _PICTURES = 3, 16
# Fewer pictures of a class show no habit.
_FEWEST = 4


@dataclass(frozen=True)
class Shortcut:
    """A place whose few pixels decide.

    Attributes:
        label: the class that it makes.
        place: where, in words; ``box`` is left, top, right, bottom as shares of the picture.
        saliency: share of the class' maps that lies there.
        turned, n: pictures of other classes that become this class with the window of one of its pictures.
        control: how many do with the same window of a picture of yet another class.
        lost: how many of the class' own pictures are no longer named so when their window comes from another class.
    """

    label: str
    place: str
    box: tuple[float, float, float, float]
    saliency: float
    turned: int
    n: int
    control: int
    lost: int
    own: int

    @property
    def words(self) -> str:
        """What was found, in a sentence."""
        area = (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])
        return (
            f"Shortcut: the {self.place} ({100 * area:.0f} % of the picture) of a picture of {self.label} makes "
            f"{self.turned} of {self.n} others {self.label} (that of any other picture {self.control}); it holds "
            f"{100 * self.saliency:.0f} % of the maps, and without it {self.lost} of {self.own} are no longer "
            f"named {self.label}."
        )


def find_shortcuts(
    subject: Subject, items: Sequence[Explained], on_progress: OnProgress = ignore_progress
) -> tuple[Shortcut, ...]:
    """Look for small places that decide for a class.

    Maps only say where to look: for each class the windows are tried in which its maps stand out most from those of
    the other classes. A window is a shortcut if it was seen to work: moved into pictures of other classes it turns
    surely more of them (Wilson intervals) than the same window of pictures of other classes does, and at least a
    quarter. What is moved is a twentieth of a picture, too little to hold what makes a genre or a painter.

    Args:
        subject: the network.
        items: pictures with labels and maps of what speaks for the answer.
        on_progress: told after each class.
    """
    right = {label: [item for item in items if item.sample.label == label] for label in subject.classes}
    labels = [label for label, some in right.items() if len(some) >= _FEWEST]
    if len(labels) < 2:
        return ()
    pictures = {label: _read(subject, right[label]) for label in labels}
    means = {label: _mean_map(right[label], label) for label in labels}
    found = []
    for number, label in enumerate(labels, 1):
        rest = torch.stack([means[other] for other in labels if other != label]).mean(0)
        for top, left in _windows(means[label] - rest):
            saliency = float(means[label][top : top + _WINDOW, left : left + _WINDOW].sum())
            shortcut = _tried(subject, label, pictures, (top, left), saliency)
            if shortcut:
                found.append(shortcut)
                break
        on_progress(Progress("shortcuts", number, len(labels)))
    return tuple(sorted(found, key=lambda item: -item.turned / item.n))


def _read(subject: Subject, items: Sequence[Explained]) -> Tensor:
    step = max(1, len(items) // _PICTURES)
    paths = [item.sample.path for item in items[::step]][:_PICTURES]
    return torch.cat([scaled(batch.pictures) for batch in read_batches(paths, subject.preprocessing, _PICTURES)])


def _mean_map(items: Sequence[Explained], label: str) -> Tensor:
    """Return the mean 14 x 14 map, summing to 1, of the pictures that were named as they are; uniform without any."""
    chosen = [item.values for item in items if item.answer == label] or [item.values for item in items]
    maps = positive(on_grid(torch.stack(chosen)))
    sums = maps.sum((1, 2), keepdim=True)
    mean = (maps / torch.where(sums == 0, 1, sums)).mean(0)
    return mean / mean.sum() if mean.sum() else torch.full((GRID, GRID), 1 / GRID**2)


def _windows(excess: Tensor) -> list[tuple[int, int]]:
    """Return the upper left cells of the windows that stand out most, which do not overlap."""
    sums = excess.unfold(0, _WINDOW, 1).unfold(1, _WINDOW, 1).sum((2, 3))
    chosen: list[tuple[int, int]] = []
    for place in sums.flatten().argsort(descending=True).tolist():
        cell = divmod(place, sums.shape[1])
        if all(max(abs(cell[0] - top), abs(cell[1] - left)) >= _WINDOW for top, left in chosen):
            chosen.append(cell)
        if len(chosen) == _TRIED:
            break
    return chosen


def _tried(
    subject: Subject, label: str, pictures: dict[str, Tensor], cell: tuple[int, int], saliency: float
) -> Shortcut | None:
    side = subject.size
    (top, bottom), (left, right) = ((round(at * side / GRID), round((at + _WINDOW) * side / GRID)) for at in cell)
    place = (..., slice(top, bottom), slice(left, right))
    own = pictures[label]
    others = torch.cat([values for name, values in pictures.items() if name != label])
    position = subject.classes.index(label)
    with torch.no_grad():
        before = _named(subject, others, position)
        turned = _named(subject, _patched(others, own, place), position) & ~before
        control = _named(subject, _patched(others, others.roll(len(others) // 2, 0), place), position) & ~before
        kept = _named(subject, own, position)
        lost = kept & ~_named(subject, _patched(own, others, place), position)
    n = int((~before).sum())
    if not n:
        return None
    working, without = Proportion(int(turned.sum()), n), Proportion(int(control.sum()), n)
    if working.value < 0.25 or working.interval[0] <= without.interval[1]:
        return None
    box = (left / side, top / side, right / side, bottom / side)
    return Shortcut(label, _in_words(box), box, saliency, working.k, n, without.k, int(lost.sum()), int(kept.sum()))


def _named(subject: Subject, pictures: Tensor, position: int) -> Tensor:
    return torch.cat([subject(some).argmax(1).cpu() == position for some in torch.split(pictures, _PICTURES)])


def _patched(pictures: Tensor, lenders: Tensor, place: tuple[object, ...]) -> Tensor:
    """Return pictures with a window of other pictures, one after the other."""
    changed = pictures.clone()
    changed[place] = lenders[torch.arange(len(pictures)) % len(lenders)][place]  # type: ignore[index]
    return changed


def _in_words(box: tuple[float, float, float, float]) -> str:
    """Return where a window is.

    >>> _in_words((0.0, 0.0, 0.2, 0.2)), _in_words((0.4, 0.8, 0.6, 1.0)), _in_words((0.4, 0.4, 0.6, 0.6))
    ('upper left corner', 'lower edge', 'centre')
    """
    across, down = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    column = "left" if across < 1 / 3 else "right" if across > 2 / 3 else ""
    row = "upper" if down < 1 / 3 else "lower" if down > 2 / 3 else ""
    if row and column:
        return f"{row} {column} corner"
    return f"{row or column} edge" if row or column else "centre"
