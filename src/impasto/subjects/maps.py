"""Activations as maps: what stands where in the picture, whatever a network's own layout is."""

from __future__ import annotations

import math

from torch import Tensor

# Class, distillation and register tokens that a transformer puts before those of the picture.
_MOST_EXTRA_TOKENS = 8


def is_spatial(value: object) -> bool:
    """Whether an activation of a square picture says something about more than one place."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return False
    if value.ndim == 4:
        return _is_channels_first(value) or (value.shape[1] == value.shape[2] > 1)
    return value.ndim == 3 and _extra_tokens(value.shape[1]) is not None


def spatial(value: Tensor) -> Tensor:
    """Return an activation of a square picture as B x C x h x w.

    Convolutional networks have that layout already. Swin keeps B x h x w x C, vision transformers B x N x C with one
    token for each patch of a square grid behind some for the whole picture, which are left out.

    >>> spatial(torch.zeros(2, 197, 384)).shape
    torch.Size([2, 384, 14, 14])

    Raises:
        ValueError: the activation is none of these; see :func:`is_spatial`.
    """
    if value.ndim == 4:
        return value if _is_channels_first(value) or value.shape[1] != value.shape[2] else value.permute(0, 3, 1, 2)
    extra = _extra_tokens(value.shape[1]) if value.ndim == 3 else None
    if extra is None:
        raise ValueError(f"an activation of shape {tuple(value.shape)} has no places.")
    side = math.isqrt(value.shape[1] - extra)
    return value[:, extra:].transpose(1, 2).reshape(len(value), value.shape[2], side, side)


def _is_channels_first(value: Tensor) -> bool:
    return value.shape[2] == value.shape[3] > 1


def _extra_tokens(count: int) -> int | None:
    """Return how many of ``count`` tokens stand for no patch; None where the others are no square grid."""
    side = math.isqrt(count)
    extra = count - side**2
    return extra if side > 1 and extra <= _MOST_EXTRA_TOKENS else None
