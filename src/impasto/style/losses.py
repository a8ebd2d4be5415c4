"""Content, style, dream and smoothness as functions of features.

Two families. The *normalised* ones are shares of their target, so that one weight means the same for every picture,
style, size and encoder. The *gatys2015* ones are the sums of the paper, for reproduction.

Features are B x C x H x W with B = 1 unless said otherwise; every loss is a scalar in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gram(features: Tensor) -> Tensor:
    """Return the Gram matrix divided by the number of positions: B x C x H x W -> B x C x C, float32.

    Gatys et al. 2015 do not divide; ``gatys2015_style`` puts the factor back.
    """
    flat = features.flatten(2).float()
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def style_distance(gram_is: Tensor, gram_wanted: Tensor) -> Tensor:
    """||G - A||^2 / ||A||^2: 0 for equal Gram matrices, 1 for a black picture."""
    return (gram_is - gram_wanted).square().sum() / gram_wanted.square().sum()


def content_distance(features: Tensor, wanted: Tensor) -> Tensor:
    """||F - P||^2 / ||P||^2: 0 for equal features, 1 for silent ones."""
    wanted = wanted.float()
    return (features.float() - wanted).square().sum() / wanted.square().sum()


def dream_energy(features: Tensor) -> Tensor:
    """Mean of squares, what DeepDream maximises (Mordvintsev, Olah and Tyka 2015)."""
    return features.float().square().mean()


def dream_distance(gain: Tensor) -> Tensor:
    """1 / (1 + gain), the gain being energy as a multiple of the photo's: 1/2 at the photo, 1/3 at twice its energy.

    A share, which means the same for every encoder, layer and size. DeepDream's sum has no upper end, and beside other
    losses the picture would be lost to it; here whoever has much gains little by more.
    """
    return 1 / (1 + gain)


def total_variation(image: Tensor) -> Tensor:
    """Mean squared difference of neighbouring pixels, of B x 3 x H x W in 0..1."""
    across = (image[..., :, 1:] - image[..., :, :-1]).square()
    down = (image[..., 1:, :] - image[..., :-1, :]).square()
    return (across.sum() + down.sum()) / image.numel()


def out_of_range(image: Tensor) -> Tensor:
    """Mean squared excess beyond 0..1: a soft wall, so that nothing is lost when the picture is clipped at the end."""
    return (image - image.clamp(0, 1)).square().mean()


def gatys2015_content(features: Tensor, wanted: Tensor) -> Tensor:
    """Equation 2 of R1: the sum of (F - P)^2. Gatys et al. 2015 have half of it."""
    return (features.float() - wanted.float()).square().sum()


def gatys2015_style(gram_is: Tensor, gram_wanted: Tensor) -> Tensor:
    """Equation 3 of R1, E_l = sum (G - A)^2 / (4 N^2 M^2), from Gram matrices divided by their positions.

    With G = M g and A = M a the M cancels and sum (g - a)^2 / (4 N^2) remains, which also holds for a style picture
    of another size than the painted one; the paper has both of one size.
    """
    channels = gram_is.shape[-1]
    return (gram_is - gram_wanted).square().sum() / (4 * channels**2)


def blend(matrices: list[Tensor], weights: list[float]) -> Tensor:
    """Return the weighted mean of Gram matrices: the style between styles."""
    total = sum(weights)
    return torch.stack([matrix * (weight / total) for matrix, weight in zip(matrices, weights, strict=True)]).sum(0)
