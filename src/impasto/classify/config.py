"""The settings of a training."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path

from impasto.classify.models import DEFAULT_MODEL, encoder_of
from impasto.data.load.augmentations import KINDS, Augmentation
from impasto.errors import UnknownNameError, UsageError

# Settings of one kind of model. The other kind refuses them: a setting without effect would be a lie.
NETWORK_ONLY = (
    "epochs",
    "batch_size",
    "learning_rate",
    "image_size",
    "augment",
    "labels",
    "insist",
    "patience",
    "workers",
)
FROZEN_ONLY = ("weights",)


@dataclass(frozen=True)
class TrainConfig:
    """What determines a training.

    Args:
        data: a labelled folder, see :func:`impasto.data.dataset.read_dataset`.
        model: ``r0-cnn`` or ``frozen:<encoder>``.
        seed: of the split (where the data has none), the first weights, the order and the augmentation.
        device: auto, cpu, cuda, cuda:1, mps.
        weights: of the encoder: a file, "random", or None for where ``load_encoder`` finds them.
        epochs: at most so many. R0 needed 30 and lost accuracy afterwards; the best epoch is kept here.
        batch_size: pictures of one gradient step.
        learning_rate: Adam's.
        image_size: side of the square that the network sees, in pixels.
        augment: how the training pictures are changed, anew in each epoch: names in
            :data:`impasto.data.load.augmentations.PRESETS`, joined by ``+``.
        labels: what the classes stand for: subject, style, artist, medium or genre; None for what the data set says,
            and where it says nothing for the strictest, style.
        insist: accept an augmentation that does not preserve such labels.
        patience: stop after so many epochs without a better one.
        workers: processes that fetch pictures, None for the program's choice. The model is the same.

    Raises:
        UsageError: a number out of range, or a setting that the model does not have.
        UnknownNameError: an unknown model, augmentation or kind of labels.
    """

    data: Path
    model: str = DEFAULT_MODEL
    seed: int = 0
    device: str = "auto"
    weights: str | None = None
    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-3
    image_size: int = 256
    augment: str = "r0"
    labels: str | None = None
    insist: bool = False
    patience: int = 10
    workers: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "patience"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be 1 or more.")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UsageError(f"learning_rate is {self.learning_rate}; it must be above 0.")
        if self.workers is not None and self.workers < 0:
            raise UsageError(f"workers is {self.workers}; it must be 0 or more.")
        Augmentation(self.augment)
        if self.labels not in (None, *KINDS):
            raise UnknownNameError("kind of labels", self.labels, KINDS)
        foreign = [field for field in fields(self) if field.name not in self.settings()]
        useless = [field.name for field in foreign if getattr(self, field.name) != field.default]
        if useless:
            raise UsageError(f"{self.model} has no {', '.join(useless)}.", "Leave it out.")

    @property
    def encoder(self) -> str | None:
        """The name of the frozen encoder, None for a network that sees pixels."""
        return encoder_of(self.model)

    def settings(self) -> tuple[str, ...]:
        """Return the names of the settings that this model has."""
        foreign = FROZEN_ONLY if self.encoder is None else NETWORK_ONLY
        return tuple(field.name for field in fields(self) if field.name not in foreign)
