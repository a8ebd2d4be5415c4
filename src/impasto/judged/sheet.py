"""A few cue conflicts on one sheet: photo, style, what was painted, and what the network says of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from impasto.errors import PictureError
from impasto.explain.drawing import draw_sheet, to_png
from impasto.images import open_picture, resize_long
from impasto.judged.decisions import CUES, Decision, ShapeBias
from impasto.judged.repaints import Repaints

# Conflicts that are shown, and the longer side of their pictures in pixels.
_SHOWN, _SIDE = 12, 240


def conflict_sheet(result: ShapeBias, repaints: Repaints) -> bytes:
    """Return a PNG with some conflicts of each kind of decision, three pictures each."""
    rows = {row.output: row for row in repaints.rows}
    cells = []
    for item in chosen(result.decisions):
        row = rows[item.output]
        cells += [
            (_shown(repaints.photo(row).path), f"shape: {item.shape}\nnamed {item.photo_answer or 'nothing'}"),
            (_shown(repaints.style(row).path), f"texture: {item.texture}\nnamed {item.style_answer or 'nothing'}"),
            (_shown(repaints.repaint(row).path), f"{item.cue}: {item.answer} {item.probability:.0%}"),
        ]
    return to_png(draw_sheet(cells, f"Shape against texture: {result.name}", f"{result.words} ({result.painted})"))


def chosen(decisions: Sequence[Decision]) -> list[Decision]:
    """Return some decisions of each kind, at even distances, those first that count; fewer of one, more of others."""
    kinds = [sorted((d for d in decisions if d.cue == cue), key=lambda d: not d.counts) for cue in CUES]
    shares = _shares([len(kind) for kind in kinds], _SHOWN)
    return [item for kind, share in zip(kinds, shares, strict=True) for item in _spread(kind, share)]


def _shares(sizes: Sequence[int], count: int) -> list[int]:
    """Return how many of each to take, as evenly as sizes allow.

    >>> _shares([1, 20, 5], 12)
    [1, 6, 5]
    """
    taken = [0] * len(sizes)
    while sum(taken) < min(count, sum(sizes)):
        open_ones = [index for index, size in enumerate(sizes) if taken[index] < size]
        taken[min(open_ones, key=lambda index: taken[index])] += 1
    return taken


def _spread(items: Sequence[Decision], count: int) -> list[Decision]:
    counting = [item for item in items if item.counts]
    pool = counting if len(counting) >= count else items
    return [pool[index * len(pool) // count] for index in range(count)]


def _shown(path: Path) -> Image.Image:
    try:
        return resize_long(open_picture(path).image, _SIDE)
    except PictureError:
        return Image.new("RGB", (_SIDE, _SIDE), "lightgrey")
