"""Training a classifier from a labelled folder: splits, features or pixels, best weights, one folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.classify.card import CARD_NAME, card
from impasto.classify.classifier import Classifier
from impasto.classify.config import TrainConfig
from impasto.classify.fit.board import open_board
from impasto.classify.fit.curves import CurvePoint, write_curves
from impasto.classify.fit.head import PENALTIES
from impasto.classify.fit.processes import Crew, crew
from impasto.classify.fit.state import STATE_NAME
from impasto.classify.judge.calibration import calibrate
from impasto.classify.prepare import describe, read_hashed, with_splits, write_split
from impasto.classify.teach import Task, Taught, teach
from impasto.data.dataset import Dataset
from impasto.data.load.augmentations import Augmentation, kind_of_labels
from impasto.data.load.pictures import Preprocessing, Skipped
from impasto.encoders import AnyEncoder, load_encoder
from impasto.errors import RunError, UsageError
from impasto.files import write_text
from impasto.runs import MANIFEST_NAME, RunFolder, read_json
from impasto.runtime import OnProgress, ignore_progress
from impasto.statistics.proportion import Proportion

PROCEDURE = "train"
BOARD_NAME = "tensorboard"


@dataclass(frozen=True)
class TrainResult:
    """What a training came to.

    Attributes:
        folder: the model.
        model: its name.
        classes: their names, in the order of the network's outputs.
        pictures: how many were used of train and of validation.
        best_epoch: the row of ``curves.csv`` whose weights were kept (of a linear head: the penalty chosen).
        validation: right answers on the validation split. It chose the weights, so it flatters them.
        skipped: pictures that could not be read, by their path below the data set, with reasons.
    """

    folder: Path
    model: str
    classes: tuple[str, ...]
    pictures: dict[str, int]
    best_epoch: int
    validation: Proportion
    skipped: tuple[Skipped, ...]


def train(
    config: TrainConfig,
    output: Path,
    on_progress: OnProgress = ignore_progress,
    *,
    encoder: AnyEncoder | None = None,
    dataset: Dataset | None = None,
) -> TrainResult:
    """Train a classifier and write it to the folder ``output``.

    The folder holds ``config.json``, ``model.safetensors``, ``calibration.json``, ``curves.csv``, ``split.csv``,
    ``README.md`` and, last, ``manifest.json``. A finished run of the same configuration on the same files is not
    repeated; an unfinished one goes on where it was. The same seed on the same machine gives the same bytes of
    ``model.safetensors``, interrupted or not.

    Under torchrun, all processes teach one network, see :mod:`impasto.classify.fit.processes`.

    Args:
        config: what to train, on what.
        output: a new folder, or that of the same run.
        on_progress: told of hashing, features or reading, and training.
        encoder: the encoder, already loaded and on the device; lent, unless it is fine-tuned. None loads it by its
            name.
        dataset: what ``config.data`` holds, with hashes, and split in another way; None reads it.

    Raises:
        DataError: splits or classes that cannot serve.
        NumericalError: the loss diverges.
        RunError: ``output`` holds another run.
        UsageError: ``output`` lies inside the data set, or the augmentation changes what its labels stand for.
    """
    if output.resolve().is_relative_to(config.data.resolve()):
        raise UsageError(f"{output} lies inside the data set.", "Choose an output folder outside it.")
    if encoder is not None and encoder.name != config.encoder:
        raise UsageError(f"the model {config.model} was given the encoder {encoder.name}.")
    settings = _settings(config)
    with crew(config.device) as team:
        told = on_progress if team.leads else ignore_progress
        dataset = with_splits(dataset or read_hashed(config.data, told), config.seed)
        if config.encoder is not None and encoder is None:
            encoder = load_encoder(config.encoder, weights=config.weights, seed=config.seed)
            encoder = encoder.to(team.device)
        size = config.image_size or config.name.image_size() or (encoder.input_size if encoder else 224)
        run = _open(output, _run_config(config, settings, dataset, encoder, size), team)
        if not run.finished:
            with _log(run, config, team) as on_epoch:
                task = Task(config, settings, dataset, Preprocessing(size), team, run.path / STATE_NAME, told, on_epoch)
                _do(task, run, encoder)
        team.wait()
    return _result(run)


def _settings(config: TrainConfig) -> dict[str, Any]:
    """Say what the classes stand for, and refuse an augmentation that makes such labels untrue."""
    labels = config.labels or kind_of_labels(config.data)
    if not config.insist:
        Augmentation(config.augmentation).check(labels)
    return {**config.effective(), "labels": labels}


def _run_config(
    config: TrainConfig, settings: dict[str, Any], dataset: Dataset, encoder: AnyEncoder | None, size: int
) -> dict[str, Any]:
    """Return what ``config.json`` holds."""
    return {
        **settings,
        "classes": dataset.classes,
        "preprocessing": Preprocessing(size).record(),
        "encoder": None if encoder is None else encoder.identity(),
        **({} if config.recipe else {"penalties": PENALTIES}),
        "data": describe(dataset),
    }


def _open(output: Path, config: dict[str, Any], team: Crew) -> RunFolder:
    """Open the run folder: the first process makes it, the others find it."""
    if not team.leads:
        team.wait()
    run = RunFolder(output, config, PROCEDURE)
    if team.leads:
        team.wait()
    team.wait()
    return run


@contextlib.contextmanager
def _log(run: RunFolder, config: TrainConfig, team: Crew) -> Iterator[Callable[[CurvePoint], None]]:
    """Yield what writes a row of ``curves.csv``, and of TensorBoard's files if they are wanted, while it happens."""
    if not team.leads:
        yield lambda _: None
        return
    points: list[CurvePoint] = []
    with contextlib.ExitStack() as open_files:
        board = open_files.enter_context(open_board(run.path / BOARD_NAME)) if config.tensorboard else None

        def note(point: CurvePoint) -> None:
            points.append(point)
            write_curves(run.path, points)
            if board:
                board(point)

        yield note


def _do(task: Task, run: RunFolder, encoder: AnyEncoder | None) -> None:
    """Teach, and write everything a model folder holds; the manifest, which makes it valid, comes last."""
    if task.config.name.kind == "frozen" and not task.crew.leads:
        return  # features are computed once, and heads learn in seconds
    taught = teach(task, encoder)
    if task.crew.leads:
        _write(run, task, taught)


def _write(run: RunFolder, task: Task, taught: Taught) -> None:
    correct = int((taught.logits.argmax(1) == taught.labels).sum())
    root = task.dataset.root
    facts = {
        "pictures": {"train": taught.trained, "validation": len(taught.labels)},
        "best_epoch": taught.best.epoch,
        "validation": {"correct": correct, "n": len(taught.labels)},
        "skipped": [{"path": _below(root, item.path), "reason": item.reason} for item in taught.skipped],
        "device": task.crew.device.type,
        **taught.facts,
    }
    calibration = calibrate(taught.logits.double(), taught.labels)
    Classifier(run.config, taught.network, calibration=calibration).save(run.path)
    write_split(run.path, task.dataset)
    write_text(run.path / CARD_NAME, card(run.config, facts))
    run.finish(**facts)
    task.keep.unlink(missing_ok=True)


def _result(run: RunFolder) -> TrainResult:
    facts = read_json(run.path / MANIFEST_NAME)
    try:
        return TrainResult(
            folder=run.path,
            model=run.config["model"],
            classes=tuple(run.config["classes"]),
            pictures=facts["pictures"],
            best_epoch=facts["best_epoch"],
            validation=Proportion(facts["validation"]["correct"], facts["validation"]["n"]),
            skipped=tuple(Skipped(Path(item["path"]), item["reason"]) for item in facts["skipped"]),
        )
    except (KeyError, TypeError) as error:
        raise RunError(
            f"{run.path / MANIFEST_NAME} is damaged: {error!r}.", "Remove it and run the command again."
        ) from error


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
