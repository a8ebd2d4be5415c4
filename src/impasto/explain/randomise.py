"""Cascading randomisation: a map that stays as it is when the weights are shuffled says nothing about the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from impasto.explain.attribution import on_grid, positive
from impasto.runtime import generator
from impasto.subjects import Subject

# The weights are shuffled in so many stages, the logits' first.
STAGES = 6


@dataclass(frozen=True)
class Stage:
    """What is left of the maps after the weights down to a layer were shuffled.

    Attributes:
        layer: the module nearest the picture whose weights are shuffled by now.
        correlation: mean rank correlation with the maps of the true weights; 0 where maps are flat.
    """

    layer: str
    correlation: float


def cascade(subject: Subject, make: Callable[[], Tensor], *, seed: int) -> tuple[Stage, ...]:
    """Shuffle the weights from the logits down and make the maps anew after each stage (Adebayo et al. 2018).

    The paper draws new weights; here those of each tensor change places, which keeps their distribution, whatever
    kind of layer they belong to. Afterwards the network has its weights again.

    Args:
        subject: the network.
        make: returns B x h x w maps of the network as it is.
        seed: of the shuffling.
    """
    true = positive(on_grid(make()))
    found = []
    with _restored(subject.network):
        for paths in _stages(subject):
            for path in paths:
                _shuffle(subject.network.get_submodule(path), seed, path)
            shuffled = positive(on_grid(make()))
            found.append(Stage(subject.name_of(paths[-1]), _correlation(true, shuffled)))
    return tuple(found)


@contextmanager
def randomised(subject: Subject, *, seed: int) -> Iterator[Subject]:
    """Lend the subject with all weights shuffled; they come back at the end."""
    with _restored(subject.network):
        for path in (path for paths in _stages(subject) for path in paths):
            _shuffle(subject.network.get_submodule(path), seed, path)
        yield subject


def _stages(subject: Subject) -> list[list[str]]:
    """Return the modules that own weights in groups, those nearest the logits first."""
    order: dict[str, None] = {}
    owners = {path: module for path, module in subject.network.named_modules() if list(_tensors(module))}
    hooks = [
        module.register_forward_pre_hook(lambda *_, path=path: order.setdefault(path))
        for path, module in owners.items()
    ]
    try:
        with torch.no_grad():
            subject(torch.zeros(1, 3, subject.size, subject.size))
    finally:
        for hook in hooks:
            hook.remove()
    met = list(reversed(order))
    # The last layer alone, then equal parts.
    rest = met[1:]
    size = max(1, -(-len(rest) // (STAGES - 1)))
    parts = [met[:1], *(rest[start : start + size] for start in range(0, len(rest), size))]
    return [part for part in parts if part]


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from (value for value in module.parameters(recurse=False) if value.is_floating_point())


def _shuffle(module: nn.Module, seed: int, path: str) -> None:
    with torch.no_grad():
        for number, value in enumerate(_tensors(module)):
            order = torch.randperm(value.numel(), generator=generator(seed, "shuffle", path, number))
            value.copy_(value.flatten()[order.to(value.device)].view_as(value))


@contextmanager
def _restored(network: nn.Module) -> Iterator[None]:
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, value in network.named_parameters():
                value.copy_(before[name])


def _correlation(one: Tensor, other: Tensor) -> float:
    total = 0.0
    for a, b in zip(one.flatten(1).double(), other.flatten(1).double(), strict=True):
        if a.min() < a.max() and b.min() < b.max():
            total += float(spearmanr(a.numpy(), b.numpy()).statistic)
    return total / len(one)
