"""What a study came to: one row for each cell, and every answer in it, read from the study's folder alone."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from impasto.errors import RunError
from impasto.runs import CONFIG_NAME, MANIFEST_NAME, REJECTED_NAME, read_json, write_csv
from impasto.study.arms import Arm, arms_of
from impasto.study.reading import study_from
from impasto.study.spec import Study

CELLS_NAME, ANSWERS_NAME = "cells.csv", "answers.csv"
ITEMS_NAME, DRAWS_NAME = "items.csv", "draws.json"
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Thing:
    """One item of a study: a photo, or a repaint of one. ``group`` is the number of its photo."""

    photo: str
    style: str
    label: str
    group: int


@dataclass(frozen=True)
class CellResult:
    """One arm on one draw.

    Attributes:
        arm: its name.
        replicate, fold, round: of the draw, see :class:`impasto.study.draws.Draw`.
        train, test: numbers of items.
        taught, added: originals that taught, and pictures that were added to them.
        said: the class that each test item was given, as its place in ``StudyResult.classes``.
        style, content: distances of repaints, where there is nothing to classify.
        curve: rows of epoch, training loss and accuracy, validation loss and accuracy, of networks that are taught.
        error: why there is nothing of all this; "" where there is.
    """

    arm: str
    replicate: int
    fold: int
    round: int
    train: tuple[int, ...]
    test: tuple[int, ...]
    taught: int = 0
    added: int = 0
    said: tuple[int, ...] = ()
    style: tuple[float, ...] = ()
    content: tuple[float, ...] = ()
    curve: tuple[tuple[float, ...], ...] = ()
    error: str = ""


@dataclass(frozen=True)
class StudyResult:
    """A finished study.

    Attributes:
        folder: where it is.
        study, arms: what was asked.
        classes: what was told apart; a class's number is its place here.
        items: what was taught and tested.
        cells: every arm on every draw, failed ones too.
        cost: seconds of work by kind, wall time of the last run, bytes of memory and of disk.
        aside: pictures that took no part, with reasons.
    """

    folder: Path
    study: Study
    arms: tuple[Arm, ...]
    classes: tuple[str, ...]
    items: tuple[Thing, ...]
    cells: tuple[CellResult, ...]
    cost: Mapping[str, Any]
    aside: tuple[tuple[str, str], ...]

    def of(self, arm: str) -> list[CellResult]:
        """Return the cells of an arm that did not fail."""
        return [cell for cell in self.cells if cell.arm == arm and not cell.error]

    @property
    def failed(self) -> list[CellResult]:
        """Cells that could not be done."""
        return [cell for cell in self.cells if cell.error]

    @cached_property
    def truth(self) -> npt.NDArray[np.int64]:
        """The class of every item, as its place in ``classes``; -1 where items have none."""
        place = {label: number for number, label in enumerate(self.classes)}
        return np.array([place.get(item.label, -1) for item in self.items])

    def scores(self, cell: CellResult) -> dict[str, float]:
        """Return accuracy, mean recall of the classes, and recall and precision of each, of one cell."""
        truth, said = self.truth[list(cell.test)], np.array(cell.said)
        found: dict[str, float] = {"accuracy": float((truth == said).mean())}
        recalls = []
        for number, label in enumerate(self.classes):
            own, named = truth == number, said == number
            right = int((own & named).sum())
            found[f"recall {label}"] = right / own.sum() if own.any() else float("nan")
            found[f"precision {label}"] = right / named.sum() if named.any() else float("nan")
            recalls += [right / own.sum()] if own.any() else []
        return {"accuracy": found.pop("accuracy"), "balanced": float(np.mean(recalls)), **found}


def load_result(folder: str | Path) -> StudyResult:
    """Read a finished study.

    Raises:
        RunError: the folder holds none, or it is damaged or not finished.
    """
    folder = Path(folder)
    config = read_json(folder / CONFIG_NAME)
    if not isinstance(config, dict) or config.get("procedure") != "study":
        raise RunError(f"{folder} holds no study.", "Give a folder that `impasto study run` wrote.")
    if not (folder / MANIFEST_NAME).is_file():
        raise RunError(f"the study in {folder} is not finished.", "Run the same `impasto study run` again: it goes on.")
    return _read(folder, config, read_json(folder / MANIFEST_NAME)["cost"])


def _read(folder: Path, config: dict[str, Any], cost: Mapping[str, Any]) -> StudyResult:
    try:
        study = study_from(config["study"])
        items = tuple(
            Thing(row["photo"], row["style"], row["label"], int(row["group"])) for row in _rows(folder / ITEMS_NAME)
        )
        classes = tuple(sorted({item.label for item in items}))
        aside = tuple((row["path"], row["reason"]) for row in _rows(folder / REJECTED_NAME))
        cells = tuple(_cells(folder))
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise RunError(
            f"the study in {folder} is damaged: {error!r}.", "Run the same `impasto study run` again."
        ) from error
    named = study.data.classes if study.task == "classes" else ()
    return StudyResult(folder, study, arms_of(study), named or classes, items, cells, cost, aside)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _cells(folder: Path) -> Iterator[CellResult]:
    for entry in read_json(folder / DRAWS_NAME):
        dealt: dict[str, Any] = {
            "arm": entry["arm"],
            "replicate": entry["replicate"],
            "fold": entry["fold"],
            "round": entry["round"],
            "train": tuple(entry["train"]),
            "test": tuple(entry["test"]),
        }
        if entry["error"]:
            yield CellResult(**dealt, error=entry["error"])
            continue
        found = read_json(folder / "cells" / f"{entry['cell']}.json")
        found["curve"] = [tuple(row) for row in found.get("curve", ())]
        dealt |= {key: found[key] for key in ("taught", "added") if key in found}
        dealt |= {key: tuple(found[key]) for key in ("said", "style", "content", "curve") if key in found}
        yield CellResult(**dealt)


def write_tables(folder: Path) -> None:
    """Write ``cells.csv``, a row for each cell, and ``answers.csv``, a row for each answer.

    They hold nothing that differs from one run to the next: equal bytes are equal results.
    """
    result = _read(folder, read_json(folder / CONFIG_NAME), {})
    arms = {arm.name: arm for arm in result.arms}
    factors = list(result.study.factors)
    rows = []
    for cell in result.cells:
        arm = arms[cell.arm]
        row: dict[str, Any] = {"arm": arm.name, "family": arm.family, "role": arm.role}
        row |= {factor: arm.levels.get(factor, "") for factor in factors}
        row |= {"replicate": cell.replicate, "fold": cell.fold, "taught": cell.taught, "added": cell.added}
        row |= {"tested": len(cell.test), "right": "", "error": cell.error}
        if cell.said:
            row["right"] = int((result.truth[list(cell.test)] == np.array(cell.said)).sum())
            row |= {name: f"{value:.6f}" for name, value in result.scores(cell).items()}
        if cell.style:
            row |= {"style": f"{np.mean(cell.style):.6f}", "content": f"{np.mean(cell.content):.6f}"}
        rows.append(row)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    write_csv(folder / CELLS_NAME, [{key: row.get(key, "") for key in columns} for row in rows], columns)
    write_csv(folder / ANSWERS_NAME, _answers(result), ["arm", "replicate", "fold", "photo", "style", "truth", "said"])


def _answers(result: StudyResult) -> Iterator[dict[str, Any]]:
    for cell in result.cells:
        for row, said in zip(cell.test, cell.said, strict=False):
            item = result.items[row]
            yield {
                "arm": cell.arm,
                "replicate": cell.replicate,
                "fold": cell.fold,
                "photo": item.photo,
                "style": item.style,
                "truth": item.label,
                "said": result.classes[said],
            }
