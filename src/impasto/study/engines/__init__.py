"""Where units of work are done: in this process, in processes of this machine, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from impasto.runs import write_json
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


def given_up(bench: Bench, unit: Unit) -> Done:
    """Write that a unit has seen too many processes die; it is tried again when the study is run again."""
    error = f"its process died {ATTEMPTS} times: out of memory, or killed"
    write_json(bench.failure(unit), {"error": error})
    return Done(unit.kind, unit.name, 0.0, 0, error)
