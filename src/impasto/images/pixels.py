"""Geometry and number formats of pictures that are already open."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps

from impasto.errors import NumericalError, UsageError

# Rows of a picture that are converted at once.
_STRIP = 256


def resize_long(image: Image.Image, size: int) -> Image.Image:
    """Return ``image`` with its long side ``size`` pixels (Lanczos), its aspect kept, no side below 1.

    >>> resize_long(Image.new("RGB", (400, 300)), 200).size
    (200, 150)
    """
    return _scaled(image, size, max(image.size))


def resize_short(image: Image.Image, size: int) -> Image.Image:
    """Return ``image`` with its short side ``size`` pixels (Lanczos), its aspect kept.

    >>> resize_short(Image.new("RGB", (400, 300)), 150).size
    (200, 150)
    """
    return _scaled(image, size, min(image.size))


def centre_crop(image: Image.Image, width: int, height: int) -> Image.Image:
    """Return the central ``width`` x ``height`` pixels; a smaller ``image`` is first enlarged to cover them.

    >>> centre_crop(Image.new("RGB", (400, 300)), 224, 224).size
    (224, 224)
    """
    _check_side(width)
    _check_side(height)
    if image.width < width or image.height < height:
        return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    # crop() would warn of a decompression bomb above Pillow's own limit, which ours may exceed.
    box = (left, top, left + width, top + height)
    return image.resize((width, height), Image.Resampling.NEAREST, box)


def to_tensor(image: Image.Image) -> torch.Tensor:
    """Return an RGB image as a float32 tensor of shape 1x3xHxW in 0..1.

    >>> to_tensor(Image.new("RGB", (4, 2), "white")).shape
    torch.Size([1, 3, 2, 4])
    """
    pixels = np.array(image.convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0).float().div(255).contiguous()


def to_image(tensor: torch.Tensor) -> Image.Image:
    """Return a tensor of shape 1x3xHxW or 3xHxW as an 8-bit RGB image: clipped to 0..1 and rounded.

    Raises:
        UsageError: another shape.
        NumericalError: NaN or infinity among the values.
    """
    return Image.fromarray(to_array(tensor, depth=8))


def to_array(tensor: torch.Tensor, depth: int) -> npt.NDArray[np.unsignedinteger]:
    """Return a tensor (1x3xHxW or 3xHxW, 0..1) as an HxWx3 array of ``depth`` (8 or 16) bit integers."""
    if tensor.ndim == 4 and tensor.shape[0] == 1:
        tensor = tensor[0]
    if tensor.ndim != 3 or tensor.shape[0] != 3 or tensor.numel() == 0:
        raise UsageError(f"a picture is a tensor of shape 1x3xHxW or 3xHxW, not {tuple(tensor.shape)}.")
    top = 2**depth - 1
    array = np.empty((*tensor.shape[1:], 3), dtype=f"uint{depth}")
    for first in range(0, len(array), _STRIP):  # in strips: a large picture exists twice and not five times
        values = tensor[:, first : first + _STRIP].detach().to("cpu", torch.float32)
        if not bool(values.isfinite().all()):
            raise NumericalError("the picture holds NaN or infinite values.", "Try precision fp32.")
        array[first : first + _STRIP] = values.clamp(0, 1).mul(top).round().permute(1, 2, 0).numpy()
    return array


def _scaled(image: Image.Image, size: int, side: int) -> Image.Image:
    _check_side(size)
    width, height = (max(1, round(length * size / side)) for length in image.size)
    return image if (width, height) == image.size else image.resize((width, height), Image.Resampling.LANCZOS)


def _check_side(size: int) -> None:
    if size < 1:
        raise UsageError(f"a picture cannot be {size} pixels wide or high.")
