"""Training a classifier from a labelled folder: splits, features or pixels, best weights, one folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.caches import cache_folder
from impasto.classify.card import CARD_NAME, card
from impasto.classify.classifier import Classifier
from impasto.classify.config import TrainConfig
from impasto.classify.curves import CurvePoint, write_curves
from impasto.classify.features import Extractor
from impasto.classify.fit_head import PENALTIES, fit_head
from impasto.classify.fit_network import fit_network
from impasto.classify.models import R0CNN, glorot_
from impasto.classify.prepare import describe, read_hashed, with_splits, write_split
from impasto.data.dataset import Dataset, Sample
from impasto.data.load.augmentations import Augmentation, kind_of_labels
from impasto.data.load.loaders import Loader, Side
from impasto.data.load.picture_set import read_pictures
from impasto.data.load.pictures import Preprocessing, Skipped
from impasto.encoders import AnyEncoder, load_encoder
from impasto.errors import DataError, RunError, UsageError
from impasto.files import write_text
from impasto.runs import MANIFEST_NAME, RunFolder, read_json
from impasto.runtime import OnProgress, choose_device, generator, ignore_progress
from impasto.statistics import Proportion

PROCEDURE = "train"


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
) -> TrainResult:
    """Train a classifier and write it to the folder ``output``.

    The folder holds ``config.json``, ``model.safetensors``, ``curves.csv``, ``split.csv``, ``README.md`` and, last,
    ``manifest.json``. A finished run of the same configuration on the same files is not repeated; an unfinished
    one begins again. The same seed on the same machine gives the same bytes of ``model.safetensors``.

    Args:
        config: what to train, on what.
        output: a new folder, or that of the same run.
        on_progress: told of hashing, features or reading, and training.
        encoder: the frozen encoder, already loaded and on the device; lent. None loads it by its name.

    Raises:
        DataError: splits or classes that cannot serve.
        NumericalError: the loss diverges.
        RunError: ``output`` holds another run.
        UsageError: ``output`` lies inside the data set, or the augmentation changes what its labels stand for.
    """
    if output.resolve().is_relative_to(config.data.resolve()):
        raise UsageError(f"{output} lies inside the data set.", "Choose an output folder outside it.")
    _check_lent(config, encoder)
    config = _with_labels(config)
    device = choose_device(config.device)
    dataset = with_splits(read_hashed(config.data, on_progress), config.seed)
    if config.encoder is not None and encoder is None:
        encoder = load_encoder(config.encoder, weights=config.weights, seed=config.seed).to(device)
    run = RunFolder(output, _run_config(config, dataset, encoder), PROCEDURE)
    if not run.finished:
        if encoder is None:
            learned = _teach_network(config, dataset, device, on_progress)
        else:
            learned = _teach_head(dataset, encoder, device, on_progress)
        _write(run, dataset, learned, device)
    return _result(run)


def _check_lent(config: TrainConfig, encoder: AnyEncoder | None) -> None:
    if encoder is not None and encoder.name != config.encoder:
        raise UsageError(f"the model {config.model} was given the encoder {encoder.name}.")


def _with_labels(config: TrainConfig) -> TrainConfig:
    """Say what the classes stand for, and refuse an augmentation that makes such labels untrue."""
    if config.encoder is not None:
        return config
    labels = config.labels or kind_of_labels(config.data)
    if not config.insist:
        Augmentation(config.augment).check(labels)
    return replace(config, labels=labels)


def _run_config(config: TrainConfig, dataset: Dataset, encoder: AnyEncoder | None) -> dict[str, Any]:
    """Return what ``config.json`` holds. Device and workers are not part of it: they are means and no ends."""
    means = ("data", "device", "workers")
    settings = {name: getattr(config, name) for name in config.settings() if name not in means}
    size = config.image_size if encoder is None else encoder.input_size
    return {
        **settings,
        "classes": dataset.classes,
        "preprocessing": Preprocessing(size).record(),
        "encoder": None if encoder is None else encoder.identity(),
        **({} if encoder is None else {"penalties": PENALTIES}),
        "data": describe(dataset),
    }


@dataclass(frozen=True)
class _Readable:
    """Pictures of train and validation that could be read: class indices, and which of them are in train."""

    labels: Tensor
    is_train: Tensor
    skipped: tuple[Skipped, ...]

    @property
    def sides(self) -> tuple[Tensor, Tensor]:
        """The positions of train's pictures and of validation's."""
        return self.is_train.nonzero().flatten(), (~self.is_train).nonzero().flatten()


@dataclass(frozen=True)
class _Learned:
    network: nn.Module
    points: list[CurvePoint]
    best: CurvePoint
    readable: _Readable


def _teach_head(dataset: Dataset, encoder: AnyEncoder, device: torch.device, on_progress: OnProgress) -> _Learned:
    extract = Extractor(encoder, Preprocessing(encoder.input_size), device, cache_folder("features"))
    samples = _taught(dataset)
    features = extract([item.path for item in samples], [item.sha256 for item in samples], on_progress)
    readable = _readable(dataset, features.kept, features.skipped)
    train, validation = ((features.values[rows], readable.labels[rows]) for rows in readable.sides)
    return _Learned(*fit_head(train, validation, len(dataset.classes), on_progress), readable)


def _teach_network(config: TrainConfig, dataset: Dataset, device: torch.device, on_progress: OnProgress) -> _Learned:
    samples = _taught(dataset)
    paths, hashes = [item.path for item in samples], [item.sha256 for item in samples]
    pictures = read_pictures(paths, hashes, Preprocessing(config.image_size), on_progress)
    readable = _readable(dataset, pictures.kept, pictures.skipped)
    with torch.device("meta"):
        network = R0CNN(len(dataset.classes), config.image_size)
    glorot_(network.to_empty(device="cpu"), generator(config.seed, "weights"))
    train, validation = (Side(rows, readable.labels[rows]) for rows in readable.sides)
    with Loader(pictures, config.batch_size, device, config.workers) as loader:
        points, best = fit_network(network.to(device), loader, train, validation, config, on_progress)
    return _Learned(network, points, best, readable)


def _taught(dataset: Dataset) -> list[Sample]:
    """Return the samples of train and validation; test is not even opened."""
    return [sample for sample in dataset.samples if sample.split in ("train", "validation")]


def _readable(dataset: Dataset, kept: Sequence[int], skipped: Sequence[Skipped]) -> _Readable:
    """Look up the labels of the pictures that are left.

    Raises:
        DataError: no picture of a class is left in train, or none at all in validation.
    """
    taught = _taught(dataset)
    samples = [taught[index] for index in kept]
    is_train = [sample.split == "train" for sample in samples]
    lost = set(dataset.classes) - {sample.label for sample in samples if sample.split == "train"}
    if lost or all(is_train):
        where = f"of {', '.join(sorted(lost))} in train" if lost else "in validation"
        reason = f" ({skipped[0].reason})" if skipped else ""
        raise DataError(f"{dataset.root}: no picture {where} can be read{reason}.", "Replace the damaged files.")
    labels = torch.tensor([dataset.classes.index(sample.label) for sample in samples])
    return _Readable(labels, torch.tensor(is_train), tuple(skipped))


def _write(run: RunFolder, dataset: Dataset, learned: _Learned, device: torch.device) -> None:
    """Write everything a model folder holds; the manifest, which makes it valid, comes last."""
    n_train, n_validation = (len(rows) for rows in learned.readable.sides)
    facts = {
        "pictures": {"train": n_train, "validation": n_validation},
        "best_epoch": learned.best.epoch,
        "validation": {"correct": round(learned.best.validation_accuracy * n_validation), "n": n_validation},
        "skipped": [
            {"path": _below(dataset.root, item.path), "reason": item.reason} for item in learned.readable.skipped
        ],
        "device": device.type,
    }
    Classifier(run.config, learned.network).save(run.path)
    write_curves(run.path, learned.points)
    write_split(run.path, dataset)
    write_text(run.path / CARD_NAME, card(run.config, facts))
    run.finish(**facts)


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
