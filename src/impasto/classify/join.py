"""Making an ensemble: members are copied into one folder, with equal weights or those that validation chooses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from impasto.classify.card import CARD_NAME
from impasto.classify.classifier import MODEL_NAME, is_frozen, read_config
from impasto.classify.ensemble import ENSEMBLE, is_ensemble, load_classifier, member_folder
from impasto.classify.judge.calibration import CALIBRATION_NAME
from impasto.classify.prepare import read_hashed, read_split
from impasto.classify.selection import Step, select
from impasto.data.dataset import SPLIT_COLUMNS, SPLIT_NAME, SPLITS, Sample
from impasto.encoders import AnyEncoder
from impasto.errors import DataError, UsageError, WrongWeightsError
from impasto.files import file_digest, write_bytes, write_text
from impasto.runs import CONFIG_NAME, MANIFEST_NAME, RunFolder, write_csv
from impasto.runtime import OnProgress, ignore_progress

# What of a member is copied, where it has it.
_FILES = (CONFIG_NAME, MODEL_NAME, CALIBRATION_NAME, SPLIT_NAME, MANIFEST_NAME, CARD_NAME)


@dataclass(frozen=True)
class Joined:
    """What an ensemble was made of.

    Attributes:
        folder: the ensemble.
        weights: share of each model in the answer, 0 for one that was not chosen.
        steps: how validation chose them; empty for equal weights.
    """

    folder: Path
    weights: dict[str, float]
    steps: tuple[Step, ...]


def join(
    runs: Sequence[Path],
    output: Path,
    data: Path | None = None,
    *,
    device: str = "auto",
    weights: str | Path | None = None,
    encoder: AnyEncoder | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Joined:
    """Copy trained models into the folder ``output``, which answers with the weighted mean of their probabilities.

    Args:
        runs: two folders that ``impasto train`` wrote, or more.
        output: a new folder, or that of the same ensemble.
        data: the data set of the training: weights are then chosen on its validation pictures
            (see :func:`impasto.classify.selection.select`). None gives all models the same weight.
        device, weights: see :meth:`Classifier.load`; needed for choosing only.
        encoder: an encoder that is already loaded, for the models that are built on it; lent.
        on_progress: told of each model's predictions.

    Raises:
        UsageError: fewer than two models, or one that is an ensemble itself.
        DataError: models with other classes, or, where validation chooses, with other validation pictures.
        WrongWeightsError: a folder that holds no model. RunError: ``output`` holds another run.
    """
    classes = _check(runs)
    names = _names(runs)
    steps: list[Step] = []
    if data is not None:
        lent = () if encoder is None else (encoder,)
        steps = _choose(runs, classes, data, device, weights, lent, on_progress)
    counts = Counter(step.member for step in steps) or Counter(range(len(runs)))
    shares = [counts[index] / counts.total() for index in range(len(runs))]
    kept = [index for index, share in enumerate(shares) if share]
    config = {
        "model": ENSEMBLE,
        "classes": classes,
        "members": [{"name": names[index], "weight": shares[index], "files": _digests(runs[index])} for index in kept],
        "candidates": names,
        "selection": [_step_record(names[step.member], step) for step in steps] or None,
    }
    run = RunFolder(output, config, ENSEMBLE)
    if not run.finished:
        for number, index in enumerate(kept):
            _copy(runs[index], member_folder(output, number))
        write_csv(output / SPLIT_NAME, _merged([read_split(runs[index]) for index in kept]), list(SPLIT_COLUMNS))
        write_text(output / CARD_NAME, _card(run.config))
        run.finish()
    return Joined(output, dict(zip(names, shares, strict=True)), tuple(steps))


def _check(runs: Sequence[Path]) -> tuple[str, ...]:
    """Return the classes of all models, in the order of the first one."""
    if len(runs) < 2:
        raise UsageError("an ensemble needs two models or more.", "Name more folders that `impasto train` wrote.")
    nested = [str(run) for run in runs if is_ensemble(run)]
    if nested:
        raise UsageError(f"{', '.join(nested)} is an ensemble itself.", "Name the models that it was made of.")
    known = [read_config(run)["classes"] for run in runs]
    for run, classes in zip(runs, known, strict=True):
        if not (run / MODEL_NAME).is_file():
            raise WrongWeightsError(f"{run} holds no {MODEL_NAME}.", "Finish its training first.")
        if set(classes) != set(known[0]):
            raise DataError(
                f"{runs[0]} knows the classes {', '.join(known[0])}, but {run} knows {', '.join(classes)}.",
                "Only models of the same classes can answer together.",
            )
    return tuple(known[0])


def _names(runs: Sequence[Path]) -> list[str]:
    """Return the name of each folder, with a number where another one has it too."""
    names = [run.resolve().name for run in runs]
    return [name if names.count(name) == 1 else f"{name} ({index})" for index, name in enumerate(names, 1)]


def _choose(
    runs: Sequence[Path],
    classes: Sequence[str],
    data: Path,
    device: str,
    weights: str | Path | None,
    lent: tuple[AnyEncoder, ...],
    on_progress: OnProgress,
) -> list[Step]:
    samples = _validation(runs, data, on_progress)
    paths = [sample.path for sample in samples]
    said = []
    for run in runs:
        its_weights = weights if is_frozen(read_config(run)) else None
        model = load_classifier(run, device=device, weights=its_weights, lent=lent)
        lent = (*lent, *model.encoders)
        said.append(model.predict(paths, cached=True, on_progress=on_progress))
    readable = [index for index, answers in enumerate(zip(*said, strict=True)) if not any(a.error for a in answers)]
    if not readable:
        raise DataError(f"none of the {len(paths)} validation pictures of {data} can be read.")
    probabilities = [
        np.array([[answers[index].probabilities[name] for name in classes] for index in readable]) for answers in said
    ]
    return select(probabilities, np.array([classes.index(samples[index].label) for index in readable]))


def _validation(runs: Sequence[Path], data: Path, on_progress: OnProgress) -> list[Sample]:
    """Return the pictures that all models were validated on and none was taught with."""
    tables = [{(row["path"], row["sha256"]) for row in read_split(run) if row["split"] == "validation"} for run in runs]
    for run, table in zip(runs, tables, strict=True):
        if not table or table != tables[0]:
            raise DataError(
                f"{run} was not validated on the same pictures as {runs[0]}: one of them may have been taught with "
                "what would choose between them.",
                "Train them on one split (`impasto dataset split`), or leave --greedy out.",
            )
    dataset = read_hashed(data, on_progress)
    found = [sample for sample in dataset.samples if (dataset.relative(sample), sample.sha256) in tables[0]]
    if not found:
        raise DataError(
            f"{data} holds none of the {len(tables[0])} pictures that the models were validated on.",
            "Give the data set that they were trained on.",
        )
    return found


def _digests(run: Path) -> dict[str, str]:
    return {name: file_digest(run / name) for name in _FILES if (run / name).is_file()}


def _copy(run: Path, place: Path) -> None:
    for name in _FILES:
        if (run / name).is_file():
            write_bytes(place / name, (run / name).read_bytes())


def _merged(tables: Sequence[list[dict[str, str]]]) -> list[dict[str, str]]:
    """Return one table of splits for models that may have dealt their pictures differently.

    What taught any of them is train, what else chose the weights of any of them validation.
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for row in (row for table in tables for row in table):
        key = (row["path"], row["sha256"])
        if key not in rows or _place(row) < _place(rows[key]):
            rows[key] = row
    return [rows[key] for key in sorted(rows)]


def _place(row: Mapping[str, str]) -> int:
    return SPLITS.index(row["split"]) if row["split"] in SPLITS else len(SPLITS)


def _step_record(name: str, step: Step) -> dict[str, Any]:
    return {"added": name, "correct": step.right.k, "n": step.right.n, "nll": step.nll}


def _card(config: Mapping[str, Any]) -> str:
    """Return the text of ``README.md``."""
    how = "were chosen on the validation pictures (Caruana et al. 2004)" if config["selection"] else "are equal"
    lines = [
        "# Ensemble",
        "",
        f"Names one of {len(config['classes'])} classes: the mean of the probabilities of the models below, by weight.",
        f"The weights {how}. The folder holds copies of all models; `impasto evaluate` and `impasto predict` take it.",
        "",
        *(f"- {member['name']}: {member['weight']:.3f} (members/{i})" for i, member in enumerate(config["members"])),
    ]
    return "\n".join(lines) + "\n"
