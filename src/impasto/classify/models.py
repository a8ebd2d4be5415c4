"""The networks that can be trained, by name.

``r0-cnn`` sees pixels, ``frozen:<encoder>`` puts a linear head on the features of a pretrained encoder.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from impasto.encoders import AnyEncoder
from impasto.errors import UnknownNameError, UsageError

DEFAULT_MODEL = "frozen:impasto-vgg"
MODELS = {
    "r0-cnn": "three convolutions of 32 filters and a dense head, trained from nothing (recipe R0)",
    "frozen:<encoder>": "logistic regression on the features of a pretrained encoder",
}
_FROZEN = "frozen:"


def encoder_of(model: str) -> str | None:
    """Return the name of the frozen encoder in a model's name, None for a network that sees pixels.

    Raises:
        UnknownNameError: no such model. Whether the encoder exists is for ``load_encoder`` to say.

    >>> encoder_of("frozen:vgg19")
    'vgg19'
    """
    if model == "r0-cnn":
        return None
    if model.startswith(_FROZEN) and model != _FROZEN:
        return model.removeprefix(_FROZEN)
    raise UnknownNameError("model", model, MODELS)


class R0CNN(nn.Sequential):
    """The CNN of recipe R0: a stack of [Conv 3x3 32, ReLU, MaxPool 2x2] and a dense head.

    The recipe gives neither the number of blocks nor the size of the head. Both are those of the Keras example
    that its augmentation comes from (Chollet 2016), less the dropout, which the recipe does not name: three
    blocks, unpadded, then Dense 64, ReLU, Dense ``classes``. At 256 pixels and 4 classes: 1,862,916 parameters.

    Shape:
        input B x 3 x S x S in 0..1; output B x ``classes`` logits.
    """

    FILTERS = 32
    BLOCKS = 3
    HIDDEN = 64

    def __init__(self, classes: int, image_size: int = 256) -> None:
        side = image_size
        layers: list[nn.Module] = []
        for block in range(self.BLOCKS):
            layers += [nn.Conv2d(self.FILTERS if block else 3, self.FILTERS, 3), nn.ReLU(), nn.MaxPool2d(2)]
            side = (side - 2) // 2
        if side < 1:
            raise UsageError(f"r0-cnn cannot see pictures of {image_size} pixels.", "Choose 22 or more.")
        flat = side * side * self.FILTERS
        head = [nn.Flatten(), nn.Linear(flat, self.HIDDEN), nn.ReLU(), nn.Linear(self.HIDDEN, classes)]
        super().__init__(*layers, *head)


def glorot_(network: nn.Module, generator: torch.Generator) -> None:
    """Draw weights as Keras does, R0's library: uniform after Glorot and Bengio 2010, biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            assert module.bias is not None
            nn.init.zeros_(module.bias)


class OnFeatures(nn.Module):
    """A frozen encoder and its head as one network.

    Shape:
        input B x 3 x S x S, RGB in 0..1; output B x ``classes`` logits.
    """

    def __init__(self, encoder: AnyEncoder, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.head(self.encoder.features(pictures))
        return logits


class LinearHead(nn.Module):
    """Standardise features, then one linear layer.

    Shape:
        input B x ``features``; output B x ``classes`` logits.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)
        self.register_buffer("mean", self.linear.weight.new_zeros(features))
        self.register_buffer("scale", self.linear.weight.new_ones(features))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.linear((features - self.mean) / self.scale)
        return logits
