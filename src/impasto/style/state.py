"""The state of a training in one file, from which the same training goes on."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from impasto.errors import RunError
from impasto.files import write_bytes

if TYPE_CHECKING:
    from impasto.style.train import NetworkTrainer


def save_state(path: Path, trainer: NetworkTrainer) -> None:
    """Write everything that the next step depends on; the file is whole or the former one."""
    state = {
        "model": trainer.model.state_dict(),
        "average": trainer.average.state_dict(),
        "best": trainer.best,
        "optimizer": trainer.optimizer.state_dict(),
        "step": trainer.step,
        "seconds": trainer.seconds,
        "looks": trainer.looks,
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(path, buffer.getvalue())


def load_state(path: Path, trainer: NetworkTrainer) -> None:
    """Put a trainer where the file says; nothing happens when there is none.

    Raises:
        RunError: the file is damaged.
    """
    if not path.exists():
        return
    try:
        state = torch.load(path, map_location=trainer.device, weights_only=True)
        trainer.model.load_state_dict(state["model"])
        trainer.average.load_state_dict(state["average"])
        trainer.optimizer.load_state_dict(state["optimizer"])
        trainer.best, trainer.step = state["best"], state["step"]
        trainer.spent, trainer.looks = state["seconds"], state["looks"]
    except Exception as error:  # torch.load raises whatever the damage leads to
        raise RunError(f"{path} is damaged: {str(error)[:160]}.", "Remove the folder to train anew.") from error
