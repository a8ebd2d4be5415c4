"""Repainting moving pictures frame by frame, with less flicker, resumable."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto._version import __version__
from impasto.errors import UnknownNameError, UsageError
from impasto.files import file_digest
from impasto.images import provenance, save_picture
from impasto.runs import RunFolder
from impasto.runtime import OnProgress, Progress, Stopwatch, ignore_progress
from impasto.style.clips import FORMATS, Frame, Shot, frames_of, probe, require_av
from impasto.style.clips_out import write_clip
from impasto.style.steady import Motion, Steadied, Steadier, seek

Paint = Callable[[Image.Image], Tensor]
_AHEAD = 4


@dataclass(frozen=True)
class VideoConfig:
    """How frames become a clip.

    Attributes:
        smoothing: 0 paints each frame alone; towards 1 strokes stick to things and lose sharpness.
    """

    smoothing: float = 0.6

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise UsageError(f"smoothing {self.smoothing} is not allowed.", "Allowed: 0 .. 1, 1 excluded.")


@dataclass(frozen=True)
class VideoResult:
    """A painted clip.

    Attributes:
        path: the file.
        frames, seconds: how many, and wall time of this call.
        painted: how many were painted by this call; the others lay there from an interrupted one.
        flicker: mean squared difference between a frame and the one before moved along with the photo (warp error).
        flicker_alone: the same had each frame been painted alone.
        problem: what was wrong with the source, "" if nothing.
    """

    path: Path
    frames: int
    painted: int
    seconds: float
    flicker: float
    flicker_alone: float
    problem: str


def repaint_video(
    source: Path,
    output: Path,
    paint: Paint,
    config: VideoConfig | None = None,
    *,
    facts: dict[str, Any] | None = None,
    on_progress: OnProgress = ignore_progress,
) -> VideoResult:
    """Repaint a clip; sound is kept. Killed at any moment, the same call goes on with the next frame.

    Args:
        source: anything that FFmpeg decodes.
        output: MP4, MOV, MKV, WebM or GIF. Finished frames wait in ``<output>.frames`` beside it.
        paint: maps an RGB image to 1 x 3 x H x W in 0..1 of one size for all frames.
        facts: what tells this painting from another, for resuming and for the file's comment.

    Raises:
        UsageError: PyAV is absent, or the output's suffix is none of the formats.
        UnreadablePictureError: the source holds no frame that can be decoded.
    """
    settings = config or VideoConfig()
    if output.suffix.lower() not in FORMATS:
        raise UnknownNameError("video format", output.suffix, FORMATS)
    if output.exists() and output.samefile(source):
        raise UsageError(f"{output} is the video itself.", "Choose another output path.")
    require_av()
    watch, clip = Stopwatch(), probe(source)
    about = {
        "made_by": f"impasto {__version__}",
        "procedure": "stylize video",
        "source": {"name": source.name, "sha256": file_digest(source)},
        "smoothing": settings.smoothing,
        **(facts or {}),
    }
    frames = _Frames(RunFolder(output.with_name(f"{output.name}.frames"), about, "stylize video").path)
    problems: list[str] = []
    painted = _paint_missing(frames, _ahead(frames_of(source, problems)), paint, settings, clip.frames, on_progress)
    write_clip(output, frames.read, clip, source, about, problems)
    figures = frames.figures()
    count = len(frames)
    shutil.rmtree(frames.folder)
    return VideoResult(output, count, painted, watch.seconds, *figures, "; ".join(problems))


def _paint_missing(
    frames: _Frames,
    photos: Iterator[Shot],
    paint: Paint,
    config: VideoConfig,
    total: int,
    on_progress: OnProgress,
) -> int:
    """Paint what is not there yet; return how many frames that were."""
    steadier, present, before = Steadier(config.smoothing), len(frames), None
    number = -1
    with ThreadPoolExecutor(1) as pool:
        for number, (pixels, at) in enumerate(photos):
            photo = Image.fromarray(pixels)
            if number >= present:
                if before is not None and number == present:  # the last frame that is there starts the motion
                    again = paint(before)
                    steadier.keep(_tensor(before, again), frames.at(present - 1), again)
                motion = pool.submit(_motion, photo, before)
                painted = paint(photo)
                steadied = steadier.next(_tensor(photo, painted), painted, motion.result())
                frames.add(number, steadied, at)
                steadier.keep(_tensor(photo, painted), frames.at(number), painted)
                on_progress(Progress("painting frames", number + 1, max(total, number + 1)))
            before = photo
    return number + 1 - present


def _motion(photo: Image.Image, before: Image.Image | None) -> Motion | None:
    if before is None or before.size != photo.size:
        return None
    return seek(_picture(np.array(photo)), _picture(np.array(before)))


def _tensor(photo: Image.Image, painted: Tensor) -> Tensor:
    """Return the photo as 1 x 3 x H x W at the size of the painting."""
    height, width = painted.shape[2:]
    same = photo if photo.size == (width, height) else photo.resize((width, height), Image.Resampling.LANCZOS)
    return _picture(np.array(same))


def _picture(pixels: Frame) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0).float().div(255)


class _Frames:
    """Painted frames in a folder, PNG, each with its flicker; always the first ones without a gap."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __len__(self) -> int:
        count = 0
        while self._path(count).exists():
            count += 1
        return count

    def add(self, number: int, steadied: Steadied, at: float) -> None:
        """Write a frame, to be shown ``at`` seconds."""
        figures = {"flicker": steadied.flicker, "flicker_alone": steadied.flicker_alone, "at": at}
        save_picture(steadied.image, self._path(number), provenance=figures)

    def at(self, number: int) -> Tensor:
        """Return a frame as it was stored: what follows must not depend on an interruption."""
        return _picture(self._pixels(number))

    def read(self) -> Iterator[Shot]:
        """Yield all frames."""
        for number in range(len(self)):
            yield Shot(self._pixels(number), (provenance(self._path(number)) or {})["at"])

    def figures(self) -> tuple[float, float]:
        """Return the mean flicker of all frames, and that of frames painted alone; 0 where there is no motion."""
        notes = [provenance(self._path(number)) or {} for number in range(len(self))]
        found = [(note["flicker"], note["flicker_alone"]) for note in notes if note.get("flicker") is not None]
        if not found:
            return 0.0, 0.0
        return sum(one for one, _ in found) / len(found), sum(other for _, other in found) / len(found)

    def _pixels(self, number: int) -> Frame:
        with Image.open(self._path(number)) as image:
            return np.array(image.convert("RGB"))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}.png"


def _ahead(frames: Iterator[Shot]) -> Iterator[Shot]:
    """Decode a few frames ahead in a thread, while others are painted; its errors arrive here."""
    waiting: queue.Queue[Shot | BaseException | None] = queue.Queue(_AHEAD)
    stopped = threading.Event()

    def put(item: Shot | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def decode() -> None:
        try:
            for frame in frames:
                put(frame)
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:  # handed over, and raised where the frames are used
            put(error)

    thread = threading.Thread(target=decode, daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()
