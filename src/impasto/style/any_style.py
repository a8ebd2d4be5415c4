"""One network for any style: what its norms should be is predicted from the style picture.

Predicted normalisation (Ghiasi et al. 2017), but read from moments of a frozen encoder in place of a network of its
own: mean and deviation of every channel at five depths, and how channels go together there, through a few learned
directions. These say what the Gram matrices are made of, so little is left to learn, and styles that were never seen
are read as well as others.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from impasto.encoders import AnyEncoder
from impasto.style.impasto_net import ImpastoNet

READ_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
_SMALL = 1e-4
_LEAST_DEVIATION = 0.02


@torch.no_grad()
def moments(encoder: AnyEncoder, pictures: Tensor) -> list[Tensor]:
    """Return mean, deviation and correlation of an encoder's channels, one tensor B x C x (C + 2) a depth.

    Args:
        encoder: the embedded encoder.
        pictures: B x 3 x H x W in 0..1.
    """
    found = encoder(pictures, READ_LAYERS)
    return [_moments(found[name]) for name in READ_LAYERS]


def _moments(features: Tensor) -> Tensor:
    flat = features.flatten(2).float()
    mean = flat.mean(2, keepdim=True)
    centred = flat - mean
    covariance = centred @ centred.transpose(1, 2) / flat.shape[2]
    deviation = covariance.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()[:, :, None]
    correlation = covariance / ((deviation + _SMALL) @ (deviation + _SMALL).transpose(1, 2))
    return torch.cat([mean, deviation, correlation], 2)


class StyleReader(nn.Module):
    """Predict a style vector from moments.

    Args:
        widths: channels of the encoder at each depth.
        style_size: length of a style vector.
        directions: learned directions a depth in which correlations are looked at.
        hidden, code: widths of the two inner layers.
    """

    usual: Tensor

    def __init__(
        self, widths: Sequence[int], style_size: int, directions: int = 16, hidden: int = 384, code: int = 192
    ) -> None:
        super().__init__()
        self.directions = nn.ParameterList(nn.init.orthogonal_(torch.empty(width, directions)) for width in widths)
        triangle = directions * (directions + 1) // 2
        inputs = sum(2 * width + triangle for width in widths)
        # What is usual is taken off before the first layer: set once from the pictures of the training.
        self.register_buffer("usual", torch.zeros(2, 2 * sum(widths)))
        self.hidden = nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, code), nn.GELU())
        self.head = nn.Linear(code, style_size)
        nn.init.zeros_(self.head.bias)
        nn.init.normal_(self.head.weight, std=0.02)

    @torch.no_grad()
    def set_usual(self, found: Sequence[Tensor]) -> None:
        """Take mean and deviation of the simple moments from those of many pictures."""
        simple = _simple(found)
        self.usual.copy_(torch.stack([simple.mean(0), simple.std(0).clamp(min=_LEAST_DEVIATION)]))

    def forward(self, found: Sequence[Tensor]) -> Tensor:
        """Return B x style_size from what ``moments`` gave."""
        mean, deviation = self.usual
        simple = ((_simple(found) - mean) / deviation).clamp(-5, 5)
        together = [_together(each[:, :, 2:], axes) for each, axes in zip(found, self.directions, strict=True)]
        result: Tensor = self.head(self.hidden(torch.cat([simple, *together], 1)))
        return result


def _together(correlation: Tensor, axes: Tensor) -> Tensor:
    """Return the upper triangle of the correlations between directions."""
    small = axes.T @ correlation @ axes
    row, column = torch.triu_indices(axes.shape[1], axes.shape[1], device=axes.device).unbind(0)
    return small[:, row, column]


def _simple(found: Sequence[Tensor]) -> Tensor:
    """Return means and log deviations of all channels: B x 2 times their number."""
    return torch.cat([torch.cat([each[:, :, 0], (each[:, :, 1] + _SMALL).log()], 1) for each in found], 1)


class AnyStyleNet(nn.Module):
    """The network with its reader; the encoder stays outside, it is not ours to save."""

    def __init__(self, widths: Sequence[int], net: ImpastoNet | None = None) -> None:
        super().__init__()
        self.net = net or ImpastoNet()
        self.reader = StyleReader(widths, self.net.style_size)

    def read(self, encoder: AnyEncoder, styles: Tensor) -> Tensor:
        """Return style vectors, B x style_size, of pictures B x 3 x H x W in 0..1; ``encoder`` as in training."""
        result: Tensor = self.reader(moments(encoder, styles))
        return result
