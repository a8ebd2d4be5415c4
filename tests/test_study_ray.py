"""Studies on a Ray cluster of this machine. Ray runs in processes of its own, with its own folder, and is ended."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import study_pictures
from cli_fixtures import Program
from impasto.errors import UsageError
from impasto.study import LocalEngine, RayEngine, run_study
from impasto.study.result import ANSWERS_NAME, CELLS_NAME
from study_pictures import program_elsewhere, tiny_study, wait_until

# Of the study that is run here: fewer draws than in the file, for every cell is a task of Ray.
SETS = ("--set", "split.draws=2", "--set", "sensitivity.penalty=[]")


@dataclass(frozen=True)
class Cluster:
    """A cluster with two cores, pictures that it sees, and the tables of a study without it."""

    folder: Path
    address: str
    head: int
    tables: list[bytes]

    def start(self, output: str) -> subprocess.Popen[str]:
        """Start the command on the cluster."""
        given = ("--data", "photos", "--styles", "styles", "-o", output, "--quiet", "--device", "cpu")
        engine = ("--engine", "ray", "--address", self.address)
        return program_elsewhere(self.folder, "study", "run", "tiny.toml", *given, *SETS, *engine)

    def kill_worker(self) -> bool:
        """Kill a process of this cluster that does a unit of work now; False if there is none."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if (folder / "cmdline").read_bytes().startswith(b"ray::perform") and self._owns(int(folder.name)):
                    os.kill(int(folder.name), signal.SIGKILL)
                    return True
            except (OSError, ValueError):
                continue  # it has just ended
        return False

    def _owns(self, pid: int) -> bool:
        while pid not in (0, 1, self.head):
            pid = int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
        return pid == self.head


def tables(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in (CELLS_NAME, ANSWERS_NAME)]


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return int(place.getsockname()[1])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    pytest.importorskip("ray", reason="needs Ray: pip install 'impasto[cluster]'")
    folder = tmp_path_factory.mktemp("cluster")
    temporary = Path("/tmp") / f"ray-{os.getpid()}"  # paths of sockets may not be long
    port = free_port()
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2"]
    command += [f"--port={port}", f"--temp-dir={temporary}", "--include-dashboard=false", "--disable-usage-stats"]
    command += ["--object-store-memory=100000000", "--node-ip-address=127.0.0.1"]
    with (folder / "ray.txt").open("w") as log:
        head = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        started = wait_until(lambda: "Ray runtime started" in (folder / "ray.txt").read_text(), head, 90)
        if not started:
            pytest.skip(f"Ray does not start here: {(folder / 'ray.txt').read_text()[-300:]}")
        photos, styles = study_pictures.photos(folder / "photos"), study_pictures.styles(folder / "styles")
        (folder / "tiny.toml").write_text(study_pictures.FILE)
        study = tiny_study(split={"draws": 2}, sensitivity={"penalty": []})
        run_study(study, photos, folder / "local", styles=styles, engine=LocalEngine(1))
        yield Cluster(folder, f"127.0.0.1:{port}", head.pid, tables(folder / "local"))
    finally:
        head.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            head.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(head.pid, signal.SIGKILL)
        head.wait()
        shutil.rmtree(temporary, ignore_errors=True)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_a_cluster_writes_the_same_tables_also_when_a_worker_is_killed(cluster: Cluster) -> None:
    output = cluster.folder / "ray"
    process = cluster.start("ray")
    try:
        assert wait_until(
            lambda: len(list((output / "repaints").glob("*.png"))) >= 4 and cluster.kill_worker(), process
        )
        assert process.wait(180) == 0, (cluster.folder / "log.txt").read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert tables(output) == cluster.tables
    with (output / "journal.csv").open(newline="") as file:
        journal = list(csv.DictReader(file))
    assert not [row for row in journal if row["error"]]
    assert max(Counter(row["name"] for row in journal).values()) == 1
    for path in (cluster.folder / "local" / "repaints").iterdir():
        assert (output / "repaints" / path.name).read_bytes() == path.read_bytes()


def test_a_finished_local_study_goes_on_on_a_cluster(cluster: Cluster) -> None:
    folder = shutil.copytree(cluster.folder / "local", cluster.folder / "half")
    shutil.rmtree(folder / "cells")
    for name in ("manifest.json", CELLS_NAME, ANSWERS_NAME):
        (folder / name).unlink()
    process = cluster.start("half")
    assert process.wait(180) == 0, (cluster.folder / "log.txt").read_text()
    assert tables(folder) == cluster.tables


def test_without_a_cluster_the_hint_says_how_to_start_one(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    (tmp_path / "tiny.toml").write_text(study_pictures.FILE)
    address = f"127.0.0.1:{free_port()}"  # and not "auto", which would find what others have started
    given = ("--data", "photos", "--engine", "ray", "--address", address, "-o", "out")
    process = program_elsewhere(tmp_path, "study", "run", "tiny.toml", *given)
    try:
        assert process.wait(60) == 2
    finally:
        process.kill()
        process.wait()
    log = " ".join((tmp_path / "log.txt").read_text().split())
    assert f"no Ray cluster at {address}" in log
    assert "ray start --head" in log
    assert not (tmp_path / "out").exists()


def test_without_ray_the_hint_says_how_to_install_it(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match="Ray is not installed") as caught:
        RayEngine()
    assert "impasto[cluster]" in caught.value.hint
    (tmp_path / "tiny.toml").write_text(study_pictures.FILE)
    done = program("study", "run", "tiny.toml", "--data", "photos", "--engine", "ray", "-o", "out")
    assert done.code == 2
    assert "pip install" in done.err
    assert not (tmp_path / "out").exists()
