"""Small networks that learn from nothing: those of the recipes as published, and ours beside them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from impasto.classify.models.heads import as_logits, outputs_of
from impasto.errors import UsageError


class R0CNN(nn.Sequential):
    """The CNN of recipe R0: a stack of [Conv 3x3 32, ReLU, MaxPool 2x2] and a dense head.

    The recipe gives neither the number of blocks nor the size of the head. Both are those of the Keras example
    that its augmentation comes from (Chollet 2016), less the dropout, which the recipe does not name: three
    blocks, unpadded, then Dense 64, ReLU, Dense ``classes``. At 256 pixels and 4 classes: 1,862,916 parameters.

    Shape:
        input B x 3 x S x S in 0..1; output B x ``classes`` logits.
    """

    def __init__(self, classes: int, image_size: int = 256) -> None:
        layers = [layer for inputs in (3, 32, 32) for layer in _block(inputs, 32)]
        flat = 32 * _side("r0-cnn", image_size, blocks=3) ** 2
        super().__init__(*layers, nn.Flatten(), nn.Linear(flat, 64), nn.ReLU(), nn.Linear(64, classes))


class R2CNNa(nn.Sequential):
    """CNN a of recipe R2: Conv 32, pool, Conv 64, pool, Dense 64, Dense 128, Dense ``classes``.

    Kernels of 3 x 3, unpadded, with ReLU: the recipe does not say, these are what its library takes for granted in
    its tutorials. At 150 pixels and 5 classes: 5,336,837 parameters.

    Shape:
        input B x 3 x S x S in 0..1; output B x ``classes`` logits.
    """

    def __init__(self, classes: int, image_size: int = 150) -> None:
        flat = 64 * _side("r2-cnn-a", image_size, blocks=2) ** 2
        dense = [nn.Flatten(), nn.Linear(flat, 64), nn.ReLU(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, classes)]
        super().__init__(*_block(3, 32), *_block(32, 64), *dense)


class R2CNNb(nn.Sequential):
    """CNN b of recipe R2: three convolutions and two dense layers, dropout .2 after each of them.

    At 150 pixels and 5 classes: 2,404,837 parameters.

    Shape:
        input B x 3 x S x S in 0..1; output B x ``classes`` logits.
    """

    DROPOUT = 0.2

    def __init__(self, classes: int, image_size: int = 150) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 32), (32, 32), (32, 64)):
            layers += [*_block(inputs, outputs), nn.Dropout(self.DROPOUT)]
        features = 64 * _side("r2-cnn-b", image_size, blocks=3) ** 2
        layers.append(nn.Flatten())
        for width in (128, 64):
            layers += [nn.Linear(features, width), nn.ReLU(), nn.Dropout(self.DROPOUT)]
            features = width
        super().__init__(*layers, nn.Linear(features, classes))


class R4CNN(nn.Module):
    """The baseline of recipe R4: Conv 32, 64, 128, 128, each with pool; dropout .5, Dense 512, Dense 1.

    At 224 pixels and two classes: 9,679,041 parameters, as published. For more classes the last layer has one output
    each.

    Args:
        classes, image_size: of the data.
        normalised: batch normalisation after each convolution: "wanted next" in the recipe, named ``r4-cnn-bn`` here.

    Shape:
        input B x 3 x S x S in 0..1; output B x ``classes`` logits.
    """

    def __init__(self, classes: int, image_size: int = 224, *, normalised: bool = False) -> None:
        super().__init__()
        widths = (3, 32, 64, 128, 128)
        blocks = (_block(*pair, normalised=normalised) for pair in itertools.pairwise(widths))
        self.features = nn.Sequential(*(layer for block in blocks for layer in block))
        flat = 128 * _side("r4-cnn", image_size, blocks=4) ** 2
        self.hidden = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(flat, 512), nn.ReLU())
        self.output = nn.Linear(512, outputs_of(classes))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits."""
        return as_logits(self.output(self.hidden(self.features(pictures))))


class ImpastoCNN(nn.Module):
    """Ours: five normalised blocks, and a head that sees the mean and the maximum of each channel.

    What R0's and R4's networks lack: batch normalisation lets a rate a hundred times theirs, and a head on means and
    maxima in place of all positions has a hundredth of their weights, so that a few hundred pictures suffice, of any
    size. Means know how much of a texture there is, maxima whether it is there at all. 408,000 parameters.

    Shape:
        input B x 3 x S x S in 0..1, S at least 32; output B x ``classes`` logits.
    """

    WIDTHS = (32, 64, 96, 128, 192)

    def __init__(self, classes: int, image_size: int = 224) -> None:
        if image_size < 2 ** len(self.WIDTHS):
            raise UsageError(f"impasto-cnn cannot see pictures of {image_size} pixels.", "Choose 32 or more.")
        super().__init__()
        pairs = zip((3, *self.WIDTHS), self.WIDTHS, strict=False)
        self.features = nn.Sequential(*(layer for pair in pairs for layer in _block(*pair, padding=1, normalised=True)))
        self.dropout = nn.Dropout(0.2)
        self.output = nn.Linear(2 * self.WIDTHS[-1], classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits."""
        maps = self.features(2 * pictures - 1)
        logits: Tensor = self.output(self.dropout(torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1)))
        return logits


def _block(inputs: int, outputs: int, *, padding: int = 0, normalised: bool = False) -> Sequence[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, 3, padding=padding, bias=not normalised)
    return [conv, *([nn.BatchNorm2d(outputs)] if normalised else []), nn.ReLU(), nn.MaxPool2d(2)]


def _side(name: str, image_size: int, blocks: int) -> int:
    """Return the side that unpadded blocks leave of a picture."""
    side, least = image_size, 1
    for _ in range(blocks):
        side, least = (side - 2) // 2, 2 * least + 2
    if side < 1:
        raise UsageError(f"{name} cannot see pictures of {image_size} pixels.", f"Choose {least} or more.")
    return side


def glorot_(network: nn.Module, generator: torch.Generator) -> None:
    """Draw weights as Keras does, the recipes' library: uniform after Glorot and Bengio 2010, biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
