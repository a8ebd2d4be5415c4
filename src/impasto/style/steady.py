"""Frames that are painted one by one, made to hold still from one to the next."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.runtime import one_core
from impasto.style.flow import consistent, optical_flow, resize_flow, warp

# Longer side in pixels at which motion is sought.
_SEEK = 320
# Photos that differ by this much along the motion are of different things (units of the range 0..1).
_UNLIKE = 0.06
# Below this share of points found again the scene has changed.
_LEAST_SEEN = 0.2


@dataclass(frozen=True)
class Motion:
    """Where a photo's pixels were in the one before, at the size at which motion is sought, and where that is sure."""

    flow: Tensor
    seen: Tensor

    def at(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Return both at another size."""
        seen = F.interpolate(self.seen, (height, width), mode="bilinear", align_corners=False)
        return resize_flow(self.flow, height, width), seen


@torch.no_grad()
def seek(photo: Tensor, before: Tensor) -> Motion:
    """Return the motion between two photos, 1 x 3 x H x W in 0..1.

    On one core: its many small operations gain little from two, and wait for each other when another program has one.
    So it can be sought in a thread while a picture is painted.
    """
    scale = min(1.0, _SEEK / max(photo.shape[2:]))
    small = [max(1, round(side * scale)) for side in photo.shape[2:]]
    with one_core():
        one, other = (F.interpolate(each, small, mode="area") for each in (photo, before))
        there = optical_flow(one, other)
        return Motion(there, consistent(there, optical_flow(other, one)))


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
    def next(self, photo: Tensor, painted: Tensor, motion: Motion | None = None) -> Steadied:
        """Return the next frame.

        Args:
            photo, painted: 1 x 3 x H x W in 0..1.
            motion: what ``seek`` found between the photo and the one before, if it was called already.
        """
        if self._before is None or self._before[0].shape != photo.shape:
            return Steadied(painted, None, None)
        photo_before, shown_before, painted_before = self._before
        flow, seen = (motion or seek(photo, photo_before)).at(*photo.shape[2:])
        seen = seen * (-((warp(photo_before, flow) - photo).abs().mean(1, keepdim=True) / _UNLIKE).square()).exp()
        if seen.mean() < _LEAST_SEEN:
            return Steadied(painted, None, None)
        moved = warp(shown_before, flow)
        image = (painted + self.smoothing * seen * (moved - painted)).clamp(0, 1)
        return Steadied(image, _difference(image, moved, seen), _difference(painted, warp(painted_before, flow), seen))

    def keep(self, photo: Tensor, shown: Tensor, painted: Tensor) -> None:
        """Remember a frame: the photo, what was shown (as it was stored), and what was painted."""
        self._before = (photo, shown, painted)


def _difference(image: Tensor, moved: Tensor, seen: Tensor) -> float:
    return ((image - moved).square().mean(1, keepdim=True) * seen).sum().item() / seen.sum().item()
