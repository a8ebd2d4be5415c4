"""A network (or a head that is taught) on the training pictures of one cell."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from impasto.classify.classifier import Classifier
from impasto.classify.config import TrainConfig
from impasto.classify.fit.curves import TABLE_NAME
from impasto.classify.models.names import parse_model
from impasto.classify.train import train
from impasto.data.dataset import Dataset, Sample
from impasto.errors import DataError, UsageError
from impasto.files import file_digests
from impasto.runs import CONFIG_NAME
from impasto.runtime import derive_seed
from impasto.study.draws import Draw
from impasto.study.spec import Settings
from impasto.study.work.bench import Bench, flat
from impasto.study.work.encode import lent_encoder
from impasto.study.work.units import Cell, Shown

_CURVE = ("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


def teach_cell(bench: Bench, cell: Cell) -> dict[str, Any]:
    """Teach the network of a cell and name its test pictures; a training that was killed goes on where it was."""
    settings, draw = bench.arms[cell.arm].settings, bench.draw(cell)
    dataset, tested, added = _dataset(bench, settings, draw)
    folder = bench.folder / "training" / cell.name
    if not (folder / CONFIG_NAME).is_file():
        shutil.rmtree(folder, ignore_errors=True)  # what was left when its removal was killed
    encoder = lent_encoder(name, bench.device, settings.normalise) if (name := _frozen(settings)) else None
    config = _config(bench, settings, draw, added / max(1, len(flat(draw.train))))
    train(config, folder, encoder=encoder, dataset=dataset)
    classifier = Classifier.load(folder, device=bench.device, encoder=encoder)
    answers = classifier.predict([sample.path for sample in tested])
    lost = [answer for answer in answers if answer.error]
    if lost:
        raise DataError(f"{lost[0].path.name} {lost[0].error}")
    place = {label: number for number, label in enumerate(bench.pool.classes)}
    said = [place[answer.label] for answer in answers]
    curve = _curve(folder / TABLE_NAME)
    (folder / CONFIG_NAME).unlink()
    shutil.rmtree(folder)
    return {"taught": len(flat(draw.train)), "added": added, "said": said, "curve": curve}


def check_teaching(bench: Bench) -> None:
    """Refuse, before anything is done, settings that a classifier does not have.

    Raises:
        UsageError: an arm has such.
    """
    for arm in bench.arms:
        settings = arm.settings
        if not (settings.normalise or _frozen(settings)):
            raise UsageError("normalise = false is for frozen encoders.", f"{settings.model} is none.")
        if not settings.solved:
            _config(bench, settings, bench.deal.of(arm)[0], 0)


def _frozen(settings: Settings) -> str | None:
    name = parse_model(settings.model)
    return name.encoder if name.kind == "frozen" else None


def _dataset(bench: Bench, settings: Settings, draw: Draw) -> tuple[Dataset, list[Sample], int]:
    """Return what teaches and chooses the weights, what is tested, and how many pictures were added."""
    items = bench.deal.items
    places = [
        (row, split) for split, rows in (("train", flat(draw.train)), ("validation", draw.validation)) for row in rows
    ]
    taught = [
        (one, items[row].label, split)
        for row, split in places
        for one in (bench.taught(items[row], settings) if split == "train" else [bench.shown(items[row], settings)])
    ]
    tested = [(bench.shown(items[row], settings), items[row].label, "test") for row in draw.test]
    hashes = file_digests([bench.file_of(shown) for shown, _, _ in (*taught, *tested)])
    samples = [
        Sample(bench.file_of(shown), label, split, _group(bench, settings, shown), sha256)
        for (shown, label, split), sha256 in zip((*taught, *tested), hashes, strict=True)
    ]
    unmade = next((sample for sample in samples if not sample.sha256), None)
    if unmade:
        raise DataError(f"the repaint {unmade.path.name}, which this cell needs, could not be made.")
    added = sum(split == "train" for _, _, split in taught) - len(flat(draw.train))
    return Dataset(bench.pool.root, tuple(samples[: len(taught)])), samples[len(taught) :], added


def _group(bench: Bench, settings: Settings, shown: Shown) -> str:
    """Return what stays together when validation pictures are taken from the training pictures."""
    if settings.apart == "photo" or not shown.painting:
        return bench.pool.photos[shown.photo].sha256
    return shown.painting.key


def _config(bench: Bench, settings: Settings, draw: Draw, added: float) -> TrainConfig:
    """Return the training's settings; where arms are matched, it takes as many steps as without what was added."""
    config = TrainConfig(
        bench.pool.root,
        model=settings.model,
        head=settings.head,
        seed=derive_seed(bench.study.seed, "teach", draw.replicate, draw.fold),
        device=bench.device,
        image_size=settings.image_size,
        augment=settings.augment,
        insist=True,  # the study's labels are the same in all arms; what they stand for is not known here
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
    )
    if "workers" in config.settings():  # of a head on features there are none
        config = replace(config, workers=0)
    if settings.weigh == "naive" or not added or config.recipe is None:
        return config
    return replace(config, epochs=max(1, round(config.recipe.epochs / (1 + added))))


def epochs_of(bench: Bench, cell: Cell) -> int:
    """Return how many epochs the training of a cell takes at most."""
    settings, draw = bench.arms[cell.arm].settings, bench.draw(cell)
    items = [bench.deal.items[row] for row in flat(draw.train)]
    added = sum(len(bench.taught(item, settings)) - 1 for item in items)
    recipe = _config(bench, settings, draw, added / max(1, len(items))).recipe
    return recipe.epochs if recipe else 1


def _curve(path: Path) -> list[list[float]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [[float(row[name]) for name in _CURVE] for row in csv.DictReader(file)]
