"""The preprocessing of a classifier as ONNX nodes: Pillow's Lanczos to the last bit, for a picture of any size.

Pillow (``libImaging/Resample.c``) computes weights in float64, rounds them to multiples of 2^-22, adds up in integers
and rounds to 8 bits, first along the longer side. All of that is exact in float64, so the pixels
here are the same bytes. A dense matrix would be nearly empty for a large picture: neighbouring output pixels, which
look at nearly the same input pixels, share a block of it, and :class:`Scan <onnx.Scan>` goes from block to block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

# Output pixels that share a block of weights, at most: 8 and 16 are quicker than 32 and 64 at 256 .. 4000 pixels.
_BLOCK = 16
_SUPPORT = 3.0
_PRECISION = float(2**22)
# Names of the nodes and values made here; a network's own have no slash.
_PREFIX = "picture/"


class Nodes:
    """ONNX nodes and constants under construction; each method call appends one and returns its output's name."""

    def __init__(self, prefix: str = _PREFIX) -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def __call__(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Append a node; ``name`` is that of its output, by default a running number."""
        label = name or f"{self.prefix}{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [label], name=label, **attributes))
        return label

    def constant(self, value: ArrayLike, dtype: type[np.generic]) -> str:
        """Append a constant."""
        label = f"{self.prefix}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), label))
        return label


def add_preprocessing(nodes: Nodes, image: str, size: int) -> str:
    """Append what :class:`impasto.data.load.pictures.Preprocessing` does; return the name of its result.

    Args:
        nodes: where to append.
        image: name of a uint8 value, H x W x 3.
        size: side S of the square.

    Returns:
        The name of a float32 value 1 x 3 x S x S in 0..1.
    """
    height, width = (nodes("Shape", image, start=axis, end=axis + 1) for axis in (0, 1))
    tall = nodes("Squeeze", nodes("Less", width, height))
    long_first = _turned(nodes, image, nodes("Not", tall))
    long, short = nodes("Max", height, width), nodes("Min", height, width)
    narrow = _resample(nodes, long_first, *_lanczos(nodes, long, size), [size, -1, 3])
    short_first = nodes("Transpose", narrow, perm=[1, 0, 2])
    small = _turned(nodes, _resample(nodes, short_first, *_lanczos(nodes, short, size), [size, size, 3]), tall)
    planes = nodes("Cast", nodes("Transpose", small, perm=[2, 0, 1]), to=TensorProto.FLOAT)
    scaled = nodes("Div", planes, nodes.constant(255, np.float32))
    return nodes("Unsqueeze", scaled, nodes.constant([0], np.int64))


def _turned(nodes: Nodes, pixels: str, condition: str) -> str:
    """Return the name of ``pixels`` with rows and columns exchanged if ``condition`` holds."""
    branches: dict[str, Any] = {}
    ways: dict[str, tuple[str, dict[str, Any]]] = {
        "then_branch": ("Transpose", {"perm": [1, 0, 2]}),
        "else_branch": ("Identity", {}),
    }
    for branch, (kind, attributes) in ways.items():
        label = f"{nodes.prefix}{branch}_{len(nodes.nodes)}"
        node = helper.make_node(kind, [pixels], [label], name=label, **attributes)
        output = helper.make_tensor_value_info(label, TensorProto.UINT8, [None, None, 3])
        branches[branch] = helper.make_graph([node], f"{label}_graph", [], [output])
    return nodes("If", condition, **branches)


def _lanczos(nodes: Nodes, side: str, size: int) -> tuple[str, str]:
    """Return the names of taps (int64, G x L) and weights (float64, G x B x L) of G blocks of B output pixels.

    Output pixel ``B g + b`` is the sum over l of ``weights[g, b, l]`` times input pixel ``taps[g, l]``.
    """
    block = _block(size)
    centres = (np.arange(size) + 0.5).reshape(-1, block, 1)
    half = nodes.constant(0.5, np.float64)
    one = nodes.constant(1, np.float64)
    length = nodes("Cast", side, to=TensorProto.DOUBLE)
    scale = nodes("Div", length, nodes.constant(size, np.float64))
    stretch = nodes("Max", scale, one)
    support = nodes("Mul", stretch, nodes.constant(_SUPPORT, np.float64))
    centre = nodes("Mul", nodes.constant(centres, np.float64), scale)
    zero = nodes.constant(0, np.float64)
    first = nodes("Max", nodes("Floor", nodes("Add", nodes("Sub", centre, support), half)), zero)
    behind = nodes("Min", nodes("Floor", nodes("Add", nodes("Add", centre, support), half)), length)
    place = nodes("Add", _first_of_block(nodes, first), _counting(nodes, scale, support, block))
    offset = nodes("Div", nodes("Add", nodes("Sub", place, centre), half), stretch)
    inside = nodes("And", nodes("GreaterOrEqual", place, first), nodes("Less", place, behind))
    weights = _rounded(nodes, nodes("Mul", _kernel(nodes, offset), nodes("Cast", inside, to=TensorProto.DOUBLE)))
    last = nodes("Sub", length, one)
    taps = nodes("Squeeze", nodes("Min", place, last), nodes.constant([1], np.int64))
    return nodes("Cast", taps, to=TensorProto.INT64), weights


def _block(size: int) -> int:
    """Return the largest divisor of ``size`` that is no more than ``_BLOCK``."""
    return max(divisor for divisor in range(1, _BLOCK + 1) if size % divisor == 0)


def _first_of_block(nodes: Nodes, first: str) -> str:
    return nodes("Slice", first, *(nodes.constant([value], np.int64) for value in (0, 1, 1)))


def _counting(nodes: Nodes, scale: str, support: str, block: int) -> str:
    """Return the name of 0, 1, 2 .. L - 1, float64, where L input pixels hold all that a block looks at."""
    reach = nodes("Mul", scale, nodes.constant(block - 1, np.float64))
    width = nodes("Add", reach, nodes("Add", support, support))
    count = nodes("Add", nodes("Ceil", width), nodes.constant(2, np.float64))
    ends = [nodes.constant(0, np.float64), nodes("Squeeze", count), nodes.constant(1, np.float64)]
    return nodes("Range", *ends)


def _kernel(nodes: Nodes, x: str) -> str:
    """Return the name of lanczos3(x): sinc(x) sinc(x / 3), 0 from 3 on."""
    # Kept from 0, where sin(x) / x is none; so near to it the quotient is 1 to the last bit.
    distance = nodes("Max", nodes("Abs", x), nodes.constant(1e-12, np.float64))
    narrow = nodes("Mul", distance, nodes.constant(np.pi, np.float64))
    wide = nodes("Mul", nodes("Div", distance, nodes.constant(_SUPPORT, np.float64)), nodes.constant(np.pi, np.float64))
    sincs = [nodes("Div", nodes("Sin", angle), angle) for angle in (narrow, wide)]
    near = nodes("Cast", nodes("Less", distance, nodes.constant(_SUPPORT, np.float64)), to=TensorProto.DOUBLE)
    return nodes("Mul", nodes("Mul", *sincs), near)


def _rounded(nodes: Nodes, weights: str) -> str:
    """Return the name of weights that add up to 1, as multiples of 2^-22; halves are rounded away from 0."""
    total = nodes("ReduceSum", weights, nodes.constant([-1], np.int64), keepdims=1)
    steps = nodes("Mul", nodes("Div", weights, total), nodes.constant(_PRECISION, np.float64))
    whole = nodes("Floor", nodes("Add", nodes("Abs", steps), nodes.constant(0.5, np.float64)))
    return nodes("Div", nodes("Mul", nodes("Sign", steps), whole), nodes.constant(_PRECISION, np.float64))


def _resample(nodes: Nodes, pixels: str, taps: str, weights: str, shape: Sequence[int]) -> str:
    """Return the name of ``pixels`` (uint8, side x N x 3) resampled along the first axis, uint8 of ``shape``."""
    rows = nodes("Flatten", pixels, axis=1)
    body = _step(rows, f"{nodes.prefix}step_{len(nodes.nodes)}/")
    blocks = nodes("Scan", taps, weights, body=body, num_scan_inputs=2)
    return nodes("Reshape", blocks, nodes.constant(shape, np.int64))


def _step(rows: str, prefix: str) -> onnx.GraphProto:
    """Return what is done with one block: taps (L) and weights (B x L) to B rows of uint8."""
    step = Nodes(prefix)
    taps, weights = f"{prefix}taps", f"{prefix}weights"
    seen = step("Cast", step("Gather", rows, taps, axis=0), to=TensorProto.DOUBLE)
    sums = step("Floor", step("Add", step("MatMul", weights, seen), step.constant(0.5, np.float64)))
    clipped = step("Clip", sums, step.constant(0, np.float64), step.constant(255, np.float64))
    result = step("Cast", clipped, to=TensorProto.UINT8)
    inputs = [
        helper.make_tensor_value_info(taps, TensorProto.INT64, [None]),
        helper.make_tensor_value_info(weights, TensorProto.DOUBLE, [None, None]),
    ]
    outputs = [helper.make_tensor_value_info(result, TensorProto.UINT8, [None, None])]
    return helper.make_graph(step.nodes, f"{prefix}block", inputs, outputs, step.constants)
