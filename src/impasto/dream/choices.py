"""What is taken where a name is left out, and classes by their names."""

from __future__ import annotations

import torch

from impasto.encoders import ENCODERS, gains_from_bf16
from impasto.errors import UnknownNameError, UsageError
from impasto.runtime import Precision, choose_dtype
from impasto.subjects import Subject

# Chosen by eye among all layers, on portraits, animals and buildings.
USUAL_LAYERS = {
    "impasto-vgg": "fire8",
    "squeezenet1_0": "fire8",
    "squeezenet1_1": "fire7",
    "vgg19-16x": "relu4_4",
}
# Elsewhere: so far into the network, as a share of its layers.
_USUAL_DEPTH = 0.65


def usual_layer(subject: Subject) -> str:
    """Return the layer that is dreamed of where none is named."""
    encoder = str(subject.identity.get("encoder") or subject.identity.get("model") or "").removeprefix("torchvision:")
    usual = USUAL_LAYERS.get(encoder, "")
    if usual and subject.has_layer(usual):
        return usual
    known = [name for name in subject.map_layers if name in subject.layers] or list(subject.map_layers)
    if not known:
        raise UsageError(f"no layer of {subject.name} has a map.", "Name one with --layer.")
    return known[int(_USUAL_DEPTH * len(known))]


def class_number(subject: Subject, name: str) -> int:
    """Return the number of a class.

    Raises:
        UsageError: the network has no classes. UnknownNameError: none of that name.
    """
    if not subject.classes:
        raise UsageError(f"{subject.name} knows no classes.", "Give --network a model folder or torchvision:<name>.")
    if name not in subject.classes:
        raise UnknownNameError("class", name, subject.classes)
    return subject.classes.index(name)


def convolution_dtype(subject: Subject, name: str, precision: Precision) -> torch.dtype:
    """Return the type in which a network of that name computes; "auto" knows which encoders gain nothing from bf16."""
    plain = precision == "auto" and name in ENCODERS and not gains_from_bf16(name)
    return choose_dtype("fp32" if plain else precision, subject.device)
