"""Tiny networks of impasto's own kinds, with random weights."""

from __future__ import annotations

import torch

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
