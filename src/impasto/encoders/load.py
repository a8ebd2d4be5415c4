"""Making an encoder from its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from impasto.encoders.composed import ComposedEncoder
from impasto.encoders.encoder import Encoder, set_padding, set_pooling
from impasto.encoders.registry import DEFAULT_ENCODER, ENCODERS, EncoderSpec
from impasto.encoders.timm_models import is_timm_name, load_timm, timm_spec
from impasto.encoders.weights import fill, find_weights, obtain_weights
from impasto.errors import UnknownNameError, UsageError
from impasto.files import file_digest
from impasto.runtime import derive_seed

AnyEncoder = Encoder | ComposedEncoder


def encoder_spec(name: str) -> EncoderSpec:
    """Return the record of one network (not of a composition).

    Raises:
        UnknownNameError: neither in the registry nor a timm name.
    """
    if name in ENCODERS:
        return ENCODERS[name]
    if is_timm_name(name):
        return timm_spec(name)
    raise UnknownNameError("encoder", name, [*ENCODERS, "timm:<name>"])


def default_layers(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the content and the style layers of an encoder; a composition has those of its last part."""
    spec = encoder_spec(name.split("+")[-1])
    return spec.content_layers, spec.style_layers


def gains_from_bf16(name: str) -> bool:
    """Whether an encoder, or a part of a composition, was seen to be faster in bf16 than in float32."""
    return any(encoder_spec(part).fast_in_bf16 for part in name.split("+"))


def load_encoder(
    name: str = DEFAULT_ENCODER,
    *,
    weights: str | Path | None = None,
    seed: int = 0,
    pooling: str = "max",
    padding: str = "zeros",
) -> AnyEncoder:
    """Return a frozen encoder.

    Args:
        name: a name of ``ENCODERS``, ``timm:<name>``, or two of them joined by ``+`` (the first serves the layers
            that it has, the second the others).
        weights: None looks in the package, the user's folders and the hub; a file is used as it is; "random" draws
            untrained weights from ``seed``.
        pooling: "max", or "average" in its place (Gatys et al. 2016).
        padding: "zeros" as trained, or "replicate" or "reflect".

    Raises:
        UnknownNameError, UsageError: a wrong name, or one file for two networks.
        MissingWeightsError, WrongWeightsError: no weights, or a file that does not fit.
    """
    names = name.split("+")
    if len(names) == 1:
        return _load_one(encoder_spec(name), weights, seed, pooling, padding)
    if weights not in (None, "random"):
        raise UsageError(
            f"one weights file cannot fill the {len(names)} networks of {name}.",
            "Put a file for each into the folder $IMPASTO_WEIGHTS.",
        )
    return ComposedEncoder([_load_one(encoder_spec(part), weights, seed, pooling, padding) for part in names])


def empty_encoder(name: str) -> Encoder:
    """Return one encoder whose weights are still to be filled in: they are on the meta device.

    Raises:
        UnknownNameError: no such network. A composition is none.
    """
    spec = encoder_spec(name)
    with torch.device("meta"):
        network = spec.build()
    return _as_encoder(spec, network, {})


def _load_one(spec: EncoderSpec, weights: str | Path | None, seed: int, pooling: str, padding: str) -> Encoder:
    network, facts = _random(spec, seed) if weights == "random" else _pretrained(spec, weights)
    set_pooling(network, pooling)
    if padding != "zeros":  # "zeros" means as trained, and vgg19-16x was trained with reflection
        set_padding(network, padding)
    return _as_encoder(spec, network, {**facts, "pooling": pooling, "padding": padding})


def _as_encoder(spec: EncoderSpec, network: nn.Module, facts: dict[str, Any]) -> Encoder:
    return Encoder(
        spec.name,
        network,
        spec.layers,
        mean=spec.mean,
        std=spec.std,
        recognition=spec.recognition,
        input_size=spec.input_size,
        facts=facts,
    )


def _pretrained(spec: EncoderSpec, weights: str | Path | None) -> tuple[nn.Module, dict[str, Any]]:
    if weights is None and is_timm_name(spec.name) and find_weights(spec) is None:
        return load_timm(spec), {"weights": "timm"}
    path = obtain_weights(spec) if weights is None else Path(weights)
    with torch.device("meta"):
        network = spec.build()
    fill(network, spec, path)
    return network, {"weights": "file", "sha256": file_digest(path)}


def _random(spec: EncoderSpec, seed: int) -> tuple[nn.Module, dict[str, Any]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "encoder", spec.name))
        network = spec.build()
        for module in network.modules():  # one rule for all networks: He et al. 2015, keeps activations in range
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    return network, {"weights": "random", "seed": seed}
