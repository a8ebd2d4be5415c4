"""The figures of a data card: pictures of each class, and their sizes."""

from __future__ import annotations

import math
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from impasto.data.check.checking import LONG, TINY
from impasto.report.data_words import printable
from impasto.report.figures import ACCENT, MUTED, RULE, STYLE, TRAIN, VALIDATION
from impasto.report.sheet import spread

# Bars of one figure; more are dealt to several, which stand side by side. So many classes have one at most.
_ROWS, MOST_BARS = 34, 120
_WIDTH, _ROW = 3.8, 0.21
# Letters of a label, and the inches that one takes.
_LETTERS, _LETTER = 18, 0.085
_COLOURS = {"train": TRAIN, "validation": VALIDATION, "test": ACCENT}
# Sizes within a sixteenth of an octave are one dot; a dot of the next size stands for four times as many.
_STEPS_AN_OCTAVE, _DOTS_APART = 16, 4


class ClassCount(NamedTuple):
    """The pictures of a class in each split."""

    label: str
    parts: tuple[int, ...]

    @property
    def total(self) -> int:
        """The pictures of the class."""
        return sum(self.parts)


def draw_counts(classes: Sequence[ClassCount], splits: Sequence[str]) -> list[Figure]:
    """Draw a bar for each class, stacked by split, the largest class first; all figures have one scale."""
    ordered = spread(sorted(classes, key=lambda each: (-each.total, each.label)), MOST_BARS)
    length = math.ceil(len(ordered) / math.ceil(len(ordered) / _ROWS))
    letters = max(_cells(shortened(each.label)) for each in ordered)
    most = ordered[0].total
    columns = (ordered[start : start + length] for start in range(0, len(ordered), length))
    return [_draw_column(column, splits, most, letters) for column in columns]


def _draw_column(classes: Sequence[ClassCount], splits: Sequence[str], most: int, letters: int) -> Figure:
    height = _ROW * len(classes) + 0.35
    left = (0.12 + _LETTER * letters) / _WIDTH
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, height))
        axes = figure.add_axes((left, 0.3 / height, 0.87 - left, _ROW * len(classes) / height))
        for row, each in enumerate(classes):
            for place, split in enumerate(splits):
                before = sum(each.parts[:place])
                axes.barh(row, each.parts[place], 0.66, before, color=_COLOURS.get(split, MUTED))
            axes.text(-0.02 * most, row, shortened(each.label), va="center", ha="right", parse_math=False)
            axes.text(each.total + 0.02 * most, row, f"{each.total:,}", va="center", color=MUTED, fontsize=8)
        axes.set_xlim(0, most)
        axes.set_ylim(len(classes) - 0.5, -0.5)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.xaxis.set_major_formatter("{x:,.0f}")
    return figure


def shortened(name: str, letters: int = _LETTERS) -> str:
    """Return a name on one line of at most so many letters, those of East Asia counted twice.

    >>> shortened("still  life"), shortened("a" * 30), shortened("星月夜" * 9, 10)
    ('still life', 'aaaaaaaaaaaaaaaaa…', '星月夜星…')
    """
    line = " ".join(printable(name).split())
    if _cells(line) <= letters:
        return line
    end = next(end for end in range(len(line), -1, -1) if _cells(line[:end]) < letters)
    return f"{line[:end]}…"


def _cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def draw_sizes(sizes: Sequence[tuple[int, int]]) -> Figure:
    """Draw the width and height of pictures, on logarithmic scales; the larger a dot, the more pictures."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.4, 4.2), layout="constrained")
        axes = figure.add_subplot()
        _set_scales(axes, min(map(min, sizes)), max(map(max, sizes)))
        for level, dots in sorted(_dots(sizes).items()):
            axes.plot(*zip(*dots, strict=True), "o", color=ACCENT, markersize=4 + 2 * level, alpha=0.7, mew=0)
        axes.set_xlabel("width in pixels")
        axes.set_ylabel("height in pixels")
    return figure


def _dots(sizes: Sequence[tuple[int, int]]) -> dict[int, list[tuple[float, float]]]:
    """Return dots by the size they are drawn in, each at the mean of the sizes it stands for."""
    cells: defaultdict[tuple[int, ...], list[tuple[float, ...]]] = defaultdict(list)
    for size in sizes:
        place = tuple(math.log2(side) for side in size)
        cells[tuple(round(_STEPS_AN_OCTAVE * each) for each in place)].append(place)
    dots: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    for _, places in sorted(cells.items()):
        width, height = (2 ** (math.fsum(axis) / len(places)) for axis in zip(*places, strict=True))
        dots[int(math.log(len(places), _DOTS_APART) + 1e-9)].append((width, height))
    return dots


def _set_scales(axes: Axes, least: int, most: int) -> None:
    """Show all sizes and two octaves at least; lines mark squares and what counts as odd."""
    low, high = least / 1.3, most * 1.3
    while high / low < 4:
        low, high = low / 1.1, high * 1.1
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(_ticks(low, high)))
        axis.set_major_formatter("{x:,g}")
        axis.set_minor_locator(NullLocator())
    axes.plot([low, high], [low, high], color=RULE, linewidth=1.2)
    for aspect in (LONG, 1 / LONG) if high / low > 2 * LONG else ():
        axes.plot([low, high], [low * aspect, high * aspect], color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
    if least < TINY:
        axes.plot([TINY, TINY, high], [high, TINY, TINY], color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))


def _ticks(low: float, high: float) -> list[float]:
    """Return at most six round numbers from ``low`` to ``high``, the finest there are."""
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]
        if len(ticks) <= 6:
            break
    return ticks
