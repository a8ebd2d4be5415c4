"""How the tensors of foreign files are named and ordered, and which parameter of which network each is.

A layout takes what a reader returned and gives an architecture and, for each of its parameters, the tensor found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from impasto.style.architectures import ENGSTROM, EXAMPLES

_RESIDUALS = tuple(f"res{block}.conv{conv}" for block in range(1, 6) for conv in (1, 2))
ENGSTROM_LAYERS = ("conv1", "conv2", "conv3", *_RESIDUALS, "up1", "up2", "conv_out")

# In the order of execution, which is that of ncnn's files and of ONNX' nodes. Each layer has a weight and a bias.
EXAMPLES_LAYERS = (
    *("conv1.conv2d", "in1", "conv2.conv2d", "in2", "conv3.conv2d", "in3"),
    *(f"res{block}.{layer}" for block in range(1, 6) for layer in ("conv1.conv2d", "in1", "conv2.conv2d", "in2")),
    *("deconv1.conv2d", "in4", "deconv2.conv2d", "in5", "deconv3.conv2d"),
)
EXAMPLES_KEYS = tuple(f"{layer}.{kind}" for layer in EXAMPLES_LAYERS for kind in ("weight", "bias"))

# TensorFlow stores height, width, inputs, outputs; of a transposed convolution height, width, outputs, inputs.
# PyTorch stores outputs, inputs, height, width; of a transposed one inputs, outputs, height, width.
_HWIO = (3, 2, 0, 1)

_TRAINING = re.compile(r"(^|[/_])(Adam(_\d+)?|beta[12]_power|global_step)$")
_STATISTICS = re.compile(r"\.(running_mean|running_var|num_batches_tracked)$")


@dataclass(frozen=True)
class Found:
    """A tensor of a file: its name there, and the axes of the file's in the order of ours (empty: the same)."""

    source: str
    tensor: Tensor
    axes: tuple[int, ...] = ()


Layout = tuple[str, dict[str, Found]]


def by_key(tensors: Mapping[str, Tensor]) -> Layout:
    """Read a state of one of the two networks, by its keys.

    The prefix of DataParallel and the statistics that instance norm kept in old PyTorch, but never used, are dropped.
    """
    if tensors and all(key.startswith("module.") for key in tensors):
        tensors = {key.removeprefix("module."): tensor for key, tensor in tensors.items()}
    found = {key: Found(key, tensor) for key, tensor in tensors.items() if not _STATISTICS.search(key)}
    return (ENGSTROM if "conv1.norm.weight" in found else EXAMPLES), found


def by_variable(tensors: Mapping[str, Tensor]) -> Layout:
    """Read R0's variables: ``Variable``, ``Variable_1``, ...; for each layer kernel, shift, scale.

    What Adam and the step counter added is dropped.
    """
    rest = {name: tensor for name, tensor in tensors.items() if not _TRAINING.search(name)}
    found = {}
    parts = ((".weight", _HWIO), (".norm.bias", ()), (".norm.weight", ()))
    for number, (layer, (part, axes)) in enumerate((layer, part) for layer in ENGSTROM_LAYERS for part in parts):
        name = f"Variable_{number}" if number else "Variable"
        if name in rest:
            found[layer + part] = Found(name, rest.pop(name), axes)
    return ENGSTROM, found | {name: Found(name, tensor) for name, tensor in rest.items()}


def by_order(tensors: Mapping[str, Tensor]) -> Layout:
    """Read the weights of pytorch/examples' network in the order of execution, whatever their names are."""
    return EXAMPLES, {key: Found(*item) for key, item in zip(_keys(len(tensors)), tensors.items(), strict=True)}


def _keys(count: int) -> Iterable[str]:
    extra = range(len(EXAMPLES_KEYS), count)
    return [*EXAMPLES_KEYS[:count], *(f"tensor number {number + 1}" for number in extra)]
