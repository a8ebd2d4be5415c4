"""What a repaint will cost, before it starts; and a refusal that names what would fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.errors import ResourceError
from impasto.runtime import Stopwatch, available_memory, human_bytes, human_time
from impasto.style.config import Preset
from impasto.style.engine import LBFGS_HISTORY, Scale
from impasto.style.objective import Objective

# Longer side at which one step is tried. Small enough to cost a blink, large enough for the deepest layer.
PROBE_SIZE = 160
# Gradients live beside the activations they come from: seen between 1.3 and 1.8 times the saved tensors.
_GRADIENT_FACTOR = 1.8
# Python, torch's kernels and the weights.
BASE_MEMORY = 300 * 2**20


@dataclass(frozen=True)
class Plan:
    """The estimated cost of one repaint: seconds, and bytes of memory at its largest scale."""

    width: int
    height: int
    steps: int
    seconds: float
    memory: int

    def __str__(self) -> str:
        return (
            f"{self.width}x{self.height} pixels, {self.steps} steps: about {human_time(self.seconds)}, "
            f"{human_bytes(self.memory)} of memory"
        )


@dataclass(frozen=True)
class Pace:
    """What one step costs for each pixel: seconds and bytes."""

    seconds: float
    memory: float


def measure_pace(objective_of: Callable[[Tensor], Objective], image: Tensor) -> Pace:
    """Try two steps on a small picture 1 x 3 x H x W (the first warms the caches) and return the second's cost."""
    objective = objective_of(image)
    for _ in range(2):
        saved: dict[int, int] = {}

        def note(tensor: Tensor, saved: dict[int, int] = saved) -> Tensor:
            saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        watch = Stopwatch()
        candidate = image.clone().requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = torch.stack(list(objective.terms(candidate).values())).sum()
        torch.autograd.backward(loss)
        seconds = watch.seconds
    pixels = image.shape[2] * image.shape[3]
    return Pace(seconds / pixels, sum(saved.values()) / pixels)


def make_plan(width: int, height: int, scales: Sequence[Scale], preset: Preset, pace: Pace) -> Plan:
    """Return the plan for a picture of ``width`` x ``height`` pixels painted at ``scales``."""
    pixels = width * height
    work = sum(scale.steps * pixels * (scale.size / scales[-1].size) ** 2 for scale in scales)
    pictures = 2 * LBFGS_HISTORY + 6 if preset.optimizer == "lbfgs" else 8
    memory = BASE_MEMORY + pixels * (pace.memory * _GRADIENT_FACTOR + pictures * 3 * 4)
    return Plan(width, height, sum(scale.steps for scale in scales), work * pace.seconds, int(memory))


def require_memory(plan: Plan, device: torch.device) -> None:
    """Refuse a plan that does not fit.

    Raises:
        ResourceError: names the largest size that would.
    """
    room = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()
    if plan.memory <= room:
        return
    shrink = max(0.0, (room - BASE_MEMORY) / (plan.memory - BASE_MEMORY)) ** 0.5
    largest = int(max(plan.width, plan.height) * shrink * 0.97) // 16 * 16
    advice = f"--size {largest} would fit" if largest >= 64 else "free some memory"
    raise ResourceError(
        f"{plan.width}x{plan.height} pixels need about {human_bytes(plan.memory)} of memory, "
        f"{human_bytes(room)} are free.",
        f"{advice[0].upper()}{advice[1:]}; a smaller encoder or --precision bf16 needs less, too.",
    )
