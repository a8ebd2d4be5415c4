"""Giving one picture the colours of another."""

from __future__ import annotations

import torch
from torch import Tensor

# Added to the variances, (1/255)^2: a grey picture has none across its grey axis, and would divide by zero.
_FLOOR = 1 / 255**2


def match_colours(picture: Tensor, wanted: Tensor) -> Tensor:
    """Return ``picture`` with the mean and the covariance of the RGB values of ``wanted``.

    Of all linear maps that do so it is the one that moves colours least (Pitie and Kokaram 2007), so that no hue is
    exchanged for another without need.

    Args:
        picture: 1 x 3 x H x W.
        wanted: 1 x 3 x h x w.

    Returns:
        1 x 3 x H x W; values may leave 0..1.
    """
    mean, covariance = _moments(picture)
    mean_wanted, covariance_wanted = _moments(wanted)
    root = _root(covariance)
    back = torch.linalg.inv(root)
    matrix = back @ _root(root @ covariance_wanted @ root) @ back
    offset = mean_wanted - matrix @ mean
    moved: Tensor = torch.einsum("ij,bjhw->bihw", matrix.to(picture), picture)
    moved += offset.to(picture)[None, :, None, None]
    return moved


def _moments(picture: Tensor) -> tuple[Tensor, Tensor]:
    values = picture[0].flatten(1).double()
    mean = values.mean(1)
    centred = values - mean[:, None]
    return mean, centred @ centred.T / values.shape[1] + _FLOOR * torch.eye(3, dtype=torch.float64).to(values)


def _root(matrix: Tensor) -> Tensor:
    """Return the symmetric square root of a symmetric positive matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root
