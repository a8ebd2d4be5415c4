"""Processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from impasto.study.engines import ATTEMPTS, DIED
from impasto.study.work.bench import Bench
from impasto.study.work.perform import Done, perform
from impasto.study.work.units import Unit

# Units that are handed over while their forerunners are worked on: small ones would else wait for each other.
_AHEAD = 2
_bench: Bench | None = None


@dataclass(frozen=True)
class LocalEngine:
    """Units side by side in ``workers`` processes; with one, in this process itself."""

    workers: int

    def perform(self, bench: Bench, units: Sequence[Unit]) -> Iterator[Done]:
        """Do all units; a worker that is killed is replaced and its unit given to another."""
        if self.workers == 1 or len(units) == 1:
            yield from (perform(bench, unit) for unit in units)
            return
        todo, attempts = deque(units), Counter[str]()
        while todo:
            yield from self._until_broken(bench, todo, attempts)

    def _until_broken(self, bench: Bench, todo: deque[Unit], attempts: Counter[str]) -> Iterator[Done]:
        """Work in one pool until there is nothing left to do, or one of its processes dies."""
        context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
        pool = ProcessPoolExecutor(min(self.workers, len(todo)), context, _start, (bench, os.getpid()))
        running: dict[Future[Done], Unit] = {}
        try:
            while todo or running:
                while todo and len(running) < _AHEAD * self.workers:
                    unit = todo.popleft()
                    running[pool.submit(_perform, unit)] = unit
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    done = future.result()
                    del running[future]
                    yield done
        except BrokenProcessPool:
            yield from _again(running, todo, attempts)
        finally:
            for child in multiprocessing.active_children():  # after Ctrl-C nobody waits for them to finish
                child.terminate()
            pool.shutdown(cancel_futures=True)


def _again(running: dict[Future[Done], Unit], todo: deque[Unit], attempts: Counter[str]) -> Iterator[Done]:
    """Put what was under way back, except for units that have killed, or seen die, too many processes."""
    for unit in running.values():
        attempts[unit.name] += 1
        if attempts[unit.name] < ATTEMPTS:
            todo.append(unit)
        else:
            yield Done(unit.kind, unit.name, 0.0, 0, DIED)


def _start(bench: Bench, parent: int) -> None:
    global _bench
    _bench = bench
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: a study that was killed must not go on in secret."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _perform(unit: Unit) -> Done:
    assert _bench is not None
    return perform(_bench, unit)
