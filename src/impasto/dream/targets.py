"""What is dreamed of: layers, some of their channels, and how much each counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from impasto.errors import UsageError

# No layer has so many channels that their numbers are longer: a mistyped range must not fill the memory.
_DIGITS = 7
_FORM = "Write fire6, fire6:12,40 for channels, fire6=0.5 for a weight; join several by +."


@dataclass(frozen=True)
class Target:
    """A layer, or some channels of it.

    >>> str(Target("fire6", (12, 40), 0.5))
    'fire6:12,40=0.5'

    Attributes:
        layer: its name.
        channels: numbers from 0; empty for all.
        weight: against the other targets.
    """

    layer: str
    channels: tuple[int, ...] = ()
    weight: float = 1.0

    def __str__(self) -> str:
        channels = f":{','.join(map(str, self.channels))}" if self.channels else ""
        return f"{self.layer}{channels}" + (f"={self.weight:g}" if self.weight != 1 else "")


def parse_targets(text: str) -> tuple[Target, ...]:
    """Read ``fire6``, ``fire6:12,40``, ``fire6=0.5``, and several of them joined by ``+``.

    >>> [str(target) for target in parse_targets("fire6:12,40 + fire8=2")]
    ['fire6:12,40', 'fire8=2']

    Raises:
        UsageError: another form.
    """
    return tuple(_parse_one(part.strip(), text) for part in text.split("+"))


def _parse_one(part: str, text: str) -> Target:
    front, equals, weight = part.partition("=")
    layer, colon, numbers = front.partition(":")
    if not layer.strip() or (equals and not _is_weight(weight)):
        raise UsageError(f"the layers {text!r} are not understood.", _FORM)
    channels = parse_channels(numbers) if colon else ()
    return Target(layer.strip(), channels, float(weight) if equals else 1.0)


def _is_weight(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def parse_channels(text: str) -> tuple[int, ...]:
    """Read numbers and ranges: ``3``, ``12,40``, ``0-15``; sorted, each once.

    >>> parse_channels("0-3,12")
    (0, 1, 2, 3, 12)

    Raises:
        UsageError: another form.
    """
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = (each.strip() for each in part.partition("-"))
        numbers = (first, last) if dash else (first,)
        if not all(number.isdecimal() and len(number) < _DIGITS for number in numbers):
            raise UsageError(f"the channels {text!r} are not understood.", "Write 12,40 or 0-15.")
        found.update(range(int(first), int(last or first) + 1))
    if not found:
        raise UsageError(f"the channels {text!r} are none.", "Write 12,40 or 0-15, the smaller number first.")
    return tuple(sorted(found))
