"""How networks are taught: settings of gradient descent, and those that go with each model's name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from impasto.errors import UnknownNameError, UsageError

OPTIMISERS = {
    "adam": "Kingma and Ba 2014, betas .9 and .999; weight decay as L2",
    "adamw": "Loshchilov and Hutter 2017: weight decay apart from the gradient",
    "sgd": "Nesterov momentum .9; weight decay as L2",
    "rmsprop": "as in Keras, where the recipes come from: decay .9, epsilon 1e-7; weight decay as L2",
}
SCHEDULES = {
    "constant": "the same rate in every step, after the warm-up if there is one",
    "plateau": "a fifth of the rate whenever validation loss has not improved for three epochs",
    "cosine": "down to nothing along half a cosine (Loshchilov and Hutter 2016), after the warm-up",
    "one-cycle": "up from a 25th for 30 % of the steps, down to a 250,000th for the rest (Smith and Topin 2017)",
}
CLASS_WEIGHTS = {
    "none": "every picture counts the same",
    "balanced": "every class counts the same: n / (classes * n of the class), as in scikit-learn",
}
PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True)
class Recipe:
    """Settings of gradient descent.

    Attributes:
        epochs: at most so many.
        batch_size: pictures of one step of the optimiser, in all processes together.
        accumulate: in how many parts a batch goes through the network; less memory, the same step.
        optimiser: a name in :data:`OPTIMISERS`.
        learning_rate: the highest, of the head; "auto" lets the learning-rate finder choose.
        layer_decay: discriminative rates (Howard and Ruder 2018): each block learns at this share of the rate of the
            one above it, the head at the whole rate.
        weight_decay: of weights, not of biases and normalisation.
        schedule: a name in :data:`SCHEDULES`.
        warmup: epochs in which the rate rises to its height from nothing.
        label_smoothing: the share of the target that is spread over all classes (Szegedy et al. 2015).
        mixup: alpha of the beta distribution of mixing pairs of pictures (Zhang et al. 2017); 0 mixes none.
        class_weights: a name in :data:`CLASS_WEIGHTS`.
        ema: decay of the moving average of the weights that is validated and kept; 0 keeps the weights themselves.
        patience: stop after so many epochs without a better one; 0 never does.
        augment: how training pictures are changed, see :data:`impasto.data.load.augmentations.PRESETS`.
        precision: auto, fp32 or bf16, of convolutions and products.

    Raises:
        UsageError: a number out of range.
        UnknownNameError: an unknown optimiser, schedule or weighting.
    """

    epochs: int = 30
    batch_size: int = 32
    accumulate: int = 1
    optimiser: str = "adam"
    learning_rate: float | Literal["auto"] = 1e-3
    layer_decay: float = 1.0
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    class_weights: str = "none"
    ema: float = 0.0
    patience: int = 0
    augment: str = "none"
    precision: str = "auto"

    def __post_init__(self) -> None:
        self._check_names()
        for name in ("epochs", "batch_size", "accumulate"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be 1 or more.")
        if self.accumulate > self.batch_size:
            raise UsageError(f"accumulate is {self.accumulate}; a batch has {self.batch_size} pictures.")
        rate = self.learning_rate
        if rate != "auto" and not (isinstance(rate, int | float) and math.isfinite(rate) and rate > 0):
            raise UsageError(f"learning_rate is {rate}; it must be above 0, or auto.")
        for name in ("weight_decay", "warmup", "mixup", "patience"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise UsageError(f"{name} is {getattr(self, name)}; it must be 0 or more.")
        for name in ("label_smoothing", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be 0 or more and below 1.")
        if not 0 < self.layer_decay <= 1:
            raise UsageError(f"layer_decay is {self.layer_decay}; it must be above 0 and at most 1.")
        if self.warmup >= self.epochs and self.warmup:
            raise UsageError(f"warmup is {self.warmup} epochs; there are {self.epochs}.")

    def _check_names(self) -> None:
        for kind, known in (
            ("optimiser", OPTIMISERS),
            ("schedule", SCHEDULES),
            ("class_weights", CLASS_WEIGHTS),
            ("precision", PRECISIONS),
        ):
            if getattr(self, kind) not in known:
                raise UnknownNameError(kind, getattr(self, kind), known)


# Recipe R4 gives one list of settings for its networks: RMSprop 2e-5, batch 10, 80 epochs, augmentation.
_R4 = Recipe(epochs=80, batch_size=10, optimiser="rmsprop", learning_rate=2e-5, augment="r4")
# L2 5e-5 of its code adds 5e-5 * sum(w^2) to the loss, whose slope is 1e-4 * w.
R4_HEAD_RECIPE = replace(_R4, weight_decay=1e-4)
# R2 compared batches of 16, 32 and 64 and several numbers of epochs, and says no more; the rest is Keras' own choice.
_R2 = Recipe(epochs=30, batch_size=32, patience=10)
_OURS = Recipe(
    epochs=60,
    batch_size=32,
    optimiser="adamw",
    learning_rate=3e-3,
    weight_decay=0.05,
    schedule="one-cycle",
    label_smoothing=0.1,
    augment="crop",
)
# Fewer epochs than from nothing, and rates that fall with depth: what is there is better than what a few hundred
# pictures would teach.
TUNED_RECIPE = Recipe(
    epochs=15,
    batch_size=32,
    optimiser="adamw",
    learning_rate=1e-4,
    layer_decay=0.7,
    weight_decay=0.01,
    schedule="cosine",
    warmup=0.5,
    ema=0.99,
    augment="r0",
)
FOREIGN_RECIPE = TUNED_RECIPE
HEAD_RECIPES: Mapping[str, Recipe] = MappingProxyType({"r2": _R2, "r4": R4_HEAD_RECIPE, "r4-mean": R4_HEAD_RECIPE})
SMALL_RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "r0-cnn": Recipe(epochs=30, batch_size=32, augment="r0", patience=10),
        "r2-cnn-a": _R2,
        "r2-cnn-b": _R2,
        "r4-cnn": _R4,
        "r4-cnn-bn": _OURS,
        "impasto-cnn": _OURS,
    }
)
