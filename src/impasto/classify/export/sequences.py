"""Networks as plain sequences of torch's layers, and the lines of Python that make them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from impasto.classify.models import R4CNN, ImpastoCNN, LinearHead, OnFeatures, R4Head, Tuned
from impasto.classify.models.heads import grid_of
from impasto.encoders import ComposedEncoder, Encoder
from impasto.encoders.stack import ImpastoVGG, VGGStack

# What a card has to define before it can name such a layer; the keys of the weights are those of the classes here.
HELPERS: Mapping[str, str] = MappingProxyType(
    {
        "Fire": '''class Fire(nn.Module):
    """Squeeze to few channels, expand by 1x1 and 3x3 side by side (Iandola et al. 2016)."""

    def __init__(self, inputs, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x):
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x), self.expand3x3(x)], 1).relu()
''',
        "MeanAndMaximum": '''class MeanAndMaximum(nn.Module):
    """Mean and maximum of each channel."""

    def forward(self, x):
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
''',
    }
)


@dataclass(frozen=True)
class Chain:
    """Layers one after the other, and the normalisation of pictures in 0..1 that comes before them."""

    layers: list[nn.Module]
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)


class MeanAndMaximum(nn.Module):
    """Mean and maximum of each channel: B x C x h x w to B x 2 C."""

    def forward(self, x: Tensor) -> Tensor:
        """Return means, then maxima."""
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)


def chain_of(module: nn.Module) -> Chain | None:
    """Return a network as a chain that gives the same logits, None where it is none. Weights are shared."""
    if isinstance(module, OnFeatures | Tuned):
        return _of_encoder(module.encoder, module.head)
    if isinstance(module, ImpastoCNN):
        return Chain([*_flat(module.features), MeanAndMaximum(), module.output], (0.5,) * 3, (0.5,) * 3)
    layers = _of_head(module)
    return None if layers is None else Chain(layers)


def folded(head: LinearHead) -> nn.Linear:
    """Return standardisation and linear layer as one linear layer.

    W (x - m) / s + b = (W / s) x + b - (W / s) m.
    """
    linear = head.linear
    one = nn.Linear(linear.in_features, linear.out_features)
    weight = linear.weight.double() / head.scale.double()
    bias = linear.bias.double() - weight @ head.mean.double()
    with torch.no_grad():
        one.weight.copy_(weight)
        one.bias.copy_(bias)
    return one.requires_grad_(False)


def _of_encoder(encoder: Encoder | ComposedEncoder, head: nn.Module) -> Chain | None:
    if isinstance(encoder, ComposedEncoder):
        return _of_encoder(last_encoder(encoder), head)
    body, end = _of_trunk(encoder), _of_head(head)
    if body is None or end is None:
        return None
    grid = grid_of(head)
    pooling = [nn.AdaptiveAvgPool2d(grid), nn.Flatten()] if grid else [MeanAndMaximum()]
    mean, std = (tuple(values.flatten().tolist()) for values in (encoder.mean, encoder.std))
    return Chain([*body, *pooling, *end], mean, std)


def last_encoder(encoder: Encoder | ComposedEncoder) -> Encoder:
    """Return the encoder that recognition comes from."""
    last = encoder.parts[-1] if isinstance(encoder, ComposedEncoder) else encoder
    assert isinstance(last, Encoder)
    return last


def _of_trunk(encoder: Encoder) -> list[nn.Module] | None:
    """Return the layers from the picture to the recognition layer."""
    network, end = encoder.network, encoder.path_of(encoder.recognition)
    if isinstance(network, ImpastoVGG):
        return [*_until(network, "relu3_4"), *_until(network.branch, end.removeprefix("branch."))]
    return _until(network, end) if isinstance(network, nn.Sequential | VGGStack) else None


def _until(network: nn.Module, name: str) -> list[nn.Module]:
    """Return the children up to that of this name."""
    children = dict(network.named_children())
    return list(children.values())[: list(children).index(name) + 1]


def _of_head(head: nn.Module) -> list[nn.Module] | None:
    """Return the layers of a head or of a small network; dropout does nothing in prediction and is left out."""
    if isinstance(head, LinearHead):
        return [folded(head)]
    if isinstance(head, R4Head):
        return [head.hidden, nn.ReLU(), _two_outputs(head.output)]
    if isinstance(head, R4CNN):
        return [*_flat(head.features), *_flat(head.hidden), _two_outputs(head.output)]
    return _flat(head) if isinstance(head, nn.Sequential) else None


def _flat(layers: nn.Sequential) -> list[nn.Module]:
    return [layer for layer in layers if not isinstance(layer, nn.Dropout)]


def _two_outputs(linear: nn.Linear) -> nn.Linear:
    """Give the one output for two classes a first one that is always 0; others stay as they are."""
    if linear.out_features > 1:
        return linear
    both = nn.Linear(linear.in_features, 2).requires_grad_(False)
    both.weight.copy_(torch.cat([torch.zeros_like(linear.weight), linear.weight]))
    both.bias.copy_(torch.cat([torch.zeros_like(linear.bias), linear.bias]))
    return both


def code_of(layers: Sequence[nn.Module]) -> str:
    """Return an expression that makes the chain."""
    lines = "".join(f"    {_call(layer)},\n" for layer in layers)
    return f"nn.Sequential(\n{lines})"


def helpers_of(layers: Iterable[nn.Module]) -> str:
    """Return the definitions that the expression of :func:`code_of` needs."""
    names = {_name(layer) for layer in layers}
    return "\n\n".join(text for name, text in HELPERS.items() if name in names)


def _name(layer: nn.Module) -> str:
    return type(layer).__name__  # torchvision's fire modules have the name and the keys of ours


def _call(layer: nn.Module) -> str:
    name = _name(layer)
    arguments = ", ".join(_ARGUMENTS[name](layer))
    return f"{'' if name in HELPERS else 'nn.'}{name}({arguments})"


def _conv(layer: Any) -> list[str]:
    named = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1, "padding_mode": "zeros"}
    values = [str(layer.in_channels), str(layer.out_channels), str(layer.kernel_size)]
    values += [f"{key}={getattr(layer, key)!r}" for key, usual in named.items() if getattr(layer, key) != usual]
    return values if layer.bias is not None else [*values, "bias=False"]


def _pool(layer: Any) -> list[str]:
    values = [f"{layer.kernel_size!r}", f"stride={layer.stride!r}", f"padding={layer.padding!r}"]
    return [*values, *(["ceil_mode=True"] if layer.ceil_mode else [])]


def _fire(layer: Any) -> list[str]:
    squeeze = layer.squeeze
    return [str(squeeze.in_channels), str(squeeze.out_channels), str(layer.expand1x1.out_channels)]


_ARGUMENTS: Mapping[str, Callable[[Any], list[str]]] = MappingProxyType(
    {
        "Conv2d": _conv,
        "MaxPool2d": _pool,
        "AvgPool2d": _pool,
        "Fire": _fire,
        "Linear": lambda layer: [str(layer.in_features), str(layer.out_features)],
        "BatchNorm2d": lambda layer: [str(layer.num_features), f"eps={layer.eps!r}"],
        "AdaptiveAvgPool2d": lambda layer: [repr(layer.output_size)],
        "ReLU": lambda _: [],
        "Flatten": lambda _: [],
        "MeanAndMaximum": lambda _: [],
    }
)
