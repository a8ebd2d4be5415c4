"""From a study to its table: every unit of work is done once, and a run that was killed goes on where it was."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.classify.models.names import parse_model
from impasto.encoders import AnyEncoder, load_encoder
from impasto.errors import MissingWeightsError, ResourceError, UnknownNameError, UsageError
from impasto.runs import MANIFEST_NAME, REJECTED_NAME, RunFolder, digest, read_json, write_csv, write_json
from impasto.runtime import OnProgress, Progress, Stopwatch, ignore_progress
from impasto.study.arms import Arm, arms_of
from impasto.study.draws import deal
from impasto.study.engines import Engine
from impasto.study.engines.local import LocalEngine
from impasto.study.examples import write_examples
from impasto.study.pool import Pool, names_of, read_pool
from impasto.study.reading import study_table
from impasto.study.result import DRAWS_NAME, ITEMS_NAME, StudyResult, load_result, write_tables
from impasto.study.spec import Study
from impasto.study.work.bench import Bench, flat
from impasto.study.work.measure import judge_of
from impasto.study.work.paint import painter_for, without_strength
from impasto.study.work.perform import Done, peak_memory
from impasto.study.work.teach import check_teaching
from impasto.study.work.units import Cell, Unit

PROCEDURE = "study"
JOURNAL_NAME = "journal.csv"
_JOURNAL = ("kind", "name", "seconds", "memory", "error")
_STAGES = {"repaint": "repainting", "features": "features", "cell": "teaching and testing"}


@dataclass
class StudyRun:
    """A study with its pictures, opened in its folder, ready to be estimated and run.

    Args:
        study: what is asked.
        data: a folder of photos, see :func:`impasto.study.pool.read_pool`.
        styles: a folder of style pictures; None where nothing is repainted.
        output: a new folder, or that of the same study on the same pictures.
        device: auto, cpu, cuda ..
        on_progress: told of everything.

    Raises:
        DataError: pictures that cannot serve, or too few. RunError: ``output`` holds something else.
    """

    study: Study
    data: Path
    styles: Path | None
    output: Path
    device: str = "cpu"
    on_progress: OnProgress = ignore_progress

    def __post_init__(self) -> None:
        for pictures in (self.data, self.styles):
            if pictures and self.output.resolve().is_relative_to(pictures.resolve()):
                raise UsageError(f"{self.output} lies inside {pictures}.", "Choose an output folder outside it.")
        arms = arms_of(self.study)
        self._check_styles(arms)
        pool = read_pool(self.study, self.data.absolute(), self.styles and self.styles.absolute(), self.on_progress)
        self._check_names(arms, pool)
        dealt = deal(self.study, pool, arms)
        config = {
            "study": study_table(self.study),
            "pictures": digest(pool.record()),
            "draws": digest(dealt.draws),
        }
        self.bench = Bench(self.output.absolute(), digest(config), self.study, arms, pool, dealt, self.device)
        if self.study.task != "repaints":
            check_teaching(self.bench)
        self.run = RunFolder(self.output, {**config, "networks": self._identities()}, PROCEDURE)

    def _check_styles(self, arms: Sequence[Arm]) -> None:
        paints = self.study.task != "classes" or any(arm.settings.add == "repaints" for arm in arms)
        if paints and self.styles is None:
            raise UsageError(f"{self.study.name} repaints, and there are no styles.", "Give their folder by --styles.")
        if self.study.task != "classes" and any(arm.settings.add != "nothing" for arm in arms):
            raise UsageError(f'add is for studies with task = "classes", not "{self.study.task}".')
        if self.study.task != "classes" and any(len(arm.settings.strengths) > 1 for arm in arms):
            raise UsageError(f'with task = "{self.study.task}" every arm repaints in one of its strengths.')
        if not paints:
            self.styles = None

    def _check_names(self, arms: Sequence[Arm], pool: Pool) -> None:
        """Refuse an arm that names a style which is not there: it would be the baseline under another name."""
        names = [names_of(style.name) for style in pool.styles]
        for name in (name for arm in arms if arm.settings.add == "repaints" for name in arm.settings.styles):
            if not any(name in own for own in names):
                raise UnknownNameError("style picture", name, [short for _, short in names])

    def _identities(self) -> dict[str, Any]:
        """Return what tells the networks apart that take part: a study that goes on with others is another study."""
        configs = {without_strength(unit.config) for unit in self.bench.paintings()}
        found = sorted((painter_for(config).identity() for config in configs), key=str)
        names = {name for arm in self.bench.arms if (name := parse_model(arm.settings.model).encoder)}
        if self.study.task == "repaints":
            names = {judge_of(self.bench)}
        return {"painters": found, "encoders": [_loaded(name).identity() for name in sorted(names)]}

    def units(self) -> dict[str, list[Unit]]:
        """Return all units of work by stage, done or not; of equal ones one."""
        cells = {cell.name: cell for cell in self.bench.cells()}
        return {"repaint": [*self.bench.paintings()], "features": [*self.bench.encodings()], "cell": [*cells.values()]}

    def missing(self) -> dict[str, list[Unit]]:
        """Return the units that are still to be done."""
        return {kind: [unit for unit in units if not self.bench.is_done(unit)] for kind, units in self.units().items()}

    def perform(self, engine: Engine | None = None) -> StudyResult:
        """Do what is missing and return the result.

        Units that failed before are tried once more. Ctrl-C and SIGKILL leave whole files: the same call goes on.

        Args:
            engine: where; by default a process for each core.

        Raises:
            ResourceError: the disk is full.
        """
        engine = engine or LocalEngine(os.cpu_count() or 1)
        watch = Stopwatch()
        if not self.run.finished:
            self._write_items()
        self._forget_failures()
        if not self.run.finished:
            for kind, units in self.units().items():
                self._stage(kind, units, engine)
            self._write_cells()
            write_tables(self.output)
            write_examples(self.bench)
            self._finish(engine, watch.seconds)
        return load_result(self.output)

    def _forget_failures(self) -> None:
        """Remove what says that units failed, and what was made of them in part."""
        for failure in self.output.glob("*/*.failed.json"):
            (self.output / MANIFEST_NAME).unlink(missing_ok=True)  # first: if this is killed, the study goes on later
            for path in failure.parent.glob(f"{failure.name.partition('.')[0]}.*"):
                path.unlink()

    def _stage(self, kind: str, units: Sequence[Unit], engine: Engine) -> None:
        todo = [unit for unit in units if not self.bench.is_done(unit)]
        done = len(units) - len(todo)
        self.on_progress(Progress(_STAGES[kind], done, len(units)))
        errors = 0
        with _Journal(self.output / JOURNAL_NAME) as journal:
            for record in engine.perform(self.bench, todo):
                journal.add(record)
                done, errors = done + 1, errors + bool(record.error)
                note = f"{errors} failed" if errors else ""
                self.on_progress(Progress(_STAGES[kind], done, len(units), {}, note))

    def _write_items(self) -> None:
        """Write what items and arms are, so that tables and reports need no pictures."""
        pool, bench = self.bench.pool, self.bench
        rows = [
            {
                "item": number,
                "photo": pool.photos[item.photo].name,
                "style": pool.styles[item.style].name if item.style >= 0 else "",
                "label": item.label,
                "group": item.photo,
            }
            for number, item in enumerate(bench.deal.items)
        ]
        write_csv(self.output / ITEMS_NAME, rows, list(rows[0]))
        write_csv(
            self.output / REJECTED_NAME,
            [{"path": path, "reason": reason} for path, reason in pool.aside],
            ["path", "reason"],
        )

    def _write_cells(self) -> None:
        """Write which file holds which cell of which arm, and what was dealt to it."""
        draws = [
            {
                "arm": self.bench.arms[cell.arm].name,
                "cell": cell.name,
                **_dealt(self.bench.draw(cell)),
                "error": self._error(cell),
            }
            for cell in self.bench.cells()
        ]
        write_json(self.output / DRAWS_NAME, draws)

    def _error(self, cell: Cell) -> str:
        if self.bench.is_done(cell):
            return ""
        path = self.bench.failure(cell)
        return str(read_json(path)["error"]) if path.is_file() else "its process died"

    def _finish(self, engine: Engine, seconds: float) -> None:
        journal = _Journal.read(self.output / JOURNAL_NAME)
        kinds = {kind: [row for row in journal if row["kind"] == kind] for kind in _STAGES}
        work = {kind: round(sum(float(row["seconds"]) for row in rows), 1) for kind, rows in kinds.items()}
        memory = max([peak_memory(), *(int(row["memory"]) for row in journal)])
        size = sum(path.stat().st_size for path in self.output.rglob("*") if path.is_file())
        cost = {
            "seconds": round(seconds, 1),
            "workers": engine.workers,
            "work": work,
            "units": {kind: len(rows) for kind, rows in kinds.items()},
            "memory": memory,
            "disk": size,
        }
        failed = len(list(self.output.glob("*/*.failed.json")))
        self.run.finish(cost=cost, failed=failed, data=self.data.name, styles=self.styles.name if self.styles else "")


def _loaded(name: str) -> AnyEncoder:
    try:
        return load_encoder(name)
    except MissingWeightsError as error:
        hint = f"{error.hint} A study is told by --set settings.model=frozen:impasto-vgg (or in a factor's level)."
        raise MissingWeightsError(error.message, hint) from error


def _dealt(draw: Any) -> dict[str, Any]:
    return {
        "replicate": draw.replicate,
        "fold": draw.fold,
        "round": draw.round,
        "train": flat(draw.train),
        "test": list(draw.test),
    }


class _Journal:
    """One line for each unit that was done, appended: what a study cost, however often it was killed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> _Journal:
        self._file = self.path.open("ab", buffering=0)
        written = self.path.read_bytes()
        self._file.truncate(written.rfind(b"\n") + 1)  # without a line that a kill or a full disk cut short
        if not self._file.seek(0, os.SEEK_END):
            self._write(_JOURNAL)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, done: Done) -> None:
        self._write([done.kind, done.name, f"{done.seconds:.3f}", done.memory, " ".join(done.error.split())])

    def _write(self, row: Sequence[object]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text).writerow(row)
        line = text.getvalue().encode(errors="backslashreplace")
        written = 0
        with contextlib.suppress(OSError):
            written = self._file.write(line)
        if written < len(line):
            raise ResourceError(f"{self.path} could not be written to.", "Free some space and run the command again.")

    @staticmethod
    def read(path: Path) -> list[dict[str, str]]:
        """Return its lines."""
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


def run_study(
    study: Study,
    data: str | Path,
    output: str | Path,
    *,
    styles: str | Path | None = None,
    engine: Engine | None = None,
    device: str = "cpu",
    on_progress: OnProgress = ignore_progress,
) -> StudyResult:
    """Run a study from pictures to its table; see :class:`StudyRun`.

    >>> from impasto.study import read_study, run_study
    >>> result = run_study(read_study("R1"), "caltech101", "r1", styles="styles")     # doctest: +SKIP
    """
    run = StudyRun(study, Path(data), Path(styles) if styles else None, Path(output), device, on_progress)
    return run.perform(engine)
