"""Many small pictures on one, each with three lines of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_SIDE = 168
_GAP = 10
_TEXT = 48
_INK, _FAINT, _PAPER, _DEAD = (28, 28, 30), (110, 110, 116), (255, 255, 255), (236, 236, 238)


def contact_sheet(
    images: Sequence[Image.Image], captions: Sequence[tuple[str, str, str]], dead: Sequence[bool]
) -> Image.Image:
    """Return pictures in rows, about as wide as high, with their captions; the dead are crossed out, not shown.

    Args:
        images: squares.
        captions: three lines each.
        dead: which are drawn as a cross.
    """
    columns = min(len(images), max(4, math.ceil(math.sqrt(len(images)))))
    rows = -(-len(images) // columns)
    size = columns * (_SIDE + _GAP) + _GAP, rows * (_SIDE + _TEXT + _GAP) + _GAP
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (image, lines, is_dead) in enumerate(zip(images, captions, dead, strict=True)):
        left = _GAP + number % columns * (_SIDE + _GAP)
        top = _GAP + number // columns * (_SIDE + _TEXT + _GAP)
        if is_dead:
            _cross(draw, left, top)
        else:
            sheet.paste(image.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), (left, top))
        for line, (text, size_of, ink) in enumerate(zip(lines, (13, 11, 11), (_INK, _FAINT, _FAINT), strict=True)):
            font = ImageFont.load_default(size_of)
            draw.text((left, top + _SIDE + 2 + 15 * line), _fitted(draw, text, font), fill=ink, font=font)
    return sheet


def _cross(draw: ImageDraw.ImageDraw, left: int, top: int) -> None:
    right, bottom = left + _SIDE - 1, top + _SIDE - 1
    draw.rectangle((left, top, right, bottom), fill=_DEAD, outline=_FAINT)
    draw.line((left, top, right, bottom), fill=_FAINT)
    draw.line((left, bottom, right, top), fill=_FAINT)
    font = ImageFont.load_default(22)
    box = draw.textbbox((left + _SIDE // 2, top + _SIDE // 2), "dead", font=font, anchor="mm")
    draw.rectangle((box[0] - 6, box[1] - 4, box[2] + 6, box[3] + 4), fill=_DEAD)
    draw.text((left + _SIDE // 2, top + _SIDE // 2), "dead", fill=_INK, font=font, anchor="mm")


def _fitted(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Return the text, cut where it is wider than a picture."""
    while len(text) > 1 and draw.textlength(text, font=font) > _SIDE:
        text = f"{text.rstrip('…')[:-1]}…"
    return text
