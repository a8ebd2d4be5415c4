"""The picture that an optimisation begins with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from impasto.images import Picture, open_picture, to_tensor
from impasto.runtime import generator
from impasto.style.apply import FastPainter
from impasto.style.config import FastConfig, StylizeConfig
from impasto.style.engine import resize


def first_picture(config: StylizeConfig, target: Tensor, content: Picture, styles: Sequence[Picture]) -> Tensor:
    """Return what ``config.init`` names, of the shape and on the device of ``target``, the photo as a tensor."""
    if config.init == "content":
        return target.clone()
    if config.init == "fast":
        fast = FastConfig(
            size=config.size,
            style_weights=config.style_weights,
            style_size=config.style_size,
            keep_colour=config.keep_colour,
            device=config.device,
        )
        return resize(FastPainter(fast).paint(content, styles).image.to(target.device), *target.shape[2:])
    if config.init == "noise":
        noise = torch.randn(target.shape, generator=generator(config.seed, "noise"))
        return (0.5 + 0.1 * noise).clamp(0, 1).to(target.device)
    picture = open_picture(Path(config.init))
    return resize(to_tensor(picture.image).to(target.device), *target.shape[2:])
