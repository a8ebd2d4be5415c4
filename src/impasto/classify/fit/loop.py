"""Gradient descent: epochs, validation, the best weights, early stop, and going on after a kill."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.classify.fit.curves import CurvePoint
from impasto.classify.fit.feeds import Feed
from impasto.classify.fit.mixing import balanced_weights, mix, objective
from impasto.classify.fit.optimisers import Average, make_optimiser
from impasto.classify.fit.processes import Crew
from impasto.classify.fit.schedules import rate_factor
from impasto.classify.fit.state import load_state, optimiser_tensors, restore_optimiser, save_state
from impasto.classify.recipes import Recipe
from impasto.data.load.loaders import WHOLE
from impasto.errors import NumericalError, RunError
from impasto.runtime import OnProgress, Progress, derive_seed, deterministic, held_memory, ignore_progress

# R0's network learns 1.6 times as fast on a CPU with channels last as with channels first.
_LAYOUT = torch.channels_last
# Seconds of work that a kill may cost.
_KEEP_EVERY = 30.0


@dataclass
class Fitting:
    """One training of one network.

    Args:
        network: on the device of ``crew``; taught in place.
        feed: its data.
        recipe: how.
        classes: how many there are.
        crew: the processes that take part, this one among them.
        seed: of dropout and mixing.
        dtype: of products and convolutions: float32, or bfloat16.
        keep: the file that a killed training goes on from; None keeps nothing.
        on_progress: told after every step.
        on_epoch: told of every row of ``curves.csv``.
        start: training loss and accuracy of the head that a fine-tuned network begins with, for a row 0.
    """

    network: nn.Module
    feed: Feed
    recipe: Recipe
    classes: int
    crew: Crew
    seed: int = 0
    dtype: torch.dtype = torch.float32
    keep: Path | None = None
    on_progress: OnProgress = ignore_progress
    on_epoch: Callable[[CurvePoint], None] = lambda _: None
    start: tuple[float, float] | None = None
    points: list[CurvePoint] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.wrapped = self.crew.wrap(self.network.to(memory_format=_LAYOUT))
        self.optimiser = make_optimiser(self.network, self.recipe)
        self.average = Average(self.network, self.recipe.ema) if self.recipe.ema else None
        self.epoch_steps = -(-len(self.feed.labels) // self.recipe.batch_size)
        balanced = self.recipe.class_weights == "balanced"
        weights = balanced_weights(self.feed.labels, self.classes) if balanced else None
        self.class_weights = None if weights is None else weights.to(self.crew.device)
        self.best: CurvePoint | None = None
        self.best_weights: dict[str, Tensor] = {}
        self._kept = time.monotonic()

    def run(self) -> tuple[list[CurvePoint], CurvePoint]:
        """Teach, and end with the weights of the best epoch: highest validation accuracy, then lowest loss.

        Returns:
            A row for each epoch, and the row of the best.

        Raises:
            NumericalError: the loss becomes NaN or infinite.
            RunError: the file to go on from is damaged or another training's.
        """
        epoch, tally, batch = self._resume()
        for point in self.points:
            self.on_epoch(point)
        # Dropout draws from the global generator, which belongs to others.
        with deterministic(strict=self.crew.device.type == "cpu"), held_memory(), torch.random.fork_rng():
            if self.start and not self.points:
                self._judge(CurvePoint(0, *self.start, *self._score(), 0.0))
            while epoch <= self.recipe.epochs and not self._out_of_patience():
                learned = self._train(epoch, batch, tally)
                self._judge(CurvePoint(epoch, *learned, *self._score(), self._rate(epoch * self.epoch_steps - 1)))
                epoch, batch, tally = epoch + 1, 0, _Tally()
                self._remember(epoch, 0, tally)
        assert self.best is not None
        self.network.load_state_dict(self.best_weights)
        return self.points, self.best

    def trial(self, rates: Iterable[float]) -> Iterator[float]:
        """Teach one step with each of ``rates`` and yield the mean loss of its batch before the step.

        Raises:
            NumericalError: it became NaN or infinite.
        """
        self.wrapped.train()
        batches = self._endless()
        for rate in rates:
            tally = _Tally()
            self._step(*next(batches), tally, rate)
            yield tally.means(self.crew)[0]

    def _endless(self) -> Iterator[tuple[int, int, Tensor, Tensor]]:
        share = WHOLE if self.recipe.mixup else self.crew.share
        for epoch in itertools.count(1):
            for batch, (inputs, labels) in enumerate(self.feed.training(epoch, 0, share)):
                yield epoch, batch, inputs, labels

    def _out_of_patience(self) -> bool:
        waited = self.points[-1].epoch - self.best.epoch if self.best else 0
        return bool(self.recipe.patience) and waited >= self.recipe.patience

    def _judge(self, point: CurvePoint) -> None:
        self.points.append(point)
        self.on_epoch(point)
        if self.best is None or point.rank > self.best.rank:
            self.best = point
            with self._averaged():
                self.best_weights = {name: value.clone() for name, value in self.network.state_dict().items()}

    def _train(self, epoch: int, first: int, tally: _Tally) -> tuple[float, float]:
        """Return mean loss and accuracy, each batch as it was met: the weights change between batches."""
        self.wrapped.train()
        self._tell(epoch, first, tally)
        share = WHOLE if self.recipe.mixup else self.crew.share
        for batch, (inputs, labels) in enumerate(self.feed.training(epoch, first, share), first):
            self._step(epoch, batch, inputs, labels, tally, self._rate((epoch - 1) * self.epoch_steps + batch))
            self._tell(epoch, batch + 1, tally)
            if self.crew.world == 1 and batch + 1 < self.epoch_steps:  # sums of several processes meet at its end
                self._remember(epoch, batch + 1, tally)
        return tally.means(self.crew)

    def _step(self, epoch: int, batch: int, inputs: Tensor, labels: Tensor, tally: _Tally, rate: float) -> None:
        torch.manual_seed(derive_seed(self.seed, "step", epoch, batch, self.crew.rank))
        total = min(self.recipe.batch_size, len(self.feed.labels) - batch * self.recipe.batch_size)
        targets = labels
        if self.recipe.mixup:
            inputs, targets = mix(inputs, labels, self.classes, self.recipe.mixup, (self.seed, epoch, batch))
            inputs, targets, labels = (self.crew.share.of(part) for part in (inputs, targets, labels))
        own = self.crew.share.size(total)
        parts = max(1, min(self.recipe.accumulate, len(labels)))
        self.optimiser.zero_grad()
        # Gradients are averaged over the processes, each of which has but a share of the sum.
        scale = self.crew.world / total * (own > 0)
        split = [torch.tensor_split(part, parts) for part in (inputs, targets, labels)]
        for number, (part, wanted, truth) in enumerate(zip(*split, strict=True), 1):
            with self._together(number == parts):
                self._backward(part, wanted, truth, scale, tally if own else _Tally())
        self._check_finite(tally, epoch, batch, rate)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"]
        self.optimiser.step()
        if self.average:
            self.average.update(self.network, (epoch - 1) * self.epoch_steps + batch + 1)

    def _backward(self, inputs: Tensor, targets: Tensor, labels: Tensor, scale: float, tally: _Tally) -> None:
        logits = self._forward(inputs)
        loss = objective(logits, targets, self.class_weights, self.recipe.label_smoothing)
        torch.autograd.backward(loss * scale)
        tally.add(logits.detach(), labels, loss.detach())

    def _together(self, last: bool) -> AbstractContextManager[None]:
        """Let processes exchange gradients with the last part of a batch only."""
        wait: Callable[[], AbstractContextManager[None]] = getattr(self.wrapped, "no_sync", nullcontext)
        return nullcontext() if last else wait()

    @torch.no_grad()
    def _score(self) -> tuple[float, float]:
        """Return mean loss and accuracy on validation, in float32 as in prediction."""
        self.network.eval()
        tally = _Tally()
        with self._averaged():
            for inputs, labels in self.feed.validation(self.crew.share):
                tally.add(self.network(inputs.contiguous(memory_format=_layout(inputs))), labels)
        return tally.means(self.crew)

    @torch.no_grad()
    def judged(self) -> tuple[Tensor, Tensor]:
        """Return M x C logits of all validation pictures, and their M labels, on the CPU."""
        self.network.eval()
        found, truth = [], []
        for inputs, labels in self.feed.validation(WHOLE):
            found.append(self.network(inputs.contiguous(memory_format=_layout(inputs))).cpu())
            truth.append(labels.cpu())
        return torch.cat(found), torch.cat(truth)

    def _averaged(self) -> AbstractContextManager[None]:
        return self.average.in_place_of(self.network) if self.average else nullcontext()

    def _forward(self, inputs: Tensor) -> Tensor:
        inputs = inputs.contiguous(memory_format=_layout(inputs))
        with torch.autocast(inputs.device.type, self.dtype, enabled=self.dtype != torch.float32):
            logits: Tensor = self.wrapped(inputs)
        return logits.float()

    def _rate(self, step: int) -> float:
        assert self.recipe.learning_rate != "auto"
        return self.recipe.learning_rate * rate_factor(self.recipe, step, self.epoch_steps, self.points)

    def _tell(self, epoch: int, done: int, tally: _Tally) -> None:
        if not self.crew.leads:
            return
        values = {"loss": tally.loss / tally.n} if tally.n else {}
        if self.points:
            values["validation_accuracy"] = self.points[-1].validation_accuracy
        step, total = (epoch - 1) * self.epoch_steps + done, self.recipe.epochs * self.epoch_steps
        self.on_progress(Progress("training", step, total, values, f"epoch {epoch}/{self.recipe.epochs}"))

    def _check_finite(self, tally: _Tally, epoch: int, batch: int, rate: float) -> None:
        if not math.isfinite(tally.objective):
            raise NumericalError(
                f"the loss became {tally.objective} in batch {batch + 1} of epoch {epoch}.",
                f"The learning rate was {rate:.2g}: choose a tenth of --learning-rate, or let it be found: "
                "--learning-rate auto. With bf16, --precision fp32 tells whether rounding is to blame.",
            )

    def _remember(self, epoch: int, batch: int, tally: _Tally) -> None:
        """Keep what the training needs to go on with a batch of an epoch, if the last time is a while ago."""
        if self.keep is None or not self.crew.leads or time.monotonic() - self._kept < _KEEP_EVERY:
            return
        parts = {
            "network": self.network.state_dict(),
            "best": self.best_weights,
            "optimiser": optimiser_tensors(self.optimiser),
            "average": self.average.values if self.average else {},
        }
        best = self.best.epoch if self.best else None
        points = [{name: str(value) for name, value in asdict(point).items()} for point in self.points]
        facts = {"epoch": epoch, "batch": batch, "tally": asdict(tally), "points": points, "best": best}
        save_state(self.keep, parts, facts)
        self._kept = time.monotonic()

    def _resume(self) -> tuple[int, _Tally, int]:
        """Return epoch, sums and batch to go on with, everything else put back to where it was."""
        found = load_state(self.keep) if self.keep else None
        if found is None:
            return 1, _Tally(), 0
        parts, facts = found
        try:
            self.network.load_state_dict(parts["network"])
            self.best_weights = {name: value.to(self.crew.device) for name, value in parts.get("best", {}).items()}
            restore_optimiser(self.optimiser, parts.get("optimiser", {}))
            if self.average:
                self.average.values = {name: value.to(self.crew.device) for name, value in parts["average"].items()}
            self.points = [_point(row) for row in facts["points"]]
            self.best = next((point for point in self.points if point.epoch == facts["best"]), None)
            return int(facts["epoch"]), _Tally(**facts["tally"]), int(facts["batch"])
        except (RuntimeError, KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"{self.keep} is of another training: {str(error).splitlines()[0]}.",
                "Remove it: the training begins again.",
            ) from error


def _layout(inputs: Tensor) -> torch.memory_format:
    return _LAYOUT if inputs.ndim == 4 else torch.contiguous_format


def _point(row: dict[str, str]) -> CurvePoint:
    """Read a row that was kept as text, because JSON has no NaN."""
    numbers = {name: None if text == "None" else float(text) for name, text in row.items() if name != "epoch"}
    return CurvePoint(epoch=int(row["epoch"]), **numbers)  # type: ignore[arg-type]


@dataclass
class _Tally:
    """Sums over the pictures of an epoch; ``objective`` is what was last minimised."""

    loss: float = 0.0
    right: int = 0
    n: int = 0
    objective: float = 0.0

    def add(self, logits: Tensor, labels: Tensor, objective: Tensor | None = None) -> None:
        """Count a batch. Losses are cross-entropies of the labels as they are, so that both curves compare."""
        self.loss += F.cross_entropy(logits, labels, reduction="sum").item()
        self.right += int((logits.argmax(1) == labels).sum())
        self.n += len(labels)
        if objective is not None:
            self.objective = objective.item()

    def means(self, crew: Crew) -> tuple[float, float]:
        """Return mean loss and accuracy over all processes."""
        loss, right, n = crew.sum([self.loss, self.right, self.n])
        return loss / n, right / n
