"""Doing one unit of work, anywhere: what comes out is a file, and a short record of what it took."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from typing import Any

from threadpoolctl import threadpool_limits

from impasto.errors import ImpastoError, ResourceError
from impasto.runs import write_json
from impasto.runtime import Stopwatch, one_core
from impasto.study.work.bench import Bench
from impasto.study.work.encode import encode
from impasto.study.work.fit import fit_cell
from impasto.study.work.measure import measure_cell
from impasto.study.work.paint import paint
from impasto.study.work.teach import teach_cell
from impasto.study.work.units import Cell, Encoding, Painting, Unit


@dataclass(frozen=True)
class Done:
    """What a unit took.

    Attributes:
        kind, name: of the unit.
        seconds: of work.
        memory: bytes, the most that its process has had so far.
        error: why it could not be done, "" if it was.
    """

    kind: str
    name: str
    seconds: float
    memory: int
    error: str = ""


def perform(bench: Bench, unit: Unit) -> Done:
    """Do a unit of work and write its file, or write why it could not be done.

    A disk that is full is the study's to tell, not the unit's.
    """
    watch = Stopwatch()
    error = ""
    try:
        # One core for each unit: so its last bits do not depend on how many workers there are.
        with one_core(), threadpool_limits(1):
            _do(bench, unit)
    except ResourceError:
        raise
    except Exception as failure:  # one that nobody thought of must not take the others' work with it either
        error = str(failure) if isinstance(failure, ImpastoError) else f"{type(failure).__name__}: {failure}"
        write_json(bench.failure(unit), {"error": error})
    return Done(unit.kind, unit.name, watch.seconds, peak_memory(), error)


def peak_memory() -> int:
    """Return the most bytes of main memory that this process has had."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _do(bench: Bench, unit: Unit) -> None:
    if isinstance(unit, Painting):
        paint(bench, unit)
    elif isinstance(unit, Encoding):
        encode(bench, unit)
    else:
        write_json(bench.path(unit), _cell(bench, unit))


def _cell(bench: Bench, cell: Cell) -> dict[str, Any]:
    if bench.study.task == "repaints":
        return measure_cell(bench, cell)
    return (fit_cell if bench.arms[cell.arm].settings.solved else teach_cell)(bench, cell)
