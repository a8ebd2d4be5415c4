"""Moving pictures from files, through PyAV (extra ``video``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from impasto.errors import UnreadablePictureError, UsageError

Frame = npt.NDArray[np.uint8]

# Suffix -> codec of the pictures, and codecs of sound that may be copied as they are; the first is what others become.
FORMATS: dict[str, tuple[str, tuple[str, ...]]] = {
    ".mp4": ("libx264", ("aac", "mp3", "opus", "ac3", "flac", "alac")),
    ".mov": ("libx264", ("aac", "mp3", "ac3", "alac")),
    ".mkv": ("libx264", ("aac", "mp3", "opus", "vorbis", "ac3", "flac")),
    ".webm": ("libvpx-vp9", ("libopus", "opus", "vorbis")),
    ".gif": ("gif", ()),
}
_LARGEST_SIDE = 16384


class Shot(NamedTuple):
    """One frame, H x W x 3, and when it is shown, in seconds from the start of pictures and sound."""

    pixels: Frame
    at: float


@dataclass(frozen=True)
class Clip:
    """What a file says of itself: frames a second, their number if it tells (0 if not), and codec of the sound.

    ``rate`` is a mean: phones film at a varying one, and each frame keeps its own time.
    """

    rate: Fraction
    frames: int
    sound: str


def is_clip(path: Path) -> bool:
    """Whether a file is taken for moving pictures, by its suffix."""
    return path.suffix.lower() in FORMATS


def require_av() -> Any:
    """Return PyAV.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise UsageError("video needs the extra video.", "pip install 'impasto[video]'") from error
    return av


def probe(path: Path) -> Clip:
    """Return what a file says of itself.

    Raises:
        UnreadablePictureError: absent, or no moving pictures.
    """
    with _opened(path) as container:
        stream = container.streams.video[0]
        sound = container.streams.audio[0].codec_context.name if container.streams.audio else ""
        return Clip(_rate(stream), stream.frames or round(_length(stream) * _rate(stream)), sound)


def frames_of(path: Path, problems: list[str]) -> Iterator[Shot]:
    """Yield frames, upright and all of the first one's size; what is missing or damaged is told in ``problems``.

    Raises:
        UnreadablePictureError: not one frame can be decoded.
    """
    count, shape = 0, None
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        step, start = 1 / float(_rate(stream)), start_of(container)
        before = -step
        for frame in decoded(path, container, stream, problems):
            pixels = _upright(frame)
            shape = shape or pixels.shape
            at = before if frame.time is None else frame.time - start
            before = at if at > before else before + step  # time in damaged files may stand still, or run back
            yield Shot(pixels if pixels.shape == shape else _fitted(pixels, shape), before)
            count += 1
        length = _length(stream)
    if count == 0:
        raise UnreadablePictureError(f"{path} holds no frame that can be decoded.")
    if length - before > 3 * step:
        problems.append(f"{path} ends after {before + step:.1f} of {length:.1f} seconds")


def _opened(path: Path) -> Any:
    av = require_av()
    if not path.is_file():
        raise UnreadablePictureError(f"{path} does not exist.")
    try:
        container = av.open(str(path))
    except (av.FFmpegError, ValueError) as error:
        raise UnreadablePictureError(f"{path} cannot be read as a video: {error}.") from error
    if not container.streams.video:
        container.close()
        raise UnreadablePictureError(f"{path} holds no pictures, only sound.")
    size = container.streams.video[0].codec_context
    if max(size.width, size.height) > _LARGEST_SIDE:
        container.close()
        raise UnreadablePictureError(f"{path} claims frames of {size.width}x{size.height} pixels.")
    return container


def _rate(stream: Any) -> Fraction:
    return Fraction(stream.average_rate or stream.guessed_rate or 25)


def start_of(container: Any) -> float:
    """Seconds at which the first of pictures and sound begins."""
    return (container.start_time or 0) / 1_000_000


def _length(stream: Any) -> float:
    """Seconds that the pictures should last, 0 where the file does not tell; Matroska tells it in a tag."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    hours, minutes, seconds = (float(each) for each in stream.metadata.get("DURATION", "0:0:0").split(":"))
    return hours * 3600 + minutes * 60 + seconds


def decoded(path: Path, container: Any, stream: Any, problems: list[str]) -> Iterator[Any]:
    """Yield what can be decoded of a stream; after damage, what follows it."""
    av, damaged = require_av(), 0
    try:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.FFmpegError:
                damaged += 1
    except av.FFmpegError as error:
        problems.append(f"{path} breaks off: {error.strerror or error}")
    if damaged:
        problems.append(f"{path} is damaged: {damaged} packets of its {stream.type} cannot be decoded")


def _upright(frame: Any) -> Frame:
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))


def _fitted(pixels: Frame, shape: tuple[int, ...]) -> Frame:
    return np.array(Image.fromarray(pixels).resize((shape[1], shape[0]), Image.Resampling.LANCZOS))
