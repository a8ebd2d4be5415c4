"""Maps on pictures: red where something speaks for the target, blue where it speaks against."""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from impasto.explain.attribution import enlarged, facts

# Red and blue that people tell apart who see colours otherwise (Okabe and Ito 2008).
_FOR, _AGAINST = np.array([213.0, 60.0, 0.0]), np.array([0.0, 90.0, 200.0])
# Under a map the picture is grey, and black no darker than this: colours are the map's alone, and dark pictures show
# them, too. The strongest place is covered by so much.
_DARKEST, _COVER = 105, 0.85
_INK, _MUTED, _PAPER = "#211d19", "#665e55", "#fbf9f5"
_COLUMNS = 6
# Mean width of a letter of matplotlib's own font, of its size.
_LETTER = 0.56


def overlay(image: Image.Image, values: Tensor, *, signed: bool = False) -> Image.Image:
    """Return the picture in pale grey with one map h x w laid over it.

    The strongest value has the full colour. Without ``signed`` only what speaks for the target is shown. A map without
    anything to show gives the grey picture: who shows it says why (:func:`what_is_shown`).
    """
    grey = np.asarray(image.convert("L"), dtype=np.float64)[..., None]
    pale = np.repeat(_DARKEST + grey * (255 - _DARKEST) / 255, 3, axis=2)
    heat = _at_size(values, image.size)
    top = np.abs(heat).max() if signed else heat.max()
    if top > 0:
        for colour, part in ((_FOR, heat), *(((_AGAINST, -heat),) if signed else ())):
            cover = _COVER * np.clip(part / top, 0, 1)[..., None] ** 0.9
            pale = (1 - cover) * pale + cover * colour
    return Image.fromarray(np.clip(pale.round(), 0, 255).astype(np.uint8))


def what_is_shown(values: Tensor) -> str:
    """Return what must be said beside a map that has nothing to show, else ""."""
    return {
        "flat": "flat: the target does not depend on this layer here",
        "negative": "nothing speaks for the target here, only against it",
        "fine": "",
    }[facts(values)["state"]]


def draw_sheet(cells: Sequence[tuple[Image.Image, str]], title: str, note: str = "") -> Figure:
    """Return a sheet of pictures with a line or two of text below each."""
    columns = max(1, min(_COLUMNS, len(cells)))
    rows = max(1, -(-len(cells) // columns))
    width = max(5.5, 2.1 * columns)
    head, below = wrapped(_drawable(title), width, 13), wrapped(note, width, 9)
    told = 0.15 + 0.24 * len(head)
    top = told + 0.17 * len(below) + 0.2
    height = top + 2.6 * rows + 0.2
    figure = Figure(figsize=(width, height), dpi=110, facecolor=_PAPER)
    for lines, size, colour, start in ((head, 13, _INK, 0.15), (below, 9, _MUTED, told + 0.05)):
        text = "\n".join(lines)
        figure.text(0.02, 1 - start / height, text, fontsize=size, color=colour, va="top", parse_math=False)
    grid = figure.add_gridspec(
        rows, columns, left=0.02, right=0.98, top=1 - top / height, bottom=0.55 / height, hspace=0.28, wspace=0.06
    )
    for index, (image, text) in enumerate(cells):
        axes = figure.add_subplot(grid[index // columns, index % columns])
        axes.imshow(image, interpolation="antialiased")
        axes.set_axis_off()
        axes.set_anchor("NW")
        caption = "\n".join(line for part in text.splitlines() for line in wrapped(part, width / columns, 8))
        axes.text(0, -0.03, caption, transform=axes.transAxes, fontsize=8, color=_INK, va="top", parse_math=False)
    return figure


def wrapped(text: str, inches: float, size: float) -> list[str]:
    """Return the lines of a text that fit into a width, in letters of a size in points.

    >>> wrapped("a cat and a dog", 0.7, 9)
    ['a cat and', 'a dog']
    """
    return textwrap.wrap(text, max(8, int(0.96 * inches * 72 / (_LETTER * size))))


def to_png(figure: Figure) -> bytes:
    """Return a figure as a PNG, the same bytes each time."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        # Names in any script; where matplotlib's font lacks one, boxes stand for it.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _drawable(text: str) -> str:
    """Return text with a question mark for bytes of a file name that are no UTF-8, which matplotlib does not take."""
    return text.encode(errors="replace").decode()


def _at_size(values: Tensor, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return a map at a picture's own size; what a network sees as a square is stretched back."""
    square = enlarged(values.unsqueeze(0).float(), max(size))[0]
    stretched = Image.fromarray(square.numpy()).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(stretched, dtype=np.float64)


def draw_layers(photo: Image.Image, blocks: Sequence[tuple[str, Tensor, Sequence[str], str]], title: str) -> Figure:
    """Return a figure of layers, each a block of its channels' maps.

    Args:
        photo: shown first.
        blocks: name, k x h x w maps, k labels and a caption for each layer. Each map has its own scale, from its
            smallest to its largest value.
        title: above all.
    """
    across = 2
    rows = -(-len(blocks) // across)
    figure = Figure(figsize=(11, 1.9 + 5.2 * rows), dpi=110, facecolor=_PAPER)
    height = 1.9 + 5.2 * rows
    figure.text(0.02, 1 - 0.3 / height, _drawable(title), fontsize=13, color=_INK, va="center", parse_math=False)
    axes = figure.add_axes((0.02, 1 - 1.75 / height, 0.16, 1.25 / height))
    axes.imshow(photo)
    axes.set_axis_off()
    axes.set_anchor("NW")
    for index, (name, maps, labels, caption) in enumerate(blocks):
        left, top = 0.02 + 0.49 * (index % across), 1 - (1.95 + 5.2 * (index // across)) / height
        figure.text(left, top, name, fontsize=11, color=_INK, va="center", parse_math=False)
        figure.text(left, top - 0.22 / height, caption, fontsize=7.5, color=_MUTED, va="center", parse_math=False)
        side = max(1, round(len(maps) ** 0.5 + 0.499))
        box = (left, top - 4.95 / height, 0.46, 4.48 / height)
        grid = figure.add_gridspec(
            side, side, left=box[0], bottom=box[1], right=box[0] + box[2], top=box[1] + box[3], hspace=0.16, wspace=0.04
        )
        for number, (values, label) in enumerate(zip(maps, labels, strict=True)):
            cell = figure.add_subplot(grid[number // side, number % side])
            cell.imshow(values.numpy(), cmap="magma", interpolation="nearest")
            cell.set_axis_off()
            cell.set_title(label, fontsize=6.5, color=_MUTED, pad=1.5, loc="left")
    return figure
