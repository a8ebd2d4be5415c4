"""Pretrained networks as feature extractors with the papers' layer names.

>>> from impasto.encoders import load_encoder
>>> encoder = load_encoder("vgg19", weights="random")
>>> maps = encoder(torch.rand(1, 3, 64, 64), ["relu1_1", "relu4_2"])
>>> maps["relu4_2"].shape
torch.Size([1, 512, 8, 8])
"""

from impasto.encoders.blocks import blocks
from impasto.encoders.composed import ComposedEncoder
from impasto.encoders.encoder import Encoder
from impasto.encoders.load import AnyEncoder, default_layers, empty_encoder, encoder_spec, gains_from_bf16, load_encoder
from impasto.encoders.registry import DEFAULT_ENCODER, ENCODERS, EncoderSpec

__all__ = [
    "DEFAULT_ENCODER",
    "ENCODERS",
    "AnyEncoder",
    "ComposedEncoder",
    "Encoder",
    "EncoderSpec",
    "blocks",
    "default_layers",
    "empty_encoder",
    "encoder_spec",
    "gains_from_bf16",
    "load_encoder",
]
