"""Training a network on pixels: best epoch on validation, early stop."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.classify.config import TrainConfig
from impasto.classify.curves import CurvePoint
from impasto.data.load.augmentations import Augmentation
from impasto.data.load.loaders import Loader, Side
from impasto.errors import NumericalError
from impasto.runtime import OnProgress, Progress, deterministic, ignore_progress

# R0's network learns 1.6 times as fast on a CPU with channels last as with channels first.
_LAYOUT = torch.channels_last


def fit_network(
    network: nn.Module,
    loader: Loader,
    train: Side,
    validation: Side,
    config: TrainConfig,
    on_progress: OnProgress = ignore_progress,
) -> tuple[list[CurvePoint], CurvePoint]:
    """Train ``network``, which is where ``loader`` brings its batches, in place with Adam and cross-entropy.

    It ends with the weights of its best epoch: highest validation accuracy, then lowest validation loss.

    Returns:
        A row for each epoch, and the row of the best.

    Raises:
        NumericalError: the loss becomes NaN or infinite.
    """
    training = _Training(network.to(memory_format=_LAYOUT), loader, config, on_progress)
    best: CurvePoint | None = None
    weights = network.state_dict()
    with deterministic():
        for epoch in range(1, config.epochs + 1):
            point = training.epoch(epoch, train, validation)
            if best is None or point.rank > best.rank:
                best, weights = point, copy.deepcopy(network.state_dict())
            if epoch - best.epoch >= config.patience:
                break
    assert best is not None
    network.load_state_dict(weights)
    return training.points, best


@dataclass
class _Training:
    network: nn.Module
    loader: Loader
    config: TrainConfig
    on_progress: OnProgress
    points: list[CurvePoint] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.optimiser = torch.optim.Adam(self.network.parameters(), self.config.learning_rate)
        self.augmentation = Augmentation(self.config.augment)

    def epoch(self, epoch: int, train: Side, validation: Side) -> CurvePoint:
        """Go through ``train`` once, measure on ``validation``, add the row to ``points`` and return it."""
        rate = self.config.learning_rate
        learned = self._train(epoch, train)
        point = CurvePoint(epoch, *learned, *self._score(validation), rate)
        self.points.append(point)
        return point

    def _train(self, epoch: int, side: Side) -> tuple[float, float]:
        """Return mean loss and accuracy, each batch as it was met: the weights change between batches."""
        self.network.train()
        tally, batches = _Tally(), self.loader.count(side)
        self._tell(epoch, 0, batches, tally)
        drawn = self.loader.shuffled(side, seed=self.config.seed, epoch=epoch, augmentation=self.augmentation)
        for done, (pictures, labels) in enumerate(drawn, 1):
            logits = self._forward(pictures)
            loss = F.cross_entropy(logits, labels)
            self._check_finite(loss, epoch, done)
            self.optimiser.zero_grad()
            torch.autograd.backward(loss)
            self.optimiser.step()
            tally.add(loss, logits, labels)
            self._tell(epoch, done, batches, tally)
        return tally.means()

    @torch.no_grad()
    def _score(self, side: Side) -> tuple[float, float]:
        """Return mean loss and accuracy without augmentation."""
        self.network.eval()
        tally = _Tally()
        for pictures, labels in self.loader.in_order(side):
            logits = self._forward(pictures)
            tally.add(F.cross_entropy(logits, labels), logits, labels)
        return tally.means()

    def _forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.network(pictures.contiguous(memory_format=_LAYOUT))
        return logits

    def _tell(self, epoch: int, done: int, batches: int, tally: _Tally) -> None:
        values = {"loss": tally.means()[0]} if done else {}
        if self.points:
            values["validation_accuracy"] = self.points[-1].validation_accuracy
        step = (epoch - 1) * batches + done
        total = self.config.epochs * batches
        self.on_progress(Progress("training", step, total, values, f"epoch {epoch}/{self.config.epochs}"))

    def _check_finite(self, loss: Tensor, epoch: int, batch: int) -> None:
        if not math.isfinite(loss.item()):
            raise NumericalError(
                f"the loss became {loss.item()} in batch {batch} of epoch {epoch}.",
                f"Choose a smaller --learning-rate than {self.config.learning_rate:g}.",
            )


@dataclass
class _Tally:
    """Sums over the pictures of an epoch."""

    loss: float = 0.0
    right: int = 0
    n: int = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        self.loss += loss.item() * len(labels)
        self.right += int((logits.argmax(1) == labels).sum())
        self.n += len(labels)

    def means(self) -> tuple[float, float]:
        return self.loss / self.n, self.right / self.n
