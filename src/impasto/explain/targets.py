"""What is asked about: a function of the logits, "monet" or "monet - sisley"."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.errors import UnknownNameError, UsageError

# Words for classes that differ from picture to picture.
PREDICTED, NEXT, LABEL = "predicted", "next", "label"
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*\*\s*(.+)")


@dataclass(frozen=True)
class Goal:
    """A target made fast for a batch of pictures: it does not move when the pictures are changed.

    Attributes:
        function: B x C logits to B numbers.
        weights: B x C weights, where ``function`` is a weighted sum of the logits; else None.
    """

    function: Callable[[Tensor], Tensor]
    weights: Tensor | None = None

    def __call__(self, logits: Tensor) -> Tensor:
        """Return B numbers; the logits are of the pictures it was made for, in order."""
        return self.function(logits)

    def repeated(self, row: int, count: int) -> Goal:
        """Return the goal of one picture, for ``count`` variations of it."""
        if self.weights is None:
            return self
        return weighted(self.weights[row : row + 1].expand(count, -1))


def weighted(weights: Tensor) -> Goal:
    """Return the goal of B x C weights."""
    return Goal(lambda logits: (logits * weights.to(logits)).sum(1), weights)


@dataclass(frozen=True)
class Target:
    """What is asked about, for any picture.

    Attributes:
        text: as the user wrote it.
        bind: makes a :class:`Goal` of B x C logits and B labels (positions, -1 for none).
    """

    text: str
    bind: Callable[[Tensor, Sequence[int]], Goal]


def parse_target(text: str, classes: Sequence[str]) -> Target:
    """Return the target that ``text`` stands for.

    A sum of class names with optional factors: ``monet``, ``monet - sisley``, ``0.5*monet + 0.5*degas - sisley``,
    ``- monet``. In the place of a name may stand ``predicted``, the class that the network names; ``next``, the one
    that it names second; ``label``, the picture's own. A hyphen inside a name is part of it; one between blanks is a
    minus.

    With two classes the logit of one stands for its distance from the other's: only that distance decides, and a
    network with one output has no other.

    >>> goal = parse_target("b - a", ["a", "b", "c"]).bind(torch.tensor([[1.0, 5.0, 2.0]]), [0])
    >>> goal(torch.tensor([[1.0, 5.0, 2.0]]))
    tensor([4.])

    Raises:
        UnknownNameError: a name that is no class; the nearest are offered.
        UsageError: no sum of classes.
    """
    terms = _terms(text, classes)

    def bind(logits: Tensor, labels: Sequence[int]) -> Goal:
        weights = torch.zeros_like(logits)
        for factor, name in terms:
            positions = _positions(name, classes, logits, labels)
            weights[torch.arange(len(logits)), positions] += factor
        if len(classes) == 2:
            weights = weights - weights.flip(1) if len(terms) == 1 else weights
        return weighted(weights.detach())

    return Target(text, bind)


def custom_target(function: Callable[[Tensor], Tensor], text: str = "custom") -> Target:
    """Return a target of your own: B x C logits to B numbers, differentiable.

    >>> custom_target(lambda logits: logits.logsumexp(1), "energy").text
    'energy'
    """
    return Target(text, lambda _logits, _labels: Goal(function))


def _terms(text: str, classes: Sequence[str]) -> list[tuple[float, str]]:
    if text in classes:
        return [(1.0, text)]
    parts = re.split(r"\s+([+-])\s+", text.strip())
    signs = ["+", *parts[1::2]]
    names = parts[0::2]
    if names[0].startswith("-") and names[0] not in classes:
        signs[0], names[0] = "-", names[0][1:].strip()
    terms = []
    for sign, name in zip(signs, names, strict=True):
        match = None if name in classes else _NUMBER.fullmatch(name)
        factor, name = (float(match[1]), match[2]) if match else (1.0, name)
        if not name:
            raise UsageError(f"{text!r} is no target.", "Write a class, or a sum such as 'monet - sisley'.")
        if name not in classes and name not in (PREDICTED, NEXT, LABEL):
            raise UnknownNameError("class", name, [*classes, PREDICTED, NEXT, LABEL])
        if name == NEXT and name not in classes and len(classes) < 2:
            raise UsageError(f"the network has one class, {classes[0]}, and none next to it.", "Ask about that one.")
        terms.append((-factor if sign == "-" else factor, name))
    return terms


def _positions(name: str, classes: Sequence[str], logits: Tensor, labels: Sequence[int]) -> Tensor:
    if name in classes:
        return torch.full((len(logits),), list(classes).index(name))
    if name in (PREDICTED, NEXT):
        rank = int(name == NEXT)
        return logits.detach().topk(rank + 1, dim=1).indices[:, rank].cpu()
    if any(label < 0 for label in labels):
        raise UsageError("the target 'label' needs pictures with labels.", "Give a labelled folder, or name a class.")
    return torch.tensor(list(labels))
