"""Weights of an ONNX model as int8, a quarter of the size; the arithmetic stays float32."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

# Below so many numbers a scale for each channel and a node cost more than is saved.
_FEWEST = 1024
_LARGEST = 127


def with_int8_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose Conv, Gemm and MatMul weights of 1024 numbers or more are int8 with a scale a channel.

    Symmetric: weight = scale x integer in -127..127, scale = largest magnitude of the output channel / 127.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    axes = _weight_axes(graph)
    nodes: list[onnx.NodeProto] = []
    tensors: list[onnx.TensorProto] = []
    for tensor in graph.initializer:
        if tensor.name not in axes or tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < _FEWEST:
            tensors.append(tensor)
            continue
        axis = axes[tensor.name]
        names = [f"{tensor.name}/int8", f"{tensor.name}/scale"]
        integers, scale = quantised(numpy_helper.to_array(tensor).astype(np.float32), axis)
        tensors += [numpy_helper.from_array(integers, names[0]), numpy_helper.from_array(scale, names[1])]
        nodes.append(helper.make_node("DequantizeLinear", names, [tensor.name], name=f"{tensor.name}/float", axis=axis))
    nodes += graph.node
    for field, content in (("initializer", tensors), ("node", nodes)):
        graph.ClearField(field)
        getattr(graph, field).extend(content)
    onnx.checker.check_model(copy)
    return copy


def quantised(values: npt.NDArray[np.float32], axis: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return integers of the shape of ``values`` and one scale for each index of ``axis``.

    >>> quantised(np.float32([[1.0, -0.5], [0.0, 0.0]]), axis=0)[0].tolist()
    [[127, -64], [0, 0]]
    """
    others = tuple(place for place in range(values.ndim) if place != axis)
    largest = np.abs(values).max(axis=others, keepdims=True)
    scale = np.where(largest > 0, largest / _LARGEST, 1).astype(np.float32)
    integers = np.clip(np.rint(values / scale), -_LARGEST, _LARGEST).astype(np.int8)
    return integers, scale.reshape(-1)


def _weight_axes(graph: onnx.GraphProto) -> dict[str, int]:
    """Return the axis of output channels of each initializer that is a weight, and nothing but a weight."""
    sizes = {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    axes: dict[str, set[int]] = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name in sizes:
                axes.setdefault(name, set()).add(_axis(node, sizes[name]) if place == 1 else -1)
    return {name: found.pop() for name, found in axes.items() if len(found) == 1 and found != {-1}}


def _axis(node: onnx.NodeProto, dimensions: int) -> int:
    """Return the axis of output channels of a node's second input, -1 where that is no weight."""
    if node.op_type == "Conv":
        return 0
    if node.op_type == "Gemm":
        return 0 if any(item.name == "transB" and item.i for item in node.attribute) else 1
    return dimensions - 1 if node.op_type == "MatMul" and dimensions >= 2 else -1
