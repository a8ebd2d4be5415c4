"""How near a picture is to its photo and its styles, as an encoder sees it that did not paint it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.encoders import ENCODERS, AnyEncoder
from impasto.encoders.weights import find_weights
from impasto.images import Picture, resize_long, to_tensor
from impasto.style.config import StylizeConfig
from impasto.style.optimize import Painter

# In this order: the style of pictures is usually judged with VGG-19, then come networks that know most of it.
_JUDGES = ("vgg19", "vgg16", "vgg19-16x", "squeezenet1_0", "squeezenet1_1", "impasto-vgg")


@dataclass(frozen=True)
class Distances:
    """Mean share of the targets over the layers: 0 for equal, 1 for a black picture (see ``style.losses``)."""

    style: float
    content: float


def encoders_here(weights: str | None = None) -> list[str]:
    """Return the encoders whose weights are on this machine; all of them where ``weights`` is "random"."""
    return [name for name, spec in ENCODERS.items() if weights == "random" or find_weights(spec)]


def judge_for(encoder: str, weights: str | None = None) -> str | None:
    """Return the first encoder that can judge what ``encoder`` painted, or None: never itself nor a part of it.

    Relatives are not excluded: SqueezeNet 1.1 is one of 1.0, and ``impasto-vgg`` was taught by VGG-19 and SqueezeNet.
    """
    return judge_beside(encoder.split("+"), weights)


def judge_beside(painters: Collection[str], weights: str | None = None) -> str | None:
    """Return the first encoder that can judge what several painted, or None: none of them."""
    here = encoders_here(weights)
    return next((name for name in _JUDGES if name in here and name not in painters), None)


class Judge:
    """An encoder's view of one photo and its styles.

    Args:
        encoder: a name; None takes the one that ``config`` paints with, its layers included.
        content, styles: the pictures.
        config: how was painted: size, shares of the styles, colours.
        network: the encoder itself, where it is loaded already.
    """

    def __init__(
        self,
        encoder: str | None,
        content: Picture,
        styles: Sequence[Picture],
        config: StylizeConfig,
        network: AnyEncoder | None = None,
    ) -> None:
        seen = replace(config, preset="default", dream="", precision="fp32")
        if encoder is not None:
            weights = "random" if config.weights == "random" else None
            seen = replace(seen, encoder=encoder, weights=weights, content_layers=(), style_layers=())
        self.painter = Painter(seen, network)
        self.name = self.painter.network.name
        self.photo = to_tensor(resize_long(content.image, config.size)).to(self.painter.device)
        views = [self.painter.style_at(picture, config.size) for picture in styles]
        self.objective = self.painter.objective(self.photo, views)

    @torch.no_grad()
    def distances(self, image: Tensor) -> Distances:
        """Return how far a picture of the photo's size, 1 x 3 x H x W, is from both."""
        objective = self.objective
        style, content = objective.shares(objective.features(image.to(self.photo.device), objective.layers))
        return Distances(style.item(), content.item())
