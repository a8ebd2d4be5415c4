"""Gradient ascent on one picture at sizes that grow (Mordvintsev, Olah and Tyka 2015)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.dream.gradient import gradient
from impasto.dream.objectives import Objective
from impasto.runtime import Stopwatch
from impasto.style.engine import resize


@dataclass(frozen=True)
class Ascent:
    """How one climbs: see ``DreamConfig`` for each.

    ``tile`` is the side of windows, and ``least`` the shortest side of an octave, in pixels.
    """

    octaves: int
    ratio: float
    steps: int
    step_size: float
    jitter: int
    tile: int
    least: int = 32

    def sizes(self, photo: Tensor) -> list[tuple[int, int]]:
        """Return the heights and widths of the octaves of a photo 1 x 3 x H x W."""
        return octave_sizes(photo.shape[2], photo.shape[3], self.octaves, self.ratio, self.least)


@dataclass
class Kept:
    """What is dreamed so far: the difference to the photo, at the size of its octave."""

    detail: Tensor

    def over(self, photo: Tensor) -> Tensor:
        """Return the photo 1 x 3 x H x W with the detail enlarged and added, in 0..1."""
        return (photo + resize(self.detail, *photo.shape[2:])).clamp(0, 1)


def octave_sizes(height: int, width: int, octaves: int, ratio: float, least: int = 32) -> list[tuple[int, int]]:
    """Return heights and widths from small to full size; none has a side below ``least`` but the last.

    >>> octave_sizes(700, 1400, 3, 2.0)
    [(175, 350), (350, 700), (700, 1400)]
    """
    sizes = [(round(height / ratio**step), round(width / ratio**step)) for step in range(octaves - 1, -1, -1)]
    return [*(size for size in sizes[:-1] if min(size) >= least), sizes[-1]]


def climb(
    photo: Tensor, objective: Objective, ascent: Ascent, random: torch.Generator, kept: list[Kept]
) -> Iterator[dict[str, float]]:
    """Dream over a photo 1 x 3 x H x W in 0..1, octave after octave; yield a record after each step.

    The detail of an octave, which is its difference to the photo of that size, is enlarged and added to the photo of
    the next: what was dreamed stays, and the photo comes back as sharp as it is. ``kept[-1]`` is always the newest, so
    an interruption loses nothing.

    Raises:
        NumericalError: the objective is no number any more.
    """
    for number, size in enumerate(ascent.sizes(photo)):
        base = resize(photo, *size)
        picture = kept[-1].over(base) if kept else base
        for _ in range(ascent.steps):
            watch = Stopwatch()
            picture, score = _step(picture, objective, ascent, random)
            kept[:] = [Kept(picture - base)]
            record = {"octave": number, "height": size[0], "width": size[1], "objective": score}
            yield {**record, "seconds": watch.seconds}


def _step(picture: Tensor, objective: Objective, ascent: Ascent, random: torch.Generator) -> tuple[Tensor, float]:
    """Return the picture after one step, and the objective before it.

    The gradient is divided by its mean size, as in the original, so a step means the same for every layer. One that is
    0 everywhere comes from units that are off, and is taken again through them.
    """

    def draw(most: int) -> tuple[int, int]:
        row, column = torch.randint(-most, most + 1, (2,), generator=random).tolist()
        return row, column

    shift, cut = draw(ascent.jitter), draw(max(ascent.tile, 1))

    def slopes(leak: bool) -> tuple[Tensor, float]:
        return jittered(lambda moved: gradient(objective, moved, ascent.tile, cut, leak), picture, shift)

    slope, score = slopes(leak=False)
    if not bool(slope.any()):
        slope, score = slopes(leak=True)
    size = slope.abs().mean()
    return (picture + ascent.step_size * slope / size.clamp(min=1e-30)).clamp(0, 1), score


def jittered(
    compute: Callable[[Tensor], tuple[Tensor, float]], picture: Tensor, shift: tuple[int, int]
) -> tuple[Tensor, float]:
    """Compute a gradient on the picture moved by ``shift`` (what leaves on one side enters on the other); move it back.

    The network's grid of strides and the picture's rim then lie elsewhere in each step, and leave no trace.
    """
    slope, score = compute(picture.roll(shift, (2, 3)))
    return slope.roll((-shift[0], -shift[1]), (2, 3)), score
