"""Two classifiers on the same pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from impasto.statistics import McNemar


@dataclass(frozen=True)
class Comparison:
    """Right answers of a classifier (first) and of another one (second), picture by picture.

    Attributes:
        other: the folder of the other classifier, as it was given.
        test: McNemar's, on pictures that both could read and that are new to both.
        unread: pictures that one of the two could not read.
        leaked: pictures that are not new to one of the two.
    """

    other: str
    test: McNemar
    unread: int
    leaked: int

    def __str__(self) -> str:
        test = self.test
        low, high = (100 * end for end in test.interval())
        return (
            f"against {self.other}, on the same {test.n} pictures{self._left_out}: {test.first.k} right against "
            f"{test.second.k}; only this one is right on {test.b}, only the other on {test.c}; difference "
            f"{100 * test.difference:+.1f} points [{low:+.1f}, {high:+.1f}], exact McNemar p = {_printed(test.p)}"
        )

    @property
    def _left_out(self) -> str:
        reasons = {"unreadable": self.unread, "not new to both": self.leaked}
        told = [f"{count} {reason}" for reason, count in reasons.items() if count]
        return f" ({', '.join(told)} left out)" if told else ""

    def record(self) -> dict[str, Any]:
        """Return the entry ``against`` of ``evaluation.json``."""
        return {"other": self.other, **self.test.record(), "unread": self.unread, "leaked": self.leaked}


def _printed(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"
