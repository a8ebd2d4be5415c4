"""Small movements before each step: what only works in one exact position is no feature, but noise that fits."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Movement as a share of the side, turning in degrees, enlargement: of the size of those in Olah et al. 2017, who move
# 128 pixels by 8.
JITTER = 1 / 16
TURN = 5.0
ZOOM = 0.1


def draw_movements(steps: int, random: torch.Generator) -> Tensor:
    """Return steps x 4 numbers in -1 .. 1: down, right, turn, zoom."""
    return 2 * torch.rand(steps, 4, generator=random) - 1


def moved(pictures: Tensor, movements: Tensor) -> Tensor:
    """Return pictures B x 3 x S x S, each shifted, turned and enlarged by its row of B x 4 numbers in -1 .. 1.

    What comes in from outside is grey, as if the picture were padded.
    """
    turn = movements[:, 2] * math.radians(TURN)
    scale = 1 / (1 + ZOOM * movements[:, 3])
    shift = movements[:, :2] * 2 * JITTER  # the grid is 2 wide
    cosine, sine = turn.cos() * scale, turn.sin() * scale
    rows = torch.stack([torch.stack([cosine, -sine, shift[:, 1]], 1), torch.stack([sine, cosine, shift[:, 0]], 1)], 1)
    grid = F.affine_grid(rows.to(pictures), list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures - 0.5, grid, padding_mode="zeros", align_corners=False) + 0.5
