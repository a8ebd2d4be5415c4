"""The drawn figures: learning curves and intervals, as inline SVG in the page's own colours and fonts."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, PercentFormatter

from impasto.report.records import Epoch

# A colour as drawn stands for a variable of style.css, so one drawing serves light, dark and print.
INK, MUTED, RULE, ACCENT, TRAIN = "#000001", "#000002", "#000003", "#000004", "#000005"
_VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule", ACCENT: "accent", TRAIN: "train"}
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "impasto",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
}


class Bar(NamedTuple):
    """One row of the interval plot; all shares in 0..1."""

    name: str
    score: str
    accuracy: float
    low: float
    high: float
    chance: float


def best_epoch(curves: Sequence[Epoch]) -> Epoch | None:
    """Return the first epoch of least validation loss, or None where no validation loss was measured."""
    measured = [epoch for epoch in curves if epoch.validation_loss is not None]
    return min(measured, key=lambda epoch: epoch.validation_loss or 0.0, default=None)


def draw_curve(curves: Sequence[Epoch], quantity: str) -> Figure:
    """Draw ``quantity`` ("loss" or "accuracy") against the epoch, for training and for validation.

    The best epoch is marked by a dotted line and a ring on the validation line.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4.2, 2.4), layout="constrained")
        axes = figure.add_subplot()
        _line(axes, curves, f"train_{quantity}", "training", TRAIN)
        _line(axes, curves, f"validation_{quantity}", "validation", ACCENT)
        _mark_best(axes, curves, f"validation_{quantity}")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if quantity == "accuracy":
            axes.set_ylim(0, 1.04)
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        else:
            axes.set_ylim(bottom=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", visible=False)
    return figure


def draw_intervals(bars: Sequence[Bar]) -> Figure:
    """Draw a row for each model: a dot at its accuracy, a whisker over its interval, a dash at chance."""
    height = 0.55 * len(bars) + 0.35
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4.4, height))
        axes = figure.add_axes((0.02, 0.3 / height, 0.95, 0.55 * len(bars) / height))
        for row, bar in enumerate(bars):
            axes.vlines(bar.chance, row - 0.5, row + 0.5, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
            axes.hlines(row + 0.15, bar.low, bar.high, color=ACCENT, linewidth=2)
            axes.plot([bar.accuracy], [row + 0.15], "o", color=ACCENT, markersize=7)
            axes.text(0.01, row - 0.22, bar.name, va="center", parse_math=False)
            axes.text(1, row - 0.22, bar.score, va="center", ha="right", color=MUTED, parse_math=False)
        axes.set_xlim(0, 1.01)
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        axes.xaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    return figure


def to_svg(figure: Figure, name: str) -> Markup:
    """Return ``figure`` as an ``<svg>`` element for inline use; ``name`` makes its ids unique on the page."""
    file = io.BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Text stays text, so the browser finds glyphs that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<style.*?</style>|font-family: [^;\"]*;?", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return Markup(text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1))


def _line(axes: Axes, curves: Sequence[Epoch], field: str, label: str, colour: str) -> None:
    points = [(epoch.number, value) for epoch in curves if (value := getattr(epoch, field)) is not None]
    if points:
        marker = "o" if len(points) == 1 else ""
        axes.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=4, label=label)


def _mark_best(axes: Axes, curves: Sequence[Epoch], field: str) -> None:
    best = best_epoch(curves)
    value = getattr(best, field) if best else None
    if best is not None and value is not None:
        axes.axvline(best.number, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), label="best epoch")
        axes.plot([best.number], [value], "o", markersize=7, color=ACCENT, fillstyle="none")
