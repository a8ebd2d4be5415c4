"""What a study will cost and what it can show, told before anything is done."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from impasto.errors import DataError, ResourceError
from impasto.images import open_picture
from impasto.runtime import Stopwatch, free_disk, human_bytes, human_time, one_core
from impasto.statistics import draws_needed, power
from impasto.study.draws import Deal, overlap_of
from impasto.study.runner import StudyRun
from impasto.study.work.bench import Bench, flat
from impasto.study.work.paint import painter_for, without_strength
from impasto.study.work.perform import perform
from impasto.study.work.teach import epochs_of
from impasto.study.work.units import Cell, Encoding, Painting, Unit

# Seen: a fit of 30 to 120 rows with 512 features, and everything around it; bytes of a cell, of a pixel of a PNG.
_FIT_SECONDS, _CELL_BYTES, _PNG_BYTES = 0.1, 8_000, 2.0
# Pictures of a class that a network is timed with.
_FEW = 8


@dataclass(frozen=True)
class Plan:
    """What is ahead.

    Attributes:
        cells, repaints, features, trainings: units that are still to be done; trainings are cells with a network.
        seconds: of one worker, measured on the first of each kind; None where nothing was timed.
        workers: how many there are.
        disk: bytes that will be written.
        counts: usable pictures of each class.
        taught, tested: of each class in a draw, the least of all draws.
        overlap: share of training photos that two draws have in common.
        chance: of finding ``tests.effect`` with so many draws, None where its SD is unknown.
        needed: draws that find it in four of five studies; 0 where no number does.
    """

    cells: int
    repaints: int
    features: int
    trainings: int
    seconds: float | None
    workers: int
    disk: int
    counts: dict[str, int]
    taught: dict[str, int]
    tested: dict[str, int]
    overlap: float
    chance: float | None
    needed: int | None

    def lines(self) -> list[str]:
        """Return it in words."""
        return [*self._pictures(), self._work(), *self._power()]

    def _pictures(self) -> list[str]:
        return [
            f"{label}: {count} usable pictures, {self.taught.get(label, 0)} teach and {self.tested.get(label, 0)} are "
            "tested in a draw"
            for label, count in self.counts.items()
        ]

    def _work(self) -> str:
        time = ""
        if self.seconds is not None:
            time = f"; about {human_time(self.seconds / self.workers)} with {self.workers} workers"
        return (
            f"{self.cells} cells ({self.trainings} trainings of a network), {self.repaints} repaints, {self.features} "
            f"batches of features to do{time}, {human_bytes(self.disk)} on disk"
        )

    def _power(self) -> list[str]:
        if self.chance is None:
            return []
        number = f"{self.needed} draws" if self.needed else "no number of draws of this pool"
        needed = f"{number} would find it in 80 %"
        return [f"a difference that matters is found in {self.chance:.0%} of such studies; {needed}".replace("%", " %")]


def plan_study(run: StudyRun, workers: int, *, timed: bool = True) -> Plan:
    """Return what a study will cost; the first unit of each kind is done for it, elsewhere, and thrown away.

    Args:
        run: the opened study.
        workers: how many units are done at a time.
        timed: whether to measure at all.

    Raises:
        ResourceError: it is more than the study's budget, or than the disk has room for.
    """
    bench, missing = run.bench, run.missing()
    solved = [unit for unit in missing["cell"] if isinstance(unit, Cell) and _is_solved(bench, unit)]
    trainings = [unit for unit in missing["cell"] if isinstance(unit, Cell) and not _is_solved(bench, unit)]
    seconds = _seconds(bench, missing, solved, trainings) if timed else None
    disk = _disk(bench, missing)
    chance, needed = _chance(run)
    plan = Plan(
        cells=len(missing["cell"]),
        repaints=len(missing["repaint"]),
        features=len(missing["features"]),
        trainings=len(trainings),
        seconds=seconds,
        workers=workers,
        disk=disk,
        counts=_counts(bench),
        taught=_least(bench, "train"),
        tested=_least(bench, "test"),
        overlap=_overlap(bench),
        chance=chance,
        needed=needed,
    )
    _check(run, plan)
    return plan


def _is_solved(bench: Bench, cell: Cell) -> bool:
    return bench.arms[cell.arm].settings.solved or bench.study.task == "repaints"


def _check(run: StudyRun, plan: Plan) -> None:
    budget = run.study.budget
    room = free_disk(run.output)
    if plan.disk > room:
        raise ResourceError(
            f"the study needs about {human_bytes(plan.disk)}, {run.output} has {human_bytes(room)} free.",
            "Choose another disk, or smaller pictures: --set settings.repaint_size=...",
        )
    if budget.gigabytes and plan.disk > budget.gigabytes * 2**30:
        raise ResourceError(
            f"the study needs about {human_bytes(plan.disk)}, its budget is {budget.gigabytes:g} GB.",
            "Ask for less, or give more: --set budget.gigabytes=...",
        )
    if budget.minutes and plan.seconds is not None and plan.seconds / plan.workers > budget.minutes * 60:
        raise ResourceError(
            f"the study needs about {human_time(plan.seconds / plan.workers)}, its budget is {budget.minutes:g} min.",
            "Ask for fewer draws (--set split.draws=...), or give more: --set budget.minutes=...",
        )


def _counts(bench: Bench) -> dict[str, int]:
    labels = [item.label for item in bench.deal.items]
    return {} if bench.study.task == "repaints" else {label: labels.count(label) for label in bench.pool.classes}


def _least(bench: Bench, side: str) -> dict[str, int]:
    """Return how many items of each class a draw of the first arm has on one side, the least of all draws."""
    found: dict[str, int] = {}
    for draw in bench.deal.of(bench.arms[0]):
        rows = flat(draw.train) if side == "train" else draw.test
        labels = [bench.deal.items[row].label for row in rows]
        for label in bench.pool.classes:
            found[label] = min(found.get(label, len(labels)), labels.count(label))
    return found


def _overlap(bench: Bench) -> float:
    draws = () if bench.study.split.kind == "fixed" else bench.deal.of(bench.arms[0])
    return overlap_of([{bench.deal.items[row].photo for row in flat(draw.train)} for draw in draws])


def _chance(run: StudyRun) -> tuple[float | None, int | None]:
    tests, draws = run.study.tests, len(run.bench.deal.of(run.bench.arms[0]))
    if not tests.sd or draws < 2:
        return None, None
    overlap = _overlap(run.bench)
    chance = power(tests.effect, tests.sd, draws, overlap, tests.alpha)
    return chance, draws_needed(tests.effect, tests.sd, 0.8, overlap, tests.alpha) or 0


def _disk(bench: Bench, missing: dict[str, list[Unit]]) -> int:
    pixels = [unit.config.size or 512 for unit in missing["repaint"] if isinstance(unit, Painting)]
    repaints = sum(0.8 * size**2 * _PNG_BYTES for size in pixels)
    return int(repaints) + len(missing["cell"]) * _CELL_BYTES + len(missing["features"]) * 32 * 4 * 1024


def _seconds(bench: Bench, missing: dict[str, list[Unit]], solved: Sequence[Cell], trainings: Sequence[Cell]) -> float:
    """Time one unit of each kind on one core and multiply."""
    return (
        _repaints(bench, [unit for unit in missing["repaint"] if isinstance(unit, Painting)])
        + _features(bench, [unit for unit in missing["features"] if isinstance(unit, Encoding)])
        + _FIT_SECONDS * len(solved)
        + _trainings(bench, trainings)
    )


def _repaints(bench: Bench, units: Iterable[Painting]) -> float:
    total = 0.0
    by_painter: dict[object, list[Painting]] = {}
    for unit in units:
        by_painter.setdefault(without_strength(unit.config), []).append(unit)
    for own in by_painter.values():
        content = open_picture(bench.pool.photos[own[0].photo].path)
        style = open_picture(bench.pool.styles[own[0].style].path)
        with one_core():
            painter = painter_for(own[0].config).with_config(own[0].config)  # type: ignore[arg-type]
            total += painter.plan(content, [style]).seconds * len(own)
    return total


def _features(bench: Bench, units: Sequence[Encoding]) -> float:
    """Time the plain features of a few photos; what is repainted or augmented takes as long, once a view."""
    if not units:
        return 0.0
    with tempfile.TemporaryDirectory() as folder:
        first = next((unit for unit in units if all(shown.painting is None for shown in unit.pictures)), units[0])
        shown = tuple(replace(item, painting=None) for item in first.pictures[:8])
        elsewhere = replace(bench, folder=Path(folder))
        some = replace(first, pictures=shown, hashes=first.hashes[:8])
        perform(elsewhere, replace(some, pictures=shown[:1], hashes=first.hashes[:1]))  # the encoder is loaded
        watch = Stopwatch()
        perform(elsewhere, some)
        each = watch.seconds / len(shown) / some.way.views
    return sum(each * unit.way.views * len(unit.pictures) for unit in units)


def _trainings(bench: Bench, cells: Sequence[Cell]) -> float:
    """Time networks on a few pictures, once each, and multiply by pictures, epochs and trainings."""
    known: dict[object, tuple[float, float]] = {}
    total = 0.0
    for arm in sorted({cell.arm for cell in cells}):
        own = [cell for cell in cells if cell.arm == arm]
        settings = bench.arms[arm].settings
        kind = (settings.model, settings.head, settings.image_size, settings.batch_size, settings.augment)
        if kind not in known:
            known[kind] = _pace(bench, own[0])
        start, each = known[kind]
        taught = len(bench.taught(bench.deal.items[flat(bench.draw(own[0]).train)[0]], settings))
        pictures = taught * len(flat(bench.draw(own[0]).train))
        total += (start + each * pictures * epochs_of(bench, own[0])) * len(own)
    return total


def _pace(bench: Bench, cell: Cell) -> tuple[float, float]:
    """Return seconds that a training takes before its first epoch, and those of a picture in an epoch.

    Photos stand in for repaints that are still to be made.
    """
    arm, draw = bench.arms[cell.arm], bench.draw(cell)
    items = tuple(replace(item, style=-1) for item in bench.deal.items)
    few = tuple(rows[:_FEW] for rows in draw.train)
    short = replace(draw, round=-1, train=few, validation=draw.validation[:_FEW], test=draw.test[:_FEW])
    seconds = []
    for epochs in (1, 3):
        settings = replace(arm.settings, epochs=epochs, add="nothing")
        with tempfile.TemporaryDirectory() as folder:
            elsewhere = replace(
                bench,
                folder=Path(folder),
                key=f"timing {epochs}",
                arms=(replace(arm, settings=settings),),
                deal=Deal(items, {settings.apart: (short,)}),
            )
            done = perform(elsewhere, Cell(0, 0, "timing"))
        if done.error:
            raise DataError(f"a first training of {arm.name} failed: {done.error}")
        seconds.append(done.seconds)
    each = max(0.0, seconds[1] - seconds[0]) / 2
    return max(0.0, seconds[0] - each), each / len(flat(few))
