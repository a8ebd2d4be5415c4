"""Making the networks: with first weights for a training, or empty for weights from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.classify.models.foreign import Foreign, foreign_spec, load_foreign
from impasto.classify.models.heads import HEADS, Tuned
from impasto.classify.models.names import ModelName, parse_model, small_network
from impasto.classify.models.small import glorot_
from impasto.encoders import empty_encoder
from impasto.runtime import derive_seed, generator

# What tells the number of features from the tensors of a head.
_FIRST = {
    "linear": "linear.weight",
    "linear-mean": "linear.weight",
    "r2": "0.weight",
    "r4": "hidden.weight",
    "r4-mean": "hidden.weight",
}


def fresh_network(
    model: ModelName, classes: int, image_size: int, seed: int, weights: str | Path | None = None
) -> tuple[nn.Module, dict[str, Any]]:
    """Return a network that sees pixels, and what identifies the weights it begins with.

    Args:
        model: of the kind "small" or "foreign".
        classes, image_size: of the data.
        seed: of the first weights.
        weights: of a classifier of another library, see :func:`impasto.classify.models.foreign.load_foreign`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights"))
        if model.kind == "foreign":
            return load_foreign(model.text, classes, weights)
        with torch.device("meta"):
            network = small_network(model.text, classes, image_size)
        network = network.to_empty(device="cpu")
        glorot_(network, generator(seed, "weights"))
    return network, {"weights": "random"}


def fresh_head(head: str, features: int, classes: int, seed: int) -> nn.Module:
    """Return a head with first weights drawn as Keras draws them."""
    with torch.device("meta"):
        network = HEADS[head](features, classes)
    glorot_(network.to_empty(device="cpu"), generator(seed, "weights"))
    for name, value in network.named_buffers():
        value.fill_(float(name == "scale"))
    return network


def empty_network(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> nn.Module:
    """Return the network that a model's ``config.json`` describes, its weights still to be filled in.

    Args:
        config: ``model``, ``classes``, ``preprocessing`` and, where there is one, ``head``.
        state: the tensors that it will get; they tell how many features a head has.
    """
    model, classes = parse_model(config["model"]), len(config["classes"])
    if model.kind == "foreign":
        spec = foreign_spec(model.text)
        with torch.random.fork_rng(devices=[]):
            return Foreign(spec.build(classes), spec, pretrained=False)
    if model.kind == "small":
        with torch.device("meta"):
            return small_network(model.text, classes, config["preprocessing"]["size"])
    return _empty_head(model, config.get("head") or "linear", classes, state)


def _empty_head(model: ModelName, name: str, classes: int, state: Mapping[str, Tensor]) -> nn.Module:
    prefix = "head." if model.kind == "finetune" else ""
    first = state.get(prefix + _FIRST[name])
    with torch.device("meta"):
        head = HEADS[name](first.shape[1] if first is not None and first.ndim == 2 else 1, classes)
    if model.kind == "frozen":
        return head
    assert model.encoder is not None
    return Tuned(empty_encoder(model.encoder), head, [])
