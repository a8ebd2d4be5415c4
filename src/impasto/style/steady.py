"""Frames that are painted one by one, made to hold still from one to the next."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.style.flow import consistent, optical_flow, resize_flow, warp

# Longer side in pixels at which motion is sought.
_SEEK = 320
# Photos that differ by this much along the motion are of different things (units of the range 0..1).
_UNLIKE = 0.06
# Below this share of points found again the scene has changed.
_LEAST_SEEN = 0.2


@dataclass(frozen=True)
class Steadied:
    """One frame.

    Attributes:
        image: 1 x 3 x H x W in 0..1, to be shown.
        flicker: mean squared difference to the frame shown before, moved along, where the same thing is seen; None for
            the first frame of a scene.
        flicker_alone: the same of the frames as they were painted one by one.
    """

    image: Tensor
    flicker: float | None
    flicker_alone: float | None


class Steadier:
    """Mixes into each painted frame the one before, moved along with the photo.

    Args:
        smoothing: 0 leaves the frames alone; near 1 strokes stick to things, and are blurred.
    """

    def __init__(self, smoothing: float) -> None:
        self.smoothing = smoothing
        self._before: tuple[Tensor, Tensor, Tensor] | None = None

    @torch.no_grad()
    def next(self, photo: Tensor, painted: Tensor) -> Steadied:
        """Return the next frame; ``photo`` and ``painted`` are 1 x 3 x H x W in 0..1."""
        if self._before is None or self._before[0].shape != photo.shape:
            return Steadied(painted, None, None)
        photo_before, shown_before, painted_before = self._before
        flow, seen = _motion(photo, photo_before)
        seen = seen * (-((warp(photo_before, flow) - photo).abs().mean(1, keepdim=True) / _UNLIKE).square()).exp()
        if seen.mean() < _LEAST_SEEN:
            return Steadied(painted, None, None)
        moved = warp(shown_before, flow)
        image = (painted + self.smoothing * seen * (moved - painted)).clamp(0, 1)
        return Steadied(image, _difference(image, moved, seen), _difference(painted, warp(painted_before, flow), seen))

    def keep(self, photo: Tensor, shown: Tensor, painted: Tensor) -> None:
        """Remember a frame: the photo, what was shown (as it was stored), and what was painted."""
        self._before = (photo, shown, painted)


def _motion(photo: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """Return the flow from ``photo`` to the frame before it, and where it can be trusted, both at full size."""
    size = photo.shape[2:]
    scale = min(1.0, _SEEK / max(size))
    small = [max(1, round(side * scale)) for side in size]
    one, other = (F.interpolate(each, small, mode="area") for each in (photo, before))
    there = optical_flow(one, other)
    seen = consistent(there, optical_flow(other, one))
    return resize_flow(there, *size), F.interpolate(seen, size, mode="bilinear", align_corners=False)


def _difference(image: Tensor, moved: Tensor, seen: Tensor) -> float:
    return ((image - moved).square().mean(1, keepdim=True) * seen).sum().item() / seen.sum().item()
