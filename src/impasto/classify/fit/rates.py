"""The learning-rate finder: how the loss falls and explodes while the rate grows (Smith 2015)."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from impasto.classify.fit.loop import Fitting
from impasto.errors import NumericalError
from impasto.runs import write_csv
from impasto.runtime import Progress, deterministic, held_memory

TABLE_NAME = "learning_rates.csv"
_LOWEST, _HIGHEST, _STEPS = 1e-7, 1.0, 100
# As in fastai: losses are smoothed, and beyond four times the best one nothing more is to be learned.
_SMOOTHING, _EXPLODED = 0.98, 4.0
# The steepest slope of a noisy curve is looked for in means over so many steps.
_WINDOW = 5


@dataclass(frozen=True)
class RateScan:
    """What the finder saw.

    Attributes:
        rates: learning rates, growing.
        losses: the smoothed loss at each.
        suggestion: a rate to train with.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float

    def save(self, folder: Path) -> None:
        """Write ``learning_rates.csv``."""
        rows = ({"learning_rate": rate, "loss": loss} for rate, loss in zip(self.rates, self.losses, strict=True))
        write_csv(folder / TABLE_NAME, rows, ["learning_rate", "loss"])


def find_rate(fitting: Fitting) -> RateScan:
    """Teach a copy of a network while the rate grows from 1e-7 to 1, and return what the loss did.

    Suggested is the rate where the loss falls fastest, at most a tenth of that where it is lowest.

    Raises:
        NumericalError: the loss is no number even at the lowest rate.
    """
    trial = Fitting(
        copy.deepcopy(fitting.network),
        fitting.feed,
        fitting.recipe,
        fitting.classes,
        fitting.crew,
        fitting.seed,
        fitting.dtype,
    )
    rates = [_LOWEST * (_HIGHEST / _LOWEST) ** (step / (_STEPS - 1)) for step in range(_STEPS)]
    losses: list[float] = []
    with (
        deterministic(strict=fitting.crew.device.type == "cpu"),
        held_memory(),
        torch.random.fork_rng(),
        contextlib.suppress(NumericalError),
    ):
        for loss in _smoothed(trial.trial(rates)):
            if loss > _EXPLODED * min(losses, default=math.inf):
                break
            losses.append(loss)
            if fitting.crew.leads:
                fitting.on_progress(Progress("finding the rate", len(losses), _STEPS, {"loss": loss}))
    if len(losses) <= 2 * _WINDOW:
        raise NumericalError(
            "the loss explodes at every learning rate.", "Are the weights those of this network? Try --precision fp32."
        )
    rates = rates[: len(losses)]
    return RateScan(tuple(rates), tuple(losses), _suggest(rates, losses))


def _smoothed(losses: Iterable[float]) -> Iterator[float]:
    """Yield an exponential mean of what there was so far, without the bias of its beginning."""
    mean = 0.0
    for step, loss in enumerate(losses, 1):
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        yield mean / (1 - _SMOOTHING**step)


def _suggest(rates: list[float], losses: list[float]) -> float:
    slopes = [losses[i + _WINDOW] - losses[i] for i in range(len(losses) - _WINDOW)]
    steepest = rates[slopes.index(min(slopes)) + _WINDOW // 2]
    lowest = rates[losses.index(min(losses))]
    return float(f"{min(steepest, lowest / 10):.2g}")
