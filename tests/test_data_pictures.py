"""Preprocessing, and reading in parallel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from classify_fixtures import COLOURS, paint
from impasto.data.load.pictures import Preprocessing, read_batches, read_picture, scaled
from impasto.errors import UnreadablePictureError, UsageError, WrongWeightsError
from impasto.files import file_digest


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40))
def test_every_picture_becomes_a_square(width: int, height: int, size: int) -> None:
    square = Preprocessing(size)(Image.new("RGB", (width, height), (10, 20, 30)))
    assert square.shape == (3, size, size)
    assert square.dtype == torch.uint8
    assert square.flatten(1).float().mean(1).tolist() == [10, 20, 30]


@pytest.mark.parametrize("turned", [False, True])
def test_the_whole_picture_is_seen_its_sides_too(turned: bool) -> None:
    image = Image.new("RGB", (60, 20), "red")
    image.paste("blue", (20, 0, 40, 20))
    square = Preprocessing(9)(image.transpose(Image.Transpose.TRANSPOSE) if turned else image)
    square = square.mT if turned else square
    assert square[:, 4].T.tolist()[1::3] == [[255, 0, 0], [0, 0, 255], [255, 0, 0]]


def test_the_order_of_the_two_passes_is_ours_and_not_pillows() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 30, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    lanczos = Image.Resampling.LANCZOS
    expected = np.asarray(image.resize((30, 16), lanczos).resize((16, 16), lanczos)).transpose(2, 0, 1)
    assert np.array_equal(Preprocessing(16)(image).numpy(), expected)
    turned = np.asarray(Preprocessing(16)(image.transpose(Image.Transpose.TRANSPOSE)))
    assert np.array_equal(turned.transpose(0, 2, 1), expected)


def test_rows_and_columns_are_not_exchanged() -> None:
    image = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    assert torch.equal(Preprocessing(4)(image)[0], torch.arange(0, 48, 3, dtype=torch.uint8).view(4, 4))


def test_an_extreme_aspect_ratio_costs_no_memory() -> None:
    assert Preprocessing(512)(Image.new("RGB", (1, 200_000))).shape == (3, 512, 512)


def test_records_come_back() -> None:
    preprocessing = Preprocessing(32)
    assert Preprocessing.from_record(preprocessing.record()) == preprocessing


@pytest.mark.parametrize("change", [{"range": [-1, 1]}, {"crop": "none"}, {"size": "224"}, {"mean": [0.5]}])
def test_a_preprocessing_that_is_not_ours_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(WrongWeightsError, match="preprocessing that is unknown"):
        Preprocessing.from_record({**Preprocessing(32).record(), **change})


@pytest.mark.parametrize("size", [0, -5, 100_000])
def test_impossible_sizes(size: int) -> None:
    with pytest.raises(UsageError):
        Preprocessing(size)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Five pictures, of which the second and the last cannot be read."""
    paths = [paint(tmp_path / f"{i}.png", "red", i) for i in range(5)]
    paths[1].write_bytes(paths[1].read_bytes()[:100])
    paths[4].unlink()
    return paths


def test_batches_keep_the_order_and_name_what_is_unreadable(files: list[Path]) -> None:
    batches = list(read_batches(files, Preprocessing(8), batch_size=2))
    assert [batch.indices for batch in batches] == [[0], [2, 3], []]
    assert [list(batch.failures) for batch in batches] == [[1], [], [4]]
    assert batches[2].failures[4] == "cannot be read as a picture: it does not exist."
    expected = Preprocessing(8)(Image.open(files[3]))
    assert torch.equal(batches[1].pictures[1], expected)
    assert batches[1].hashes == [file_digest(files[2]), file_digest(files[3])]


def test_one_picture_is_read_as_in_a_batch_or_refused(files: list[Path]) -> None:
    pixels, sha256 = read_picture(files[3], Preprocessing(8))
    batch = next(read_batches(files[3:], Preprocessing(8), batch_size=1))
    assert torch.equal(pixels, batch.pictures[0])
    assert [sha256] == batch.hashes
    with pytest.raises(UnreadablePictureError, match=r"4\.png"):
        read_picture(files[4], Preprocessing(8))


def test_scaling_is_to_the_unit_interval() -> None:
    batch = scaled([torch.tensor([0, 51, 255], dtype=torch.uint8)])
    assert batch[0].tolist() == pytest.approx([0, 0.2, 1])
    assert torch.equal(scaled(torch.tensor([[0, 51, 255]], dtype=torch.uint8)), batch)


def test_colours_survive(tmp_path: Path) -> None:
    mean = Preprocessing(16)(Image.open(paint(tmp_path / "a.png", "green", 0))).float().mean((1, 2))
    assert mean.tolist() == pytest.approx(COLOURS["green"], abs=12)
