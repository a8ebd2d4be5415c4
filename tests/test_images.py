"""Geometry and number formats of pictures, and how they are found."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import impasto.images.pixels
from impasto.errors import (
    DataError,
    UsageError,
)
from impasto.images import (
    centre_crop,
    find_pictures,
    match_colours,
    resize_long,
    resize_short,
    to_image,
    to_tensor,
)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_tensor_and_back_is_the_identity(pixels: np.ndarray) -> None:
    tensor = to_tensor(Image.fromarray(pixels))
    assert tensor.shape == (1, 3, *pixels.shape[:2])
    assert tensor.dtype == torch.float32
    np.testing.assert_array_equal(np.asarray(to_image(tensor)), pixels)
    np.testing.assert_array_equal(np.asarray(to_image(tensor[0])), pixels)


def test_to_image_rounds_and_clips() -> None:
    tensor = torch.tensor([-0.5, 0.4999 / 255, 0.5001 / 255, 1.5]).view(1, 1, 1, 4).expand(1, 3, 1, 4)
    assert np.asarray(to_image(tensor))[0, :, 0].tolist() == [0, 0, 1, 255]


def test_to_image_takes_bfloat16_with_gradient() -> None:
    assert to_image(torch.ones(1, 3, 2, 2, dtype=torch.bfloat16, requires_grad=True)).getpixel((0, 0)) == (255,) * 3


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (1, 4, 4), (4, 4), (1, 3, 0, 4)])
def test_to_image_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"1x3xHxW"):
        to_image(torch.zeros(shape))


@given(width=st.integers(1, 300), height=st.integers(1, 300), size=st.integers(1, 200))
def test_resizing_keeps_the_aspect_within_a_pixel(width: int, height: int, size: int) -> None:
    image = Image.new("RGB", (width, height))
    for resized, reference in ((resize_long(image, size), max), (resize_short(image, size), min)):
        assert reference(resized.size) == size
        scale = size / reference(width, height)
        assert abs(resized.width - width * scale) <= 1
        assert abs(resized.height - height * scale) <= 1


def test_resizing_averages_what_it_shrinks() -> None:
    """Lanczos with antialiasing: a fine chessboard turns grey and does not become all black or all white."""
    board = np.indices((64, 64)).sum(0) % 2 * 255
    small = resize_long(Image.fromarray(np.repeat(board[:, :, None], 3, 2).astype(np.uint8)), 16)
    assert np.allclose(np.asarray(small), 127.5, atol=2)


def test_centre_crop_takes_the_middle_pixel_for_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    cropped = centre_crop(Image.fromarray(pixels), 4, 3)
    np.testing.assert_array_equal(np.asarray(cropped), pixels[3:6, 4:8])


def test_centre_crop_enlarges_what_is_too_small() -> None:
    image = Image.new("RGB", (10, 40), "red")
    assert centre_crop(image, 20, 20).size == (20, 20)
    assert centre_crop(image, 20, 20).getextrema() == ((255, 255), (0, 0), (0, 0))


@pytest.mark.parametrize("size", [0, -3])
def test_no_picture_is_without_pixels(size: int) -> None:
    image = Image.new("RGB", (4, 4))
    for resize in (lambda: resize_long(image, size), lambda: centre_crop(image, 4, size)):
        with pytest.raises(UsageError, match=str(size)):
            resize()


def test_find_pictures_is_sorted_recursive_and_blind_to_hidden_files(tmp_path: Path) -> None:
    names = ["b/z.PNG", "b/a b.jpeg", "a.tiff", "c.webp", "é.gif", "b.bmp", "d.Jpg", "folder.jpg/x.tif"]
    for name in [*names, ".hidden.jpg", ".cache/x.png", "notes.txt", ".partial-1.png"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in find_pictures(tmp_path)] == sorted(names)


def test_find_pictures_below_a_hidden_folder(tmp_path: Path) -> None:
    """Only what is hidden inside the folder that was asked for is skipped."""
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data" / "a.png").touch()
    assert len(find_pictures(tmp_path / ".data")) == 1


@given(order=st.permutations(["b.png", "a.png", "c/a.png", "B.png", "c.png"]))
def test_the_order_of_the_file_system_does_not_matter(order: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "is_dir", lambda path: True)
        patch.setattr(Path, "is_file", lambda path: True)
        patch.setattr(Path, "rglob", lambda path, pattern: iter([path / name for name in order]))
        found = [path.as_posix() for path in find_pictures(Path("d"))]
    assert found == ["d/B.png", "d/a.png", "d/b.png", "d/c.png", "d/c/a.png"]


def test_find_pictures_wants_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent"):
        find_pictures(tmp_path / "absent")


def test_the_examples_in_the_docstrings() -> None:
    outcome = doctest.testmod(impasto.images.pixels)
    assert outcome.attempted >= 4
    assert outcome.failed == 0


def test_matched_colours_have_mean_and_covariance_of_the_other_picture() -> None:
    torch.manual_seed(0)
    mixing = torch.tensor([[0.9, 0.1, 0.0], [0.3, 0.4, 0.1], [0.0, 0.2, 0.6]])
    picture = torch.rand(1, 3, 20, 30)
    wanted = torch.einsum("ij,bjhw->bihw", mixing, torch.rand(1, 3, 17, 11)) + 0.1
    matched = match_colours(picture, wanted)[0].flatten(1).double()
    other = wanted[0].flatten(1).double()
    assert torch.allclose(matched.mean(1), other.mean(1), atol=1e-5)
    assert torch.allclose(torch.cov(matched, correction=0), torch.cov(other, correction=0), atol=1e-4)
    # A picture that has these colours already is not touched: of all maps the one that moves least.
    assert torch.allclose(match_colours(wanted, wanted), wanted, atol=1e-5)


def test_grey_pictures_have_no_colours_to_match_and_no_nan() -> None:
    grey = torch.rand(1, 1, 9, 9).expand(1, 3, 9, 9)
    flat = torch.full((1, 3, 4, 4), 0.5)
    for picture in (grey, flat):
        for wanted in (grey, flat, torch.rand(1, 3, 5, 5)):
            assert torch.isfinite(match_colours(picture, wanted)).all()
    assert (match_colours(torch.rand(1, 3, 5, 5), flat) - 0.5).abs().max() < 0.02
