"""A picture of what a network with several styles does."""

from __future__ import annotations

import torch
from torch import Tensor

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
