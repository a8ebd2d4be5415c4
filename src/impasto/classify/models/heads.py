"""Heads on the features of a pretrained encoder, and both as one network."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from impasto.encoders import AnyEncoder, Encoder


class LinearHead(nn.Module):
    """Standardise features, then one linear layer; the features are spatial means.

    Shape:
        input B x ``features``; output B x ``classes`` logits.
    """

    grid: ClassVar[int] = 1
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


class LinearPoolHead(LinearHead):
    """The same on means and maxima: two to three points better with ten pictures of each class, see docs/methods.md."""

    grid: ClassVar[int] = 0


class R2Head(nn.Sequential):
    """Recipe R2's stack on a pretrained VGG: Dense 32, 64, 128, 64, ``classes``, each but the last with ReLU.

    It sees the 7 x 7 positions of the last pooling one by one; of an encoder with more positions, their means over a
    grid of 7 x 7.

    Shape:
        input B x ``features``; output B x ``classes`` logits.
    """

    grid: ClassVar[int] = 7
    WIDTHS = (32, 64, 128, 64)

    def __init__(self, features: int, classes: int) -> None:
        layers: list[nn.Module] = []
        for width in self.WIDTHS:
            layers += [nn.Linear(features, width), nn.ReLU()]
            features = width
        super().__init__(*layers, nn.Linear(features, classes))


class R4Head(nn.Module):
    """Recipe R4's head: 25088 features of VGG16, Dense 256 with ReLU and L2, dropout .5, sigmoid.

    The recipe does not say how wide the Dense layer is: 256 are those of Chollet 2017 (Deep Learning with Python,
    listing 5.17), where its other numbers come from. For two classes there is one output, as published, and the logits
    are 0 and that; for more, one each.

    Shape:
        input B x ``features``; output B x ``classes`` logits.
    """

    grid: ClassVar[int] = 7
    WIDTH = 256
    # What L2 is put on: the recipe has it on the first Dense layer alone.
    penalised: ClassVar[frozenset[str]] = frozenset({"hidden.weight"})

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, self.WIDTH)
        self.dropout = nn.Dropout(0.5)
        self.output = nn.Linear(self.WIDTH, outputs_of(classes))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits."""
        return as_logits(self.output(self.dropout(self.hidden(features).relu())))


class R4MeanHead(R4Head):
    """Ours: R4's head on the spatial means of the features, a fiftieth of its weights.

    What R4's head costs is its 6.4 million weights, which every step of ten pictures reads and writes, not the
    encoder whose features are computed once.
    """

    grid: ClassVar[int] = 1


def outputs_of(classes: int) -> int:
    """Return how many outputs a network of recipe R4 has: one sigmoid tells two classes apart."""
    return 1 if classes == 2 else classes


def as_logits(output: Tensor) -> Tensor:
    """Turn the one output for two classes into two logits whose softmax is its sigmoid; others stay as they are."""
    return torch.cat([torch.zeros_like(output), output], 1) if output.shape[1] == 1 else output


HEADS: dict[str, type[LinearHead | R2Head | R4Head]] = {
    "linear": LinearPoolHead,
    "linear-mean": LinearHead,
    "r2": R2Head,
    "r4": R4Head,
    "r4-mean": R4MeanHead,
}


# Those whose weights are computed, and not found step by step.
SOLVED_HEADS = tuple(name for name, head in HEADS.items() if issubclass(head, LinearHead))


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
        logits: Tensor = self.head(self.encoder.pooled(pictures, grid_of(self.head)))
        return logits

    def train(self, mode: bool = True) -> OnFeatures:
        """Set the head's mode; the encoder is always as in prediction."""
        self.training = mode
        self.encoder.eval()
        self.head.train(mode)
        return self


class Tuned(nn.Module):
    """A pretrained encoder whose last blocks learn, and a head.

    Batch normalisation of the encoder stays as it was trained, in its open blocks as well: it uses the statistics of
    ImageNet and does not change them. Statistics of a few pictures, or those of the last batches applied in
    prediction, are what "ResNet: not successful" came from. Scales and shifts of open blocks learn.

    Args:
        encoder: owned from now on.
        head: one of :data:`HEADS`.
        open_blocks: names of the parameters of ``encoder.network`` that learn, of each block, the picture's
            side first.

    Shape:
        input B x 3 x S x S, RGB in 0..1; output B x ``classes`` logits.
    """

    def __init__(self, encoder: Encoder, head: nn.Module, open_blocks: list[list[str]]) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head.requires_grad_(True)
        self.open_blocks = open_blocks
        for name in (name for block in open_blocks for name in block):
            encoder.network.get_parameter(name).requires_grad_(True)
        self.train(self.training)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.head(self.encoder.pooled(pictures, grid_of(self.head)))
        return logits

    def train(self, mode: bool = True) -> Tuned:
        """Set the head's mode; the encoder is always as in prediction."""
        self.training = mode
        self.encoder.eval()
        self.head.train(mode)
        return self


def grid_of(head: nn.Module) -> int:
    """Return over how fine a grid of the encoder's last layer a head looks, see ``Encoder.pooled``."""
    return int(getattr(head, "grid", 1))
