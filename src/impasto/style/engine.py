"""The optimisation of one picture against an objective, scale after scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import NumericalError
from impasto.style.config import Preset
from impasto.style.objective import Objective

# Curvature pairs that L-BFGS keeps; each costs two pictures of memory (knowhow 4.6: 5 to 10 suffice).
LBFGS_HISTORY = 10


@dataclass(frozen=True)
class Scale:
    """One size at which is painted: longer side in pixels, and the number of steps."""

    size: int
    steps: int


def plan_scales(size: int, preset: Preset, least: float = 0) -> list[Scale]:
    """Divide the steps among sizes that grow by sqrt(2) up to ``size``, none below ``least``.

    Every scale gets an equal part: the small ones, where the composition is decided, cost next to nothing.

    >>> from impasto.style.config import PRESETS
    >>> [scale.size for scale in plan_scales(512, PRESETS["default"])]
    [128, 181, 256, 362, 512]
    """
    sizes = [size]
    while preset.first_scale and sizes[0] / 2**0.5 >= max(preset.first_scale - 1, least):
        sizes.insert(0, round(size / 2 ** (len(sizes) / 2)))
    share, rest = divmod(preset.steps, len(sizes))
    if share == 0:  # fewer steps than scales: the large ones have them
        return [Scale(each, 1) for each in sizes[-preset.steps :]]
    return [Scale(each, share + (index < rest)) for index, each in enumerate(sizes)]


def resize(image: Tensor, height: int, width: int) -> Tensor:
    """Resize B x 3 x H x W with antialiasing (bicubic); a picture that fits already is returned as it is."""
    if image.shape[2:] == (height, width):
        return image
    return F.interpolate(image, (height, width), mode="bicubic", align_corners=False, antialias=True)


def optimise(
    image: Tensor, objective: Objective, preset: Preset, steps: int, keep: Callable[[Tensor], None]
) -> Iterator[dict[str, float]]:
    """Optimise a picture 1 x 3 x H x W in place of nothing else; yield the terms after each step.

    ``keep`` receives the picture before each step whenever its loss is the best so far, so that an interruption loses
    nothing.

    Raises:
        NumericalError: the loss is no number any more.
    """
    image = image.detach().clone().requires_grad_()
    optimizer = _optimizer(image, preset)
    best = float("inf")
    for _ in range(steps):
        seen: dict[str, float] = {}

        def closure(seen: dict[str, float] = seen) -> Tensor:
            optimizer.zero_grad()
            terms = objective.terms(image)
            loss = torch.stack(list(terms.values())).sum()
            torch.autograd.backward(loss)
            seen.update({name: value.item() for name, value in terms.items()}, loss=loss.item())
            return loss

        before = image.detach().clone()
        optimizer.step(closure)  # type: ignore[arg-type]
        if not seen["loss"] < float("inf"):
            raise NumericalError(
                "the loss is no number any more.", "Try --precision fp32, fewer steps, or another encoder."
            )
        if seen["loss"] < best:
            best = seen["loss"]
            keep(before)
        yield seen


def _optimizer(image: Tensor, preset: Preset) -> torch.optim.Optimizer:
    if preset.optimizer == "adam":
        return torch.optim.Adam([image], lr=preset.step_size)
    # One function value a step and no line search: the losses are smooth enough, and a search doubles the price.
    return torch.optim.LBFGS(
        [image],
        lr=preset.step_size,
        max_iter=1,
        history_size=LBFGS_HISTORY,
        tolerance_grad=0,
        tolerance_change=0,
    )
