"""The sample styles: pictures painted by our own code, free of anybody's rights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from impasto.errors import UnknownNameError
from impasto.images import save_picture
from impasto.runtime import OnProgress, Progress, ignore_progress
from impasto.samples import prints, strokes, tiles


@dataclass(frozen=True)
class SampleStyle:
    """A painter and what it paints."""

    paint: Callable[[int, int], Image.Image]
    description: str


STYLES = {
    "night-swirls": SampleStyle(strokes.night_swirls, "oil in long curved strokes: a night sky over hills"),
    "dots-at-sunset": SampleStyle(strokes.dots_at_sunset, "pointillism: a sun over the sea"),
    "woodcut-waves": SampleStyle(prints.woodcut_waves, "woodcut: waves and a mountain in black, blue and red"),
    "ink-mountains": SampleStyle(prints.ink_mountains, "ink on warm paper: ridges in washes and dry brush"),
    "cubist-cells": SampleStyle(tiles.cubist_cells, "cubism: shaded facets in ochre and grey"),
    "mosaic-sun": SampleStyle(tiles.mosaic_sun, "Byzantine mosaic: gold and lapis around a sun"),
    "stained-garden": SampleStyle(tiles.stained_garden, "art-nouveau glass: leaves and petals in lead"),
}


def paint_styles(
    folder: Path,
    *,
    size: int = 512,
    seed: int = 0,
    names: Sequence[str] = tuple(STYLES),
    on_progress: OnProgress = ignore_progress,
) -> list[Path]:
    """Paint sample styles, ``size`` x ``size`` pixels, as PNG files; those that are there already stay.

    Raises:
        UnknownNameError: a name that is none of ``STYLES``.
    """
    paths = []
    for index, name in enumerate(names, 1):
        if name not in STYLES:
            raise UnknownNameError("sample style", name, STYLES)
        path = folder / f"{name}.png"
        if not path.exists():
            picture = STYLES[name].paint(size, seed)
            save_picture(picture, path, provenance={"procedure": f"sample style {name}", "size": size, "seed": seed})
        paths.append(path)
        on_progress(Progress("painting styles", index, len(names), {}, name))
    return paths
