"""Tiny networks to dream with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from impasto.data.load.pictures import Preprocessing
from impasto.subjects import Subject


class Tiny(nn.Module):
    """Two convolutions without stride between them, a pooling, and a head that takes any size."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(8, 12, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu2(self.conv2(self.relu1(self.conv1(x - 0.5)))))
        out: Tensor = self.head(x.mean((2, 3)))
        return out


class Fixed(nn.Module):
    """A network that takes pictures of 32 pixels only."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 5, stride=4)
        self.head = nn.Linear(4 * 7 * 7, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.conv(x).relu().flatten(1))
        return out


def tiny_subject(network: nn.Module | None = None, size: int = 32) -> Subject:
    """Return a network as a subject with classes a, b, c."""
    network = (network or Tiny()).eval().requires_grad_(False)
    return Subject("tiny", network, {}, ("a", "b", "c"), Preprocessing(size), {"model": "tiny"})
