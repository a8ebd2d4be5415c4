"""The loss that style networks are trained with: of every picture of a batch, each with a style of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from impasto.encoders import AnyEncoder
from impasto.style.losses import gram
from impasto.style.objective import CONTENT_AT_HALF, SMOOTHNESS

# Below this a target counts as this: a black style has a Gram matrix of nearly 0, and a share of it no meaning.
_LEAST = 1e-6


class PerceptualLoss:
    """The default preset's loss (``NormalisedObjective``) for batches (Johnson, Alahi and Fei-Fei 2016).

    Args:
        encoder: the network that judges.
        content_layers, style_layers: names of its layers.
        strength: as in ``StylizeConfig``.
        dtype: type in which the encoder computes.
    """

    def __init__(
        self,
        encoder: AnyEncoder,
        content_layers: Sequence[str],
        style_layers: Sequence[str],
        strength: float = 0.5,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.encoder, self.dtype = encoder, dtype
        self.content_layers, self.style_layers = tuple(content_layers), tuple(style_layers)
        self.content_weight = CONTENT_AT_HALF * (1 - strength) / strength

    @torch.no_grad()
    def targets(self, styles: Tensor) -> dict[str, Tensor]:
        """Return Gram matrices of style pictures B x 3 x H x W: layer -> B x C x C."""
        return {name: gram(value) for name, value in self._maps(styles, self.style_layers).items()}

    def __call__(self, painted: Tensor, photos: Tensor, grams: Mapping[str, Tensor]) -> Tensor:
        """Return B losses of pictures B x 3 x H x W in 0..1, painted from ``photos``."""
        with torch.no_grad():
            wanted = self._maps(photos, self.content_layers)
        found = self._maps(painted, tuple(dict.fromkeys([*self.content_layers, *self.style_layers])))
        style = [_share(gram(found[name]), grams[name]) for name in self.style_layers]
        content = [_share(found[name].float(), wanted[name].float()) for name in self.content_layers]
        distance = torch.stack(style).mean(0) + self.content_weight * torch.stack(content).mean(0)
        return distance + SMOOTHNESS * _variation(painted)

    def _maps(self, x: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        with torch.autocast(x.device.type, self.dtype, enabled=self.dtype != torch.float32):
            found: dict[str, Tensor] = self.encoder(x.contiguous(memory_format=torch.channels_last), layers)
        return found


def _share(found: Tensor, wanted: Tensor) -> Tensor:
    """||F - W||^2 / ||W||^2 of every picture."""
    return (found - wanted).square().flatten(1).sum(1) / wanted.square().flatten(1).sum(1).clamp(min=_LEAST)


def _variation(x: Tensor) -> Tensor:
    """``losses.total_variation`` of every picture."""
    across, down = (x[..., 1:] - x[..., :-1]).square(), (x[..., 1:, :] - x[..., :-1, :]).square()
    return (across.flatten(1).sum(1) + down.flatten(1).sum(1)) / x[0].numel()
