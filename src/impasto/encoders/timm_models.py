"""Any network of timm (an extra) as an encoder: ``timm:convnext_tiny``."""

from __future__ import annotations

import importlib.util
from typing import Any

from torch import nn

from impasto.encoders.registry import DEFAULT_ENCODER, IMAGENET_MEAN, IMAGENET_STD, EncoderSpec
from impasto.errors import MissingWeightsError, UnknownNameError, UsageError

PREFIX = "timm:"


def is_timm_name(name: str) -> bool:
    """Whether ``name`` asks for timm."""
    return name.startswith(PREFIX)


def timm_spec(name: str) -> EncoderSpec:
    """Return the record of a timm network, its layers being what timm itself lists as feature maps.

    Raises:
        UsageError: timm is not installed, or the network has no list of feature maps.
        UnknownNameError: timm does not know the network.
    """
    short = name.removeprefix(PREFIX)
    record = timm_record(name)
    stages = _stages(short)
    layers = {f"stage{index}": path for index, path in enumerate(stages)}
    return EncoderSpec(
        name=name,
        build=lambda: _build(short),
        layers=layers,
        style_layers=tuple(layers)[:4],
        content_layers=(tuple(layers)[min(2, len(layers) - 1)],),
        recognition=list(layers)[-1],
        licence=getattr(record, "license", None) or "see timm",
        source="timm",
        input_size=record.input_size[1] if record else 224,
        url=getattr(record, "url", "") or "",
        dropped=_classifier_keys(record),
        mean=tuple(record.mean) if record else IMAGENET_MEAN,
        std=tuple(record.std) if record else IMAGENET_STD,
    )


def timm_record(name: str) -> Any:
    """Return what timm knows of the weights of ``timm:<name>``; None if it has none.

    Raises:
        UsageError: timm is not installed.
        UnknownNameError: timm does not know the network.
    """
    if importlib.util.find_spec("timm") is None:
        raise UsageError(f"{name} needs the extra timm.", "pip install 'impasto[timm]'")
    import timm

    short = name.removeprefix(PREFIX)
    if not timm.is_model(short):
        raise UnknownNameError("timm network", short, timm.list_models())
    return timm.get_pretrained_cfg(short)


def _build(short: str) -> nn.Module:
    import timm

    network: nn.Module = timm.create_model(short, pretrained=False, num_classes=0)
    return network


def load_timm(spec: EncoderSpec) -> nn.Module:
    """Return the network with timm's own pretrained weights, through timm's cache and hub.

    Raises:
        MissingWeightsError: not in the cache and no network.
    """
    import timm

    short = spec.name.removeprefix(PREFIX)
    try:
        network: nn.Module = timm.create_model(short, pretrained=True, num_classes=0)
    except (OSError, RuntimeError, ValueError) as error:  # the hub's own errors derive from these
        reason = str(error).splitlines()[0][:160]
        raise MissingWeightsError(
            f"timm could not provide the weights of {short} ({reason}).",
            f"Give the file with --weights FILE, or use the embedded encoder {DEFAULT_ENCODER}.",
        ) from error
    return network


def _stages(short: str) -> list[str]:
    import torch

    with torch.device("meta"):
        network = _build(short)
    known = dict(network.named_modules())
    stages = [stage["module"] for stage in getattr(network, "feature_info", []) if stage["module"] in known]
    if not stages:
        raise UsageError(f"timm's {short} lists no feature maps.", "Choose a convolutional network.")
    return stages


def _classifier_keys(record: Any) -> tuple[str, ...]:
    classifier = getattr(record, "classifier", None) or ()
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    return tuple(f"{name}." for name in names)
