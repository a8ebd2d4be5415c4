"""The networks that a file can hold, by name, and how large each is, told from the shapes of its tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from impasto.style.any_style import AnyStyleNet
from impasto.style.impasto_net import ImpastoNet, ManyStyles
from impasto.style.networks import EngstromNet, PyTorchExamplesNet

ENGSTROM, EXAMPLES, IMPASTO, ANY = "engstrom", "pytorch-examples", "impasto", "impasto-any"
_FIRST = {
    ENGSTROM: "conv1.weight",
    EXAMPLES: "conv1.conv2d.weight",
    IMPASTO: "net.down1.conv.weight",
    ANY: "net.down1.conv.weight",
}
Shapes = Mapping[str, Sequence[int]]
# More than any network of these kinds has; a file that claims more is damaged, or wants our memory.
_WIDEST, _MOST_BLOCKS, _MOST_STYLES = 1024, 64, 100_000


class _Unset(TorchFunctionMode):
    """Leaves out what starts weights at random: without memory torch takes a second for it, at the first call."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.normal_ or getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]
        return func(*args, **(kwargs or {}))


def build(architecture: str, shapes: Shapes) -> nn.Module:
    """Return a network without memory (on the meta device) as large as the shapes of its tensors say.

    Args:
        architecture: one of ``ARCHITECTURES``.
        shapes: name of each tensor -> its shape; those that decide the size may be missing, the rest may be wrong.

    Raises:
        ValueError: a size that no network has.
    """
    with torch.device("meta"), _Unset():
        return ARCHITECTURES[architecture](shapes)


def width_of(architecture: str, module: nn.Module) -> int:
    """Return the number of channels of a network's first layer."""
    return module.get_parameter(_FIRST[architecture]).shape[0]


def _engstrom(_shapes: Shapes) -> nn.Module:
    return EngstromNet()


def _examples(shapes: Shapes) -> nn.Module:
    return PyTorchExamplesNet(_size(shapes, _FIRST[EXAMPLES], 0, 32, _WIDEST))


def _impasto(shapes: Shapes) -> nn.Module:
    return ManyStyles(_net(shapes), _size(shapes, "table", 0, 1, _MOST_STYLES))


def _any(shapes: Shapes) -> nn.Module:
    depths = sum(1 for key in shapes if key.startswith("reader.directions."))
    widths = [_size(shapes, f"reader.directions.{index}", 0, 1, _WIDEST) for index in range(min(depths, _MOST_BLOCKS))]
    return AnyStyleNet(widths, _net(shapes))


def _net(shapes: Shapes) -> ImpastoNet:
    width = _size(shapes, _FIRST[IMPASTO], 0, 48, _WIDEST)
    layers = sum(1 for key in shapes if key.startswith("net.strokes.") and key.endswith(".conv.weight"))
    if width % 3 or layers % 2 or layers > 2 * _MOST_BLOCKS:
        raise ValueError(f"no network has {width} channels in {layers} layers")
    return ImpastoNet(width, layers // 2)


def _size(shapes: Shapes, key: str, axis: int, usual: int, most: int) -> int:
    shape = shapes.get(key, ())
    size = shape[axis] if len(shape) > axis else usual
    if not 1 <= size <= most:
        raise ValueError(f"{key} of {size} channels")
    return size


ARCHITECTURES: dict[str, Callable[[Shapes], nn.Module]] = {
    ENGSTROM: _engstrom,
    EXAMPLES: _examples,
    IMPASTO: _impasto,
    ANY: _any,
}
