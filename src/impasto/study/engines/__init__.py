"""Where units of work are done: in this process, in processes of this machine, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from impasto.study.work.bench import Bench
from impasto.study.work.perform import Done
from impasto.study.work.units import Unit


class Engine(Protocol):
    """What does units of work."""

    @property
    def workers(self) -> int:
        """How many units are done at a time."""

    def perform(self, bench: Bench, units: Sequence[Unit]) -> Iterator[Done]:
        """Do all units, in any order, and yield what each took as soon as it is done."""


# A unit whose process dies is given to another so often.
ATTEMPTS = 3
DIED = f"its process died {ATTEMPTS} times: out of memory, or killed"
