"""Tiny networks of impasto's own kinds, with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from impasto.encoders import load_encoder
from impasto.style.any_style import READ_LAYERS, AnyStyleNet
from impasto.style.architectures import ANY
from impasto.style.checkpoints import StyleNetwork
from impasto.style.impasto_net import ImpastoNet


def tiny_any() -> StyleNetwork:
    """A network for any style, 6 channels wide, whose reader was never trained."""
    torch.manual_seed(0)
    encoder = load_encoder()
    widths = [value.shape[1] for value in encoder(torch.zeros(1, 3, 80, 80), READ_LAYERS).values()]
    model = AnyStyleNet(widths, ImpastoNet(6, 1))
    model.reader.usual[1] = 1.0
    facts = {"name": "tiny-any", "encoder": encoder.name, "encoder_sha256": encoder.identity()["sha256"]}
    return StyleNetwork(model.eval(), ANY, facts)


def photo_and_stripes(folder: Path) -> tuple[Path, Path]:
    """Write a smooth photo and a striped style."""
    y, x = np.mgrid[0:60, 0:80]
    photo = np.stack([x * 3, y * 4, 255 - x * 3], -1).clip(0, 255).astype(np.uint8)
    stripes = np.where(((x + y) // 4 % 2)[..., None], [230, 40, 40], [20, 30, 90]).astype(np.uint8)
    for name, array in (("photo.png", photo), ("stripes.png", stripes)):
        Image.fromarray(array).save(folder / name)
    return folder / "photo.png", folder / "stripes.png"
