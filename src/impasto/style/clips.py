"""Moving pictures from and to files, through PyAV (extra ``video``) and, for GIF, Pillow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from impasto.errors import UnreadablePictureError, UsageError
from impasto.files import atomic_path

Frame = npt.NDArray[np.uint8]

# Suffix -> codec of the pictures, and codecs of sound that may be copied as they are; the first is what others become.
FORMATS: dict[str, tuple[str, tuple[str, ...]]] = {
    ".mp4": ("libx264", ("aac", "mp3", "opus", "ac3", "flac", "alac")),
    ".mov": ("libx264", ("aac", "mp3", "ac3", "alac")),
    ".mkv": ("libx264", ("aac", "mp3", "opus", "vorbis", "ac3", "flac")),
    ".webm": ("libvpx-vp9", ("libopus", "opus", "vorbis")),
    ".gif": ("gif", ()),
}
# Constant quality: 18 is what people cannot tell from the original with x264; VP9 counts differently.
# Without mbtree, which in PyAV's wheels was seen to give other bytes in every fifth run.
_QUALITY = {
    "libx264": {"crf": "18", "preset": "medium", "x264-params": "mbtree=0"},
    "libvpx-vp9": {"crf": "28", "b:v": "0", "row-mt": "1"},
}
_LARGEST_SIDE = 16384
# Frames from which the colours of a GIF are chosen.
_PALETTE_FRAMES = 12
_PALETTE_SIDE = 128


@dataclass(frozen=True)
class Clip:
    """What a file says of itself: frames a second, their number if it tells (0 if not), and codec of the sound."""

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
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        sound = container.streams.audio[0].codec_context.name if container.streams.audio else ""
        return Clip(Fraction(rate), stream.frames, sound)


def frames_of(path: Path, problems: list[str]) -> Iterator[Frame]:
    """Yield frames, upright, H x W x 3; what breaks off early says so in ``problems``.

    Raises:
        UnreadablePictureError: not one frame can be decoded.
    """
    av = require_av()
    count = 0
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        try:
            for frame in container.decode(stream):
                turns = round(getattr(frame, "rotation", 0) / 90) % 4
                yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
                count += 1
        except av.FFmpegError as error:
            problems.append(f"{path} breaks off after {count} frames: {error.strerror or error}")
        expected = stream.frames
    if count == 0:
        raise UnreadablePictureError(f"{path} holds no frame that can be decoded.")
    if expected > count and not problems:
        problems.append(f"{path} says that it has {expected} frames and holds {count}")


def write_clip(
    path: Path, frames: Callable[[], Iterator[Frame]], clip: Clip, sound_of: Path | None, about: dict[str, Any]
) -> None:
    """Write frames of one size as the format that the suffix says; the file is whole or absent.

    Args:
        path: MP4, MOV, MKV, WebM or GIF.
        frames: called for each pass over the frames; GIF needs two.
        clip: rate of the frames.
        sound_of: file whose sound is taken over, copied where the format can hold it.
        about: what the file says of itself, as JSON in its comment.
    """
    codec, sounds = FORMATS[path.suffix.lower()]
    with atomic_path(path) as temporary:
        if codec == "gif":
            _write_gif(temporary, frames, clip.rate, about)
        else:
            _encode(temporary, frames(), clip, codec, (sound_of, sounds), about)


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


def _encode(
    path: Path,
    frames: Iterator[Frame],
    clip: Clip,
    codec: str,
    sound: tuple[Path | None, Sequence[str]],
    about: dict[str, Any],
) -> None:
    av = require_av()
    source, sounds = sound
    with av.open(str(path), "w") as output:
        output.metadata["comment"] = json.dumps(about, ensure_ascii=False)
        pictures = output.add_stream(codec, rate=clip.rate, options=_QUALITY[codec])
        pictures.pix_fmt = "yuv420p"
        track = _Sound(output, source, sounds) if source is not None and clip.sound else None
        for number, pixels in enumerate(frames):
            if number == 0:
                pictures.height, pictures.width = (side + side % 2 for side in pixels.shape[:2])
            frame = av.VideoFrame.from_ndarray(_even(pixels), format="rgb24")
            frame.pts, frame.time_base = number, 1 / clip.rate  # x264 decides by time, and must not guess it
            output.mux(pictures.encode(frame))
            if track:
                track.until(float((number + 1) / clip.rate))
        output.mux(pictures.encode())
        if track:
            track.until(float("inf"))


class _Sound:
    """The sound of another file, copied or, where the format cannot hold it, encoded anew."""

    def __init__(self, output: Any, source: Path, sounds: Sequence[str]) -> None:
        av = require_av()
        self._output, self._input = output, av.open(str(source))
        stream = self._input.streams.audio[0]
        self._copied = stream.codec_context.name in sounds
        if self._copied:
            self._stream = output.add_stream_from_template(stream)
            self._packets: Iterator[Any] = (each for each in self._input.demux(stream) if each.dts is not None)
        else:
            self._stream = output.add_stream(sounds[0], rate=48_000)
            self._stream.layout = "stereo"
            self._packets = self._encoded(stream)

    def until(self, seconds: float) -> None:
        """Write packets up to a time, so that pictures and sound lie side by side in the file."""
        for packet in self._packets:
            at = float(packet.pts * packet.time_base) if packet.pts is not None else 0.0
            if self._copied:
                packet.stream = self._stream
            self._output.mux(packet)
            if at >= seconds:
                return

    def _encoded(self, stream: Any) -> Iterator[Any]:
        av = require_av()
        context = self._stream.codec_context
        resampler = av.AudioResampler(format=context.format or "flt", layout="stereo", rate=48_000, frame_size=960)
        for frame in self._input.decode(stream):
            for part in resampler.resample(frame):
                yield from self._stream.encode(part)
        for part in resampler.resample(None):
            yield from self._stream.encode(part)
        yield from self._stream.encode(None)


def _even(pixels: Frame) -> Frame:
    """Repeat the last row and column where a side is odd: colours are stored for two by two pixels."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _write_gif(path: Path, frames: Callable[[], Iterator[Frame]], rate: Fraction, about: dict[str, Any]) -> None:
    """One palette for all frames, so that nothing shimmers; Floyd and Steinberg's dithering."""
    seen = [Image.fromarray(each) for each in frames()]
    step = max(1, len(seen) // _PALETTE_FRAMES)
    chosen = [each.resize((_PALETTE_SIDE, _PALETTE_SIDE)) for each in seen[::step]]
    mosaic = Image.new("RGB", (_PALETTE_SIDE, _PALETTE_SIDE * len(chosen)))
    for number, image in enumerate(chosen):
        mosaic.paste(image, (0, number * _PALETTE_SIDE))
    palette = mosaic.quantize(256, Image.Quantize.MEDIANCUT)
    first, *rest = (each.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for each in seen)
    first.save(
        path,
        save_all=True,
        append_images=rest,
        duration=max(20, round(1000 / rate)),  # browsers slow down what is faster
        loop=0,
        comment=json.dumps(about).encode(),
    )
