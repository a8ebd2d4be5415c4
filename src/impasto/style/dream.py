"""What is dreamed of while repainting: which channels, and how strong they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.encoders import AnyEncoder
from impasto.encoders.encoder import canonical_layer
from impasto.errors import UnknownNameError, UsageError
from impasto.style.losses import dream_energy

# The word for a choice by measurement.
AUTO = "auto"
# Longer side in pixels at which a photo is looked at for its silent channels, and channels are chosen; the shorter one
# has LOOK_LEAST where the painting has them, or deep layers would have nothing to see.
LOOK_SIZE = 128
LOOK_LEAST = 64
# Of the layer's mean energy: channels below it count as if they had it, so that silence is no base for multiples.
_LEAST = 0.01


@dataclass(frozen=True)
class DreamLayer:
    """Channels of one layer to be amplified; no channels mean all of them.

    >>> str(DreamLayer("fire6", (12, 40)))
    'fire6:12,40'
    """

    layer: str
    channels: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.layer}:{','.join(map(str, self.channels))}" if self.channels else self.layer

    def energy(self, features: Tensor) -> Tensor:
        """Return the mean of squares of the channels in 1 x C x H x W."""
        return dream_energy(features[:, list(self.channels)] if self.channels else features)

    def usual_energy(self, photo: Tensor) -> Tensor:
        """Return what gains are multiples of, from the photo's features."""
        return torch.maximum(self.energy(photo), _LEAST * dream_energy(photo)).clamp(min=1e-12)


@dataclass(frozen=True)
class Dream:
    """What a repaint dreams of.

    Attributes:
        layers: what is amplified.
        silent: channels of the layers looked at which are 0 everywhere in the photo: nothing can be amplified there.
        chosen: whether they were chosen by measurement.
    """

    layers: tuple[DreamLayer, ...] = ()
    silent: tuple[DreamLayer, ...] = ()
    chosen: bool = False

    def __str__(self) -> str:
        return "+".join(map(str, self.layers))

    def description(self) -> str:
        """Return a sentence for people."""
        reason = " (least weight in style and content)" if self.chosen else ""
        count = sum(len(each.channels) for each in self.silent)
        silent = f"; {count} channels are silent in this photo" if count else ""
        return f"dreaming of {self}{reason}{silent}"


def parse_dream(text: str) -> tuple[DreamLayer, ...]:
    """Read ``fire6``, ``fire6:12,40`` and several of them joined by ``+``; nothing of an empty text or ``auto``.

    >>> [str(each) for each in parse_dream("fire6:12,40+fire8")]
    ['fire6:12,40', 'fire8']

    Raises:
        UsageError: another form, or a layer twice.
    """
    if text in ("", AUTO):
        return ()
    layers = tuple(_parse_one(part.strip(), text) for part in text.split("+"))
    names = [each.layer for each in layers]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"the dream {text!r} names {twice} twice.", f"Write {twice}:1,2 for several channels.")
    return layers


def _parse_one(part: str, text: str) -> DreamLayer:
    layer, colon, numbers = part.partition(":")
    digits = [number.strip() for number in numbers.split(",")] if colon else []
    if not layer or not all(number.isdecimal() for number in digits):
        raise UsageError(f"the dream {text!r} is not understood.", "Write fire6, fire6:12,40 or auto; join by +.")
    return DreamLayer(layer, tuple(sorted({int(number) for number in digits})))


def check_dream(
    layers: Sequence[DreamLayer], encoder: AnyEncoder, photo: Tensor, content: Iterable[str], style: Iterable[str]
) -> Dream:
    """Return the dream of ``layers`` with the channels that are silent in ``photo`` (1 x 3 x H x W in 0..1).

    A layer that a loss uses is only allowed with channels named. Its energy as a whole is what the Gram matrix's
    diagonal holds fast, and what the content loss compares: the optimiser would undo the dream, or the dream the
    style. A few channels of hundreds carry little of either.

    Raises:
        UnknownNameError: no such layer.
        UsageError: no such channel, a layer in use as a whole, or only channels that are silent.
    """
    for each in layers:
        if not encoder.has_layer(each.layer):
            raise UnknownNameError(f"layer of {encoder.name}", each.layer, encoder.layers)
        user = next((loss for loss, used in (("content", content), ("style", style)) if _uses(encoder, used, each)), "")
        if user and not each.channels:
            raise UsageError(
                f"the {user} loss uses {each.layer}: it would undo the dream.",
                f"Name some channels, {each.layer}:1,2, choose a layer that no loss uses, or take --dream auto.",
            )
    with torch.no_grad():
        found = encoder(photo, [each.layer for each in layers])
    silent = tuple(filter(None, (_silent(each, found[each.layer]) for each in layers)))
    if {each.layer: each.channels for each in silent} == {each.layer: _all(each, found) for each in layers}:
        raise UsageError(
            f"{'+'.join(map(str, silent))} is silent in this photo: there is nothing to amplify.",
            "Choose other channels, or take --dream auto.",
        )
    return Dream(tuple(layers), silent)


def look_size(shape: tuple[int, int], painted: int) -> int:
    """Return the longer side at which a photo of ``shape`` (width, height) is looked at, never above ``painted``."""
    return min(painted, max(LOOK_SIZE, math.ceil(LOOK_LEAST * max(shape) / min(shape))))


def same_layer(encoder: AnyEncoder, one: str, other: str) -> bool:
    """Whether two names mean one layer: papers' names have aliases, and paths of modules are names, too."""
    first, second = (encoder.layers.get(canonical_layer(name), canonical_layer(name)) for name in (one, other))
    return first == second


def silent_channels(features: Tensor) -> tuple[int, ...]:
    """Return the channels of 1 x C x H x W that are 0 everywhere."""
    dead = features[0].flatten(1).abs().amax(1) == 0
    return tuple(dead.nonzero().flatten().tolist())


def _uses(encoder: AnyEncoder, used: Iterable[str], dream: DreamLayer) -> bool:
    return any(same_layer(encoder, name, dream.layer) for name in used)


def _silent(dream: DreamLayer, features: Tensor) -> DreamLayer | None:
    count = features.shape[1]
    if dream.channels and dream.channels[-1] >= count:
        raise UsageError(f"{dream.layer} has no channel {dream.channels[-1]}.", f"Its channels are 0 .. {count - 1}.")
    dead = [each for each in silent_channels(features) if not dream.channels or each in dream.channels]
    return DreamLayer(dream.layer, tuple(dead)) if dead else None


def _all(dream: DreamLayer, found: dict[str, Tensor]) -> tuple[int, ...]:
    return dream.channels or tuple(range(found[dream.layer].shape[1]))
