"""Networks whose maps can be worked out by hand, and pictures for them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from impasto.data.load.pictures import Preprocessing
from impasto.subjects import Subject


class Pooled(nn.Module):
    """Two convolutions, the spatial mean, a linear layer."""

    def __init__(self, classes: int = 3, channels: int = 5) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(4, channels, 3, stride=2, padding=1)
        self.relu2 = nn.ReLU()
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu2(self.conv2(self.relu1(self.conv1(x))))
        out: Tensor = self.fc(x.mean((2, 3)))
        return out


class Red(nn.Module):
    """Sees red: its first logit is the mean of red less that of blue in the upper left quarter."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(3, 2, 1, bias=False)
        with torch.no_grad():
            self.look.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 0, 1.0]]).view(2, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        maps = self.look(x)
        half = x.shape[-1] // 2
        both = maps[..., :half, :half].mean((2, 3))
        return torch.stack([both[:, 0] - both[:, 1], torch.zeros(len(x)).to(x), both.sum(1)], 1)


def subject_of_network(network: nn.Module, classes: tuple[str, ...] = ("a", "b", "c"), size: int = 16) -> Subject:
    """Return a network as a subject."""
    return Subject("test", network.eval().requires_grad_(False), {}, classes, Preprocessing(size), {})


def pooled(seed: int = 0, classes: tuple[str, ...] = ("a", "b", "c"), size: int = 16) -> Subject:
    """Return a random network of two convolutions."""
    torch.manual_seed(seed)
    return subject_of_network(Pooled(len(classes)), classes, size)


def pictures(count: int = 2, size: int = 16, seed: int = 0) -> Tensor:
    """Return random pictures."""
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def waves() -> tuple[Pooled, Tensor]:
    """Return a network and a picture 1 x 3 x 16 x 16 that are sines, so that other programs can have the same."""
    network = Pooled().eval()
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters(), 1):
            steps = torch.arange(parameter.numel(), dtype=torch.float64)
            # The last layer undoes the division by 64 places: other programs add 1e-6 to denominators.
            scale = 25.6 if parameter.shape == (3, 5) else 0.4
            parameter.copy_((scale * torch.sin(1.7 * number * (steps + 1))).float().view_as(parameter))
    steps = torch.arange(3 * 16 * 16, dtype=torch.float64)
    picture = (0.5 + 0.5 * torch.sin(0.37 * steps + (steps / 97) ** 2)).float().view(1, 3, 16, 16)
    return network, picture
