"""Pictures of many pictures: what a network with several styles does, and any with captions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from impasto.images import resize_long
from impasto.style.impasto_net import ManyStyles


@torch.no_grad()
def sample_sheet(model: ManyStyles, photos: Tensor, most: int) -> Tensor:
    """Return 1 x 3 x H x W: the photos (B x 3 x h x w in 0..1) in a row, and a row for each of the first styles."""
    styles = min(most, len(model.table))
    rows = [photos]
    for style in range(styles):
        shares = torch.zeros(len(photos), len(model.table), device=photos.device)
        shares[:, style] = 1
        rows.append(model(photos, shares).clamp(0, 1))
    return torch.cat([torch.cat(list(row), 2) for row in rows], 1).unsqueeze(0).cpu()


def captioned_sheet(tiles: Sequence[tuple[Image.Image, str]], size: int, columns: int = 4) -> Image.Image:
    """Return pictures in rows on white, longer sides ``size`` pixels, with captions of two lines below."""
    font = ImageFont.load_default(max(10, size // 20))
    margin, text = max(4, size // 40), max(10, size // 20) * 3
    across = min(columns, len(tiles))
    down = -(-len(tiles) // columns)
    small = [resize_long(picture, size) for picture, _ in tiles]
    width, height = size + margin, max(each.height for each in small) + text + margin
    sheet = Image.new("RGB", (across * width + margin, down * height + margin), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (picture, (_, caption)) in enumerate(zip(small, tiles, strict=True)):
        left, top = margin + index % columns * width, margin + index // columns * height
        sheet.paste(picture, (left, top))
        draw.multiline_text((left, top + picture.height + margin // 2), caption, fill="black", font=font)
    return sheet
