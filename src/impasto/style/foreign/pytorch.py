"""States that PyTorch saved as a pickle: only tensors are taken out, nothing is called."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.style.foreign.source import contents, reading


def read(path: Path) -> dict[str, Tensor]:
    """Return the named tensors of a ``.pth``, ``.pt`` or ``.model`` file, or of the ``state_dict`` in it.

    They may be views that are larger than the file: hold their shapes against the wanted ones first.

    Raises:
        MissingWeightsError: there is no such file.
        WrongWeightsError: damaged, it holds other things than tensors, or it wants to run code.
    """
    with reading(path, "file of PyTorch weights"):
        state = _load(contents(path))
        if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
            state = state["state_dict"]
        if not isinstance(state, Mapping) or not all(map(_plain, state.values())):
            raise ValueError("it holds something other than named, plain tensors")
        return {str(key): value.detach() for key, value in state.items()}


def _plain(value: Any) -> bool:
    """Say whether a value is a tensor in main memory with a number for each of its places."""
    return (
        isinstance(value, Tensor)
        and not value.is_nested
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
    )


def _load(data: bytes) -> Any:
    try:
        _refuse_bombs(data)
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError("it is damaged, or it wants to run code") from error
    except Exception as error:
        # Readers of zips and of tensors raise whatever a damaged file makes them run into.
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise ValueError(f"it is damaged ({reason})") from error


def _refuse_bombs(data: bytes) -> None:
    """PyTorch stores its files in a zip uncompressed; compressed ones can unfold to a thousand times their size."""
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(item.file_size for item in archive.infolist()) > len(data):
                raise ValueError("it is compressed")
