"""What a dream costs a repaint, with each encoder: style and content against the plain repaint, and the energy."""

from __future__ import annotations

from pathlib import Path

from impasto.images import open_picture
from impasto.style.config import StylizeConfig
from impasto.style.dream_compare import compare_dream
from impasto.style.judging import encoders_here
from impasto.style.optimize import Painter

ENCODERS = ("squeezenet1_0", "squeezenet1_1", "impasto-vgg")


def dream_repaint(content: Path, style: Path, size: int, dream: str = "auto") -> None:
    """Ratios dreaming / plain at the default strength and steps, as the painting encoder and a judge see them."""
    photo, painting = open_picture(content), open_picture(style)
    print(f"dream-repaint: {content.name} in the style of {style.name} at {size} px, --dream {dream}; dreaming / plain")
    for name in ENCODERS:
        if name not in encoders_here():
            print(f"  {name:14s} left out: no weights here")
            continue
        painter = Painter(StylizeConfig(encoder=name, size=size, dream=dream))
        found = compare_dream(painter, photo, [painting], painter.paint(photo, [painting]))
        gain = found.rows[-1]
        own, judged = found.rows[:2], found.rows[2:-1]
        ratios = "  ".join(f"{row.measure} {row.ratio:.3f}" for row in own)
        others = ", ".join(f"{row.measure} {row.ratio:.3f}" for row in judged)
        by = f"{judged[0].encoder}: {others}" if judged else "no judge here"
        print(
            f"  {name:14s} {ratios}  {'within' if found.holds else 'beyond'} 10 %  dream x{gain.plain:.2f} plain, "
            f"x{gain.dreaming:.2f} dreaming: {gain.ratio:.1f} times  ({by})  {found.dream}",
            flush=True,
        )
