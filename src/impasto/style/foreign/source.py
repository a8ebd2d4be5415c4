"""What every reader needs: whole files within bounds, tensors out of bytes, and one kind of error."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impasto.errors import MissingWeightsError, WrongWeightsError

# Bytes. The largest published network of these kinds, with its optimiser's slots, has 20 MB.
LARGEST = 256 << 20

AGAIN = (
    "If it is damaged, fetch it again: downloads that failed are often web pages or Git LFS pointers. "
    "Otherwise convert it to safetensors."
)


@contextlib.contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn a parser's ValueError (and what the disk says) into a WrongWeightsError that names the file."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise WrongWeightsError(f"{path} is no {kind} that can be used: {error}.", AGAIN) from error


def contents(path: Path, largest: int = LARGEST) -> bytes:
    """Return a file's bytes.

    Raises:
        MissingWeightsError: there is no such file.
        ValueError: it has more than ``largest`` bytes.
    """
    if not path.is_file():
        raise MissingWeightsError(f"{path} does not exist.", "Give the file, or the folder, that holds the weights.")
    if (size := path.stat().st_size) > largest:
        raise ValueError(f"it has {size} bytes, and {largest} are the most that are read")
    return path.read_bytes()


def to_tensor(data: bytes | bytearray | memoryview, shape: Sequence[int], kind: str = "<f4") -> Tensor:
    """Return a tensor that owns its memory, of little-endian numbers of numpy's ``kind``.

    Raises:
        ValueError: the bytes are not those of that shape. Nothing is allocated before that is known.
    """
    sound = len(shape) <= 8 and all(0 <= side < 1 << 31 for side in shape)
    if not sound or math.prod(shape) * np.dtype(kind).itemsize != len(data):
        raise ValueError(f"{len(data)} bytes are not a tensor of the shape {_short(shape)}")
    values = np.frombuffer(data, kind).astype(kind[1:])
    return torch.from_numpy(values).reshape(tuple(shape))


def _short(shape: Sequence[int]) -> str:
    return f"({', '.join(str(side)[:20] for side in shape[:8])}{', ...' if len(shape) > 8 else ''})"
