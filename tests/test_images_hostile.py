"""Files that lie, stop short or are no pictures: each gives a picture or an error that names the file."""

from __future__ import annotations

import io
import os
import struct
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, PngImagePlugin

from impasto.errors import PictureError, PictureSizeError, ResourceError, UnreadablePictureError
from impasto.images import MAX_PIXELS, open_picture, provenance

FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"]


def encoded(kind: str, **options: object) -> bytes:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8))
    image.putpixel((3, 4), (250, 20, 30))
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def claiming(kind: str, width: int, height: int) -> bytes:
    """A small, otherwise valid file whose header claims ``width`` x ``height`` pixels."""
    data = bytearray(encoded(kind, **({"lossless": True} if kind == "WEBP" else {})))
    if kind == "PNG":
        data[8:33] = png_chunk(b"IHDR", struct.pack(">II", width, height) + bytes(data[24:29]))
    elif kind == "JPEG":
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    elif kind == "BMP":
        data[18:26] = struct.pack("<ii", width, height)
    elif kind == "GIF":
        data[6:10] = struct.pack("<HH", width, height)
    elif kind == "WEBP":  # 14 bits each, less one, after the signature of a lossless stream
        at = data.index(b"\x2f", data.index(b"VP8L") + 8) + 1
        flags = struct.unpack("<I", data[at : at + 4])[0] >> 28 << 28
        data[at : at + 4] = struct.pack("<I", flags | (height - 1) << 14 | width - 1)
    else:
        for tag, value in ((256, width), (257, height)):
            at = data.index(struct.pack("<HHI", tag, 4, 1))
            data[at + 8 : at + 12] = struct.pack("<I", value)
    return bytes(data)


def refusal(path: Path, kind: type[PictureError] = UnreadablePictureError) -> str:
    with pytest.raises(kind) as caught:
        open_picture(path)
    assert str(path) in caught.value.message
    return str(caught.value)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_claim_of_20000_x_20000_is_refused_before_decoding(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = 16_383 if kind == "WEBP" else 20_000  # the largest that WebP can say
    (tmp_path / "huge").write_bytes(claiming(kind, side, side))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    assert "more than 100,000,000 pixels" in refusal(tmp_path / "huge", PictureSizeError)


@pytest.mark.parametrize("kind", ["WEBP", "TIFF", "BMP"])
def test_a_claim_within_the_limit_is_found_out_when_decoding(tmp_path: Path, kind: str) -> None:
    """JPEG, PNG and GIF may legally fill what is missing."""
    (tmp_path / "large").write_bytes(claiming(kind, 1000, 900))
    refusal(tmp_path / "large")


def test_a_gif_frame_larger_than_its_canvas_is_counted(tmp_path: Path) -> None:
    data = bytearray(encoded("GIF"))
    at = data.index(b",\0\0\0\0") + 5
    data[at : at + 4] = struct.pack("<HH", 60_000, 60_000)
    (tmp_path / "frame.gif").write_bytes(data)
    refusal(tmp_path / "frame.gif", PictureSizeError)


def test_the_limit_is_exact_and_can_be_moved(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(encoded("PNG"))
    assert open_picture(tmp_path / "p.png", max_pixels=1200).image.size == (40, 30)
    for limit in (1199, 599, 10):
        with pytest.raises(PictureSizeError, match=f"more than {limit:,} pixels"):
            open_picture(tmp_path / "p.png", max_pixels=limit)


def test_a_raised_limit_is_not_undercut_by_pillows_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    (tmp_path / "p.png").write_bytes(encoded("PNG"))
    assert open_picture(tmp_path / "p.png").image.size == (40, 30)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_pillows_limit_comes_back_when_many_threads_read(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    (tmp_path / "p.png").write_bytes(encoded("PNG"))
    start = threading.Barrier(4)

    def read(limit: int) -> int:
        start.wait()
        return sum(open_picture(tmp_path / "p.png", max_pixels=limit).image.width for _ in range(20))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, [1200, 5000, 10**9, MAX_PIXELS])) == [800] * 4
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("kind", FORMATS)
def test_half_a_file_is_an_error(tmp_path: Path, kind: str) -> None:
    data = encoded(kind)
    for length in (len(data) // 2, len(data) * 9 // 10):
        (tmp_path / "half").write_bytes(data[:length])
        refusal(tmp_path / "half")


@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_jpeg_is_an_error_wherever_it_ends(tmp_path: Path, progressive: bool) -> None:
    data = encoded("JPEG", progressive=progressive)
    for length in range(0, len(data), 13):
        (tmp_path / "cut.jpg").write_bytes(data[:length])
        refusal(tmp_path / "cut.jpg")


def test_a_memory_shortage_is_no_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def starve(image: ImageFile.ImageFile) -> None:
        raise MemoryError

    (tmp_path / "p.png").write_bytes(encoded("PNG"))
    monkeypatch.setattr(ImageFile.ImageFile, "load", starve)
    with pytest.raises(ResourceError, match=r"p\.png"):
        open_picture(tmp_path / "p.png")


@pytest.mark.parametrize("content", [b"", b"\0", b"not a picture\n" * 99, b"%!PS-Adobe-3.0 EPSF-3.0\n"])
@pytest.mark.parametrize("read", [open_picture, provenance])
def test_what_is_no_picture(tmp_path: Path, content: bytes, read: Callable[[Path], object]) -> None:
    path = tmp_path / "text.jpg"
    path.write_bytes(content)
    with pytest.raises(UnreadablePictureError, match=r"text\.jpg.*none of JPEG, PNG"):
        read(path)


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA"])
def test_formats_outside_the_list_are_refused(tmp_path: Path, kind: str) -> None:
    """Pillow knows dozens, some of which call other programs; each is a door."""
    Image.new("RGB", (16, 16)).save(tmp_path / "other.jpg", kind)
    assert "none of JPEG" in refusal(tmp_path / "other.jpg")


def test_folders_missing_files_and_broken_links(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere")
    assert "no regular file" in refusal(tmp_path / "folder.jpg")
    assert "does not exist" in refusal(tmp_path / "link.jpg")
    assert "does not exist" in refusal(tmp_path / "absent.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.timeout(20)
def test_a_named_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "no regular file" in refusal(tmp_path / "pipe.jpg")


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*arguments: object) -> None:
        raise PermissionError(13, os.strerror(13))

    (tmp_path / "secret.jpg").write_bytes(encoded("JPEG"))
    monkeypatch.setattr(Path, "open", denied)  # root may read everything, so chmod would prove nothing
    assert "Permission denied" in refusal(tmp_path / "secret.jpg")


@pytest.mark.parametrize("kind", FORMATS)
def test_one_pixel(tmp_path: Path, kind: str) -> None:
    Image.new("RGB", (1, 1), "white").save(tmp_path / "dot", kind)
    assert open_picture(tmp_path / "dot").image.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    "name", ["мост через реку.jpg", "  two  spaces .jpg", "naïve [1] {x}%s.jpg", "-rf.jpg", "🎨.jpg"]
)
def test_unusual_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(encoded("JPEG"))
    assert open_picture(path).path == path
    path.write_bytes(b"")
    refusal(path)


def test_the_content_decides_and_not_the_extension(tmp_path: Path) -> None:
    (tmp_path / "really.jpg").write_bytes(encoded("PNG"))
    assert open_picture(tmp_path / "really.jpg").image.getpixel((3, 4)) == (250, 20, 30)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_of_several_frames(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    frames[0].save(tmp_path / "film", kind, save_all=True, append_images=frames[1:], **options)
    assert open_picture(tmp_path / "film").image.getpixel((0, 0)) == (255, 0, 0)


def test_a_png_with_megabytes_of_text_is_a_picture(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 5_000_000)
    (tmp_path / "text.png").write_bytes(encoded("PNG", pnginfo=text))
    assert open_picture(tmp_path / "text.png").image.size == (40, 30)
    assert provenance(tmp_path / "text.png") is None


def test_a_png_with_a_text_bomb_is_refused(tmp_path: Path) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 5_000_000, zip=True)
    (tmp_path / "bomb.png").write_bytes(encoded("PNG", pnginfo=text))
    refusal(tmp_path / "bomb.png")


def test_sixteen_bit_transparency_keys_do_no_harm(tmp_path: Path) -> None:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
    key, pixel = struct.pack(">HHH", 40_000, 2, 3), struct.pack(">HHH", 40_000, 50_000, 60_000)
    data = png_chunk(b"IDAT", zlib.compress(b"\0" + pixel))
    parts = [b"\x89PNG\r\n\x1a\n", header, png_chunk(b"tRNS", key), data, png_chunk(b"IEND", b"")]
    (tmp_path / "key.png").write_bytes(b"".join(parts))
    assert open_picture(tmp_path / "key.png").image.getpixel((0, 0)) == (156, 195, 234)


def test_damaged_exif_is_no_reason_to_lose_the_picture(tmp_path: Path) -> None:
    (tmp_path / "p.jpg").write_bytes(encoded("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"))
    assert open_picture(tmp_path / "p.jpg").image.size == (40, 30)


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(damage=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_whatever_bytes_are_damaged(tmp_path: Path, kind: str, damage: list[tuple[int, int]]) -> None:
    """No other outcome than a picture or our own error, and no warning, which would be an error here."""
    data = bytearray(encoded(kind))
    for place, value in damage:
        data[place % min(len(data), 400)] = value
    (tmp_path / "damaged").write_bytes(data)
    assert outcome(tmp_path / "damaged") in ("RGB", f"refused {tmp_path / 'damaged'}")


def outcome(path: Path) -> str:
    try:
        return open_picture(path, max_pixels=100_000).image.mode
    except PictureError as error:
        return f"refused {path}" if str(path) in error.message else error.message
