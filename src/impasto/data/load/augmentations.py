"""Named augmentations, where each comes from, and what kind of label survives it.

What is drawn for a picture depends on seed, epoch and its index alone. What is done with it is done for a whole batch:
all shears, turns, zooms and shifts of a preset are one map of the plane and one interpolation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.errors import UnknownNameError, UsageError
from impasto.runs import CONFIG_NAME
from impasto.runtime import generator

# What classes can stand for.
KINDS = ("subject", "style", "artist", "medium", "genre")
# Of them the one that the fewest augmentations preserve.
STRICTEST = "style"
_LABEL_KINDS = {"style": "style", "content": "subject"}

# B x n numbers in 0..1 -> B x 3 x 3: where in the picture, -1..1 each way, a point of the result is taken from.
Warp = Callable[[Tensor], Tensor]
# B x 3 x S x S pictures in 0..1 and B x n numbers in 0..1 -> pictures in other colours.
Tint = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Preset:
    """One named augmentation.

    Attributes:
        does: what happens to a picture.
        source: where the kinds and strengths come from.
        preserves: the kinds of label that are as true afterwards.
        draws: how many numbers in 0..1 it takes for a picture.
        warp: what it does to places, None for nothing.
        tint: what it does to colours, None for nothing.
    """

    does: str
    source: str
    preserves: frozenset[str] = frozenset(KINDS)
    draws: int = 0
    warp: Warp | None = None
    tint: Tint | None = None

    def draw(self, streams: Sequence[torch.Generator]) -> Tensor:
        """Return the next numbers of each stream, B x ``draws``."""
        return torch.stack([torch.rand(self.draws, generator=stream) for stream in streams])


def _between(numbers: Tensor, low: float, high: float) -> Tensor:
    return low + numbers * (high - low)


def _matrix(rows: Sequence[Sequence[Tensor | float]]) -> Tensor:
    """Return B x 3 x 3 matrices from two rows of three values each, which are numbers or one for each picture."""
    like = next(value for row in rows for value in row if isinstance(value, Tensor))
    full = [*rows, (0.0, 0.0, 1.0)]
    return torch.stack([torch.stack([torch.zeros_like(like) + value for value in row], -1) for row in full], -2)


def _mirror(numbers: Tensor) -> Tensor:
    """Exchange left and right in half of the pictures."""
    return _matrix([(torch.where(numbers < 0.5, -1.0, 1.0), 0.0, 0.0), (0.0, 1.0, 0.0)])


def _turn(radians: Tensor) -> Tensor:
    cos, sin = radians.cos(), radians.sin()
    return _matrix([(cos, -sin, 0.0), (sin, cos, 0.0)])


def _shift(x: Tensor, y: Tensor) -> Tensor:
    """Move by shares of the side, of which there are two units from -1 to 1."""
    return _matrix([(1.0, 0.0, 2 * x), (0.0, 1.0, 2 * y)])


def _r0(numbers: Tensor) -> Tensor:
    """Keras draws a zoom for each axis, here one serves both, so that proportions stay."""
    shear, zoom, flip = numbers.unbind(1)
    slope, scale = _between(shear, -0.2, 0.2).tan(), _between(zoom, 0.8, 1.2)
    return _matrix([(1 / scale, slope / scale, 0.0), (0.0, 1 / scale, 0.0)]) @ _mirror(flip)


def _r1(numbers: Tensor) -> Tensor:
    angle, x, y = numbers.unbind(1)
    limit = math.radians(15)
    return _turn(_between(angle, -limit, limit)) @ _shift(_between(x, -0.1, 0.1), _between(y, -0.1, 0.1))


def _r4(numbers: Tensor) -> Tensor:
    """Turn, shift, shear and zoom in the order of Keras' product, each axis with a zoom of its own."""
    angle, x, y, shear, zoom_x, zoom_y, flip = numbers.unbind(1)
    limit, slant = math.radians(40), _between(shear, -0.2, 0.2)
    sheared = _matrix([(slant.cos(), 0.0, 0.0), (-slant.sin(), 1.0, 0.0)])
    zoomed = _matrix([(_between(zoom_x, 0.8, 1.2), 0.0, 0.0), (0.0, _between(zoom_y, 0.8, 1.2), 0.0)])
    shifted = _shift(_between(x, -0.2, 0.2), _between(y, -0.2, 0.2))
    return _turn(_between(angle, -limit, limit)) @ shifted @ sheared @ zoomed @ _mirror(flip)


def _crop(numbers: Tensor) -> Tensor:
    """A side that would be longer than the picture's is as long; torchvision draws again instead."""
    area, aspect, x, y, flip = numbers.unbind(1)
    area, ratio = _between(area, 0.5, 1.0), _between(aspect, math.log(3 / 4), math.log(4 / 3)).exp()
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    place_x, place_y = (1 - width) * _between(x, -1, 1), (1 - height) * _between(y, -1, 1)
    return _matrix([(width, 0.0, place_x), (0.0, height, place_y)]) @ _mirror(flip)


def _colour(pictures: Tensor, numbers: Tensor) -> Tensor:
    """Brightness, contrast, saturation in this order; the source shuffles them."""
    brightness, contrast, saturation = _between(numbers, 0.6, 1.4)[:, :, None, None, None].unbind(1)
    bright = (pictures * brightness).clamp_(0, 1)
    mean = _grey(bright).mean((2, 3), keepdim=True)
    strong = torch.lerp(mean, bright, contrast).clamp_(0, 1)
    return torch.lerp(_grey(strong), strong, saturation).clamp_(0, 1)


def _grey(pictures: Tensor) -> Tensor:
    """Return luma after ITU-R BT.601, B x 1 x S x S."""
    red, green, blue = pictures.unbind(1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue)[:, None]


PRESETS = {
    "none": Preset("nothing", "-"),
    "r0": Preset(
        "shear to 11 degrees, zoom by 0.8 to 1.2, mirror; edges continued",
        "Recipe R0 names the kinds; strengths of the Keras example it follows: Chollet 2016, Building powerful image "
        "classification models using very little data",
        draws=3,
        warp=_r0,
    ),
    "r1": Preset(
        "shift by up to 10 % of the side, turn by up to 15 degrees; edges continued",
        "Recipe R1 names translation and rotation; the strengths are ours",
        draws=3,
        warp=_r1,
    ),
    "r2": Preset("nothing", "Recipe R2 names none but rescaling to 0..1, which every model here does"),
    "r4": Preset(
        "turn by up to 40 degrees, shift by up to 20 %, shear to 11 degrees, zoom by 0.8 to 1.2 each way, mirror; "
        "edges continued",
        "Chollet 2017, Deep Learning with Python, listing 5.11, where recipe R4's network comes from; shear 0.2 is in "
        "radians there (Keras 2.0)",
        draws=7,
        warp=_r4,
    ),
    "crop": Preset(
        "half to all of the area, 3:4 to 4:3, anywhere, scaled to the whole; mirror",
        "Szegedy et al. 2015, Going deeper with convolutions; they go down to 8 % of the area, which enlarges strokes "
        "3.5 times and often loses the subject",
        draws=5,
        warp=_crop,
    ),
    "colour": Preset(
        "brightness, contrast and saturation by 0.6 to 1.4",
        "Howard 2014, Some improvements on deep convolutional neural network based image classification; the range is "
        "that of He et al. 2019, Bag of tricks for image classification, who change the hue and not the contrast",
        preserves=frozenset({"subject", "genre"}),
        draws=3,
        tint=_colour,
    ),
}


@dataclass(frozen=True)
class Augmentation:
    """One preset, or several one after another.

    Attributes:
        name: names in :data:`PRESETS`, joined by ``+``.
    """

    name: str

    def __post_init__(self) -> None:
        for name in self.name.split("+"):
            if name not in PRESETS:
                raise UnknownNameError("augmentation", name, PRESETS)

    @property
    def presets(self) -> tuple[Preset, ...]:
        """The presets, in order."""
        return tuple(PRESETS[name] for name in self.name.split("+"))

    @property
    def preserves(self) -> frozenset[str]:
        """The kinds of label that every one of the presets preserves.

        >>> sorted(Augmentation("r4+colour").preserves)
        ['genre', 'subject']
        """
        return frozenset(KINDS).intersection(*(preset.preserves for preset in self.presets))

    def check(self, labels: str) -> None:
        """Refuse to change pictures so that their labels are no longer true.

        Raises:
            UsageError: labels of the kind ``labels`` do not survive.
        """
        if labels not in self.preserves:
            kept = [kind for kind in KINDS if kind in self.preserves]
            raise UsageError(
                f"the augmentation {self.name} changes what a label of the kind {labels} stands for.",
                f"If the labels are of the kind {' or '.join(kept)}, say so: --labels {kept[0]}. "
                "To do it all the same: --insist.",
            )

    def __call__(self, pictures: Tensor, *, seed: int, epoch: int, indices: Sequence[int]) -> Tensor:
        """Return changed copies of B x 3 x S x S pictures in 0..1, on their device.

        What is drawn for the picture ``indices[i]`` depends on it, ``seed`` and ``epoch`` and not on its company. Maps
        of the plane are joined to one, so that pixels are interpolated once; the picture's edge is continued outwards.
        Colours come last.
        """
        if not any(preset.draws for preset in self.presets):
            return pictures
        streams = [generator(seed, "augment", epoch, index) for index in indices]
        drawn = [(preset, preset.draw(streams)) for preset in self.presets]
        maps = [preset.warp(own) for preset, own in drawn if preset.warp]
        if maps:
            pictures = _sample(pictures, reduce(torch.matmul, maps).to(pictures.device))
        for preset, own in drawn:
            pictures = preset.tint(pictures, own.to(pictures.device)) if preset.tint else pictures
        return pictures


NONE = Augmentation("none")


def _sample(pictures: Tensor, maps: Tensor) -> Tensor:
    """Return B x 3 x S x S pictures through B x 3 x 3 maps. The grid is a tenth of the cost of torch's affine_grid."""
    side = pictures.shape[-1]
    steps = (2 * torch.arange(side, device=pictures.device) + 1) / side - 1
    grid = pictures.new_empty(len(pictures), side, side, 2)
    for axis in range(2):
        by_x, by_y, shift = maps[:, axis, :, None, None].unbind(1)
        torch.add(by_x * steps, by_y * steps[:, None] + shift, out=grid[..., axis])
    # The centres of the outermost pixels: padding_mode="border", which MPS refuses (pytorch issue 125098).
    grid.clamp_(1 / side - 1, 1 - 1 / side)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def kind_of_labels(root: Path) -> str:
    """Return what the classes of a data set stand for: what ``impasto dataset stylize`` noted, else the strictest."""
    try:
        return _LABEL_KINDS[json.loads((root / CONFIG_NAME).read_text(encoding="utf-8"))["config"]["label"]]
    except (OSError, ValueError, KeyError, TypeError):
        return STRICTEST
