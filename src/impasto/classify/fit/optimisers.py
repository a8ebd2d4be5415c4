"""Optimisers by name, with discriminative rates, and a moving average of weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from impasto.classify.models.foreign import Foreign, depths
from impasto.classify.models.heads import Tuned
from impasto.classify.recipes import Recipe


def make_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimiser of ``recipe`` for the parameters of ``network`` that learn.

    Each of its groups has a ``share``: by what the learning rate of the head is multiplied for it.
    """
    groups = parameter_groups(network, recipe)
    # All of one step in one pass over memory, where torch has that for the processor.
    fused: dict[str, Any] = {"fused": True} if next(network.parameters()).device.type in ("cpu", "cuda") else {}
    match recipe.optimiser:
        case "sgd":
            return torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=True, **fused)
        case "adam":
            return torch.optim.Adam(groups, lr=0.0, **fused)
        case "adamw":
            return torch.optim.AdamW(groups, lr=0.0, **fused)
    return _rmsprop(groups, fused)


def _rmsprop(groups: list[dict[str, Any]], fused: dict[str, Any]) -> torch.optim.Optimizer:
    """Return Keras' RMSprop: Adam without momentum, and without correcting for a mean of squares that began at 0.

    torch's own RMSprop has no fused step and takes three times as long on R4's networks; its sums are the same.
    """
    optimiser = torch.optim.Adam(groups, lr=0.0, betas=(0.0, 0.9), eps=1e-7, **fused)
    for group in optimiser.param_groups:
        for value in group["params"]:
            moments = {name: torch.zeros_like(value) for name in ("exp_avg", "exp_avg_sq")}
            # The correction is 1 - .9^step, which is 1 long before this one.
            optimiser.state[value] = {"step": torch.tensor(1e6, device=value.device), **moments}
    return optimiser


def parameter_groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Part parameters by depth, for their rates, and by kind: only weights are decayed."""
    named = {name: value for name, value in network.named_parameters() if value.requires_grad}
    groups = []
    for share, names in _by_depth(network, list(named), recipe.layer_decay):
        for decayed in (True, False):
            chosen = [named[name] for name in names if _is_decayed(network, name, named[name]) is decayed]
            if chosen:
                decay = recipe.weight_decay if decayed else 0.0
                groups.append({"params": chosen, "weight_decay": decay, "share": share})
    return groups


def _is_decayed(network: nn.Module, name: str, value: Tensor) -> bool:
    """Weights are, biases and normalisation are not; of a head that says what L2 is put on, that alone."""
    head = getattr(network, "head", network)
    prefix = "" if head is network else "head."
    penalised = getattr(head, "penalised", None)
    if penalised is not None and name.startswith(prefix):
        return name.removeprefix(prefix) in penalised
    return value.ndim > 1


def _by_depth(network: nn.Module, names: list[str], layer_decay: float) -> list[tuple[float, list[str]]]:
    """Return names of parameters from the head down, each level with its share of the rate."""
    levels = _levels(network)
    known = {name for level in levels for name in level}
    levels.append([name for name in names if name not in known])
    return [(layer_decay**depth, level) for depth, level in enumerate(reversed(levels))]


def _levels(network: nn.Module) -> list[list[str]]:
    """Return the levels below the head, the picture's side first."""
    if isinstance(network, Tuned):
        return [[f"encoder.network.{name}" for name in block] for block in network.open_blocks]
    if isinstance(network, Foreign):
        return depths(network)[:-1]
    return []


class Average:
    """An exponential moving average of weights (Polyak and Juditsky 1992), which predicts better than the last ones.

    Its decay grows to ``decay`` as (1 + t) / (10 + t), as in TensorFlow, lest the first weights are remembered.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in network.named_parameters()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after step ``step``, counted from 1."""
        keep = min(self.decay, (1 + step) / (10 + step))
        for name, value in network.named_parameters():
            self.values[name].lerp_(value, 1 - keep)

    @contextlib.contextmanager
    def in_place_of(self, network: nn.Module) -> Iterator[None]:
        """Let ``network`` have the average for a while."""
        own = dict(network.named_parameters())
        former: dict[str, Tensor] = {}
        with torch.no_grad():
            for name, value in own.items():
                former[name] = value.detach().clone()
                value.copy_(self.values[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in own.items():
                    value.copy_(former[name])
