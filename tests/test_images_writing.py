"""Saving pictures: what is written is read back, the pixels and the record of how they were made."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import ExifTags, Image

from impasto.errors import (
    NumericalError,
    PictureSizeError,
    ResourceError,
    UsageError,
)
from impasto.images import (
    open_picture,
    provenance,
    save_picture,
    to_image,
    to_tensor,
)

FORMATS = ["p.png", "p.jpg", "p.webp", "p.tif"]
RECORD = {"method": "gatys", "style": "日本 – Größe.jpg", "weights": [1, 2.5, None], "deep": {"a": True}}


def gradient(width: int = 24, height: int = 16) -> torch.Tensor:
    """A smooth picture without symmetry: red grows to the right, green downwards."""
    red, green = torch.meshgrid(torch.linspace(0, 1, width), torch.linspace(0, 1, height), indexing="xy")
    return torch.stack([red, green, red * green])[None]


@pytest.mark.parametrize("name", ["p.png", "p.webp", "p.tif"])
def test_transparency_survives_reading_and_saving(tmp_path: Path, name: str) -> None:
    opacity = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4) * 16)
    image = Image.new("RGB", (4, 4), (10, 200, 30))
    image.putalpha(opacity)
    image.save(tmp_path / "in.png")
    picture = open_picture(tmp_path / "in.png")
    save_picture(picture.image, tmp_path / name, alpha=picture.alpha)
    again = open_picture(tmp_path / name).alpha
    assert again is not None
    np.testing.assert_array_equal(np.asarray(again), np.asarray(opacity))


def test_alpha_is_fitted_to_a_resized_picture_and_dropped_by_jpeg(tmp_path: Path) -> None:
    alpha = Image.new("L", (5, 5), 77)
    save_picture(gradient(), tmp_path / "p.png", alpha=alpha)
    fitted = open_picture(tmp_path / "p.png").alpha
    assert fitted is not None
    assert (fitted.size, fitted.getextrema()) == ((24, 16), (77, 77))
    save_picture(gradient(), tmp_path / "p.jpg", alpha=alpha)
    assert open_picture(tmp_path / "p.jpg").alpha is None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_picture_of_nan_is_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(NumericalError):
        save_picture(torch.full((1, 3, 2, 2), value), tmp_path / "p.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["p.png", "p.tif", "P.TIFF"])
def test_lossless_formats_lose_nothing(tmp_path: Path, name: str) -> None:
    save_picture(gradient(), tmp_path / name)
    assert torch.equal(to_tensor(open_picture(tmp_path / name).image), to_tensor(to_image(gradient())))


@pytest.mark.parametrize("name", ["p.jpg", "p.JPEG", "p.webp"])
def test_lossy_formats_come_close(tmp_path: Path, name: str) -> None:
    save_picture(gradient(), tmp_path / name)
    assert (to_tensor(open_picture(tmp_path / name).image) - gradient()).abs().mean() < 0.02


def test_jpeg_keeps_full_colour_resolution(tmp_path: Path) -> None:
    """Without 4:4:4 the colours of single pixels run into their neighbours."""
    save_picture(gradient(), tmp_path / "p.jpg")
    with Image.open(tmp_path / "p.jpg") as image:
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}


def test_quality_costs_bytes(tmp_path: Path) -> None:
    noise = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for suffix in ("jpg", "webp"):
        save_picture(noise, tmp_path / f"low.{suffix}", quality=20)
        save_picture(noise, tmp_path / f"high.{suffix}", quality=95)
        assert (tmp_path / f"low.{suffix}").stat().st_size < (tmp_path / f"high.{suffix}").stat().st_size


def test_sixteen_bit_tiff_keeps_steps_of_one_in_65535(tmp_path: Path) -> None:
    values = torch.arange(0, 65536, 7, dtype=torch.float64)[: 3 * 8 * 390].view(1, 3, 8, 390)
    save_picture((values / 65535).float(), tmp_path / "p.tif", depth=16, provenance=RECORD)
    stored = tifffile.imread(tmp_path / "p.tif")
    assert stored.dtype == np.uint16
    np.testing.assert_array_equal(stored, values[0].permute(1, 2, 0).numpy())
    assert provenance(tmp_path / "p.tif") == RECORD


def test_an_8_bit_image_fills_16_bits(tmp_path: Path) -> None:
    white = Image.new("RGBA", (2, 2), "white")
    save_picture(white, tmp_path / "p.tif", depth=16, alpha=Image.new("L", (2, 2), 128))
    assert tifffile.imread(tmp_path / "p.tif")[0, 0].tolist() == [65535, 65535, 65535, 128 * 257]


@pytest.mark.parametrize("record", [RECORD, {"long": "ü" * 100_000}, {}], ids=["unicode", "long", "empty"])
@pytest.mark.parametrize("name", FORMATS)
def test_provenance_is_read_back(tmp_path: Path, name: str, record: dict) -> None:
    save_picture(gradient(), tmp_path / name, provenance=record)
    assert provenance(tmp_path / name) == record
    assert (to_tensor(open_picture(tmp_path / name).image) - gradient()).abs().mean() < 0.02


@pytest.mark.parametrize("name", [*FORMATS, "p.bmp", "p.gif"])
def test_pictures_of_others_have_no_provenance(tmp_path: Path, name: str) -> None:
    to_image(gradient()).save(tmp_path / name)
    assert provenance(tmp_path / name) is None


@pytest.mark.parametrize("comment", ["a holiday", "[1]", "{}", '{"impasto": 3}', '{"impasto":' + "[" * 9999])
def test_foreign_metadata_is_no_provenance(tmp_path: Path, comment: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = comment
    to_image(gradient()).save(tmp_path / "p.jpg", comment=comment)
    to_image(gradient()).save(tmp_path / "p.webp", exif=exif)
    assert provenance(tmp_path / "p.jpg") is None
    assert provenance(tmp_path / "p.webp") is None


def test_a_comment_before_ours_does_no_harm(tmp_path: Path) -> None:
    save_picture(gradient(), tmp_path / "p.jpg", provenance=RECORD)
    data = (tmp_path / "p.jpg").read_bytes()
    (tmp_path / "p.jpg").write_bytes(data[:2] + b"\xff\xfe\x00\x06\xe4{ !" + data[2:])
    assert provenance(tmp_path / "p.jpg") == RECORD


def test_other_programs_can_read_the_provenance(tmp_path: Path) -> None:
    for name in FORMATS:
        save_picture(gradient(), tmp_path / name, provenance={"method": "gatys"})
    text = '{"impasto": {"method": "gatys"}}'
    with Image.open(tmp_path / "p.png") as png, Image.open(tmp_path / "p.jpg") as jpeg:
        assert png.info["impasto"] == text
        assert jpeg.info["comment"] == text.encode()
    with Image.open(tmp_path / "p.webp") as webp, tifffile.TiffFile(tmp_path / "p.tif") as tiff:
        assert webp.getexif()[ExifTags.Base.ImageDescription] == text
        assert tiff.pages.first.description == text


def test_without_provenance_nothing_is_noted(tmp_path: Path) -> None:
    for name in FORMATS:
        save_picture(gradient(), tmp_path / name)
        assert provenance(tmp_path / name) is None
    with tifffile.TiffFile(tmp_path / "p.tif") as tiff:
        assert tiff.pages.first.description == ""


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_picture_gives_the_same_bytes(tmp_path: Path, name: str) -> None:
    for folder in ("a", "b"):
        save_picture(gradient(), tmp_path / folder / name, provenance=RECORD)
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("p.bmp", {}, "'.bmp'"),
        ("p", {}, "''"),
        ("p.png", {"depth": 16}, "16 bits"),
        ("p.jpg", {"depth": 16}, "16 bits"),
        ("p.tif", {"depth": 12}, "12"),
        ("p.jpg", {"quality": 0}, "quality 0"),
        ("p.jpg", {"quality": 101}, "quality 101"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is(
    tmp_path: Path, name: str, options: dict[str, int], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        save_picture(gradient(), tmp_path / "new" / name, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "width"), [("p.webp", 17_000), ("p.jpg", 66_000)])
def test_more_pixels_than_the_format_holds(tmp_path: Path, name: str, width: int) -> None:
    with pytest.raises(PictureSizeError, match=rf"{name}: {width} x 1 pixels"):
        save_picture(torch.zeros(1, 3, 1, width), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_leaves_the_former_picture(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    save_picture(gradient(), tmp_path / name)
    before = (tmp_path / name).read_bytes()

    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr(tifffile, "imwrite", lambda path, *_, **__: full(path, b"half of a TIFF"))
    with pytest.raises(ResourceError, match=name):
        save_picture(1 - gradient(), tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [name]
