"""Clips in and out: pictures, sound, odd sizes, damage, interruption."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

from impasto.cli import main
from impasto.errors import RunError, UnknownNameError, UnreadablePictureError, UsageError
from impasto.files import file_digest
from impasto.images import to_tensor
from impasto.runtime import Progress
from impasto.style.clips import Clip, Frame, Shot, probe, require_av
from impasto.style.clips import frames_of as shots_of
from impasto.style.clips_out import write_clip
from impasto.style.video import VideoConfig, repaint_video

av = pytest.importorskip("av", reason="needs the extra video")
RATE = Fraction(12)


def moving(count: int, width: int = 64, height: int = 48) -> list[Frame]:
    """A bright square that walks to the right over a gradient."""
    frames = []
    for number in range(count):
        frame = np.zeros((height, width, 3), np.uint8)
        frame[:, :, 0] = np.linspace(0, 200, width).astype(np.uint8)
        frame[10:30, 4 + 2 * number : 24 + 2 * number] = (30, 220, 120)
        frames.append(frame)
    return frames


def frames_of(path: Path, problems: list[str]) -> Iterator[Frame]:
    return (shot.pixels for shot in shots_of(path, problems))


def shots(frames: list[Frame], rate: Fraction = RATE) -> Callable[[], Iterator[Shot]]:
    return lambda: (Shot(frame, number / rate) for number, frame in enumerate(frames))


def with_sound(path: Path, frames: list[Frame], codec: str = "aac") -> Path:
    """Write a clip with a tone of the same length."""
    with av.open(str(path), "w") as output:
        pictures = output.add_stream("libx264", rate=RATE)
        pictures.height, pictures.width = frames[0].shape[:2]
        pictures.pix_fmt = "yuv420p"
        sound = output.add_stream(codec, rate=48_000)
        sound.layout = "stereo"
        for frame in frames:
            output.mux(pictures.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(pictures.encode())
        tone = np.sin(np.arange(int(48_000 * len(frames) / RATE)) / 20).astype(np.float32)
        for start in range(0, len(tone) - 1023, 1024):
            block = av.AudioFrame.from_ndarray(
                np.stack([tone[start : start + 1024]] * 2), format="fltp", layout="stereo"
            )
            block.sample_rate, block.pts = 48_000, start
            output.mux(sound.encode(block))
        output.mux(sound.encode())
    return path


def inverted(photo: Image.Image) -> Tensor:
    return 1 - to_tensor(photo)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return with_sound(tmp_path / "clip.mp4", moving(9))


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv", ".mov", ".gif"])
def test_every_format_holds_the_frames_and_the_sound(source: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"out{suffix}"
    seen: list[Progress] = []
    result = repaint_video(source, output, inverted, on_progress=seen.append, facts={"network": "inverse"})
    assert (result.frames, result.painted, result.problem) == (9, 9, "")
    assert [each.step for each in seen] == list(range(1, 10))
    problems: list[str] = []
    found = list(frames_of(output, problems))
    assert (len(found), problems) == (9, [])
    for frame, wanted in zip(found, moving(9), strict=True):
        assert frame.shape == wanted.shape
        assert np.abs(frame.astype(int) - (255 - wanted.astype(int))).mean() < 14
    clip = probe(output)
    assert abs(clip.rate - RATE) < 0.6
    expected = {".mp4": "aac", ".mov": "aac", ".mkv": "aac", ".webm": "opus", ".gif": ""}[suffix]
    assert clip.sound.removeprefix("lib") == expected
    assert not list(tmp_path.glob("*.frames"))


def test_the_sound_has_its_length_and_the_file_says_how_it_was_made(source: Path, tmp_path: Path) -> None:
    for name in ("copied.mp4", "encoded.webm"):
        repaint_video(source, tmp_path / name, inverted, facts={"network": "inverse"})
        with av.open(str(tmp_path / name)) as container:
            seconds = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
            metadata = {key.lower(): value for key, value in container.metadata.items()}
        assert abs(seconds - 9 / 12) < 0.06
        about = json.loads(metadata["comment"])
        assert about["network"] == "inverse"
        assert about["source"] == {"name": "clip.mp4", "sha256": file_digest(source)}


def test_odd_sides_are_filled_up_to_even_ones(tmp_path: Path) -> None:
    frames = moving(3, 61, 47)
    write_clip(tmp_path / "odd.mp4", shots(frames), Clip(RATE, 3, ""), None, {}, [])
    shapes = {frame.shape for frame in frames_of(tmp_path / "odd.mp4", [])}
    assert shapes == {(48, 62, 3)}


def test_a_gif_goes_in_too(tmp_path: Path) -> None:
    frames = moving(5)
    write_clip(tmp_path / "in.gif", shots(frames), Clip(RATE, 5, ""), None, {"made": "so"}, [])
    result = repaint_video(tmp_path / "in.gif", tmp_path / "out.mp4", inverted)
    assert result.frames == 5
    with Image.open(tmp_path / "in.gif") as image:
        assert json.loads(image.info["comment"]) == {"made": "so"}


def test_interrupted_it_goes_on_to_the_same_frames(source: Path, tmp_path: Path) -> None:
    """The painter flickers, so that frames depend on those before; three interruptions change nothing."""
    calls: list[int] = []

    def flickering(photo: Image.Image) -> Tensor:
        pixels = to_tensor(photo)
        generator = torch.Generator().manual_seed(zlib.crc32(photo.tobytes()))
        noise = torch.rand(pixels.shape, generator=generator)
        return (pixels + 0.2 * noise).clamp(0, 1)

    def dies(photo: Image.Image) -> Tensor:
        calls.append(0)
        if len(calls) in (3, 6, 9):
            raise KeyboardInterrupt
        return flickering(photo)

    repaint_video(source, tmp_path / "one.mp4", flickering)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            repaint_video(source, tmp_path / "two.mp4", dies)
    assert (tmp_path / "two.mp4.frames" / "00000001.png").exists()
    with pytest.raises(RunError, match="differs in smoothing"):
        repaint_video(source, tmp_path / "two.mp4", dies, VideoConfig(smoothing=0.1))
    result = repaint_video(source, tmp_path / "two.mp4", flickering)
    assert 0 < result.painted < result.frames == 9
    one, two = (list(frames_of(tmp_path / name, [])) for name in ("one.mp4", "two.mp4"))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert result.flicker < 0.8 * result.flicker_alone


def test_a_truncated_clip_is_painted_as_far_as_it_goes(tmp_path: Path) -> None:
    """In a format that can be read from the front."""
    frames = [np.random.default_rng(number).integers(0, 256, (48, 64, 3), dtype=np.uint8) for number in range(24)]
    whole, cut = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    write_clip(whole, shots(frames), Clip(RATE, 24, ""), None, {}, [])
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = repaint_video(cut, tmp_path / "out.mp4", inverted)
    assert 1 <= result.frames < 24


def uneven(path: Path, times: list[float], colour: tuple[int, int, int] = (200, 60, 30)) -> Path:
    """Write a clip of one colour whose frames stand at any times, with sound from 0 on."""
    silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
    silence.sample_rate = 48_000
    with av.open(str(path), "w") as output:
        pictures = output.add_stream("libx264" if path.suffix == ".mp4" else "libvpx-vp9", rate=10)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        pictures.codec_context.time_base = Fraction(1, 1000)
        sound = output.add_stream("aac" if path.suffix == ".mp4" else "libopus", rate=48_000)
        for at in times:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), colour, np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(1000 * at), Fraction(1, 1000)
            output.mux(pictures.encode(frame))
        output.mux(pictures.encode())
        for start in range(0, int(48_000 * times[-1]), 1024):
            silence.pts = start
            output.mux(sound.encode(silence))
        output.mux(sound.encode())
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
def test_every_frame_keeps_its_time(tmp_path: Path, suffix: str) -> None:
    """Phones film at a varying rate, and pictures may begin after the sound; else the two would part."""
    times = [0.5, 0.6, 0.7, 1.5, 1.6, 2.4, 3.0]
    shades = iter(torch.linspace(0.1, 0.9, 7))  # a GIF joins frames that are alike
    repaint_video(
        uneven(tmp_path / "in.mp4", times),
        tmp_path / f"out{suffix}",
        lambda photo: torch.full((1, 3, 48, 64), float(next(shades))),
    )
    begin = 0.5 if suffix == ".gif" else 0.0  # a GIF begins with its first frame
    found = [shot.at for shot in shots_of(tmp_path / f"out{suffix}", [])]
    assert found == pytest.approx([at - begin for at in times], abs=0.011)


def test_colours_are_kept_and_the_file_says_which_matrix_they_have(tmp_path: Path) -> None:
    colour = (200, 60, 30)
    repaint_video(uneven(tmp_path / "in.mp4", [0, 0.1], colour), tmp_path / "out.mp4", to_tensor)
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
    assert frame.colorspace == 1  # BT.709
    assert np.abs(frame.to_ndarray(format="rgb24").mean((0, 1)) - colour).max() < 4


def test_damage_costs_the_damaged_frames_alone(source: Path, tmp_path: Path) -> None:
    with av.open(str(source)) as container:
        pictures = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    with av.open(str(source)) as container:
        sounds = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]
    data = bytearray(source.read_bytes())
    for position, size in (pictures[4], sounds[9]):
        data[position : position + size] = b"\xff" * size
    (tmp_path / "damaged.mp4").write_bytes(data)
    result = repaint_video(tmp_path / "damaged.mp4", tmp_path / "out.webm", inverted)
    assert result.frames == 8
    assert "1 packets of its video" in result.problem
    assert "of its audio" in result.problem


def test_a_truncated_webm_says_where_it_ends(tmp_path: Path) -> None:
    whole = uneven(tmp_path / "whole.webm", [number / 10 for number in range(20)])
    (tmp_path / "cut.webm").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = repaint_video(tmp_path / "cut.webm", tmp_path / "out.webm", inverted)
    assert "of 2.0 seconds" in result.problem


def test_the_source_is_not_painted_over(source: Path) -> None:
    before = source.read_bytes()
    with pytest.raises(UsageError, match="the video itself"):
        repaint_video(source, source, inverted)
    assert source.read_bytes() == before


def test_what_is_no_clip_is_named(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.mp4").write_text("no clip at all")
    (tmp_path / "half.mp4").write_bytes(source.read_bytes()[:2000])  # the index of an MP4 is at its end
    for name in ("text.mp4", "half.mp4", "absent.mp4"):
        with pytest.raises(UnreadablePictureError, match=name):
            repaint_video(tmp_path / name, tmp_path / "out.mp4", inverted)
    with pytest.raises(UnknownNameError, match="video format"):
        repaint_video(source, tmp_path / "out.avi", inverted)
    with pytest.raises(UsageError, match="smoothing 1"):
        VideoConfig(smoothing=1.0)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(UsageError, match=r"needs the extra video"):
        require_av()


def test_errors_of_the_decoding_thread_arrive(source: Path, tmp_path: Path) -> None:
    def fails(photo: Image.Image) -> Tensor:
        raise ValueError("the painter fell off the ladder")

    with pytest.raises(ValueError, match="ladder"):
        repaint_video(source, tmp_path / "out.mp4", fails)


def test_the_command_paints_a_clip_and_tells_its_flicker(source: Path, tmp_path: Path) -> None:
    style = tmp_path / "style.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(style)
    output = tmp_path / "out.webm"
    arguments = ["stylize", str(source), "--method", "fast", "--style", str(style), "-o", str(output)]
    result = CliRunner().invoke(main.app, [*arguments, "--size", "96", "--smoothing", "0.5", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["frames"], told["problem"]) == (9, "")
    assert told["flicker"] < told["flicker_alone"]
    assert next(frames_of(output, [])).shape == (72, 96, 3)
    still = CliRunner().invoke(main.app, ["stylize", str(style), *arguments[2:-2], "--smoothing", "0.5"])
    assert "still picture" in str(still.exception)
