"""What is asked of a network: which picture does this channel, neuron, class or direction answer to most?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.dream.choices import class_number
from impasto.dream.looking import Looker
from impasto.dream.targets import parse_channels
from impasto.errors import UsageError

_TERM = re.compile(r"([+-]?)\s*(\d+)\s*")


@dataclass(frozen=True)
class Question:
    """One thing to be shown.

    Attributes:
        name: ``fire6:12``, ``fire6:12-40`` or the name of a class.
        weights: channel -> its share of a direction in the space of channels; one channel with 1 is that channel.
        number: of the class; -1 if it is no class.
    """

    name: str
    weights: tuple[tuple[int, float], ...] = ()
    number: int = -1


def channel_questions(layer: str, channels: str, count: int) -> list[Question]:
    """Return the questions for ``3,7``, ``0-15`` or ``all`` channels of a layer that has ``count``.

    Raises:
        UsageError: a channel that is not there.
    """
    numbers = tuple(range(count)) if channels == "all" else parse_channels(channels)
    _check(layer, numbers, count)
    return [Question(f"{layer}:{number}", ((number, 1.0),)) for number in numbers]


def direction_question(layer: str, text: str, count: int) -> Question:
    """Return the question for a sum of channels, ``12-40`` or ``3+7-12``, as a direction of length 1.

    >>> direction_question("fire6", "12-40", 64).weights
    ((12, 0.7071067811865475), (40, -0.7071067811865475))

    Raises:
        UsageError: another form, or a channel that is not there.
    """
    terms = _TERM.findall(text)
    if not terms or _TERM.sub("", text) or any(not sign for sign, _ in terms[1:]):
        raise UsageError(f"the direction {text!r} is not understood.", "Write 12-40 or 3+7-12.")
    _check(layer, [int(number) for _, number in terms], count)
    if not any(_sums(terms).values()):
        raise UsageError(f"the direction {text!r} takes away what it adds.", "Write 12-40 or 3+7-12.")
    signs = [-1.0 if sign == "-" else 1.0 for sign, _ in terms]
    shares = [sign / len(terms) ** 0.5 for sign in signs]
    return Question(f"{layer}:{text}", tuple((int(term[1]), share) for term, share in zip(terms, shares, strict=True)))


def _sums(terms: Sequence[tuple[str, str]]) -> Counter[str]:
    """Return how often each channel is added."""
    found: Counter[str] = Counter()
    for sign, number in terms:
        found[number] += -1 if sign == "-" else 1
    return found


def class_question(looker: Looker, name: str) -> Question:
    """Return the question for a class of the network.

    Raises:
        UsageError, UnknownNameError: it knows no classes, or not this one.
    """
    return Question(name, number=class_number(looker.subject, name))


def answers(looker: Looker, questions: Sequence[Question], pictures: Tensor) -> Tensor:
    """Return what each picture is asked, as maps: the questions' values at all places.

    Args:
        looker: the network, with one layer, or none for classes.
        questions: one for each picture, or any number for one picture.
        pictures: B x 3 x H x W in 0..1.

    Returns:
        len(questions) x h x w; a logit is a map of one place.
    """
    if questions[0].number >= 0:
        logits = looker.logits(pictures).expand(len(questions), -1)
        numbers = torch.tensor([each.number for each in questions], device=logits.device)
        return logits.gather(1, numbers[:, None])[:, :, None]
    (maps,) = looker.maps(pictures).values()
    weights = torch.zeros(len(questions), maps.shape[1])
    for row, each in enumerate(questions):
        for channel, share in each.weights:
            weights[row, channel] += share
    return torch.einsum("qc,qchw->qhw", weights.to(maps), maps.expand(len(questions), -1, -1, -1))


def _check(layer: str, channels: Sequence[int], count: int) -> None:
    if max(channels) >= count:
        raise UsageError(f"{layer} has no channel {max(channels)}.", f"Its channels are 0 .. {count - 1}.")
