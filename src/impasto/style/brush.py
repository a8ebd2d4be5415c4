"""From a network and the styles asked for to the network of one style that paints them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from PIL import Image
from torch import Tensor, nn

from impasto.encoders import load_encoder
from impasto.errors import UnknownNameError, UsageError, WrongWeightsError
from impasto.images import resize_long
from impasto.runtime import one_core
from impasto.style.any_style import AnyStyleNet
from impasto.style.architectures import ANY, IMPASTO
from impasto.style.checkpoints import StyleNetwork
from impasto.style.impasto_net import ImpastoNet, ManyStyles

# Longer sides in pixels between which a style picture is read: below there are no strokes, above the network has none
# as large.
READ_AT_LEAST, READ_AT_MOST = 192, 640
# Shorter side in pixels that leaves something to see at the encoder's deepest layer.
SMALLEST_READ = 64
# Styles whose vectors are kept.
_KNOWN = 256


@dataclass(frozen=True)
class Mixture:
    """How styles are to be painted.

    Attributes:
        shares: one a style; empty for equal ones.
        strength: 0 .. 1, against the style of ``photo``, which is asked for below 1.
        dtype: type in which convolutions compute.
    """

    shares: Sequence[float]
    strength: float
    photo: Callable[[], Tensor]
    dtype: torch.dtype


@dataclass(frozen=True)
class Chosen:
    """What paints: the network of the styles, and, where it can say so, that of the photo's own style."""

    network: Any
    own: Any = None


class Brush(Protocol):
    """A network that is told its styles."""

    reads_pictures: bool
    # Whether less than float32 is allowed: foreign networks are to give their published pictures.
    may_lower: bool

    def networks(self, styles: Sequence[Tensor | str], mixture: Mixture) -> Chosen:
        """Return what paints ``styles``, pictures 1 x 3 x H x W or names."""

    def style_view(self, image: Image.Image, size: int) -> Image.Image:
        """Return a style picture as it is read for a result whose longer side is ``size``."""


def brush_of(network: StyleNetwork, device: torch.device) -> Brush:
    """Return the brush of a network, on a device."""
    module = network.module.to(device).to(memory_format=torch.channels_last)
    if network.architecture == ANY:
        return AnyBrush(cast(AnyStyleNet, module), network.facts, device)
    if network.architecture == IMPASTO:
        return TableBrush(cast(ManyStyles, module), network.facts["styles"])
    return PlainBrush(module)


class Quickened:
    """Copies of a network for painting, one a type, made when they are asked for."""

    def __init__(self, net: ImpastoNet) -> None:
        self._net = net
        self._lock = threading.Lock()
        self._nets: dict[torch.dtype, ImpastoNet] = {}

    def of(self, dtype: torch.dtype) -> ImpastoNet:
        """Return the network whose convolutions compute in ``dtype``."""
        with self._lock:
            if dtype not in self._nets:
                self._nets[dtype] = self._net.quickened(dtype)
            return self._nets[dtype]


class PlainBrush:
    """A network of one style."""

    reads_pictures = False
    may_lower = False

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def networks(self, styles: Sequence[Tensor | str], mixture: Mixture) -> Chosen:
        """Return the network itself."""
        if styles:
            raise UsageError("this network has one style, none can be chosen.", "Leave --style out.")
        return Chosen(self.module)

    def style_view(self, image: Image.Image, size: int) -> Image.Image:
        """Return the picture; it will be refused."""
        return image


class TableBrush:
    """A network that has learned some styles, which have names."""

    reads_pictures = False
    may_lower = True

    def __init__(self, module: ManyStyles, names: Sequence[str]) -> None:
        self.module, self.names = module, list(names)
        self._nets = Quickened(module.net)

    def networks(self, styles: Sequence[Tensor | str], mixture: Mixture) -> Chosen:
        """Return the mixture of the named styles; of an only style the name may be left out."""
        if not styles and len(self.names) > 1:
            raise UsageError("this network has several styles.", f"Choose with --style: {', '.join(self.names)}.")
        found = [0.0] * len(self.names)
        for name, share in zip(styles or self.names, _shares(mixture.shares, max(1, len(styles))), strict=True):
            if name not in self.names:
                shown = name if isinstance(name, str) else "a picture"
                raise UnknownNameError("style of this network", shown, self.names)
            found[self.names.index(str(name))] += share
        return Chosen(self._nets.of(mixture.dtype).with_style(self.module.mixed(found)))

    def style_view(self, image: Image.Image, size: int) -> Image.Image:
        """Return the picture; it will be refused."""
        return image


class AnyBrush:
    """The network for any style, with the encoder that reads style pictures for it."""

    reads_pictures = True
    may_lower = True

    def __init__(self, module: AnyStyleNet, facts: dict[str, Any], device: torch.device) -> None:
        self.module = module
        self._nets = Quickened(module.net)
        self.encoder = load_encoder().to(device).to(memory_format=torch.channels_last)
        self.device = device
        self._vectors: dict[Tensor | str, Tensor] = {}
        self._reading = threading.RLock()  # an encoder gathers its features on itself: one picture at a time
        wanted, found = facts.get("encoder_sha256"), self.encoder.identity().get("sha256")
        if wanted != found:
            raise WrongWeightsError(
                f"{facts.get('name', 'this network')} was trained with another {facts.get('encoder', 'encoder')}.",
                "Remove the file of that name from $IMPASTO_WEIGHTS: the embedded one is needed.",
            )

    def networks(self, styles: Sequence[Tensor | str], mixture: Mixture) -> Chosen:
        """Return the network of the mixture of the styles; below full strength the photo's own is mixed in."""
        if not styles:
            raise UsageError("no style picture was given.", "Give --style PICTURE.")
        weights = _shares(mixture.shares, len(styles))
        vectors = [self._known(each) * share for each, share in zip(styles, weights, strict=True)]
        vector, net = torch.stack(vectors).sum(0), self._nets.of(mixture.dtype)
        if mixture.strength == 1:
            return Chosen(net.with_style(vector))
        own = self.read(mixture.photo())
        return Chosen(net.with_style(torch.lerp(own, vector, mixture.strength)), net.with_style(own))

    def style_view(self, image: Image.Image, size: int) -> Image.Image:
        """Return the picture no larger than it is, and no larger than the network's strokes."""
        return resize_long(image, min(max(image.size), max(READ_AT_LEAST, min(READ_AT_MOST, size))))

    def _known(self, style: Tensor | str) -> Tensor:
        """Return what ``read`` does, without reading a tensor twice."""
        with self._reading:
            if style not in self._vectors:
                if len(self._vectors) >= _KNOWN:
                    self._vectors.clear()
                self._vectors[style] = self.read(style)
            return self._vectors[style]

    @torch.no_grad()
    def read(self, style: Tensor | str) -> Tensor:
        """Return the style vector of a picture 1 x 3 x H x W, of any size."""
        if isinstance(style, str):
            raise UsageError(f"style {style!r} is no picture.", "This network reads pictures.")
        # Mirrored up to what the encoder's deepest layer needs; enlarging would change the strokes.
        picture = style.to(self.device)
        while min(picture.shape[2:]) < SMALLEST_READ:
            picture = torch.cat([picture, picture.flip(2)], 2) if picture.shape[2] < SMALLEST_READ else picture
            picture = torch.cat([picture, picture.flip(3)], 3) if picture.shape[3] < SMALLEST_READ else picture
        # On one core, so that one picture and a folder, whose pictures have a core each, are painted alike.
        with self._reading, one_core():
            return self.module.read(self.encoder, picture)[0]


def _shares(shares: Sequence[float], count: int) -> list[float]:
    if len(shares) not in (0, count):
        raise UsageError(f"{len(shares)} style weights were given for {count} styles.")
    total = sum(shares)
    return [share / total for share in shares] if shares else [1 / count] * count
