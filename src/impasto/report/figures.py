"""The drawn figures: learning curves and intervals, as inline SVG in the page's own colours and fonts."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, PercentFormatter

from impasto.report.records import Epoch

# A colour as drawn stands for a variable of style.css, so one drawing serves light, dark and print.
INK, MUTED, RULE, ACCENT, TRAIN, VALIDATION, RIGHT, PAPER = (f"#00000{number}" for number in range(1, 9))
_VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule", ACCENT: "accent", TRAIN: "train", VALIDATION: "validation"}
_VARIABLES |= {RIGHT: "right", PAPER: "paper"}
STYLE: dict[Any, Any] = {
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


def draw_curve(
    curves: Sequence[Epoch],
    quantity: str,
    best: Epoch | None = None,
    band: tuple[Sequence[Epoch], Sequence[Epoch]] | None = None,
    size: tuple[float, float] = (4.6, 2.5),
) -> Figure:
    """Draw ``quantity`` ("loss" or "accuracy") against the epoch, for training and for validation.

    Curves of a linear head are drawn against its C, on a logarithmic scale. The row whose weights were kept is
    marked by a dotted line and a ring on the validation line. ``band`` is what lies below and above means of several;
    ``size`` is in inches.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        if band:
            _band(axes, *band, f"train_{quantity}", TRAIN)
            _band(axes, *band, f"validation_{quantity}", ACCENT)
        _line(axes, curves, f"train_{quantity}", "training", TRAIN)
        _line(axes, curves, f"validation_{quantity}", "validation", ACCENT)
        if best is not None:
            axes.axvline(_position(best), color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)), label="kept")
            ring = getattr(best, f"validation_{quantity}")
            axes.plot([_position(best)], [ring], "o", markersize=7, color=ACCENT, fillstyle="none")
        _set_scales(axes, curves, quantity)
    return figure


def draw_intervals(bars: Sequence[Bar]) -> Figure:
    """Draw a row for each model: a dot at its accuracy, a whisker over its interval, a dash at chance."""
    height = 0.55 * len(bars) + 0.35
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.6, height))
        axes = figure.add_axes((0.05, 0.3 / height, 0.9, 0.55 * len(bars) / height))
        for row, bar in enumerate(bars):
            axes.text(0, row - 0.2, bar.name, va="center", parse_math=False)
            axes.text(1, row - 0.2, bar.score, va="center", ha="right", color=MUTED, parse_math=False)
            axes.vlines(bar.chance, row, row + 0.4, color=MUTED, linewidth=1.2, linestyle=(0, (1.5, 1.5)))
            axes.hlines(row + 0.2, bar.low, bar.high, color=ACCENT, linewidth=2)
            axes.plot([bar.accuracy], [row + 0.2], "o", color=ACCENT, markersize=7)
        axes.set_xlim(0, 1)
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
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # Text stays text, so the browser finds glyphs that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'<style.*?</style>|font-family: [^;"]*;?| xmlns(:\w+)?="[^"]*"', "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return Markup(text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1))


def _position(epoch: Epoch) -> float:
    return epoch.number if epoch.c is None else epoch.c


def _line(axes: Axes, curves: Sequence[Epoch], field: str, label: str, colour: str) -> None:
    points = [(_position(epoch), value) for epoch in curves if (value := getattr(epoch, field)) is not None]
    if points:
        marker = "o" if len(points) == 1 else ""
        axes.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=4, label=label)


def _band(axes: Axes, lower: Sequence[Epoch], upper: Sequence[Epoch], field: str, colour: str) -> None:
    ends = [(_position(low), getattr(low, field), getattr(high, field)) for low, high in zip(lower, upper, strict=True)]
    known = [(place, low, high) for place, low, high in ends if low is not None and high is not None]
    if known:
        places, lows, highs = zip(*known, strict=True)
        axes.fill_between(places, lows, highs, color=colour, alpha=0.2, linewidth=0)


def _set_scales(axes: Axes, curves: Sequence[Epoch], quantity: str) -> None:
    if curves[0].c is None:
        axes.set_xlabel("epoch")
        axes.set_xlim(curves[0].number - 0.5, curves[-1].number + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    else:
        axes.set_xscale("log")
        axes.set_xlabel("C (to the right, a weaker penalty)")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
    if quantity == "accuracy":
        axes.set_ylim(0, 1.04)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    else:
        axes.set_ylim(bottom=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", visible=False)
