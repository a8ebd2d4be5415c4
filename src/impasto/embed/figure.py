"""The map as a still picture, with what it is worth written into it."""

from __future__ import annotations

import io
import warnings
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from impasto.embed.result import CollectionMap

# Told apart by people who see colours otherwise, too (Okabe and Ito 2008; the yellow is too pale on white).
COLOURS = ("#b3471d", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d", "#8c6bb1")
# After eight classes, the same colours in other shapes.
MARKERS = ("o", "s", "^", "D")
_INK, _MUTED, _RULE, _PLAIN = "#262a2e", "#6b7278", "#dfe2e5", "#857b70"
# So many classes stand in a legend; more are written where they lie.
_LEGEND, _LONGEST = 16, 28
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _RULE,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelcolor": _MUTED,
}
_DOUBTFUL = "label may be wrong"
_NAMES = {"tsne": "t-SNE", "pca": "principal components"}


def draw_map(found: CollectionMap) -> Figure:
    """Draw a dot for each picture in the colour and shape of its class; labels that may be wrong have a ring."""
    xy = found.coordinates.numpy()
    names = sorted({sample.label for sample in found.dataset.samples})
    numbers = np.searchsorted(names, [sample.label for sample in found.dataset.samples])
    wide = found.labelled and len(names) <= _LEGEND
    size = float(np.clip(11_000 / len(xy), 3, 40))
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=_inches(xy, wide), layout="constrained")
        axes = figure.add_subplot()
        for place, name in enumerate(names):
            rows = numbers == place
            colour = COLOURS[place % len(COLOURS)] if found.labelled else _PLAIN
            marker = MARKERS[place // len(COLOURS) % len(MARKERS)]
            axes.scatter(
                xy[rows, 0], xy[rows, 1], s=size, c=colour, marker=marker, linewidths=0, alpha=0.8, label=_short(name)
            )
        _ring(axes, found, xy, size)
        _frame(axes, found)
        if wide:
            _legend(axes)
        elif found.labelled:
            _write_names(figure, axes, names, numbers, xy)
    return figure


def to_png(figure: Figure) -> bytes:
    """Return ``figure`` as PNG, the same bytes each time."""
    file = io.BytesIO()
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Class names in any script; where matplotlib's font lacks one, boxes stand for it.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
        figure.savefig(file, format="png", dpi=160, metadata={"Software": None})
    return file.getvalue()


def summary(found: CollectionMap) -> list[str]:
    """Return what a map is worth in a few plain phrases, for figure and terminal."""
    facts, quality = found.facts, found.quality
    told = []
    if facts.purity is not None and facts.chance is not None and quality.purity is not None:
        told.append(
            f"of {facts.k} nearest neighbours, of the same class: {facts.purity:.0%} in the features, "
            f"{quality.purity:.0%} on the map, {facts.chance:.0%} by chance"
        )
    told.append(f"trustworthiness {quality.trustworthiness:.3f}, continuity {quality.continuity:.3f}")
    if found.tsne is None:
        told[-1] += f", {sum(facts.explained[:2]):.0%} of the variance"
    return told


def _inches(xy: npt.NDArray[np.float64], wide: bool) -> tuple[float, float]:
    """Return the size of the figure: as high as the map asks for, and not a strip."""
    spread = np.ptp(xy, axis=0)
    width = 7.0 if wide else 9.5
    return width + 1.8 * wide, width * float(np.clip(spread[1] / max(spread[0], 1e-9), 0.6, 1.1)) + 0.8


def _frame(axes: Axes, found: CollectionMap) -> None:
    kind = _NAMES[next(iter(found.facts.maps))]
    axes.set_title(
        f"{kind} of {len(found.dataset):,} pictures seen by {found.facts.features['network']}", parse_math=False
    )
    axes.set_xlabel("\n".join(summary(found)), loc="left", linespacing=1.5)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.03)


def _ring(axes: Axes, found: CollectionMap, xy: npt.NDArray[np.float64], size: float) -> None:
    rows = [item.index for item in found.suspects]
    if rows:
        axes.scatter(
            xy[rows, 0],
            xy[rows, 1],
            s=size * 2 + 30,
            facecolors="none",
            edgecolors=_INK,
            linewidths=0.9,
            label=_DOUBTFUL,
        )


def _legend(axes: Axes) -> None:
    legend = axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, borderaxespad=0, handletextpad=0.4)
    for text in legend.get_texts():
        text.set_parse_math(False)
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection) and handle.get_label() != _DOUBTFUL:
            handle.set_sizes([36])


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _write_names(
    figure: Figure, axes: Axes, names: list[str], numbers: npt.NDArray[np.intp], xy: npt.NDArray[np.float64]
) -> None:
    """Write each class's name at the picture nearest to its middle, moved a little where another name stands."""
    font = 7.5 if len(names) <= 40 else 6.0
    figure.draw_without_rendering()
    to_pixels = axes.transData
    placed: list[tuple[float, float, float, float]] = []
    scale = figure.dpi / 72 * font
    for place in np.argsort(-np.bincount(numbers), kind="stable"):
        own = xy[numbers == place]
        middle = own[((own - np.median(own, axis=0)) ** 2).sum(1).argmin()]
        text, (x, y) = _short(names[place]), to_pixels.transform(middle)
        half = 0.3 * scale * len(text), 0.62 * scale
        moves = [
            (0.0, 0.0),
            *((dx * half[0], dy * 2 * half[1]) for r in (1, 2, 3) for dy in (r, -r) for dx in (0, 0.7, -0.7)),
        ]
        boxes = [(x + dx - half[0], y + dy - half[1], x + dx + half[0], y + dy + half[1]) for dx, dy in moves]
        box = next((each for each in boxes if not any(_overlap(each, other) for other in placed)), boxes[0])
        placed.append(box)
        spot = to_pixels.inverted().transform(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
        colour = COLOURS[place % len(COLOURS)]
        axes.text(
            float(spot[0]),
            float(spot[1]),
            text,
            fontsize=font,
            ha="center",
            va="center",
            color=colour,
            weight="bold",
            parse_math=False,
            path_effects=[withStroke(linewidth=1.8, foreground="white")],
        )


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
