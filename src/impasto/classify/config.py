"""The settings of a training."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from impasto.classify.models.heads import HEADS, SOLVED_HEADS
from impasto.classify.models.names import DEFAULT_MODEL, ModelName, parse_model
from impasto.classify.recipes import Recipe
from impasto.data.load.augmentations import KINDS, Augmentation
from impasto.errors import UnknownNameError, UsageError

_RECIPE = tuple(item.name for item in fields(Recipe))
_COMMON = ("data", "model", "seed", "device", "image_size", "augment", "labels", "insist", "class_weights")
# Settings of one kind of model beyond these. The others refuse them: a setting without effect would be a lie.
_OWN = {
    "small": (*_RECIPE, "workers", "tensorboard"),
    "foreign": (*_RECIPE, "weights", "workers", "tensorboard"),
    "finetune": (*_RECIPE, "weights", "head", "open_blocks", "probe", "workers", "tensorboard"),
    "frozen": ("weights", "head", "views"),
}
# What the encoder is opened for, where a head has to be trained by gradient descent.
_HEAD_ONLY = ("layer_decay",)
DEFAULT_OPEN, DEFAULT_VIEWS = 2, 4


@dataclass(frozen=True)
class TrainConfig:
    """What determines a training. None stands for what goes with the model's name.

    Args:
        data: a labelled folder, see :func:`impasto.data.dataset.read_dataset`.
        model: a name in :data:`impasto.classify.MODELS`.
        head: on an encoder: a name in :data:`impasto.classify.models.HEADS`.
        open_blocks: of a fine-tuned encoder: how many of its last blocks learn, or "all".
        probe: whether fine-tuning begins from the linear head that is best on the frozen features ("linear probe,
            then fine-tune", Kumar et al. 2022), and not from a random one; None does so for a linear head.
        seed: of the split (where the data has none), the first weights, the order and the augmentation.
        device: auto, cpu, cuda, cuda:1, mps.
        weights: of the encoder or classifier: a file, "random", or None for where they are found.
        image_size: side of the square that the network sees, in pixels.
        augment: how the training pictures are changed: names in
            :data:`impasto.data.load.augmentations.PRESETS`, joined by ``+``. Networks that see pixels get them changed
            anew in each epoch, heads on frozen features get ``views``.
        views: of a frozen encoder: how many augmented views of each training picture are encoded, once.
        labels: what the classes stand for: subject, style, artist, medium or genre; None for what the data set says,
            and where it says nothing for the strictest, style.
        insist: accept an augmentation that does not preserve such labels.
        workers: processes that fetch pictures, None for the program's choice. The model is the same.
        tensorboard: write TensorBoard's event files beside ``curves.csv``.
        epochs, batch_size, accumulate, optimiser, learning_rate, layer_decay, weight_decay, schedule, warmup,
            label_smoothing, mixup, class_weights, ema, patience, precision: see
            :class:`impasto.classify.recipes.Recipe`.

    Raises:
        UsageError: a number out of range, or a setting that the model does not have.
        UnknownNameError: an unknown model, head, augmentation, optimiser, schedule or kind of labels.
    """

    data: Path
    model: str = DEFAULT_MODEL
    head: str | None = None
    open_blocks: int | Literal["all"] | None = None
    probe: bool | None = None
    seed: int = 0
    device: str = "auto"
    weights: str | None = None
    image_size: int | None = None
    augment: str | None = None
    views: int | None = None
    labels: str | None = None
    insist: bool = False
    workers: int | None = None
    tensorboard: bool = False
    epochs: int | None = None
    batch_size: int | None = None
    accumulate: int | None = None
    optimiser: str | None = None
    learning_rate: float | Literal["auto"] | None = None
    layer_decay: float | None = None
    weight_decay: float | None = None
    schedule: str | None = None
    warmup: float | None = None
    label_smoothing: float | None = None
    mixup: float | None = None
    class_weights: str | None = None
    ema: float | None = None
    patience: int | None = None
    precision: str | None = None
    name: ModelName = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", parse_model(self.model))
        self._check_own()
        for number, least in (("workers", 0), ("views", 1), ("image_size", 1)):
            value = getattr(self, number)
            if value is not None and value < least:
                raise UsageError(f"{number} is {value}; it must be {least} or more.")
        if self.open_blocks not in (None, "all") and not (isinstance(self.open_blocks, int) and self.open_blocks > 0):
            raise UsageError(f"open_blocks is {self.open_blocks}; it must be 1 or more, or all.")
        if self.labels not in (None, *KINDS):
            raise UnknownNameError("kind of labels", self.labels or "", KINDS)
        Augmentation(self.augmentation)
        _ = self.recipe

    def _check_own(self) -> None:
        if self.probe and self.head not in (None, *SOLVED_HEADS):
            raise UsageError(f"a head {self.head} is not solved for: there is no probe.", "Leave --probe out.")
        if self.head is not None and self.name.heads and self.head not in HEADS:
            raise UnknownNameError("head", self.head, HEADS)
        own = self.settings()
        useless = [item.name for item in fields(self) if item.init and item.name not in own and self._is_given(item)]
        if useless:
            head = f" with the head {self.head or 'linear'}" if self.name.kind == "frozen" else ""
            raise UsageError(f"{self.model}{head} has no {', '.join(useless)}.", "Leave it out.")

    def _is_given(self, item: Any) -> bool:
        return bool(getattr(self, item.name) != item.default)

    def settings(self) -> tuple[str, ...]:
        """Return the names of the settings that this model has."""
        own = {*_COMMON, *_OWN[self.name.kind]}
        if self.name.kind == "frozen" and self.name.recipe(self.head) is not None:
            own |= {*_RECIPE, "tensorboard"} - {*_HEAD_ONLY}
        return tuple(item.name for item in fields(self) if item.name in own)

    @property
    def recipe(self) -> Recipe | None:
        """How it is taught: what goes with the model's name, and what was said otherwise.

        None for a linear head on frozen features, which is solved for.
        """
        usual = self.name.recipe(self.head)
        said = {name: getattr(self, name) for name in _RECIPE if getattr(self, name) is not None}
        return usual and replace(usual, **said)

    @property
    def augmentation(self) -> str:
        """The name of the augmentation: the recipe's, or none for a linear head on frozen features."""
        usual = self.name.recipe(self.head)
        return self.augment or (usual.augment if usual else "none")

    @property
    def encoder(self) -> str | None:
        """The name of the encoder, None for a network that has none."""
        return self.name.encoder

    def effective(self) -> dict[str, Any]:
        """Return the settings that the result depends on, each with the value that is used.

        Device, workers and TensorBoard are not among them: they are means and no ends.
        """
        usual = {
            "head": "linear",
            "open_blocks": DEFAULT_OPEN,
            "probe": self.head in (None, *SOLVED_HEADS),
            "class_weights": "none",
        }
        usual["views"] = 1 if self.augmentation == "none" else DEFAULT_VIEWS
        means = ("data", "device", "workers", "tensorboard", "image_size")
        chosen = {name: getattr(self, name) for name in self.settings() if name not in means}
        filled = {name: usual.get(name) if value is None else value for name, value in chosen.items()}
        recipe = {item: getattr(self.recipe, item) for item in _RECIPE if item in filled} if self.recipe else {}
        return {**filled, **recipe, "augment": self.augmentation}
