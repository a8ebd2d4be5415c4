"""Processes of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from impasto.study.engines import ATTEMPTS, given_up
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
        todo, suspects, attempts = deque(units), deque[Unit](), Counter[str]()
        while todo or suspects:
            # Of the units under way when a process died one may be to blame: they are done one at a time, at the end.
            room = (todo, self.workers, _AHEAD * self.workers) if todo else (suspects, 1, 1)
            for unit in (yield from _until_broken(bench, *room)):
                attempts[unit.name] += 1
                if bench.is_done(unit):  # its process died before it could say so
                    yield Done(unit.kind, unit.name, 0.0, 0)
                elif attempts[unit.name] < ATTEMPTS:
                    suspects.append(unit)
                else:
                    yield given_up(bench, unit)


def _until_broken(bench: Bench, todo: deque[Unit], workers: int, ahead: int) -> Generator[Done, None, list[Unit]]:
    """Work in one pool until nothing is left to do, or a process dies; return what was under way then."""
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    pool = ProcessPoolExecutor(min(workers, len(todo)), context, _start, (bench, os.getpid()))
    running: dict[Future[Done], Unit] = {}
    try:
        while todo or running:
            while todo and len(running) < ahead:
                running[pool.submit(_perform, todo[0])] = todo[0]
                todo.popleft()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                done = future.result()
                del running[future]
                yield done
    except BrokenProcessPool:
        return list(running.values())
    finally:
        for child in set(multiprocessing.active_children()) - others:  # after Ctrl-C nobody waits for them to finish
            child.terminate()
        pool.shutdown(cancel_futures=True)
    return []


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
