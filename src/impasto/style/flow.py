"""Dense optical flow between two frames: where has each pixel gone?

Coarse to fine, each level refined by Lucas and Kanade's least squares in a Gaussian window; where the window says
nothing about a direction, the mean of the neighbourhood fills in. Made for clips without a network's weights: small
and smooth errors, large and sudden motion told apart by the forward-backward check and not trusted.

- Lucas and Kanade 1981, An Iterative Image Registration Technique.
- Bruhn, Weickert and Schnörr 2005, Lucas/Kanade Meets Horn/Schunck: the window and the neighbourhood in one energy.
- Sundaram, Brox and Keutzer 2010, Dense Point Trajectories: the forward-backward check.

A flow is B x 2 x H x W in pixels, (right, down); ``flow(x)`` belongs to pixel x of the first frame.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Longer side in pixels at which the flow is computed; finer structure than this is painted over anyway.
WORKING_SIZE = 512
# Shorter side of the coarsest level: a motion of a few of its pixels is found without any start.
_COARSEST = 12
_WARPS, _SWEEPS = 4, 8
# Standard deviations in pixels of the window and of the neighbourhood whose mean fills in.
_WINDOW, _NEIGHBOURHOOD = 1.5, 1.5
# Weight of the neighbourhood; gradients are of values in 0..1, so noise of one grey level has 1.5e-5.
_SMOOTHNESS = 1e-4
# Sundaram et al., eq. 5.
_RELATIVE, _ABSOLUTE = 0.01, 0.5


def optical_flow(first: Tensor, second: Tensor) -> Tensor:
    """Return where each pixel of ``first`` is found in ``second``: ``warp(second, flow)`` looks like ``first``.

    Args:
        first: B x 3 x H x W in 0..1.
        second: the same shape; both are made smaller than ``WORKING_SIZE``, the flow comes back at their own size.

    Returns:
        B x 2 x H x W.
    """
    size = first.shape[2:]
    levels = [tuple(_texture(_resized(each, shape)) for each in (first, second)) for shape in _shapes(*size)]
    flow = first.new_zeros(first.shape[0], 2, *levels[0][0].shape[2:])
    for one, other in levels:
        flow = resize_flow(flow, *one.shape[2:])
        for _ in range(_WARPS):
            flow = _refined(flow, one, other)
    return resize_flow(flow, *size)


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Return B x C x H x W whose pixel x is ``image`` at ``x + flow(x)``, bicubic; outside, the nearest border.

    Bicubic, because a picture that is carried from frame to frame loses its detail to bilinear sampling. It can
    overshoot the range of ``image`` a little.
    """
    return _sampled(image, flow, "bicubic")


def consistent(flow: Tensor, back: Tensor) -> Tensor:
    """Return B x 1 x H x W, 1 where ``flow`` followed by ``back`` returns to its start inside the frame, else 0.

    Args:
        flow: from the first frame to the second.
        back: from the second to the first.
    """
    returned = _sampled(back, flow, "bilinear")
    strayed = (flow + returned).square().sum(1, keepdim=True)
    length = flow.square().sum(1, keepdim=True) + returned.square().sum(1, keepdim=True)
    return ((strayed < _RELATIVE * length + _ABSOLUTE) & _inside(flow)).to(flow.dtype)


def resize_flow(flow: Tensor, height: int, width: int) -> Tensor:
    """Return the flow at another size, its lengths in pixels of that size."""
    if flow.shape[2:] == (height, width):
        return flow
    scale = flow.new_tensor([width / flow.shape[3], height / flow.shape[2]]).view(1, 2, 1, 1)
    return F.interpolate(flow, (height, width), mode="bilinear", align_corners=False) * scale


def _shapes(height: int, width: int) -> list[tuple[int, int]]:
    """Return the sizes of the levels, the coarsest first."""
    shrink = max(1.0, max(height, width) / WORKING_SIZE)
    shapes: list[tuple[int, int]] = []
    while not shapes or min(height, width) / shrink >= _COARSEST:
        shapes.append((max(1, round(height / shrink)), max(1, round(width / shrink))))
        shrink *= 2
    return shapes[::-1]


def _texture(image: Tensor) -> Tensor:
    """Return the image without its broad light, so that a change of exposure is no motion."""
    return image - _blurred(image, 4.0)


def _refined(flow: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """One linearisation: min over u of (u - flow) J (u - flow) + weight |u - mean of u|^2, by Jacobi sweeps."""
    moved = _sampled(second, flow, "bilinear")
    right, down = _gradient((first + moved) / 2)
    change = moved - first
    products = [right * right, right * down, down * down, right * change, down * change]
    tensor = _blurred(torch.cat([each.sum(1, keepdim=True) for each in products], 1), _WINDOW)
    xx, xy, yy, xt, yt = torch.split(tensor, 1, 1)
    xx, yy = xx + _SMOOTHNESS, yy + _SMOOTHNESS
    determinant = xx * yy - xy * xy
    start = flow
    for _ in range(_SWEEPS):
        pull = _SMOOTHNESS * (_blurred(flow, _NEIGHBOURHOOD) - start)
        x, y = pull[:, :1] - xt, pull[:, 1:] - yt
        step = torch.cat([yy * x - xy * y, xx * y - xy * x], 1) / determinant
        # The linearisation holds for about a pixel.
        flow = start + step.clamp(-1, 1)
    return flow


def _gradient(image: Tensor) -> tuple[Tensor, Tensor]:
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    right = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
    return right, (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2


def _blurred(image: Tensor, deviation: float) -> Tensor:
    """Gaussian blur, each channel for itself; the border is repeated."""
    radius = round(2.5 * deviation)
    places = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-places.square() / (2 * deviation**2))
    kernel = (kernel / kernel.sum()).expand(image.shape[1], 1, 1, -1)
    image = F.conv2d(F.pad(image, (radius, radius, 0, 0), mode="replicate"), kernel, groups=image.shape[1])
    image = F.pad(image, (0, 0, radius, radius), mode="replicate")
    return F.conv2d(image, kernel.transpose(2, 3), groups=image.shape[1])


def _resized(image: Tensor, shape: tuple[int, int]) -> Tensor:
    if image.shape[2:] == shape:
        return image
    return F.interpolate(image, shape, mode="bilinear", align_corners=False, antialias=True)


def _target(flow: Tensor) -> tuple[Tensor, Tensor]:
    height, width = flow.shape[2:]
    columns = torch.arange(width, device=flow.device, dtype=flow.dtype)
    rows = torch.arange(height, device=flow.device, dtype=flow.dtype)
    return columns + flow[:, 0], rows[:, None] + flow[:, 1]


def _sampled(image: Tensor, flow: Tensor, mode: str) -> Tensor:
    height, width = flow.shape[2:]
    x, y = _target(flow)
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    return F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=False)


def _inside(flow: Tensor) -> Tensor:
    height, width = flow.shape[2:]
    x, y = _target(flow)
    return ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)).unsqueeze(1)
