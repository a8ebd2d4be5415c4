"""The models that can be trained, by name: what each is, and how it is taught unless told otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from torch import nn

from impasto.classify.models.foreign import TIMM, TORCHVISION, foreign_spec
from impasto.classify.models.heads import HEADS
from impasto.classify.models.small import R0CNN, R4CNN, ImpastoCNN, R2CNNa, R2CNNb
from impasto.classify.recipes import FOREIGN_RECIPE, HEAD_RECIPES, SMALL_RECIPES, TUNED_RECIPE, Recipe
from impasto.errors import UnknownNameError

DEFAULT_MODEL = "frozen:impasto-vgg"
MODELS: Mapping[str, str] = MappingProxyType(
    {
        "r0-cnn": "R0: three convolutions of 32 filters and a dense head, 256 pixels",
        "r2-cnn-a": "R2's CNN a: two convolutions, three dense layers, 150 pixels",
        "r2-cnn-b": "R2's CNN b: three convolutions, dropout .2 everywhere, 150 pixels",
        "r4-cnn": "R4's baseline: four convolutions, 9,679,041 parameters for two classes, 224 pixels",
        "r4-cnn-bn": "ours: R4's baseline with batch normalisation and a present-day training",
        "impasto-cnn": "ours: five normalised convolutions, means and maxima in place of positions; 0.4 million",
        "frozen:<encoder>": "a head on the features of a pretrained encoder, computed once (see --head)",
        "finetune:<encoder>": "a linear head first, then it and the encoder's last blocks (see --open)",
        "torchvision:<name>": "a classifier of torchvision, all of it",
        "timm:<name>": "a classifier of timm (an extra), all of it",
    }
)
Kind = Literal["small", "frozen", "finetune", "foreign"]
_SMALL: Mapping[str, tuple[Callable[[int, int], nn.Module], int]] = MappingProxyType(
    {
        "r0-cnn": (R0CNN, 256),
        "r2-cnn-a": (R2CNNa, 150),
        "r2-cnn-b": (R2CNNb, 150),
        "r4-cnn": (R4CNN, 224),
        "r4-cnn-bn": (lambda classes, size: R4CNN(classes, size, normalised=True), 224),
        "impasto-cnn": (ImpastoCNN, 224),
    }
)


@dataclass(frozen=True)
class ModelName:
    """A model's name, understood.

    Attributes:
        text: as it was given.
        kind: a small network, a frozen or fine-tuned encoder, or a classifier of torchvision or timm.
        encoder: the name of the encoder, None where there is none.
    """

    text: str
    kind: Kind
    encoder: str | None = None

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads it can have, its own first; none for a network that is one piece."""
        return tuple(HEADS) if self.kind in ("frozen", "finetune") else ()

    def recipe(self, head: str | None) -> Recipe | None:
        """How it is taught unless told otherwise; None for a linear head on features, which is solved for."""
        if self.kind == "frozen":
            return HEAD_RECIPES.get(head or "linear")
        return {"finetune": TUNED_RECIPE, "foreign": FOREIGN_RECIPE}.get(self.kind) or SMALL_RECIPES[self.text]

    def image_size(self) -> int | None:
        """The side of the pictures of a network that brings no encoder, in pixels."""
        if self.kind == "small":
            return _SMALL[self.text][1]
        return foreign_spec(self.text).input_size if self.kind == "foreign" else None


def parse_model(text: str) -> ModelName:
    """Understand a model's name. Whether the encoder exists is for ``load_encoder`` to say.

    Raises:
        UnknownNameError: no such model.

    >>> parse_model("frozen:vgg19").encoder
    'vgg19'
    """
    family, _, rest = text.partition(":")
    if text in _SMALL:
        return ModelName(text, "small")
    if rest and family in ("frozen", "finetune"):
        return ModelName(text, "frozen" if family == "frozen" else "finetune", rest)
    if rest and f"{family}:" in (TORCHVISION, TIMM):
        return ModelName(text, "foreign")
    raise UnknownNameError("model", text, MODELS)


def small_network(name: str, classes: int, image_size: int) -> nn.Module:
    """Return one of the small networks, with torch's own first weights."""
    return _SMALL[name][0](classes, image_size)
