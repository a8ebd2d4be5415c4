"""A Ray cluster: the extra ``cluster``. All of its machines see the study's folder and its pictures."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from impasto.errors import ResourceError, UsageError
from impasto.runs import CONFIG_NAME
from impasto.study.engines import ATTEMPTS, given_up
from impasto.study.work.bench import Bench
from impasto.study.work.perform import Done, perform
from impasto.study.work.units import Unit

_AHEAD = 2

_PATIENCE = 10.0


def _check_there(address: str) -> None:
    """Raise OSError where nobody answers at a host and port: Ray would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), _PATIENCE).close()


class RayEngine:
    """Units on every core of a cluster that is there.

    Args:
        address: of the cluster: "auto" for the one of this machine, ``ray://host:port``, or ``host:port``.

    Raises:
        UsageError: Ray is not installed, or no cluster answers.
    """

    def __init__(self, address: str = "auto") -> None:
        try:
            import ray
        except ImportError as error:
            raise UsageError("Ray is not installed.", "pip install 'impasto[cluster]'") from error
        self._ray: Any = ray
        try:
            _check_there(address)
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, ignore_reinit_error=True)
        except (OSError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"no Ray cluster at {address}: {reason}", "Start one: ray start --head.") from error

    @property
    def workers(self) -> int:
        """The cores of the cluster."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def close(self) -> None:
        """Leave the cluster, which goes on."""
        self._ray.shutdown()

    def perform(self, bench: Bench, units: Sequence[Unit]) -> Iterator[Done]:
        """Do all units; Ray gives those of a worker that dies to another.

        Raises:
            UsageError: a machine of the cluster does not see the study's folder or its pictures.
        """
        self._check_nodes(bench)
        ray = self._ray
        remote = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(perform)
        lent = ray.put(bench)
        todo = list(reversed(units))
        running: dict[Any, Unit] = {}
        try:
            while todo or running:
                while todo and len(running) < _AHEAD * self.workers:
                    unit = todo.pop()
                    running[remote.remote(lent, unit)] = unit
                for reference in ray.wait(list(running), num_returns=1)[0]:
                    yield self._result(bench, reference, running.pop(reference))
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    def _result(self, bench: Bench, reference: Any, unit: Unit) -> Done:
        try:
            done: Done = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ResourceError):
                raise error.cause from error
            raise
        except (self._ray.exceptions.WorkerCrashedError, self._ray.exceptions.OutOfMemoryError):
            return given_up(bench, unit)
        return done

    def _check_nodes(self, bench: Bench) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        wanted = [bench.folder / CONFIG_NAME, bench.pool.photos[0].path, *(item.path for item in bench.pool.styles[:1])]
        look = self._ray.remote(num_cpus=0)(lambda: [str(path) for path in wanted if not path.is_file()])
        for node in self._ray.nodes():
            if not node["Alive"]:
                continue
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            missing = self._ray.get(look.options(scheduling_strategy=there).remote())
            if missing:
                raise UsageError(
                    f"{node['NodeManagerHostname']} of the cluster does not see {missing[0]}.",
                    "Put the pictures and --output on a disk that all machines of the cluster share.",
                )
