"""The figures of a study: differences with intervals, single draws as dots, scores against training-set size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from impasto.report.data_figures import shortened
from impasto.report.figures import ACCENT, INK, MUTED, PAPER, RIGHT, RULE, STYLE
from impasto.report.study_words import SIGNS
from impasto.study.analysis import Finding

_COLOURS = {"right": RIGHT, "accent": ACCENT, "muted": MUTED, "ink": INK}
_MARKERS = {"▲": "^", "▼": "v", "■": "s", "○": "o", "◆": "D", "✕": "X"}
# Inches of a row, of the lines above and below, of a letter of a label, and letters at most.
_ROW, _TOP, _BOTTOM, _LETTER, _LETTERS = 0.24, 0.06, 0.42, 0.072, 34
# A wide interval may not squeeze all others: beyond so many times the largest difference it is cut, with an arrow.
_REACH = 2.5
_DOTS_APART = 120


class Lane(NamedTuple):
    """One row; differences in points, ``mean`` None for a heading."""

    name: str
    mean: float | None = None
    low: float = 0.0
    high: float = 0.0
    dots: tuple[float, ...] = ()
    told: str = ""
    finding: Finding = "cannot tell"


class Sized(NamedTuple):
    """Scores of an arm by photos of each class that teach, in percent, each with their spread over draws."""

    name: str
    sizes: tuple[int, ...]
    means: tuple[float, ...]
    spreads: tuple[float, ...]


def draw_forest(lanes: Sequence[Lane], effect: float, label: str, width: float = 7.4) -> Figure:
    """Draw a row for each comparison: its difference and interval, beside zero and the band of what does not matter."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _frame(lanes, width, 1.55)
        axes.axvspan(-effect, effect, color=RULE, alpha=0.45, linewidth=0)
        reach = _reach(lanes, effect)
        for row, lane in enumerate(lanes):
            if lane.mean is not None:
                _interval(axes, row, lane, lane.mean, reach)
        axes.set_xlim(-reach, reach)
        axes.set_xlabel(label)
    return figure


def draw_strips(lanes: Sequence[Lane], effect: float, label: str, width: float = 7.4) -> Figure:
    """Draw a row for each comparison: a dot for the difference of each draw, and a line at their mean."""
    dots = [dot for lane in lanes for dot in lane.dots]
    reach = 1.08 * max([effect, *map(abs, dots)])
    with matplotlib.rc_context(STYLE):
        figure, axes = _frame(lanes, width, 1.05)
        axes.axvspan(-effect, effect, color=RULE, alpha=0.45, linewidth=0)
        for row, lane in enumerate(lanes):
            if lane.mean is not None:
                across, down = _stacked(lane.dots, reach)
                axes.plot(across, row + down, "o", color=INK, alpha=0.5, markersize=3.6, mew=0, clip_on=False)
                axes.vlines(lane.mean, row - 0.42, row + 0.42, color=ACCENT, linewidth=1.8)
        axes.set_xlim(-reach, reach)
        axes.set_xlabel(label)
    return figure


def _frame(lanes: Sequence[Lane], width: float, right: float) -> tuple[Figure, Axes]:
    """Return axes with a row for each lane, names at the left, what they come to at the right."""
    names = [shortened(lane.name, _LETTERS) for lane in lanes]
    left = 0.15 + _LETTER * max(len(name) for lane, name in zip(lanes, names, strict=True) if lane.mean is not None)
    height = _ROW * len(lanes) + _TOP + _BOTTOM
    figure = Figure(figsize=(width, height))
    box = (left / width, _BOTTOM / height, 1 - (left + right) / width, _ROW * len(lanes) / height)
    axes = figure.add_axes(box)
    place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "parse_math": False}
    for row, (lane, name) in enumerate(zip(lanes, names, strict=True)):
        if lane.mean is None:
            figure.text(0, 1 - (_TOP + _ROW * (row + 0.5)) / height, name, va="center", color=MUTED, parse_math=False)
        else:
            axes.axhline(row, color=RULE, linewidth=0.4)
            axes.text(-0.02, row, name, ha="right", **place)
            axes.text(1.02, row, lane.told, color=MUTED, fontsize=8, **place)
    axes.set_ylim(len(lanes) - 0.5, -0.5)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+g}".replace("-", "\N{MINUS SIGN}") if value else "0")
    return figure, axes


def _reach(lanes: Sequence[Lane], effect: float) -> float:
    known = [lane for lane in lanes if lane.mean is not None]
    most = max([effect, *(abs(lane.mean) for lane in known if lane.mean is not None)])
    ends = max(max(abs(lane.low), abs(lane.high)) for lane in known)
    return 1.06 * max(1.5 * effect, min(ends, _REACH * most))


def _interval(axes: Axes, row: int, lane: Lane, mean: float, reach: float) -> None:
    sign, name = SIGNS[lane.finding]
    colour = _COLOURS[name]
    low, high = max(lane.low, -reach), min(lane.high, reach)
    axes.hlines(row, low, high, color=colour, linewidth=1.8)
    for end, is_cut, arrow in ((low, lane.low < low, "<"), (high, lane.high > high, ">")):
        if is_cut:
            axes.plot([end], [row], arrow, color=colour, markersize=5, clip_on=False)
    face = PAPER if sign == "○" else colour
    axes.plot([mean], [row], _MARKERS[sign], color=colour, markerfacecolor=face, markersize=6.5, mew=1.4)


def _stacked(dots: Sequence[float], reach: float) -> tuple[list[float], np.ndarray]:
    """Return dots with offsets within a row: those that would cover each other stand side by side."""
    rows: defaultdict[int, int] = defaultdict(int)
    offsets = []
    for dot in dots:
        cell = round(dot / reach * _DOTS_APART / 2)
        place = rows[cell]
        rows[cell] += 1
        offsets.append((place + 1) // 2 * (1 if place % 2 else -1))
    step = min(0.16, 0.4 / max(1, max(map(abs, offsets), default=1)))
    return list(dots), step * np.array(offsets)


def draw_sized(arm: Sized, base: Sized, label: str) -> Figure:
    """Draw scores against photos of each class, beside the baseline's; whiskers are their spread over draws."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 2.3), layout="constrained")
        axes = figure.add_subplot()
        drawn = [(base, MUTED, "s", 0.99), (arm, ACCENT, "o", 1.01)]
        for each, colour, marker, aside in drawn[:1] if arm == base else drawn:
            places = [size * aside for size in each.sizes]
            spread = np.nan_to_num(each.spreads)
            axes.errorbar(places, each.means, spread, color=colour, marker=marker, markersize=5, elinewidth=1)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(sorted({*arm.sizes, *base.sizes})))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("photos of each class that teach")
        axes.set_ylabel(label)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", visible=False)
    return figure
