"""Views: which pixels are looked at, that nothing is lost, and that large pictures stay cheap."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from classify_fixtures import FakeEncoder, paint, paint_splits
from impasto.classify import VIEWS, Classifier, Preprocessing, TrainConfig, train
from impasto.classify.views import _starts, squares
from impasto.errors import UnknownNameError

SMALL = Preprocessing(16)


def bands(width: int, height: int) -> Image.Image:
    """A picture whose red grows to the right and whose green grows downwards."""
    red = np.linspace(0, 255, width)[None, :].repeat(height, axis=0)
    green = np.linspace(0, 255, height)[:, None].repeat(width, axis=1)
    return Image.fromarray(np.stack([red, green, 0 * red], axis=2).round().astype(np.uint8))


def test_the_centre_is_the_preprocessing_alone() -> None:
    image = bands(60, 40)
    assert torch.equal(squares(image, SMALL, "whole"), SMALL(image)[None])


def test_a_mirror_image_is_added() -> None:
    found = squares(bands(60, 40), SMALL, "mirror")
    assert torch.equal(found[0], SMALL(bands(60, 40)))
    assert torch.equal(found[1], found[0].flip(2))


@pytest.mark.parametrize("size", [(100, 40), (40, 100), (40, 40), (41, 40), (399, 40)])
def test_squares_along_the_long_side_hold_both_ends(size: tuple[int, int]) -> None:
    found = squares(bands(*size), SMALL, "slide")
    count = -(-max(size) // min(size))
    assert len(found) == 2 * count
    channel = 0 if size[0] >= size[1] else 1
    assert found[0, channel].min() < 16
    assert found[count - 1, channel].max() > 239
    assert torch.equal(found[count:], found[:count].flip(3))
    plain = [int(part[channel].float().mean()) for part in found[:count]]
    assert plain == sorted(plain)


@given(st.integers(1, 300), st.integers(1, 60), st.sampled_from([1.0, 0.75]))
def test_squares_cover_a_side_without_a_gap(extra: int, side: int, stride: float) -> None:
    starts = _starts(side + extra, side, stride)
    assert (starts[0], starts[-1]) == (0, extra)
    steps = np.diff(starts)
    if len(starts) < 16:
        assert (steps <= stride * side + 1).all()
    assert len(starts) <= 16


def test_a_ribbon_has_no_thousand_squares() -> None:
    assert len(squares(Image.new("RGB", (30_000, 10)), SMALL, "slide")) == 32


@pytest.mark.parametrize(("short", "across"), [(31, 0), (32, 3), (48, 4), (64, 5), (640, 5)])
def test_patches_are_of_two_to_four_times_the_input_and_none_of_small_pictures(short: int, across: int) -> None:
    found = squares(bands(short, short), SMALL, "patches")
    assert len(found) == 1 + across**2
    assert torch.equal(found[0], SMALL(bands(short, short)))
    if across:
        assert found[1, :2].max() < 140
        assert found[-1, :2].min() > 115


def test_a_patch_has_the_sharpness_of_the_picture() -> None:
    """At twice the input nothing is scaled: patches are pixels of the file."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    found = squares(Image.fromarray(noise), SMALL, "patches")
    assert (found[1].numpy().transpose(1, 2, 0) == noise[:16, :16]).all()
    assert (found[-1].numpy().transpose(1, 2, 0) == noise[-16:, -16:]).all()


def test_unknown_views_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="mirror"):
        squares(bands(20, 20), SMALL, "miror")


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    data = paint_splits(tmp_path / "data")
    config = TrainConfig(data, model="frozen:fake", device="cpu")
    run = train(config, tmp_path / "run", encoder=FakeEncoder()).folder  # type: ignore[arg-type]
    return Classifier.load(run, device="cpu", encoder=FakeEncoder())  # type: ignore[arg-type]


@pytest.mark.parametrize("views", VIEWS)
def test_probabilities_of_views_are_averaged(classifier: Classifier, tmp_path: Path, views: str) -> None:
    picture = paint(tmp_path / "wide.png", "red", 5, (90, 40))
    logits = classifier.logits(squares(Image.open(picture), classifier.preprocessing, views).float() / 255)
    expected = (logits / classifier.temperature).softmax(1).mean(0)
    for batch_size in (1, 32):
        (found,) = classifier.predict([picture], views=views, batch_size=batch_size)
        assert list(found.probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize("views", VIEWS)
def test_files_that_cannot_be_read_do_not_stop_the_others(classifier: Classifier, tmp_path: Path, views: str) -> None:
    good = [paint(tmp_path / f"{i}.png", "blue", i, (40, 90)) for i in range(6)]
    found = classifier.predict([tmp_path / "absent.png", *good], views=views)
    assert [bool(item.error) for item in found] == [True] + [False] * 6
    assert found[0].error == "cannot be read as a picture: it does not exist."
    assert {item.label for item in found[1:]} == {"blue"}


def test_only_the_centre_is_kept_in_the_cache(classifier: Classifier, tmp_path: Path) -> None:
    picture = paint(tmp_path / "one.png", "red", 5)
    encoder = classifier.encoder
    for views, seen in (("mirror", 2), ("mirror", 2), ("whole", 1), ("whole", 0)):
        before = encoder.seen  # type: ignore[union-attr]
        classifier.predict([picture], views=views, cached=True)
        assert encoder.seen - before == seen  # type: ignore[union-attr]


def test_predict_refuses_unknown_views_before_it_reads(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="slide"):
        classifier.predict([tmp_path / "absent.png"], views="slides")


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory in kilobytes, as Linux gives it")
@pytest.mark.parametrize("views", ["slide", "patches"])
def test_a_large_painting_does_not_take_gigabytes(views: str) -> None:
    """8000 x 6000 pixels are 144 MB; half as much again for a square and its scaling."""
    image = Image.new("RGB", (8000, 6000), "white")
    image.load()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    squares(image, Preprocessing(224), views)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000
