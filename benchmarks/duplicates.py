"""Seeking near duplicates among more and more pictures: seconds, memory, pairs planted and found."""

from __future__ import annotations

import resource

import numpy as np
import torch

from impasto.data.check import alignment
from impasto.data.check.duplicates import near_pairs
from impasto.data.check.looks import Look, Signatures
from impasto.runtime import Stopwatch, generator, human_bytes

SIZES = (1000, 5000, 20_000, 100_000)
# Classes whose members have cosines of about .85 to each other, so that every 200th pair is alike, as in Caltech-101.
_CLASSES, _DEPTH, _SPREAD = 100, 512, 0.42
_PLANTED = 0.01


def duplicates() -> None:
    """Time the comparison alone: what is looked at of each picture is made up, so that no pictures are needed."""
    print("duplicates: made-up pictures in 100 classes, of which 1 % are nearly the same as another")
    former = None
    for size in SIZES:
        signatures, planted = _made_up(size)
        watch = Stopwatch()
        pairs = {(pair.first, pair.second) for pair in near_pairs(signatures)}
        seconds = watch.seconds
        peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        growth = f", {seconds / former:.1f} times the one before" if former else ""
        print(
            f"  {size:7,d} pictures: {seconds:7.2f} s{growth}; peak of the process {human_bytes(peak)}; "
            f"{len(pairs & planted)} of {len(planted)} planted pairs, {len(pairs - planted)} others"
        )
        former = seconds


def _made_up(size: int) -> tuple[Signatures, set[tuple[int, int]]]:
    """Return signatures of ``size`` pictures; the last ones are near duplicates of the first."""
    random = generator(0, "duplicates", size)
    centres = torch.nn.functional.normalize(torch.randn(_CLASSES, _DEPTH, generator=random), dim=1)
    features = centres[torch.arange(size) % _CLASSES] + _SPREAD / _DEPTH**0.5 * torch.randn(
        size, _DEPTH, generator=random
    )
    sketches = (0.1 * torch.randn(size, alignment.SIDE, alignment.SIDE, generator=random)).half()
    copies = int(size * _PLANTED)
    features[-copies:] = features[:copies] + 0.1 / _DEPTH**0.5 * torch.randn(copies, _DEPTH, generator=random)
    sketches[-copies:] = sketches[:copies]
    nothing = np.zeros(0)
    return Signatures(
        tuple(range(size)),
        torch.nn.functional.normalize(features, dim=1),
        sketches,
        torch.randn(size, 64, generator=random).sign() / 8,
        torch.rand(size, 192, generator=random),
        tuple(Look(str(index), 1, 1, "RGB", nothing, nothing) for index in range(size)),
        (),
    ), {(index, size - copies + index) for index in range(copies)}
