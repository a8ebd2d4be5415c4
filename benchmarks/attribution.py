"""Attribution maps in batches against one picture at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from impasto.data.load.pictures import read_batches, scaled
from impasto.explain import METHODS, attribute, parse_target
from impasto.images import find_pictures
from impasto.runtime import Stopwatch, held_memory
from impasto.subjects import Subject, load_subject

# Pictures for the methods of pixels, which look at each one many times.
_SLOW = 8


def attribution(folder: Path, network: str = "torchvision:squeezenet1_0", pictures: int = 200, batch: int = 16) -> None:
    """Seconds for the maps of the same pictures, in turns; those of a batch are those of its pictures (tested)."""
    subject = load_subject(network)
    paths = find_pictures(folder)
    paths = [paths[index * len(paths) // pictures] for index in range(min(pictures, len(paths)))]
    print(f"attribution: {network}, {len(paths)} pictures, {_SLOW} for methods of pixels, batches of {batch}")
    seen = torch.cat([scaled(each.pictures) for each in read_batches(paths, subject.preprocessing, 64)])
    for name, method in METHODS.items():
        some = seen if method.of_layer and name != "ablation-cam" else seen[:_SLOW]
        together, alone = [], []
        for _ in range(2):
            together.append(_seconds(lambda some=some, name=name: _maps(subject, some, name, batch)))
            alone.append(_seconds(lambda some=some, name=name: _maps(subject, some, name, 1)))
        fast, slow = min(together), min(alone)
        print(f"  {name:22s} together {fast:6.2f} s  one at a time {slow:6.2f} s  ratio {slow / fast:4.2f}")


def _maps(subject: Subject, pictures: Tensor, method: str, batch: int) -> None:
    target = parse_target("predicted", subject.classes)
    for some in torch.split(pictures, batch):
        goal = target.bind(subject(some).detach(), [-1] * len(some))
        attribute(subject, some, goal, method)


def _seconds(work: Callable[[], None]) -> float:
    with held_memory():
        watch = Stopwatch()
        work()
        return watch.seconds
