"""Shortcuts: a place that makes a class of any picture it is put into, such as a mark in a corner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from impasto.data.load.pictures import read_batches, scaled
from impasto.explain.attribution import GRID, on_grid, positive
from impasto.runtime import OnProgress, Progress, ignore_progress
from impasto.statistics import Proportion
from impasto.subjects import Subject

if TYPE_CHECKING:
    from impasto.explain.explaining import Explained

_T = TypeVar("_T")

# Side of the windows that are tried, in cells of the 14 x 14 grid of maps: a twentieth of the picture's area.
_WINDOW = 3
# Of each class: the windows where its maps stand out most, and the pictures that lend them.
_TRIED, _PICTURES = 3, 16
# Pictures of other classes that get them; a third of them first, and the others only if something happens.
_OTHERS, _TURNS = 48, 3
# This share of them at least becomes the class, by a shortcut.
_LEAST = 0.25
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
    own = {label: [item for item in items if item.sample.label == label] for label in subject.classes}
    labels = [label for label, some in own.items() if len(some) >= _FEWEST]
    if len(labels) < 2:
        return ()
    pictures = {label: _read(subject, _spread(own[label], _PICTURES)) for label in labels}
    means = {label: _mean_map(own[label], label) for label in labels}
    found = []
    for number, label in enumerate(labels, 1):
        rest = torch.stack([means[other] for other in labels if other != label]).mean(0)
        trial = _Trial.of(subject, label, pictures)
        for top, left in _windows(means[label] - rest):
            saliency = float(means[label][top : top + _WINDOW, left : left + _WINDOW].sum())
            shortcut = trial.of_window((top, left), saliency)
            if shortcut:
                found.append(shortcut)
                break
        on_progress(Progress("shortcuts", number, len(labels)))
    return tuple(sorted(found, key=lambda item: -item.turned / item.n))


def _spread(items: Sequence[_T], count: int) -> list[_T]:
    """Return at most ``count`` of them, at even distances."""
    kept = min(count, len(items))
    return [items[index * len(items) // kept] for index in range(kept)]


@dataclass(frozen=True)
class _Read:
    """Pictures of one class, B x 3 x S x S in 0..1, and what the network answered."""

    pictures: Tensor
    answers: list[str]


def _read(subject: Subject, items: Sequence[Explained]) -> _Read:
    paths = [item.sample.path for item in items]
    batches = list(read_batches(paths, subject.preprocessing, len(paths)))
    return _Read(scaled(batches[0].pictures), [items[index].answer for index in batches[0].indices])


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


@dataclass(frozen=True)
class _Trial:
    """What windows of a class do to pictures of the others that were not named so before.

    Attributes:
        own: the class' pictures that are named so.
        others: of the other classes; a few of them are enough to see that nothing happens.
    """

    subject: Subject
    label: str
    own: Tensor
    others: Tensor

    @classmethod
    def of(cls, subject: Subject, label: str, read: dict[str, _Read]) -> _Trial:
        mine = read[label]
        own = mine.pictures[[index for index, answer in enumerate(mine.answers) if answer == label]]
        rest = [
            picture
            for name, some in read.items()
            for picture, answer in zip(some.pictures, some.answers, strict=True)
            if label not in (name, answer)
        ]
        # In turns from all classes, so that the first ones are of all of them.
        mixed = _spread(rest, _OTHERS)
        order = sorted(range(len(mixed)), key=lambda index: (index % _TURNS, index))
        return cls(subject, label, own, torch.stack([mixed[index] for index in order]) if mixed else own[:0])

    def of_window(self, cell: tuple[int, int], saliency: float) -> Shortcut | None:
        """Return the shortcut that a window is, None for none."""
        side = self.subject.size
        (top, bottom), (left, right) = ((round(at * side / GRID), round((at + _WINDOW) * side / GRID)) for at in cell)
        place = (..., slice(top, bottom), slice(left, right))
        some = self.others[: len(self.others) // _TURNS]
        if not len(some) or not len(self.own) or self._turned(some, self.own, place) < _LEAST * len(some) / 2:
            return None
        n = len(self.others)
        turned = Proportion(self._turned(self.others, self.own, place), n)
        control = Proportion(self._turned(self.others, self.others.roll(n // 2, 0), place), n)
        if turned.value < _LEAST or turned.interval[0] <= control.interval[1]:
            return None
        lost = len(self.own) - self._turned(self.own, self.others, place)
        box = (left / side, top / side, right / side, bottom / side)
        return Shortcut(self.label, _in_words(box), box, saliency, turned.k, n, control.k, lost, len(self.own))

    @torch.no_grad()
    def _turned(self, pictures: Tensor, lenders: Tensor, place: tuple[object, ...]) -> int:
        """Count the pictures that are named as the class with a window of other pictures, one after the other."""
        changed = pictures.clone()
        changed[place] = lenders[torch.arange(len(pictures)) % len(lenders)][place]  # type: ignore[index]
        position = self.subject.classes.index(self.label)
        return sum(int((self.subject(part).argmax(1) == position).sum()) for part in torch.split(changed, _PICTURES))


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
