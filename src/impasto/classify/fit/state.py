"""What a training needs to go on after it was killed, in one file of tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from impasto.errors import RunError
from impasto.files import write_bytes

STATE_NAME = "training.safetensors"


def save_state(path: Path, parts: Mapping[str, Mapping[str, Tensor]], facts: Mapping[str, Any]) -> None:
    """Write groups of tensors, and plain values, whole or not at all."""
    tensors = {
        f"{part}/{name}": value.detach().cpu().contiguous()
        for part, named in parts.items()
        for name, value in named.items()
    }
    write_bytes(path, save(tensors, metadata={"facts": json.dumps(facts)}))


def load_state(path: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]] | None:
    """Read what :func:`save_state` wrote; None where there is no file.

    Raises:
        RunError: it is damaged.
    """
    if not path.is_file():
        return None
    parts: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["facts"])
            for key in file.keys():  # noqa: SIM118 - it is no mapping
                part, _, name = key.partition("/")
                parts.setdefault(part, {})[name] = file.get_tensor(key)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise RunError(f"{path} is damaged: {error!r}.", "Remove it: the training begins again.") from error
    return parts, facts


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the state of an optimiser as named tensors."""
    state: dict[int, dict[str, Any]] = optimiser.state_dict()["state"]
    return {f"{index}/{name}": torch.as_tensor(value) for index, own in state.items() for name, value in own.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser the state that :func:`optimiser_tensors` returned."""
    parameters = [value for group in optimiser.param_groups for value in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition("/")
        owner = parameters[int(index)]
        # In the layout of its parameter: torch's fused steps walk through both as they lie in memory.
        same = value.shape == owner.shape
        state.setdefault(int(index), {})[name] = torch.empty_like(owner).copy_(value) if same else value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
