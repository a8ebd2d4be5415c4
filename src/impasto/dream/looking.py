"""Maps of layers for pictures of any shape, computed in the precision that was chosen."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import torch
from torch import Tensor

from impasto.errors import UsageError
from impasto.subjects import Subject, is_spatial, spatial

# A network that takes this many pixels more on one side and half of it on the other takes any size.
_MORE = 64


class Looker:
    """A subject, some of its layers, and a precision.

    Args:
        subject: the network.
        layers: names; empty for its output alone.
        dtype: type of convolutions; maps and outputs are float32.

    Raises:
        UnknownNameError: no such layer. UsageError: a layer that says nothing about places.
    """

    def __init__(self, subject: Subject, layers: Iterable[str] = (), dtype: torch.dtype = torch.float32) -> None:
        self.subject, self.layers, self.dtype = subject, tuple(layers), dtype
        with torch.no_grad():
            probe = self._raw(torch.full((1, 3, subject.size, subject.size), 0.5)) if self.layers else {}
        for layer, value in probe.items():
            if not is_spatial(value):
                raise UsageError(f"{layer} of {subject.name} has no map.", "Choose a layer before it.")
        self.channels = {layer: spatial(value).shape[1] for layer, value in probe.items()}
        # Told from a square picture: of another one, 96 x 96 x 128 numbers may be either.
        self._last = {
            layer for layer, value in probe.items() if value.ndim == 4 and spatial(value).shape != value.shape
        }

    def maps(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return B x C x h x w of each layer for pictures B x 3 x H x W in 0..1; nothing deeper is computed."""
        return {layer: self._map(layer, value).float() for layer, value in self._raw(pictures).items()}

    def logits(self, pictures: Tensor) -> Tensor:
        """Return B x C logits."""
        with self._precision():
            return self.subject(pictures).float()

    @cached_property
    def fixed(self) -> bool:
        """Whether the network takes pictures of ``subject.size`` only, as vision transformers do."""
        side = self.subject.size
        try:
            with torch.no_grad():
                odd = torch.full((1, 3, side + _MORE, side + _MORE // 2), 0.5)
                _ = self.maps(odd) if self.layers else self.logits(odd)
        except (RuntimeError, AssertionError, ValueError):
            return True
        return False

    def _raw(self, pictures: Tensor) -> dict[str, Tensor]:
        with self._precision():
            return self.subject.activations(pictures, self.layers)

    def _map(self, layer: str, value: Tensor) -> Tensor:
        if value.ndim == 4:
            return value.permute(0, 3, 1, 2) if layer in self._last else value
        return spatial(value)

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.subject.device.type, self.dtype, enabled=self.dtype != torch.float32)
