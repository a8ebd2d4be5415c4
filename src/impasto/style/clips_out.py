"""Moving pictures to files, with sound: through PyAV (extra ``video``) and, for GIF, Pillow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from impasto.files import atomic_path
from impasto.style.clips import FORMATS, Clip, Frame, Shot, decoded, require_av, start_of

# Constant quality: 18 is what people cannot tell from the original with x264; VP9 counts differently.
# Without mbtree, which in PyAV's wheels was seen to give other bytes in every fifth run.
_QUALITY = {
    "libx264": {"crf": "18", "preset": "medium", "x264-params": "mbtree=0"},
    "libvpx-vp9": {"crf": "28", "b:v": "0", "row-mt": "1"},
}
# Ticks a second of MP4 and MOV: whole numbers for the usual rates, 30000/1001 among them.
_TICKS = 90_000
# BT.709, by FFmpeg's numbers: what players assume of large frames that say nothing, and no longer of small ones.
_COLOURS = {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1}
# Browsers slow a GIF down where frames follow one another faster than this, in units of 1/100 s.
_GIF_LEAST = 2
# Frames from which the colours of a GIF are chosen.
_PALETTE_FRAMES = 12
_PALETTE_SIDE = 128


def write_clip(
    path: Path,
    frames: Callable[[], Iterator[Shot]],
    clip: Clip,
    sound_of: Path | None,
    about: dict[str, Any],
    problems: list[str],
) -> None:
    """Write frames of one size as the format that the suffix says; the file is whole or absent.

    Args:
        path: MP4, MOV, MKV, WebM or GIF.
        frames: called for each pass over the frames; GIF needs two.
        clip: rate of the frames.
        sound_of: file whose sound is taken over, copied where the format can hold it.
        about: what the file says of itself, as JSON in its comment.
        problems: damaged sound is told here.
    """
    codec, sounds = FORMATS[path.suffix.lower()]
    with atomic_path(path) as temporary:
        if codec == "gif":
            _write_gif(temporary, frames, about)
        else:
            _encode(temporary, frames(), clip, codec, about, (sound_of, sounds, problems))


def _encode(
    path: Path,
    frames: Iterator[Shot],
    clip: Clip,
    codec: str,
    about: dict[str, Any],
    sound: tuple[Path | None, Sequence[str], list[str]],
) -> None:
    av = require_av()
    source, sounds, problems = sound
    with av.open(str(path), "w") as output:
        output.metadata["comment"] = json.dumps(about, ensure_ascii=False)
        pictures = _pictures(output, clip, codec)
        track = _Sound(output, source, sounds, problems) if source is not None and clip.sound else None
        for number, (pixels, at) in enumerate(frames):
            if number == 0:
                pictures.height, pictures.width = (side + side % 2 for side in pixels.shape[:2])
            frame = av.VideoFrame.from_ndarray(_even(pixels), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            # x264 decides by time, and must not guess it.
            frame.pts, frame.time_base = round(at * _TICKS), Fraction(1, _TICKS)
            _mux(output, pictures.encode(frame), clip)
            if track:
                track.until(at + 1 / float(clip.rate))
        _mux(output, pictures.encode(), clip)
        if track:
            track.until(float("inf"))
            track.close()


def _pictures(output: Any, clip: Clip, codec: str) -> Any:
    stream = output.add_stream(codec, rate=clip.rate, options=_QUALITY[codec])
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, _TICKS)
    for name, value in _COLOURS.items():
        setattr(stream.codec_context, name, value)
    return stream


def _mux(output: Any, packets: Any, clip: Clip) -> None:
    """Write packets of pictures; the last one's length is told by nothing else."""
    for packet in packets:
        packet.duration = packet.duration or round(_TICKS / clip.rate)
        output.mux(packet)


class _Sound:
    """The sound of another file, copied or, where the format cannot hold it, encoded anew."""

    def __init__(self, output: Any, source: Path, sounds: Sequence[str], problems: list[str]) -> None:
        av = require_av()
        self._output, self._input = output, av.open(str(source))
        self._source, self._problems = source, problems
        stream = self._input.streams.audio[0]
        self._start = start_of(self._input)
        self._copied = stream.codec_context.name in sounds
        if self._copied:
            self._stream = output.add_stream_from_template(stream)
            self._packets: Iterator[Any] = self._moved(stream)
        else:
            self._stream = output.add_stream(sounds[0], rate=48_000)
            self._stream.layout = "stereo"
            self._packets = self._encoded(stream)

    def until(self, seconds: float) -> None:
        """Write packets up to a time, so that pictures and sound lie side by side in the file."""
        for packet in self._packets:
            at = float(packet.pts * packet.time_base) if packet.pts is not None else 0.0
            self._output.mux(packet)
            if at >= seconds:
                return

    def close(self) -> None:
        """Let go of the other file."""
        self._input.close()

    def _moved(self, stream: Any) -> Iterator[Any]:
        """Yield the packets as they are, in the time of the pictures."""
        av = require_av()
        shift = round(self._start / stream.time_base)
        try:
            for packet in self._input.demux(stream):
                if packet.dts is not None:
                    packet.dts -= shift
                    packet.pts = packet.dts if packet.pts is None else packet.pts - shift
                    packet.stream = self._stream
                    yield packet
        except av.FFmpegError as error:
            self._problems.append(f"the sound of {self._source} breaks off: {error.strerror or error}")

    def _encoded(self, stream: Any) -> Iterator[Any]:
        av = require_av()
        context = self._stream.codec_context
        resampler = av.AudioResampler(format=context.format or "flt", layout="stereo", rate=48_000, frame_size=960)
        for frame in decoded(self._source, self._input, stream, self._problems):
            if frame.pts is not None:
                frame.pts -= round(self._start / frame.time_base)
            for part in resampler.resample(frame):
                yield from self._stream.encode(part)
        for part in resampler.resample(None):
            yield from self._stream.encode(part)
        yield from self._stream.encode(None)


def _even(pixels: Frame) -> Frame:
    """Repeat the last row and column where a side is odd: colours are stored for two by two pixels."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _write_gif(path: Path, frames: Callable[[], Iterator[Shot]], about: dict[str, Any]) -> None:
    """One palette for all frames, so that nothing shimmers; Floyd and Steinberg's dithering."""
    views = [(Image.fromarray(each.pixels).resize((_PALETTE_SIDE, _PALETTE_SIDE)), each.at) for each in frames()]
    palette = _palette([view for view, _ in views])
    kept = _gif_times([at for _, at in views])
    images = (
        Image.fromarray(each.pixels).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
        for number, each in enumerate(frames())
        if number in kept
    )
    ends = [*kept.values()]
    lengths = [10 * (later - one) for one, later in pairwise(ends)]
    usual = round(sum(lengths) / len(lengths), -1) if lengths else 100
    next(images).save(
        path,
        save_all=True,
        append_images=images,
        duration=[*lengths, usual],
        loop=0,
        comment=json.dumps(about).encode(),
    )


def _palette(views: Sequence[Image.Image]) -> Image.Image:
    chosen = views[:: max(1, len(views) // _PALETTE_FRAMES)]
    mosaic = Image.new("RGB", (_PALETTE_SIDE, _PALETTE_SIDE * len(chosen)))
    for number, image in enumerate(chosen):
        mosaic.paste(image, (0, number * _PALETTE_SIDE))
    return mosaic.quantize(256, Image.Quantize.MEDIANCUT)


def _gif_times(times: Sequence[float]) -> dict[int, int]:
    """Return which frames a GIF can show, by number, and when, in hundredths of a second."""
    kept: dict[int, int] = {}
    for number, at in enumerate(times):
        tick = round(100 * at)
        if not kept or tick - kept[max(kept)] >= _GIF_LEAST:
            kept[number] = tick
    return kept
