"""What style networks leave in every picture: a checkerboard of their strides, and a frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from impasto.images import Picture, open_picture, resize_long
from impasto.style.apply import FastPainter
from impasto.style.config import FastConfig

# Frequencies beside the stride's that it is compared with, in bins of the spectrum: near, but not its own skirt.
NEAR, FAR = 3, 16
BAND = 8
SIZE = 512


def checkerboard(image: Tensor, stride: int) -> float:
    """Return the power at the frequency of a stride against that of its neighbours: 1 where there is no pattern.

    Transposed convolutions leave a peak at 1 / stride cycles a pixel (Odena, Dumoulin and Olah 2016).

    Args:
        image: 1 x 3 x H x W, sides multiples of ``stride``.
        stride: 2 or 4.
    """
    grey = image[0].mean(0).double()
    return max(_peak(grey, stride), _peak(grey.T, stride))


def _peak(grey: Tensor, stride: int) -> float:
    rows = (grey - grey.mean(1, keepdim=True)) * torch.hann_window(grey.shape[1], periodic=False, dtype=grey.dtype)
    power = torch.fft.rfft(rows, dim=1).abs().square().mean(0)
    place = round(grey.shape[1] / stride)
    near = [place + side * distance for side in (-1, 1) for distance in range(NEAR, FAR)]
    beside = power[[other for other in near if 0 <= other < len(power)]].median()
    return (power[place] / beside).item()


def frame(image: Tensor, bare: Tensor) -> float:
    """Return how much a rim of 8 pixels differs from the same place in a larger picture, against the middle.

    Args:
        image: 1 x 3 x H x W: a part of a photo, painted.
        bare: 1 x 3 x H x W: the same part cut out of the painted photo.
    """
    difference = (image - bare).abs().mean((0, 1))
    rim = torch.ones_like(difference, dtype=torch.bool)
    rim[BAND:-BAND, BAND:-BAND] = False
    return (difference[rim].mean() / difference[~rim].mean()).item()


def artefacts(networks: list[str], content: Path, style: Path) -> None:
    """Print both measures of each network; those that read pictures paint in ``style``."""
    print(f"artefacts: {content.name} at {SIZE} px; no checkerboard is 1, no frame about 1")
    photo = open_picture(content)
    image = resize_long(photo.image, SIZE)
    left, top = image.width // 4, image.height // 4
    box = (left, top, left + image.width // 2 // 8 * 8, top + image.height // 2 // 8 * 8)
    part = replace(photo, image=image.crop(box), alpha=None)
    for name in networks:
        painter = FastPainter(FastConfig(name))
        styles: list[Picture | str] = [open_picture(style)] if painter.brush.reads_pictures else []
        whole, cut = (painter.paint(each, styles).image for each in (replace(photo, image=image, alpha=None), part))
        peaks = [checkerboard(cut, stride) for stride in (2, 4)]
        rim = frame(cut, whole[:, :, box[1] : box[3], box[0] : box[2]])
        print(f"  {Path(name).stem:16s} peak at stride 2 {peaks[0]:6.2f}, at 4 {peaks[1]:6.2f}; frame {rim:5.2f}")
