"""The two figures beside ``evaluation.json``: how far confidence can be believed, and ROC curves of each class."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter
from sklearn.metrics import roc_curve

from impasto.classify.judge.confidence import Bin, Labels, Shares
from impasto.classify.judge.ranking import macro_area

_INK, _MUTED, _RULE, _ACCENT = "#262a2e", "#6b7278", "#dfe2e5", "#b3471d"
# Told apart by people who see colours otherwise, too (Okabe and Ito 2008), the accent first.
_COLOURS = (_ACCENT, "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d", "#8c6bb1")
# Letters of a class's name in a legend.
_LONGEST = 40
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _MUTED,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "grid.color": _RULE,
    "grid.linewidth": 0.6,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
}


def draw_reliability(bins: Sequence[Bin], ece: float, confidence: Shares) -> Figure:
    """Draw the share of right answers against the confidence, a dot with its Wilson interval for each bin.

    Below, how many pictures are how sure. On the dotted line, confidence means what it says.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4.6, 4.8), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[5, 1])
        upper.plot([0, 1], [0, 1], color=_MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        for item in bins:
            upper.vlines(item.confidence, *item.right.interval, color=_ACCENT, linewidth=1.2, alpha=0.5)
        places = [item.confidence for item in bins]
        upper.plot(places, [item.right.value for item in bins], "o", color=_ACCENT, markersize=5)
        lower.hist(confidence, bins=40, range=(0, 1), color=_MUTED, rwidth=0.8)
        bins_told = "1 bin" if len(bins) == 1 else f"{len(bins)} bins of equal mass"
        upper.set_title(f"ECE {ece:.3f}, {bins_told}, {len(confidence)} pictures")
        upper.set_ylabel("share right, with 95 % interval")
        _as_shares(upper)
        lower.set_xlabel("confidence: probability of the class named")
        lower.set_ylabel("pictures")
        lower.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        lower.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    return figure


def draw_roc(classes: Sequence[str], probabilities: Shares, labels: Labels, areas: Sequence[float | None]) -> Figure:
    """Draw the ROC curve of each class that was met, against all others.

    The classes told apart worst are named, as many as there are colours; the others are thin and grey.
    """
    met = sorted((area, index) for index, area in enumerate(areas) if area is not None)
    mean = macro_area(list(areas))
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4.6, 4.8), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
        lines = [_roc(axes, rank, labels == index, probabilities[:, index]) for rank, (_, index) in enumerate(met)]
        _name(axes, lines, [f"{area:.3f}  {classes[index]}" for area, index in met])
        told = "no ROC curve: one class only" if mean is None else f"each class against the rest, mean AUC {mean:.3f}"
        axes.set_title(told)
        axes.set_xlabel("pictures of other classes taken for it")
        axes.set_ylabel("pictures of the class found")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        _as_shares(axes)
    return figure


def to_png(figure: Figure) -> bytes:
    """Return ``figure`` as PNG, the same bytes each time."""
    file = io.BytesIO()
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Class names in any script; where matplotlib's font lacks one, boxes stand for it.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
        figure.savefig(file, format="png", dpi=160, metadata={"Software": None})
    return file.getvalue()


def _as_shares(axes: Axes) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))


def _roc(axes: Axes, rank: int, positive: npt.NDArray[np.bool_], scores: Shares) -> Line2D:
    has_colour = rank < len(_COLOURS)
    false, true, _ = roc_curve(positive, scores)
    colour = _COLOURS[rank] if has_colour else _RULE
    # The curves of perfect classes lie on each other and on the frame: the first one is drawn last.
    return axes.plot(false, true, color=colour, zorder=20 - min(rank, 10), clip_on=False)[0]


def _name(axes: Axes, lines: Sequence[Line2D], names: Sequence[str]) -> None:
    """Write the names of the coloured lines into the corner that a good classifier leaves empty."""
    kept = [f"{name[:_LONGEST]}..." if len(name) > _LONGEST else name for name in names[: len(_COLOURS)]]
    if not kept:
        return
    others = len(names) - len(kept)
    title = f"area, class: the lowest {len(kept)} of {len(names)}" if others else "area, class"
    legend = axes.legend(lines[: len(kept)], kept, loc="lower right", title=title, alignment="left", framealpha=0.9)
    legend.set_zorder(30)
    for text in legend.get_texts():
        text.set_parse_math(False)
