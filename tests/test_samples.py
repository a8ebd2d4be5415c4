"""Sample pictures: the same bytes again, and styles that differ in what makes a style."""

from __future__ import annotations

import csv
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.errors import DataError, UnknownNameError
from impasto.images import provenance
from impasto.samples.canvas import flow_along, noise, random_of
from impasto.samples.photos import PHOTOS, sample_photos
from impasto.samples.styles import STYLES, paint_styles


@pytest.fixture(scope="module")
def painted() -> dict[str, np.ndarray]:
    return {name: np.asarray(style.paint(192, 0), dtype=float) / 255 for name, style in STYLES.items()}


@pytest.mark.parametrize("name", STYLES)
def test_the_same_seed_paints_the_same_picture_and_another_another(name: str) -> None:
    one, same, other = (STYLES[name].paint(96, seed).tobytes() for seed in (3, 3, 4))
    assert one == same
    assert one != other


@pytest.mark.parametrize("size", [64, 257])
def test_any_size_can_be_painted(size: int) -> None:
    for style in STYLES.values():
        picture = style.paint(size, 0)
        assert picture.size == (size, size)
        assert picture.mode == "RGB"


def test_a_style_has_contrast_and_fine_texture(painted: dict[str, np.ndarray]) -> None:
    for name, picture in painted.items():
        assert picture.std() > 0.1, name
        neighbours = np.abs(np.diff(picture, axis=1)).mean()
        assert neighbours > 0.008, name


def describe(picture: np.ndarray) -> np.ndarray:
    """Mean and deviation of the channels, and edge strength across and down at three sizes."""
    numbers = [*picture.mean((0, 1)), *picture.std((0, 1))]
    grey = picture.mean(2)
    for step in (1, 4, 12):
        numbers += [np.abs(grey[:, step:] - grey[:, :-step]).mean(), np.abs(grey[step:] - grey[:-step]).mean()]
    return np.array(numbers)


def test_every_style_differs_from_every_other(painted: dict[str, np.ndarray]) -> None:
    assert len(painted) >= 6
    for one, other in combinations(painted, 2):
        assert np.abs(describe(painted[one]) - describe(painted[other])).max() > 0.05, (one, other)


def test_styles_are_written_once_with_their_origin(tmp_path: Path) -> None:
    paths = paint_styles(tmp_path, size=64, names=["mosaic-sun", "woodcut-waves"])
    assert [path.name for path in paths] == ["mosaic-sun.png", "woodcut-waves.png"]
    made = provenance(paths[0])
    assert made is not None
    assert made["procedure"] == "sample style mosaic-sun"
    before = paths[0].stat().st_mtime_ns
    paint_styles(tmp_path, size=64, names=["mosaic-sun"])
    assert paths[0].stat().st_mtime_ns == before
    with pytest.raises(UnknownNameError, match="mosaic-sun"):
        paint_styles(tmp_path, names=["mosaik-sun"])


def test_noise_is_normalised_and_flow_follows_the_field() -> None:
    random = random_of("test", 0)
    field = noise(random, 64, 16)
    assert abs(field.mean()) < 1e-9
    assert field.std() == pytest.approx(1)
    streaks = flow_along(random.standard_normal((64, 64)), np.zeros((64, 64)), 12)
    assert np.abs(np.diff(streaks, axis=1)).mean() < 0.5 * np.abs(np.diff(streaks, axis=0)).mean()


def test_sample_photos_come_with_credit(tmp_path: Path) -> None:
    paths = sample_photos(tmp_path)
    assert len(paths) >= 10
    for path in paths:
        with Image.open(path) as picture:
            assert picture.mode == "RGB"
            assert 200 <= max(picture.size) <= 512
    with (tmp_path / "credits.csv").open() as file:
        assert {row["photo"] for row in csv.DictReader(file)} == {path.name for path in paths}


def test_too_few_installed_photos_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--content"):
        sample_photos(tmp_path, PHOTOS[:3])
