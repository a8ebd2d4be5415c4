"""How far ten pictures of each class go: linear heads on frozen features, over random splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impasto.caches import cache_folder
from impasto.classify.features import Extractor
from impasto.classify.fit.head import solve_head
from impasto.data.dataset import read_dataset
from impasto.data.load.pictures import Preprocessing
from impasto.encoders import DEFAULT_ENCODER, load_encoder
from impasto.errors import MissingWeightsError
from impasto.files import file_digests
from impasto.runtime import Stopwatch, generator

# From 0.003 to 0.1 few-shot accuracy hardly changes, and there is no validation split to choose by.
_C = 0.1
_SHOTS = 10
_THREE = ("scorpion", "crab", "butterfly")


def few_shot(folder: Path, seeds: int = 3, splits: int = 50) -> None:
    """Mean per-class accuracy with ten pictures a class, the rest of each class being the test."""
    print(f"few-shot: {folder.name}, {_SHOTS} pictures a class, C = {_C}, mean per-class accuracy +- SD over splits")
    for name in ("squeezenet1_0", DEFAULT_ENCODER):
        try:
            features, labels, classes = _features(folder, name)
        except MissingWeightsError as error:
            print(f"  {name}: left out, {error.message}")
            continue
        scores = [_split_score(features, labels, len(classes), seed) for seed in range(seeds)]
        print(f"  {name:14s} {len(classes)} classes, {seeds} splits: {_told(scores)}")
        if set(_THREE) <= set(classes):
            own = torch.tensor([classes.index(item) for item in _THREE])
            rows = torch.isin(labels, own).nonzero().flatten()
            place = {int(label): index for index, label in enumerate(own)}
            few = torch.tensor([place[int(label)] for label in labels[rows]])
            scores = [_split_score(features[rows], few, 3, seed) for seed in range(splits)]
            print(f"  {name:14s} {', '.join(_THREE)}, {splits} splits: {_told(scores)}")


def _features(folder: Path, name: str) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    dataset, encoder = read_dataset(folder), load_encoder(name)
    extract = Extractor(
        encoder, Preprocessing(encoder.input_size), torch.device("cpu"), cache_folder("features"), grid=0
    )
    paths = [sample.path for sample in dataset.samples]
    watch = Stopwatch()
    found = extract(paths, file_digests(paths))
    print(f"  {name:14s} features of {len(paths)} pictures: {watch.seconds:.1f} s (0 to 3 s where they are kept)")
    labels = [dataset.classes.index(dataset.samples[index].label) for index in found.kept]
    return found.values, torch.tensor(labels), dataset.classes


def _split_score(features: Tensor, labels: Tensor, classes: int, seed: int) -> float:
    """Return mean recall of the classes."""
    train, test = [], []
    for label in range(classes):
        own = (labels == label).nonzero().flatten()
        order = own[torch.randperm(len(own), generator=generator(seed, "few-shot", label))]
        train.append(order[:_SHOTS])
        test.append(order[_SHOTS:])
    rows, rest = torch.cat(train), torch.cat(test)
    held = features[rest], labels[rest]
    head, _, _ = solve_head((features[rows][None], labels[rows]), held, classes, penalties=(_C,))
    right = (head(held[0]).argmax(1) == held[1]).double()
    return float(torch.stack([right[held[1] == label].mean() for label in range(classes)]).mean())


def _told(scores: list[float]) -> str:
    values = 100 * np.array(scores)
    return f"{values.mean():.1f} +- {values.std(ddof=1):.1f}"
