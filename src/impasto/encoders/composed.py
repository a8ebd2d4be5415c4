"""Two encoders as one: true shallow layers from the first, deep ones from the second."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from impasto.encoders.encoder import Encoder, canonical_layer
from impasto.errors import UnknownNameError


class ComposedEncoder(nn.Module):
    """Encoders in order; each layer comes from the first one that has it.

    ``vgg19-blocks1-3+vgg19-16x`` takes relu1_1 .. relu3_4 from the real VGG-19 and the rest from the distilled one.
    Recognition features come from the last encoder.
    """

    def __init__(self, parts: Iterable[Encoder]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    @property
    def _encoders(self) -> list[Encoder]:
        return [part for part in self.parts if isinstance(part, Encoder)]

    @property
    def name(self) -> str:
        """The names of the parts, joined by ``+``."""
        return "+".join(part.name for part in self._encoders)

    @property
    def layers(self) -> dict[str, str]:
        """All papers' names, each with the path in the encoder that serves it."""
        merged: dict[str, str] = {}
        for part in reversed(self._encoders):
            merged |= part.layers
        return merged

    @property
    def recognition(self) -> str:
        """The layer that the last encoder's features come from."""
        return self._encoders[-1].recognition

    @property
    def input_size(self) -> int:
        """The input size of the last encoder."""
        return self._encoders[-1].input_size

    @property
    def feature_size(self) -> int:
        """The length of the last encoder's feature vector."""
        return self._encoders[-1].feature_size

    def has_layer(self, layer: str) -> bool:
        """Whether any part has the layer."""
        return any(part.has_layer(layer) for part in self._encoders)

    def forward(self, x: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return the activation of each layer asked for; see ``Encoder.forward``."""
        layers = list(layers)
        chosen = {layer: self._owner(layer) for layer in layers}
        found: dict[str, Tensor] = {}
        for index, part in enumerate(self._encoders):
            own = [layer for layer, owner in chosen.items() if owner == index]
            if own:
                found |= part(x, own)
        return {layer: found[layer] for layer in layers}

    def features(self, x: Tensor, grid: int = 1) -> Tensor:
        """Return the last encoder's B x D feature vectors."""
        return self._encoders[-1].features(x, grid)

    def pooled(self, x: Tensor, grid: int = 1) -> Tensor:
        """Return the same with gradients."""
        return self._encoders[-1].pooled(x, grid)

    def identity(self) -> dict[str, Any]:
        """Return the identities of all parts."""
        return {"encoder": self.name, "parts": [part.identity() for part in self._encoders]}

    def _owner(self, layer: str) -> int:
        for index, part in enumerate(self._encoders):
            if canonical_layer(layer) in part.layers:
                return index
        raise UnknownNameError(f"layer of {self.name}", layer, self.layers)
