"""Opening pictures: turned upright, in sRGB, on white, whatever the file holds."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms

from impasto.errors import (
    PictureError,
)
from impasto.images import (
    find_pictures,
    open_picture,
)


def pixel(path: Path, x: int = 0, y: int = 0) -> tuple[int, ...]:
    value = open_picture(path).image.getpixel((x, y))
    assert isinstance(value, tuple)
    return value


def with_profile(path: Path, colour: object, profile: bytes, mode: str = "RGB") -> Path:
    Image.new(mode, (4, 4), colour).save(path, icc_profile=profile)
    return path


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def profile_tags(profile: bytes) -> dict[bytes, int]:
    """Position in the tag table of each tag of an ICC profile."""
    count = struct.unpack(">I", profile[128:132])[0]
    return {profile[at : at + 4]: at for at in range(132, 132 + 12 * count, 12)}


def swapped_profile() -> bytes:
    """An sRGB profile in which red and green change places."""
    data, tags = bytearray(srgb_profile()), profile_tags(srgb_profile())
    red, green = tags[b"rXYZ"] + 4, tags[b"gXYZ"] + 4
    data[red : red + 8], data[green : green + 8] = data[green : green + 8], data[red : red + 8]
    return bytes(data)


def linear_profile() -> bytes:
    """An sRGB profile with the curves replaced by the straight line y = x."""
    data = bytearray(srgb_profile())
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        at = profile_tags(srgb_profile())[name]
        start = struct.unpack(">I", data[at + 4 : at + 8])[0]
        data[start : start + 12] = b"curv" + bytes(8)
    return bytes(data)


def grey_profile() -> bytes:
    """The smallest ICC profile of linear grey."""
    tags = {b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061), b"kTRC": b"curv" + bytes(8)}
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value
    header = bytearray(128)
    header[0:4] = struct.pack(">I", start + len(body))
    header[8:12] = b"\x02\x10\0\0"
    header[12:24] = b"mntrGRAYXYZ "
    header[36:40] = b"acsp"
    header[68:80] = struct.pack(">3i", 63190, 65536, 54061)
    return bytes(header) + table + body


# The EXIF standard's words for the stored first row and column, as operations that undo them.
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_undone(tmp_path: Path, orientation: int, suffix: str) -> None:
    stored = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / f"turned{suffix}"
    Image.fromarray(stored).save(path, exif=exif, **({"lossless": True} if suffix == ".webp" else {}))
    np.testing.assert_array_equal(np.asarray(open_picture(path).image), UPRIGHT[orientation](stored))


def test_a_phone_photo_of_orientation_6_stands_upright(tmp_path: Path) -> None:
    """A phone held upright stores the sky on the left-hand side of a landscape picture."""
    stored = Image.new("RGB", (64, 32), "green")
    stored.paste("blue", (0, 0, 32, 32))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    stored.save(tmp_path / "phone.jpg", exif=exif, quality=95, subsampling=0)
    image = open_picture(tmp_path / "phone.jpg").image
    assert image.size == (32, 64)
    assert image.getpixel((16, 5))[2] > 200
    assert image.getpixel((16, 60))[1] > 100


def test_a_profile_with_swapped_primaries_swaps_the_colours(tmp_path: Path) -> None:
    red, green, blue = pixel(with_profile(tmp_path / "p.png", (255, 0, 0), swapped_profile()))
    assert (red, blue) <= (3, 3)
    assert green >= 252


@pytest.mark.parametrize("name", ["p.png", "p.jpg", "p.webp", "p.tif"])
def test_linear_light_becomes_srgb(tmp_path: Path, name: str) -> None:
    """Half of the light is 188 in sRGB (IEC 61966-2-1)."""
    value = pixel(with_profile(tmp_path / name, (128, 128, 128), linear_profile()))
    assert np.allclose(value, 188, atol=2)


def test_an_srgb_profile_changes_nothing(tmp_path: Path) -> None:
    assert np.allclose(pixel(with_profile(tmp_path / "p.png", (200, 30, 90), srgb_profile())), (200, 30, 90), atol=1)


@pytest.mark.parametrize(("mode", "colour"), [("L", 128), ("LA", (128, 255))])
@pytest.mark.parametrize("profile", [grey_profile(), linear_profile()], ids=["grey", "rgb"])
def test_grey_takes_profiles_of_grey_and_of_rgb(tmp_path: Path, mode: str, colour: object, profile: bytes) -> None:
    picture = open_picture(with_profile(tmp_path / "p.png", colour, profile, mode))
    assert picture.notes == ()
    assert np.allclose(picture.image.getpixel((0, 0)), 188, atol=2)


def test_the_profile_leaves_transparency_alone(tmp_path: Path) -> None:
    path = with_profile(tmp_path / "p.png", (128, 128, 128, 0), linear_profile(), "RGBA")
    picture = open_picture(path)
    assert picture.image.getpixel((0, 0)) == (255, 255, 255)
    assert picture.alpha is not None
    assert picture.alpha.getextrema() == (0, 0)


@pytest.mark.parametrize(
    "profile",
    [b"no profile", srgb_profile()[:200], ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()],
    ids=["garbage", "truncated", "of other pixels"],
)
def test_a_bad_profile_is_ignored_and_noted(tmp_path: Path, profile: bytes) -> None:
    picture = open_picture(with_profile(tmp_path / "p.png", (200, 30, 90), profile))
    assert picture.image.getpixel((0, 0)) == (200, 30, 90)
    assert "colour profile ignored" in picture.notes[0]


def test_lab_tiff(tmp_path: Path) -> None:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(Image.new("RGB", (4, 4), (200, 30, 40)), *profiles, outputMode="LAB")
    assert lab is not None
    lab.save(tmp_path / "lab.tif")
    assert np.allclose(pixel(tmp_path / "lab.tif"), (200, 30, 40), atol=3)


@pytest.mark.parametrize("name", ["cyan.jpg", "cyan.tif"])
def test_pure_cyan_ink_looks_cyan(tmp_path: Path, name: str) -> None:
    Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(tmp_path / name)
    assert np.allclose(pixel(tmp_path / name), (0, 255, 255), atol=3)


def test_cmyk_jpeg_without_adobe_marker_is_not_inverted(tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.new("CMYK", (8, 8), (0, 255, 255, 255)).save(data, "JPEG")  # stored inverted: the numbers of pure cyan
    before, marker, after = data.getvalue().partition(b"\xff\xee")
    assert marker
    length = int.from_bytes(after[:2], "big")
    (tmp_path / "cyan.jpg").write_bytes(before + after[length:])
    assert np.allclose(pixel(tmp_path / "cyan.jpg"), (0, 255, 255), atol=3)


@pytest.mark.parametrize("kind", ["<u2", ">u2", "<i4"])
@pytest.mark.parametrize(("stored", "shown"), [(0, 0), (255, 1), (32768, 128), (65535, 255)])
def test_sixteen_bit_grey_tiff(tmp_path: Path, kind: str, stored: int, shown: int) -> None:
    tifffile.imwrite(tmp_path / "g.tif", np.full((2, 2), stored, kind), byteorder="<" if kind[0] == "<" else ">")
    assert pixel(tmp_path / "g.tif") == (shown,) * 3


def test_sixteen_bit_grey_png(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2), 32768, np.uint16)).save(tmp_path / "g.png")
    assert pixel(tmp_path / "g.png") == (128, 128, 128)


def test_float_grey_is_read_from_0_to_1_and_nothing_else_is_guessed(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "half.tif", np.full((2, 2), 0.5, np.float32))
    assert pixel(tmp_path / "half.tif") == (128, 128, 128)
    for number, value in enumerate([70.0, -1.0, float("nan")]):
        tifffile.imwrite(tmp_path / f"{number}.tif", np.full((2, 2), value, np.float32))
        with pytest.raises(PictureError, match=f"{number}.tif"):
            open_picture(tmp_path / f"{number}.tif")


def test_sixteen_bit_rgb_tiff_in_every_layout_is_right_or_refused(tmp_path: Path) -> None:
    """Pillow reads uncompressed 16-bit planes as noise; that must not pass for a picture."""
    values = np.random.default_rng(0).integers(0, 65536, (8, 9, 3), np.uint16)
    for order in "<>":
        for compression in (None, "zlib"):
            path = tmp_path / "rgb.tif"
            tifffile.imwrite(path, values, photometric="rgb", byteorder=order, compression=compression)
            np.testing.assert_array_equal(np.asarray(open_picture(path).image), values >> 8)
            planes = np.moveaxis(values, -1, 0).copy()
            tifffile.imwrite(path, planes, photometric="rgb", byteorder=order, compression=compression)
            if compression is None:
                with pytest.raises(PictureError, match="separate planes"):
                    open_picture(path)
            else:
                np.testing.assert_array_equal(np.asarray(open_picture(path).image), values >> 8)


def test_transparent_palette_lies_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    for name in ("p.png", "p.gif"):
        image.save(tmp_path / name, transparency=0)
        picture = open_picture(tmp_path / name)
        assert [picture.image.getpixel((x, 0)) for x in (0, 1)] == [(255, 255, 255), (0, 0, 255)]
        assert picture.alpha is not None
        assert [picture.alpha.getpixel((x, 0)) for x in (0, 1)] == [0, 255]


@pytest.mark.parametrize(("mode", "colour"), [("RGBA", (0, 0, 0, 128)), ("LA", (0, 128))])
def test_half_transparent_black_is_mid_grey(tmp_path: Path, mode: str, colour: tuple[int, ...]) -> None:
    Image.new(mode, (2, 2), colour).save(tmp_path / "a.png")
    assert pixel(tmp_path / "a.png") == (127, 127, 127)


def test_an_opaque_alpha_channel_is_none(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 2), (1, 2, 3, 255)).save(tmp_path / "a.png")
    assert open_picture(tmp_path / "a.png").alpha is None


def test_the_digest_is_of_the_whole_file(tmp_path: Path) -> None:
    path = with_profile(tmp_path / "p.png", (1, 2, 3), srgb_profile())
    assert open_picture(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.shared
def test_the_sample_photos_open(shared: Path) -> None:
    for path in find_pictures(shared / "data" / "artworks")[:5] + find_pictures(shared / "data" / "content")[:3]:
        picture = open_picture(path)
        assert (picture.image.mode, picture.notes) == ("RGB", ())


def test_threads_that_read_side_by_side_leave_pythons_warnings_as_they_were(tmp_path: Path) -> None:
    """Each of these JPEGs makes Pillow warn (of damaged EXIF data), which would be an error here."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for index in range(40):
        Image.fromarray(noise).save(tmp_path / f"{index}.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x03\x01\x12")
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        sizes = {picture.image.size for picture in pool.map(open_picture, sorted(tmp_path.iterdir()))}
    assert sizes == {(64, 64)}
    assert list(warnings.filters) == before
