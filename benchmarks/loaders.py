"""Pictures per second that reach a training: torchvision's ImageFolder and DataLoader, and ours."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import CenterCrop, Compose, Resize, ToTensor

from impasto.data.load.augmentations import Augmentation
from impasto.data.load.loaders import Loader, Side
from impasto.data.load.picture_set import read_pictures
from impasto.data.load.pictures import Preprocessing
from impasto.files import file_digests
from impasto.runtime import Stopwatch

SIZE = 224
BATCH = 32

# Yields one epoch after another: its batches. What comes before the first batch belongs to the first epoch.
Epochs = Generator[Iterable[Any], None, None]


def loaders(folder: Path, most: int | None = None) -> None:
    """Two epochs of each loader over the same pictures, all read before so that none pays for the disk.

    The first epoch of ours holds everything: hashing, decoding, keeping, and going through the pictures. Ratios are to
    the faster ImageFolder.
    """
    whole = ImageFolder(folder, Compose([Resize(256), CenterCrop(SIZE), ToTensor()]))
    rows = range(0, len(whole), max(1, len(whole) // (most or len(whole))))[:most]
    paths = [Path(whole.samples[row][0]) for row in rows]
    file_digests(paths)
    print(f"loaders: {len(paths)} pictures at {SIZE} px, batches of {BATCH}, {torch.get_num_threads()} threads")
    plain = {f"ImageFolder, {workers} workers": _theirs(Subset(whole, rows), workers) for workers in (0, 2)}
    ours = {f"impasto, {name}": _ours(paths, name) for name in ("none", "r0", "r4")}
    speeds = {name: _speeds(epochs) for name, epochs in (plain | ours).items()}
    best = [max(speeds[name][epoch] for name in plain) for epoch in (0, 1)]
    print(f"  {'pictures a second':24s}{'1st epoch':>12s}{'ratio':>8s}{'2nd epoch':>12s}{'ratio':>8s}")
    for name, both in speeds.items():
        cells = (f"{speed:12.0f}{speed / other:8.2f}" for speed, other in zip(both, best, strict=True))
        print(f"  {name:24s}{''.join(cells)}")


def _theirs(pictures: Subset[Any], workers: int) -> Epochs:
    loader = DataLoader(pictures, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    while True:
        yield loader


def _ours(paths: Sequence[Path], augmentation: str) -> Epochs:
    with tempfile.TemporaryDirectory() as cache:
        pictures = read_pictures(paths, file_digests(paths), Preprocessing(SIZE), folder=Path(cache))
        side = Side(torch.arange(len(pictures)), torch.arange(len(pictures)))
        with Loader(pictures, BATCH, torch.device("cpu")) as loader:
            for epoch in count(1):
                yield loader.shuffled(side, seed=0, epoch=epoch, augmentation=Augmentation(augmentation))


def _speeds(epochs: Epochs) -> tuple[float, float]:
    """Return pictures a second in the first and in the second epoch."""

    def one() -> float:
        watch = Stopwatch()
        pictures = sum(len(labels) for _, labels in next(epochs))
        return pictures / watch.seconds

    with closing(epochs):
        return one(), one()
