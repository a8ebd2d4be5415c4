"""Falling into a dream: each frame is the one before, enlarged a little and dreamed on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from impasto.dream.dreaming import Dreamer, quiet_machine
from impasto.dream.objectives import Objective
from impasto.dream.octaves import Ascent, Kept
from impasto.errors import RunError, UsageError
from impasto.images import Picture, match_colours, save_picture, to_image, to_tensor
from impasto.runs import RunFolder, to_plain
from impasto.runtime import OnProgress, Progress, Stopwatch, ignore_progress
from impasto.style.clips import FORMATS, Clip, Shot, is_clip, require_av
from impasto.style.clips_out import write_clip


@dataclass(frozen=True)
class ZoomConfig:
    """How a dream becomes a clip.

    Attributes:
        frames: how many.
        zoom: enlargement from one frame to the next.
        rate: frames a second.
        octaves, steps: of each frame after the first, which is dreamed as a still picture is. A frame begins with the
            dream of the one before, so a little is enough, and more flickers.
    """

    frames: int = 60
    zoom: float = 1.03
    rate: int = 12
    octaves: int = 2
    steps: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.frames <= 100_000:
            raise UsageError(f"{self.frames} frames are not allowed.", "Allowed: 1 .. 100000.")
        if not 1 <= self.zoom <= 2:
            raise UsageError(f"a zoom of {self.zoom} is not allowed.", "Allowed: 1 .. 2, such as 1.03 for 3 %.")
        if not 1 <= self.rate <= 60:
            raise UsageError(f"a rate of {self.rate} is not allowed.", "Allowed: 1 .. 60 frames a second.")


@dataclass(frozen=True)
class ZoomResult:
    """A clip of a dream.

    Attributes:
        path: the file, or the folder of frames.
        frames: how many are in it.
        dreamed: how many were dreamed by this call; the others lay there from an interrupted one.
        seconds: wall time of this call.
        interrupted: whether Ctrl-C ended it early; the same call goes on.
        provenance: what determined it.
    """

    path: Path
    frames: int
    dreamed: int
    seconds: float
    interrupted: bool
    provenance: dict[str, Any]


def dream_zoom(
    dreamer: Dreamer,
    photo: Picture | None,
    output: Path,
    config: ZoomConfig | None = None,
    on_progress: OnProgress = ignore_progress,
) -> ZoomResult:
    """Dream a sequence that zooms in. Stopped at any moment, the same call goes on with the next frame.

    Args:
        dreamer: dreams the frames.
        photo: what the first is dreamed over; None begins with noise.
        output: MP4, MOV, MKV, WebM (extra ``video``) or GIF; finished frames wait in ``<output>.frames`` beside it.
            Without a suffix: a folder, which keeps the frames as PNG.
        config: how many, how fast.
        on_progress: receives a record after each frame.

    Raises:
        UsageError: another suffix, or PyAV is absent.
        RunError: the folder holds frames of another dream.
        PictureError, ResourceError, NumericalError: as ``dream``.
    """
    settings = config or ZoomConfig()
    check_output(output)
    about = dreamer.provenance(photo)
    # How many frames there are is no part of it: a folder may be gone on with.
    zoom = {name: value for name, value in to_plain(settings).items() if name not in ("frames", "rate")}
    folder = output.with_name(f"{output.name}.frames") if is_clip(output) else output
    frames = _Frames(RunFolder(folder, {**about, "zoom": zoom}, "dream zoom").path)
    watch, before, interrupted = Stopwatch(), len(frames), False
    try:
        with quiet_machine():
            _dream_missing(dreamer, photo, frames, settings, on_progress)
    except KeyboardInterrupt:
        if not len(frames):
            raise
        interrupted = True
    count = min(len(frames), settings.frames)
    if is_clip(output):
        clip = Clip(Fraction(settings.rate), count, "")

        def read() -> Iterator[Shot]:
            return (Shot(frames.pixels(number), number / settings.rate) for number in range(count))

        write_clip(output, read, clip, None, {**about, "zoom": to_plain(settings)}, [])
        if not interrupted:
            shutil.rmtree(folder)
    return ZoomResult(output, count, max(0, count - before), watch.seconds, interrupted, {**about, "zoom": zoom})


def check_output(output: Path) -> None:
    """Refuse a name that no sequence can have, before anything is dreamed.

    Raises:
        UsageError: a suffix that is none of moving pictures, or PyAV is absent.
    """
    if not output.suffix:
        return
    if not is_clip(output):
        raise UsageError(
            f"{output}: moving pictures are not written as {output.suffix!r}.",
            f"Use one of {', '.join(FORMATS)}, or a name without a suffix for a folder of frames.",
        )
    if output.suffix.lower() != ".gif":
        require_av()


def _dream_missing(
    dreamer: Dreamer, photo: Picture | None, frames: _Frames, config: ZoomConfig, on_progress: OnProgress
) -> None:
    first = dreamer.start(photo)
    objective, ascent = dreamer.prepare(first)
    later = replace(ascent, octaves=config.octaves, steps=config.steps)
    on_progress(Progress("zoom", len(frames), config.frames))
    for number in range(len(frames), config.frames):
        start = _next(frames, number, config.zoom).to(first.device) if number else first
        frames.add(number, _frame(dreamer, start, objective, later if number else ascent, number))
        on_progress(Progress("zoom", number + 1, config.frames))


def _next(frames: _Frames, number: int, zoom: float) -> Tensor:
    """Return the frame before, enlarged, in the colours of the first: else contrast grows from frame to frame."""
    return match_colours(enlarged(frames.picture(number - 1), zoom), to_tensor(frames.picture(0))).clamp(0, 1)


def _frame(dreamer: Dreamer, start: Tensor, objective: Objective, ascent: Ascent, number: int) -> Tensor:
    kept: list[Kept] = []
    dreamer.run(start, objective, ascent, kept, [], stream=number)
    return kept[-1].over(start)


def enlarged(picture: Image.Image, zoom: float) -> Tensor:
    """Return the middle of a picture enlarged to its size (bicubic), 1 x 3 x H x W; ``zoom`` need not fit pixels."""
    width, height = picture.size
    left, top = (width - width / zoom) / 2, (height - height / zoom) / 2
    box = (left, top, width - left, height - top)
    return to_tensor(picture.resize((width, height), Image.Resampling.BICUBIC, box=box))


class _Frames:
    """Frames in a folder as PNG, always the first ones without a gap."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __len__(self) -> int:
        count = 0
        while self._path(count).exists():
            count += 1
        return count

    def add(self, number: int, frame: Tensor) -> None:
        """Write a frame 1 x 3 x H x W."""
        save_picture(to_image(frame), self._path(number))

    def picture(self, number: int) -> Image.Image:
        """Return a frame as it was stored: what follows must not depend on an interruption."""
        try:
            with Image.open(self._path(number)) as image:
                return image.convert("RGB")
        except OSError as error:
            hint = "Remove it: the same command goes on there."
            raise RunError(f"the frame {self._path(number)} is damaged: {error}.", hint) from error

    def pixels(self, number: int) -> np.ndarray:
        """Return a frame as H x W x 3."""
        return np.array(self.picture(number))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.png"
