"""Weights of ncnn: a ``.bin`` without names or sizes, and a ``.param`` of text that says which layers they are for."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from impasto.style.foreign.layouts import EXAMPLES_KEYS
from impasto.style.foreign.source import contents, reading, to_tensor
from impasto.style.networks import PyTorchExamplesNet

PARAM_MAGIC = b"7767517\n"
FLOAT32, FLOAT16 = 0, 0x01306B47
_FLAGS = {0x000D4B38: "int8", 0x0002C056: "float32 with scales for int8"}
_WIDEST = 256
_LARGEST_PARAM = 1 << 20  # bytes; published ones have 6 kB

# Layers of these networks that have no weights.
_PLAIN = {"Input", "Padding", "ReLU", "Split", "BinaryOp", "Eltwise", "Interp", "Noop"}

# Parameters of a convolution: outputs, kernel width and height, whether there is a bias, number of weights, int8.
_CONVOLUTION = ("0", "1", "11", "5", "6", "8")

# Shapes of tensors in the file's order; those of four axes have a flag in front.
Shapes = list[tuple[int, ...]]


def read(path: Path) -> list[Tensor]:
    """Return the tensors of a ``.bin`` in its order: of a convolution weight and bias, of an instance norm gamma, beta.

    The shapes are those of the ``.param`` of the same name beside it. Without one they are those of pytorch/examples'
    network, as wide as the file is long.

    Raises:
        MissingWeightsError: there is no such file.
        WrongWeightsError: quantised, damaged, of another network, or the two files do not fit each other.
    """
    param = path.with_suffix(".param")
    with reading(param, "description of an ncnn network"):
        shapes = _described(contents(param, _LARGEST_PARAM)) if param.is_file() else None
    with reading(path, "file of ncnn weights"):
        data = memoryview(contents(path))
        return list(_tensors(data, _expected(data) if shapes is None else shapes))


def _tensors(data: memoryview, shapes: Shapes) -> Iterator[Tensor]:
    at = 0
    for shape in shapes:
        kind, at = _kind(data, at) if len(shape) == 4 else ("<f4", at)
        size = math.prod(shape) * int(kind[-1])
        yield to_tensor(data[at : at + size], shape, kind)
        at += size + -size % 4
    if at != len(data):
        raise ValueError(f"its layers need {at} bytes, and it has {len(data)}")


def _kind(data: memoryview, at: int) -> tuple[str, int]:
    """Return numpy's name of the numbers behind a flag, and where they begin."""
    flag = int.from_bytes(data[at : at + 4], "little")
    if flag in (FLOAT32, FLOAT16):
        return ("<f4" if flag == FLOAT32 else "<f2"), at + 4
    # ncnn takes any other flag for a table of 256 values and one byte a weight.
    name = _FLAGS.get(flag, "a table of 256 values, or another layer than expected")
    raise ValueError(f"byte {at} is the flag {flag:#x}: {name}, and only float32 and float16 weights can be read")


def _expected(data: memoryview) -> Shapes:
    half = _kind(data, 0)[0] == "<f2"
    width = bisect.bisect_left(range(1, _WIDEST), len(data), key=lambda width: _bytes(_shapes(width), half)) + 1
    if _bytes(_shapes(width), half) != len(data):
        raise ValueError(f"it has {len(data)} bytes, which no width of pytorch/examples' network has, and no .param")
    return _shapes(width)


def _shapes(width: int) -> Shapes:
    with torch.device("meta"):
        state = PyTorchExamplesNet(width).state_dict()
    return [tuple(state[key].shape) for key in EXAMPLES_KEYS]


def _bytes(shapes: Shapes, half: bool) -> int:
    kernels = [math.prod(shape) for shape in shapes if len(shape) == 4]
    vectors = [math.prod(shape) for shape in shapes if len(shape) == 1]
    return sum(4 + (2 * (size + size % 2) if half else 4 * size) for size in kernels) + 4 * sum(vectors)


def _described(text: bytes) -> Shapes:
    lines = text.decode().splitlines()
    if lines[:1] != [PARAM_MAGIC.decode().strip()]:
        raise ValueError("it does not begin with 7767517; the binary form cannot be read")
    return [shape for line in lines[2:] if line.strip() for shape in _layer(line.split())]


def _layer(words: list[str]) -> Shapes:
    """Return the shapes of a line ``type name inputs outputs <blobs> 0=64 1=3 ...``."""
    kind = words[0]
    blobs = sum(map(int, words[2:4]))
    values = dict(word.split("=", 1) for word in words[4 + blobs :] if "=" in word)
    if kind in _PLAIN:
        return []
    if kind == "InstanceNorm":
        return [(int(values.get("0", "0")),)] * 2
    if kind == "Convolution":
        return _convolution(words[1], {key: int(value) for key, value in values.items() if key in _CONVOLUTION})
    raise ValueError(f"it has a layer of the type {kind[:40]}, which pytorch/examples' network has not")


def _convolution(name: str, values: dict[str, int]) -> Shapes:
    outputs, width, bias, count, int8 = (values.get(key, 0) for key in ("0", "1", "5", "6", "8"))
    height = values.get("11", width)
    if int8 or not bias:
        raise ValueError(f"the convolution {name[:40]} {'is quantised' if int8 else 'has no bias'}")
    if min(outputs, width, height) < 1 or count % (outputs * width * height):
        raise ValueError(f"the convolution {name[:40]} has no whole number of inputs")
    return [(outputs, count // (outputs * width * height), height, width), (outputs,)]
