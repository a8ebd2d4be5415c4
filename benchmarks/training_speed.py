"""Pictures a second of R0's network in training: ours, a plain torch loop, and Keras 3, on the same pictures."""

from __future__ import annotations

import itertools
import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from impasto.classify.fit.curves import CurvePoint
from impasto.classify.fit.feeds import PictureFeed
from impasto.classify.fit.loop import Fitting
from impasto.classify.fit.processes import Crew
from impasto.classify.models import R0CNN, fresh_network, parse_model
from impasto.classify.recipes import SMALL_RECIPES, Recipe
from impasto.data.dataset import read_dataset
from impasto.data.load.augmentations import Augmentation
from impasto.data.load.loaders import Loader, Side
from impasto.data.load.picture_set import read_pictures
from impasto.data.load.pictures import Preprocessing
from impasto.files import file_digests
from impasto.runtime import choose_dtype

_CPU = torch.device("cpu")
_SIZE, _BATCH = 256, 32


def training_speed(folder: Path, keras: str | None = None, epochs: int = 3) -> None:
    """Seconds of epochs, the first with decoding, each with R0's augmentation.

    Args:
        folder: class folders.
        keras: the Python of an environment that has Keras 3; None leaves it out.
        epochs: how many.
    """
    count = len(read_dataset(folder))
    print(f"training-speed: r0-cnn at {_SIZE} px, batches of {_BATCH}, {count} pictures, pictures a second")
    ours = {name: _ours(folder, dtype, epochs) for name, dtype in _precisions()}
    others = {"plain torch loop, float32": _plain(folder, epochs)}
    if keras:
        named, seconds = _keras(keras, folder, epochs)
        others[named] = seconds
    best = min(min(seconds[1:]) for seconds in ours.values())
    for name, seconds in {**ours, **others}.items():
        first, later = count / seconds[0], count / min(seconds[1:])
        ratio = min(seconds[1:]) / best
        print(f"  {name:34s} first epoch {first:6.1f}  later {later:6.1f}  ours is {ratio:4.1f} times as fast")


def _precisions() -> list[tuple[str, torch.dtype]]:
    chosen = choose_dtype("auto", _CPU, batches=True)
    both = [("impasto, float32", torch.float32)]
    return both if chosen == torch.float32 else [*both, ("impasto, bf16 (what it chooses)", chosen)]


def _ours(folder: Path, dtype: torch.dtype, epochs: int) -> list[float]:
    dataset = read_dataset(folder)
    paths = [sample.path for sample in dataset.samples]
    labels = torch.tensor([dataset.classes.index(sample.label) for sample in dataset.samples])
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        pictures = read_pictures(paths, file_digests(paths), Preprocessing(_SIZE), folder=Path(place))
        network, _ = fresh_network(parse_model("r0-cnn"), len(dataset.classes), _SIZE, 0)
        ends: list[float] = []

        def note(_: CurvePoint) -> None:
            ends.append(time.perf_counter())

        with Loader(pictures, _BATCH, _CPU) as loader:
            everything, one = torch.arange(len(paths)), torch.arange(1)
            recipe = Recipe(**{**SMALL_RECIPES["r0-cnn"].__dict__, "epochs": epochs, "patience": 0})
            sides = Side(everything, labels), Side(one, labels[:1])
            feed = PictureFeed(loader, *sides, Augmentation("r0"), 0)
            Fitting(network, feed, recipe, len(dataset.classes), Crew(_CPU), dtype=dtype, on_epoch=note).run()
    return _differences([began, *ends])


def _plain(folder: Path, epochs: int) -> list[float]:
    """The loop of the tutorials: ImageFolder, transforms, DataLoader with a process for each core, Adam."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    changes = v2.Compose(
        [
            v2.ToImage(),
            v2.Resize((_SIZE, _SIZE)),
            v2.RandomAffine(0, scale=(0.8, 1.2), shear=11.5),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    data = ImageFolder(str(folder), changes)
    loader = DataLoader(data, _BATCH, shuffle=True, num_workers=2, persistent_workers=True)
    network: nn.Module = R0CNN(len(data.classes), _SIZE)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    times = [time.perf_counter()]
    for _ in range(epochs):
        for pictures, labels in loader:
            optimiser.zero_grad()
            F.cross_entropy(network(pictures), labels).backward()
            optimiser.step()
        times.append(time.perf_counter())
    return _differences(times)


def _keras(python: str, folder: Path, epochs: int) -> tuple[str, list[float]]:
    script = Path(__file__).with_name("keras_r0.py")
    command = [python, str(script), str(folder), str(_SIZE), str(_BATCH), str(epochs)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    record = json.loads(told)
    return f"Keras {record['keras']} on {record['backend']}", record["seconds"]


def _differences(times: Sequence[float]) -> list[float]:
    return [later - sooner for sooner, later in itertools.pairwise(times)]
