"""Collections with known features: clouds of points, one for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from impasto.classify.features import Features
from impasto.data.dataset import Dataset, Sample
from impasto.embed import CollectionMap, EmbedConfig, map_features


def clouds(
    count: int, classes: int = 3, length: int = 12, noise: float = 0.4, seed: int = 0
) -> tuple[torch.Tensor, list[str]]:
    """Return ``count`` vectors around the axes, and the names of their classes in turn."""
    random = np.random.default_rng(seed)
    numbers = np.arange(count) % classes
    values = 2 * np.eye(length)[numbers] + noise * random.normal(size=(count, length))
    return torch.from_numpy(values).float(), [f"class {number}" for number in numbers]


def collection(values: torch.Tensor, labels: list[str], root: Path = Path("data"), **settings: object) -> CollectionMap:
    """Return the map of pictures with these features; their files need not exist."""
    samples = [Sample(root / f"{label}/{index}.png", label) for index, label in enumerate(labels)]
    config = EmbedConfig(root, **{"method": "pca", **settings})  # type: ignore[arg-type]
    features = Features(values, list(range(len(values))), [])
    return map_features(config, Dataset(root, tuple(samples)), features, {"network": "clouds"})
