"""How close the repaints of one arm come to style and photo, as an encoder sees it that painted none of them."""

from __future__ import annotations

from typing import Any

from impasto.encoders import load_encoder
from impasto.errors import UsageError
from impasto.images import open_picture, to_tensor
from impasto.study.spec import Settings
from impasto.study.work.bench import Bench
from impasto.study.work.paint import painter_for
from impasto.study.work.units import Cell
from impasto.style.apply import FastPainter
from impasto.style.config import StylizeConfig
from impasto.style.judging import Judge, judge_beside


def judge_of(bench: Bench) -> str:
    """Return the encoder that judges all arms: the first here that paints in none.

    Raises:
        UsageError: all that are here paint.
    """
    painters = {part for arm in bench.arms for part in _painted_with(arm.settings)}
    found = judge_beside(painters)
    if found is None:
        raise UsageError(
            "every encoder whose weights are here paints in some arm, so that none can judge.",
            "Leave a level out, or put weights of another encoder where impasto finds them (see `impasto encoders`).",
        )
    return found


def _painted_with(settings: Settings) -> list[str]:
    """Return the encoders behind an arm's repaints: of a network, the one that it was taught with."""
    painter = painter_for(settings.painting(settings.strengths[0]))
    name = painter.network.facts.get("encoder", "") if isinstance(painter, FastPainter) else settings.encoder
    return str(name).split("+")


def measure_cell(bench: Bench, cell: Cell) -> dict[str, Any]:
    """Return the style and content distances of every repaint of an arm."""
    settings, draw = bench.arms[cell.arm].settings, bench.draw(cell)
    name = judge_of(bench)
    network = load_encoder(name)
    style, content = [], []
    for row in draw.test:
        item = bench.deal.items[row]
        shown = bench.shown(item, settings)
        photo = open_picture(bench.pool.photos[item.photo].path)
        painting = open_picture(bench.pool.styles[item.style].path)
        config = StylizeConfig(size=settings.repaint_size, device=bench.device)
        judge = Judge(name, photo, [painting], config, network)
        found = judge.distances(to_tensor(open_picture(bench.file_of(shown)).image))
        style.append(found.style)
        content.append(found.content)
    return {"judge": name, "style": style, "content": content}
