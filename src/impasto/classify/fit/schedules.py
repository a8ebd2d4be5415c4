"""The learning rate of each step, as a share of the highest."""

from __future__ import annotations

import math
from collections.abc import Sequence

from impasto.classify.fit.curves import CurvePoint
from impasto.classify.recipes import Recipe

# One-cycle after Smith and Topin 2017, in the shape that fastai gave it.
_RISE, _START, _END = 0.3, 1 / 25, 1 / 250_000
# Plateau: Keras' ReduceLROnPlateau is 0.1 after 10 epochs, made for a hundred epochs and more.
_PLATEAU_FACTOR, _PLATEAU_EPOCHS = 0.2, 3


def rate_factor(recipe: Recipe, step: int, epoch_steps: int, points: Sequence[CurvePoint]) -> float:
    """Return by what the highest learning rate is multiplied in a step.

    A function of what has happened, so that nothing has to be kept for a run to resume.

    Args:
        recipe: schedule, warm-up and number of epochs.
        step: counted from 0.
        epoch_steps: steps of an epoch.
        points: the epochs so far.
    """
    total, warm = recipe.epochs * epoch_steps, round(recipe.warmup * epoch_steps)
    if recipe.schedule == "one-cycle":
        return _one_cycle(step / total)
    if step < warm:
        return (step + 1) / warm
    if recipe.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))
    return _plateau(points) if recipe.schedule == "plateau" else 1.0


def _one_cycle(done: float) -> float:
    if done < _RISE:
        return _between(_START, 1.0, done / _RISE)
    return _between(1.0, _END, (done - _RISE) / (1 - _RISE))


def _between(start: float, end: float, way: float) -> float:
    """Half a cosine from ``start`` to ``end``."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * way))


def _plateau(points: Sequence[CurvePoint]) -> float:
    best, waited, factor = math.inf, 0, 1.0
    for point in points:
        if point.validation_loss < best:
            best, waited = point.validation_loss, 0
        else:
            waited += 1
        if waited >= _PLATEAU_EPOCHS:
            waited, factor = 0, factor * _PLATEAU_FACTOR
    return factor
