"""One repaint, written as a picture that says how it was made."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from impasto.images import Picture, open_picture, save_picture
from impasto.runtime import deterministic
from impasto.study.work.bench import Bench
from impasto.study.work.units import Painting
from impasto.style.apply import FastPainter
from impasto.style.config import FastConfig, StylizeConfig
from impasto.style.optimize import Painter

AnyPainter = Painter | FastPainter


def paint(bench: Bench, unit: Painting) -> None:
    """Make one repaint."""
    content = open_picture(bench.pool.photos[unit.photo].path)
    style = _style(bench, unit.style)
    config = replace(unit.config, device=bench.device)
    painter = painter_for(config).with_config(config)  # type: ignore[arg-type]
    with deterministic():
        result = painter.paint(content, [style])
    if getattr(result, "interrupted", False):
        raise KeyboardInterrupt  # a half-painted picture is none
    save_picture(result.image, bench.path(unit), provenance=result.provenance, alpha=result.alpha)


def painter_for(config: StylizeConfig | FastConfig) -> AnyPainter:
    """Return a painter whose network is loaded once for all strengths and seeds."""
    return _painter(without_strength(config))


def without_strength(config: StylizeConfig | FastConfig) -> StylizeConfig | FastConfig:
    """Return what paintings of one painter have in common."""
    return replace(config, strength=0.5, seed=0)


@lru_cache(maxsize=8)
def _painter(config: StylizeConfig | FastConfig) -> AnyPainter:
    return FastPainter(config) if isinstance(config, FastConfig) else Painter(config)


@lru_cache(maxsize=64)
def _opened(path: Path) -> Picture:
    return open_picture(path)


def _style(bench: Bench, place: int) -> Picture:
    return _opened(bench.pool.styles[place].path)
