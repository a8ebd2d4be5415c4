"""Studies whose processes are killed: what was done stays done, and the table is that of an undisturbed run."""

from __future__ import annotations

import csv
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import study_pictures
from impasto.study import LocalEngine, StudyRun, run_study
from impasto.study.result import ANSWERS_NAME, CELLS_NAME
from impasto.study.work.units import Cell
from study_pictures import program_elsewhere, tiny_study, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")


@dataclass(frozen=True)
class Place:
    """A folder with pictures and a study file, where the study is run, and the tables of an undisturbed run."""

    folder: Path
    output: Path
    tables: list[bytes]

    def start(self, *more: object) -> subprocess.Popen[str]:
        """Start the command."""
        given = ("--data", "photos", "--styles", "styles", "-o", self.output, "--quiet", "--device", "cpu")
        return program_elsewhere(self.folder, "study", "run", "tiny.toml", *given, *more)

    def files(self, kind: str) -> int:
        """Return how many units of a kind are done."""
        return sum(not path.name.startswith(".") for path in (self.output / kind).glob("*"))

    def journal(self) -> list[str]:
        """Return the names of units in the order in which they were done."""
        with (self.output / "journal.csv").open(newline="") as file:
            return [row["name"] for row in csv.DictReader(file)]

    def log(self) -> str:
        """Return what the program printed."""
        return (self.folder / "log.txt").read_text()


def tables(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in (CELLS_NAME, ANSWERS_NAME)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills")
    photos, styles = study_pictures.photos(folder / "photos"), study_pictures.styles(folder / "styles")
    (folder / "tiny.toml").write_text(study_pictures.FILE)
    run_study(tiny_study(), photos, folder / "whole", styles=styles, engine=LocalEngine(1))
    return folder


@pytest.fixture
def place(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (whole / "log.txt").unlink(missing_ok=True)
    return Place(whole, tmp_path / "out", tables(whole / "whole"))


def end(process: subprocess.Popen[str]) -> None:
    """End what a failed test has left."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def children(pid: int) -> list[int]:
    """Return the processes of a pool that have begun to work, youngest last."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_text()
        except (OSError, IndexError):
            continue
        if folder.name.isdigit() and int(status[1]) == pid and "spawn_main" in command:
            found.append(int(folder.name))
    return found


def test_a_study_that_is_killed_three_times_ends_with_the_same_tables(place: Place) -> None:
    # In the middle of each stage, whenever these numbers of files happen to be there.
    for kind, count, workers in (("repaints", 7, 2), ("features", 1, 1), ("cells", 9, 2)):
        process = place.start("--workers", workers)
        try:
            assert wait_until(lambda kind=kind, count=count: place.files(kind) >= count, process)  # type: ignore[misc]
            os.killpg(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        finally:
            end(process)
    assert not (place.output / "manifest.json").exists()
    result = StudyRun(tiny_study(), place.folder / "photos", place.folder / "styles", place.output).perform(
        LocalEngine(1)
    )
    assert not result.failed
    assert tables(place.output) == place.tables
    # No line is there twice: a unit that was in flight at a kill is not in the journal, or it is done.
    again = [name for name, count in Counter(place.journal()).items() if count > 1]
    assert not again
    # What was done and not yet noted when the kill came: a unit for each process.
    assert 78 - 3 * 2 * 2 <= len(place.journal()) <= 78
    assert not list(place.output.rglob(".partial-*"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_a_worker_that_is_killed_is_replaced(place: Place) -> None:
    process = place.start("--workers", 2)
    try:
        assert wait_until(lambda: place.files("repaints") >= 4 and len(children(process.pid)) == 2, process)
        os.kill(children(process.pid)[0], signal.SIGKILL)
        assert process.wait(240) == 0, place.log()
    finally:
        end(process)
    assert tables(place.output) == place.tables
    assert max(Counter(place.journal()).values()) == 1


def test_ctrl_c_leaves_what_goes_on(place: Place) -> None:
    process = place.start("--workers", 2)
    try:
        assert wait_until(lambda: place.files("repaints") >= 4, process)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        end(process)
    assert "Traceback" not in place.log()
    done = place.files("repaints")
    result = StudyRun(tiny_study(), place.folder / "photos", place.folder / "styles", place.output).perform(
        LocalEngine(1)
    )
    assert not result.failed
    assert 4 <= done <= 36
    assert tables(place.output) == place.tables


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes in /proc")
def test_workers_end_with_the_process_that_started_them(place: Place) -> None:
    process = place.start("--workers", 2)
    try:
        assert wait_until(lambda: place.files("repaints") >= 1, process)
        workers = children(process.pid)
        assert workers
        process.kill()  # it alone, not its group
        process.wait()
        limit = time.monotonic() + 20
        while any(alive(pid) for pid in workers) and time.monotonic() < limit:
            time.sleep(0.1)
        assert not any(alive(pid) for pid in workers)
    finally:
        for pid in children(process.pid):
            os.kill(pid, signal.SIGKILL)
        end(process)


def alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Deadly(Cell):
    """A cell whose process dies as soon as it is handed over."""

    def __reduce__(self) -> Any:
        return _die, (self.arm, self.draw, self.name)


def _die(arm: int, draw: int, name: str) -> Cell:
    if multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return Deadly(arm, draw, name)


def test_a_deadly_unit_takes_no_other_with_it_and_is_tried_again_later(place: Place) -> None:
    run = StudyRun(tiny_study(), place.folder / "photos", place.folder / "styles", place.output)
    shutil.copytree(place.folder / "whole", place.output, dirs_exist_ok=True)
    result = run.perform(LocalEngine(1))
    cells = [unit for unit in run.units()["cell"] if isinstance(unit, Cell)]
    for path in (place.output / "cells").iterdir():
        path.unlink()
    deadly = Deadly(cells[2].arm, cells[2].draw, cells[2].name)
    done = list(LocalEngine(2).perform(run.bench, [*cells[:2], deadly, *cells[3:8]]))
    assert sorted(record.name for record in done) == sorted(cell.name for cell in cells[:8])
    assert [record.name for record in done if record.error] == [deadly.name]
    assert "died" in next(record.error for record in done if record.error)
    assert run.bench.failure(deadly).is_file()
    again = StudyRun(tiny_study(), place.folder / "photos", place.folder / "styles", place.output)
    assert again.perform(LocalEngine(1)).cells == result.cells


def test_no_unit_is_lost_when_a_pool_breaks_while_nobody_looks(place: Place) -> None:
    run = StudyRun(tiny_study(), place.folder / "photos", place.folder / "styles", place.output)
    units = run.units()["repaint"][:12]
    others = multiprocessing.active_children()
    doing = LocalEngine(2).perform(run.bench, units)
    done = [next(doing)]
    for child in multiprocessing.active_children():
        if child not in others:
            child.kill()
            child.join()
    time.sleep(1)
    done += doing
    assert sorted(record.name for record in done) == sorted(unit.name for unit in units)
    assert not any(record.error for record in done)
    assert all(run.bench.is_done(unit) for unit in units)


def test_other_processes_of_the_caller_are_left_alone(place: Place) -> None:
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    other.start()
    try:
        run = StudyRun(tiny_study(), place.folder / "photos", place.folder / "styles", place.output)
        assert len(list(LocalEngine(2).perform(run.bench, run.units()["repaint"][:2]))) == 2
        assert other.is_alive()
    finally:
        other.kill()
        other.join()
