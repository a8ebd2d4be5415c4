"""Activations as maps: what stands where in the picture, whatever a network's own layout is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

# Class, distillation and register tokens that a transformer puts before those of the picture.
_MOST_EXTRA_TOKENS = 8


@dataclass(frozen=True)
class Layout:
    """How a layer lays out its activations, which is the same for pictures of all shapes.

    Attributes:
        kind: "first": B x C x h x w, as convolutional networks; "last": B x h x w x C, as Swin; "tokens": B x N x C,
            as vision transformers, one for each patch of a square grid behind some for the whole picture.
        channels: C.
    """

    kind: Literal["first", "last", "tokens"]
    channels: int


def layout_of(value: object) -> Layout | None:
    """Return the layout of a layer from its activation of a square picture; None where that has no places.

    Of an oblong picture it cannot be told: 96 x 96 x 128 numbers are 96 channels, or 128 of another network.
    """
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return None
    if value.ndim == 4 and value.shape[2] == value.shape[3] > 1:
        return Layout("first", value.shape[1])
    if value.ndim == 4 and value.shape[1] == value.shape[2] > 1:
        return Layout("last", value.shape[3])
    if value.ndim == 3 and _extra_tokens(value.shape[1]) is not None:
        return Layout("tokens", value.shape[2])
    return None


def is_spatial(value: object) -> bool:
    """Whether an activation of a square picture says something about more than one place."""
    return layout_of(value) is not None


def spatial(value: Tensor, layout: Layout | None = None) -> Tensor:
    """Return an activation as B x C x h x w; of tokens those that stand for no patch are left out.

    Args:
        value: of a picture of any shape; tokens of a square one.
        layout: the layer's; None tells it from ``value``, which is of a square picture then.

    >>> spatial(torch.zeros(2, 197, 384)).shape
    torch.Size([2, 384, 14, 14])

    Raises:
        ValueError: the activation is none of these; see :func:`is_spatial`.
    """
    layout = layout or layout_of(value)
    if layout is None:
        raise ValueError(f"an activation of shape {tuple(value.shape)} has no places.")
    if layout.kind != "tokens":
        return value if layout.kind == "first" else value.permute(0, 3, 1, 2)
    extra = _extra_tokens(value.shape[1])
    if extra is None:
        raise ValueError(f"{value.shape[1]} tokens are no square grid.")
    side = math.isqrt(value.shape[1] - extra)
    return value[:, extra:].transpose(1, 2).reshape(len(value), value.shape[2], side, side)


def _extra_tokens(count: int) -> int | None:
    """Return how many of ``count`` tokens stand for no patch; None where the others are no square grid."""
    side = math.isqrt(count)
    extra = count - side**2
    return extra if side > 1 and extra <= _MOST_EXTRA_TOKENS else None
