"""Maps of layers for pictures of any shape, computed in the precision that was chosen."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import torch
from torch import Tensor

from impasto.errors import UsageError
from impasto.subjects import Layout, Subject, spatial

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
        self.layouts: dict[str, Layout] = {}
        for layer, layout in subject.layouts(self.layers).items():
            if layout is None:
                raise UsageError(f"{layer} of {subject.name} has no map.", "Choose a layer before it.")
            self.layouts[layer] = layout
        self.channels = {layer: layout.channels for layer, layout in self.layouts.items()}

    def maps(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return B x C x h x w of each layer for pictures B x 3 x H x W in 0..1; nothing deeper is computed."""
        with self._precision():
            raw = self.subject.activations(pictures, self.layers)
        return {layer: spatial(value, self.layouts[layer]).float() for layer, value in raw.items()}

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

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.subject.device.type, self.dtype, enabled=self.dtype != torch.float32)
