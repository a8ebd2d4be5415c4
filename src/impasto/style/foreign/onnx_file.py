"""Weights of an ONNX model, without the package onnx. The field numbers are those of ``onnx.proto3``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from impasto.style.foreign.source import contents, reading, to_tensor
from impasto.style.foreign.wire import Message

_KINDS = {1: "<f4", 10: "<f2"}  # of ONNX' DataType: FLOAT and FLOAT16
_EXTERNAL = 1
_LAYERS = ("Conv", "InstanceNormalization")


def read(path: Path) -> dict[str, Tensor]:
    """Return the weights of the convolutions and instance norms of a model, in the order of its nodes.

    That is the order of execution: exporters name the tensors as they like, and older ones only number them.

    Raises:
        MissingWeightsError: there is no such file.
        WrongWeightsError: damaged, quantised, or the weights lie in other files or are computed by the model.
    """
    with reading(path, "ONNX model"):
        graph = Message(memoryview(contents(path))).message(7)
        stored = {item.text(8): item for item in graph.messages(5)}
        layers = (node for node in graph.messages(1) if node.text(4) in _LAYERS)
        return {name: _tensor(name, stored) for node in layers for name in _weights(node)}


def _weights(node: Message) -> Iterator[str]:
    """Return the names of a node's inputs but the first, which is the picture."""
    return (bytes(name).decode() for name in itertools.islice(node.chunks(1), 1, None))


def _tensor(name: str, stored: dict[str, Message]) -> Tensor:
    if name not in stored:
        raise ValueError(f"{name[:80]!r} is computed by the model, it is no stored tensor")
    item = stored[name]
    if item.number(14) == _EXTERNAL:
        raise ValueError(f"{name[:80]!r} lies in another file, which is not supported")
    kind = _KINDS.get(item.number(2))
    if kind is None:
        raise ValueError(f"{name[:80]!r} is of ONNX' type {item.number(2)}, and only float32 and float16 can be read")
    # raw_data, or for float32 also float_data.
    data = item.joined(9) or (item.joined(4) if kind == "<f4" else bytearray())
    return to_tensor(data, item.numbers(1), kind)
