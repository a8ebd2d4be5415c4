"""One way for each kind of model from labelled pictures to a taught network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.caches import cache_folder
from impasto.classify.config import TrainConfig
from impasto.classify.features import Extractor
from impasto.classify.fit.curves import CurvePoint
from impasto.classify.fit.feeds import FeatureFeed, PictureFeed
from impasto.classify.fit.head import solve_head
from impasto.classify.fit.loop import Fitting
from impasto.classify.fit.processes import Crew
from impasto.classify.fit.rates import find_rate
from impasto.classify.models.build import fresh_head, fresh_network
from impasto.classify.models.heads import HEADS, LinearHead, Tuned
from impasto.data.dataset import Dataset, Sample
from impasto.data.load.augmentations import NONE, Augmentation
from impasto.data.load.loaders import Loader, Side
from impasto.data.load.picture_set import read_pictures
from impasto.data.load.pictures import Preprocessing, Skipped
from impasto.encoders import AnyEncoder, Encoder, blocks
from impasto.errors import DataError, UsageError
from impasto.runtime import OnProgress, Precision, choose_dtype


@dataclass(frozen=True)
class Task:
    """What is to be taught, on what, and where it goes.

    Attributes:
        config: as the user gave it.
        settings: its effective settings, see :meth:`TrainConfig.effective`.
        dataset: hashed, with splits.
        preprocessing: how pictures are cut and scaled.
        crew: the processes that take part.
        keep: the file that a killed training goes on from.
        on_progress: told of every step.
        on_epoch: told of every row of ``curves.csv``.
    """

    config: TrainConfig
    settings: dict[str, Any]
    dataset: Dataset
    preprocessing: Preprocessing
    crew: Crew
    keep: Path
    on_progress: OnProgress
    on_epoch: Callable[[CurvePoint], None]

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.dataset.classes)

    def side(self, split: str) -> list[Sample]:
        """Return the samples of a split; test is not even opened."""
        return [sample for sample in self.dataset.samples if sample.split == split]


@dataclass(frozen=True)
class Taught:
    """What came out.

    Attributes:
        network: with the weights of the best row.
        best: the row of ``curves.csv`` whose weights were kept.
        logits: M x C, of the validation pictures that could be read.
        labels: M, theirs.
        trained: how many pictures it was taught.
        skipped: what could not be read.
        facts: what else the manifest has to say.
    """

    network: nn.Module
    best: CurvePoint
    logits: Tensor
    labels: Tensor
    trained: int
    skipped: tuple[Skipped, ...]
    facts: dict[str, Any]


def teach(task: Task, encoder: AnyEncoder | None) -> Taught:
    """Teach the model of ``task``; ``encoder`` is the one in its name, on the device of its crew."""
    kind = task.config.name.kind
    if kind == "frozen":
        assert encoder is not None
        return _solve(task, encoder) if task.config.recipe is None else _teach_head(task, encoder)
    return _teach_on_pictures(task, encoder)


@dataclass(frozen=True)
class _Encoded:
    """Features of both sides: ``views`` V x N x D with N labels, ``held_out`` M x D with M labels."""

    views: Tensor
    labels: Tensor
    held_out: tuple[Tensor, Tensor]
    skipped: tuple[Skipped, ...]


def _encode(task: Task, encoder: AnyEncoder, grid: int) -> _Encoded:
    """Compute the features of every picture, and of its views if pictures are to be changed; once, see the cache."""
    extract = Extractor(encoder, task.preprocessing, task.crew.device, cache_folder("features"), grid=grid)
    train, validation = task.side("train"), task.side("validation")
    augmentation = Augmentation(task.settings["augment"])
    if augmentation == NONE:
        plain = extract(_paths(train), _hashes(train), task.on_progress)
        kept, skipped, views = plain.kept, plain.skipped, plain.values[None]
    else:
        pictures = read_pictures(_paths(train), _hashes(train), task.preprocessing, task.on_progress)
        kept, skipped = pictures.kept, pictures.skipped
        _require(task, [train[index] for index in kept], None, skipped)
        views = extract.views(
            pictures,
            [train[index].sha256 for index in kept],
            augmentation,
            seed=task.config.seed,
            count=task.settings["views"],
            on_progress=task.on_progress,
        )
    held = extract(_paths(validation), _hashes(validation), task.on_progress)
    _require(task, [train[index] for index in kept], held.kept, [*skipped, *held.skipped])
    labels = _labels(task, [train[index] for index in kept])
    held_labels = _labels(task, [validation[index] for index in held.kept])
    return _Encoded(views, labels, (held.values, held_labels), (*skipped, *held.skipped))


def _solve(task: Task, encoder: AnyEncoder) -> Taught:
    kind = HEADS[task.settings["head"]]
    assert issubclass(kind, LinearHead)
    encoded = _encode(task, encoder, kind.grid)
    balanced = task.settings["class_weights"] == "balanced"
    head, points, best = solve_head(
        (encoded.views, encoded.labels),
        encoded.held_out,
        task.classes,
        kind=kind,
        balanced=balanced,
        on_progress=task.on_progress,
    )
    for point in points:
        task.on_epoch(point)
    with torch.no_grad():
        logits = head(encoded.held_out[0])
    return Taught(head, best, logits, encoded.held_out[1], len(encoded.labels), encoded.skipped, {})


def _teach_head(task: Task, encoder: AnyEncoder) -> Taught:
    name, recipe = task.settings["head"], task.config.recipe
    assert recipe is not None
    encoded = _encode(task, encoder, HEADS[name].grid)
    head = fresh_head(name, encoded.views.shape[2], task.classes, task.config.seed).to(task.crew.device)
    device = task.crew.device
    feed = FeatureFeed(encoded.views, encoded.labels, encoded.held_out, recipe.batch_size, task.config.seed, device)
    return _fit(task, head, feed, encoded.skipped)


def _teach_on_pictures(task: Task, encoder: AnyEncoder | None) -> Taught:
    recipe = task.config.recipe
    assert recipe is not None
    both = [*task.side("train"), *task.side("validation")]
    if not task.crew.leads:
        task.crew.wait()  # the first decodes, the others find what it kept
    pictures = read_pictures(_paths(both), _hashes(both), task.preprocessing, task.on_progress)
    if task.crew.leads:
        task.crew.wait()
    samples = [both[index] for index in pictures.kept]
    is_train = torch.tensor([sample.split == "train" for sample in samples])
    held = (~is_train).nonzero().flatten()
    _require(task, [item for item in samples if item.split == "train"], held.tolist(), pictures.skipped)
    labels, rows = _labels(task, samples), is_train.nonzero().flatten()
    network, facts, start = _network(task, encoder)
    with Loader(pictures, recipe.batch_size, task.crew.device, task.config.workers) as loader:
        sides = Side(rows, labels[rows]), Side(held, labels[held])
        feed = PictureFeed(loader, *sides, Augmentation(recipe.augment), task.config.seed)
        return _fit(task, network.to(task.crew.device), feed, tuple(pictures.skipped), facts, start)


def _network(task: Task, encoder: AnyEncoder | None) -> tuple[nn.Module, dict[str, Any], tuple[float, float] | None]:
    """Return the network with its first weights, what the manifest says of them, and any score of them on train."""
    config = task.config
    if encoder is None:
        network, origin = fresh_network(config.name, task.classes, task.preprocessing.size, config.seed, config.weights)
        return network, {"origin": origin}, None
    if not isinstance(encoder, Encoder):
        raise UsageError(f"{encoder.name} is a composition and cannot be fine-tuned.", "Choose one of its parts.")
    name, probes = task.settings["head"], task.settings["probe"]
    opened = _opened(encoder, task.settings["open_blocks"])
    if probes and task.crew.leads:
        taught = _solve(replace(task, settings={**task.settings, "augment": "none"}, on_epoch=lambda _: None), encoder)
        correct, n = round(taught.best.validation_accuracy * len(taught.labels)), len(taught.labels)
        facts = {"probe": {"correct": correct, "n": n, "c": taught.best.c}}
        start = taught.best.train_loss, taught.best.train_accuracy
        return Tuned(encoder, taught.network, opened), facts, start
    head = fresh_head(name, encoder.feature_count(HEADS[name].grid), task.classes, task.config.seed)
    # Where the first process probes, its head becomes that of all before the first step.
    return Tuned(encoder, head, opened), {}, (0.0, 0.0) if probes else None


def _opened(encoder: Encoder, wanted: int | str) -> list[list[str]]:
    """Return the names of the parameters of each of the last blocks.

    Raises:
        UsageError: it has fewer.
    """
    named = blocks(encoder)
    count = len(named) if wanted == "all" else int(wanted)
    if count > len(named):
        raise UsageError(
            f"{encoder.name} has {len(named)} blocks, {count} are to be opened.",
            f"They are {', '.join(named)}; all of them: --open all.",
        )
    return list(named.values())[-count:]


def _fit(
    task: Task,
    network: nn.Module,
    feed: PictureFeed | FeatureFeed,
    skipped: tuple[Skipped, ...],
    facts: dict[str, Any] | None = None,
    start: tuple[float, float] | None = None,
) -> Taught:
    recipe = task.config.recipe
    assert recipe is not None
    precision: Precision = recipe.precision  # type: ignore[assignment]  # checked by the recipe
    fitting = Fitting(
        network,
        feed,
        recipe,
        task.classes,
        task.crew,
        seed=task.config.seed,
        dtype=choose_dtype(precision, task.crew.device, batches=True)
        if isinstance(feed, PictureFeed)
        else torch.float32,
        keep=task.keep,
        on_progress=task.on_progress,
        on_epoch=task.on_epoch,
        start=start,
    )
    facts = dict(facts or {})
    if recipe.learning_rate == "auto":
        scan = find_rate(fitting)
        if task.crew.leads:
            scan.save(task.keep.parent)
        fitting.recipe = replace(recipe, learning_rate=scan.suggestion)
        facts["learning_rate"] = scan.suggestion
    _, best = fitting.run()
    logits, labels = fitting.judged()
    return Taught(network, best, logits, labels, len(feed.labels), skipped, facts)


def _paths(samples: Sequence[Sample]) -> list[Path]:
    return [sample.path for sample in samples]


def _hashes(samples: Sequence[Sample]) -> list[str]:
    return [sample.sha256 for sample in samples]


def _labels(task: Task, samples: Sequence[Sample]) -> Tensor:
    index = {name: position for position, name in enumerate(task.dataset.classes)}
    return torch.tensor([index[sample.label] for sample in samples])


def _require(task: Task, train: Sequence[Sample], held: Sequence[int] | None, skipped: Sequence[Skipped]) -> None:
    """Refuse to teach from what is left if it is too little.

    Raises:
        DataError: no picture of a class is left in train, or none at all in validation.
    """
    lost = set(task.dataset.classes) - {sample.label for sample in train}
    if lost or (held is not None and not held):
        where = f"of {', '.join(sorted(lost))} in train" if lost else "in validation"
        reason = f" ({skipped[0].reason})" if skipped else ""
        raise DataError(f"{task.dataset.root}: no picture {where} can be read{reason}.", "Replace the damaged files.")
