"""Calibration against constructs whose answer is known, scikit-learn, and a plain minimisation."""

from __future__ import annotations

import json
import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import brier_score_loss, log_loss

from impasto.classify.judge.calibration import Calibration, calibrate, fit_temperature
from impasto.classify.judge.confidence import (
    abstention,
    brier_score,
    expected_calibration_error,
    mean_log_loss,
    reliability,
)
from impasto.errors import NumericalError, UsageError


def draw(seed: int, n: int = 400, classes: int = 4, sharp: float = 1.0) -> tuple[npt.NDArray, npt.NDArray]:
    """Labels drawn from softmax(logits), and these logits times ``sharp``: the right temperature is ``sharp``."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (n, classes))
    labels = (softmax(logits, axis=1).cumsum(axis=1) < random.random((n, 1))).sum(axis=1)
    return logits * sharp, labels


@pytest.mark.parametrize("sharp", [0.2, 1.0, 5.0])
def test_the_temperature_of_a_sharpened_truth_is_found_again(sharp: float) -> None:
    logits, labels = draw(1, n=20_000, sharp=sharp)
    assert fit_temperature(logits, labels) == pytest.approx(sharp, rel=0.03)


def test_it_is_the_least_loss_that_a_plain_search_finds() -> None:
    logits, labels = draw(2, n=50, sharp=3)
    targets = np.full(logits.shape, 1 / 52 / 3)
    targets[np.arange(50), labels] = 51 / 52

    def loss(log_t: float) -> float:
        return -(targets * log_softmax(logits / math.exp(log_t), axis=1)).sum(axis=1).mean()

    best = minimize_scalar(loss, bounds=(-5, 5), method="bounded", options={"xatol": 1e-9})
    assert fit_temperature(logits, labels) == pytest.approx(math.exp(best.x), rel=1e-5)


@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_scaled_logits_have_a_scaled_temperature(seed: int, factor: float) -> None:
    logits, labels = draw(seed, n=30, classes=3)
    assert fit_temperature(logits * factor, labels) == pytest.approx(factor * fit_temperature(logits, labels), rel=1e-6)


@given(st.integers(0, 10_000), st.integers(2, 6))
def test_no_answer_changes(seed: int, classes: int) -> None:
    logits, labels = draw(seed, n=25, classes=classes, sharp=2)
    scaled = logits / fit_temperature(logits, labels)
    assert (softmax(scaled, axis=1).argmax(1) == logits.argmax(1)).all()


def test_a_validation_split_without_an_error_does_not_make_it_certain() -> None:
    """Two classes, logits 0 and 5: the best confidence is Platt's target, (n + 1) / (n + 2)."""
    labels = np.array([0, 1] * 10)
    logits = 5.0 * np.eye(2)[labels]
    confidence = softmax(logits / fit_temperature(logits, labels), axis=1).max(axis=1)
    assert confidence == pytest.approx(np.full(20, 21 / 22))


def test_logits_that_say_nothing_and_logits_that_are_wrong() -> None:
    assert fit_temperature(np.zeros((5, 3)), np.zeros(5)) == 1.0
    labels = np.array([0, 1] * 10)
    wrong = softmax(-np.eye(2)[labels] / fit_temperature(-np.eye(2)[labels], labels), axis=1)
    assert wrong == pytest.approx(np.full((20, 2), 0.5), abs=1e-3)


def test_before_and_after() -> None:
    logits, labels = draw(3, n=2000, sharp=4)
    found = calibrate(torch.from_numpy(logits), torch.from_numpy(labels))
    assert found.n == 2000
    assert found.before.nll == pytest.approx(log_loss(labels, softmax(logits, axis=1)))
    assert found.after.nll < found.before.nll
    assert found.after.ece < 0.05 < 0.15 < found.before.ece
    assert Calibration.from_record(json.loads(json.dumps(found.record()))) == found


@pytest.mark.parametrize("change", [{"temperature": 0}, {"temperature": "x"}, {"temperature": math.nan}, {"n": None}])
def test_a_record_that_is_none(change: dict[str, object]) -> None:
    record = calibrate(*draw(1)).record() | change
    with pytest.raises((ValueError, TypeError)):
        Calibration.from_record(record)


def test_what_cannot_be_calibrated() -> None:
    with pytest.raises(UsageError):
        calibrate(np.zeros((0, 3)), np.zeros(0))
    with pytest.raises(UsageError):
        calibrate(np.zeros((4, 3)), np.zeros(3))
    with pytest.raises(NumericalError):
        calibrate(np.full((4, 3), np.nan), np.zeros(4))


def test_ece_by_hand() -> None:
    """Two bins of two: confidences 0.6 and 0.7 with one right, 0.9 and 1 with both right."""
    bins = reliability(np.array([0.9, 0.6, 1.0, 0.7]), np.array([True, False, True, True]), bins=2)
    assert [(item.right.k, item.right.n) for item in bins] == [(1, 2), (2, 2)]
    assert expected_calibration_error(bins) == pytest.approx(0.5 * 0.15 + 0.5 * 0.05)


@given(st.lists(st.tuples(st.integers(1, 10), st.integers(1, 5)), min_size=1, max_size=8, unique_by=lambda t: t[0]))
def test_the_error_of_a_perfectly_calibrated_classifier_is_nothing(groups: list[tuple[int, int]]) -> None:
    """Of every ten answers with confidence k / 10, k are right."""
    confidence = np.concatenate([np.full(10 * times, k / 10) for k, times in groups])
    correct = np.concatenate([np.arange(10 * times) % 10 < k for k, times in groups])
    assert expected_calibration_error(reliability(confidence, correct)) == pytest.approx(0, abs=1e-12)


@given(st.lists(st.tuples(st.sampled_from([0.3, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=50), st.randoms())
def test_bins_do_not_depend_on_the_order(pairs: list[tuple[float, bool]], random: object) -> None:
    shuffled = list(pairs)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    bins = [reliability(*(np.array(column) for column in zip(*rows, strict=True))) for rows in (pairs, shuffled)]
    assert [item.right for item in bins[0]] == [item.right for item in bins[1]]
    assert sum(item.right.n for item in bins[0]) == len(pairs)


@pytest.mark.parametrize(("n", "bins"), [(1, 1), (19, 1), (60, 6), (149, 14), (1000, 15)])
def test_no_more_than_fifteen_bins_and_none_of_a_few_pictures(n: int, bins: int) -> None:
    confidence = np.random.default_rng(0).random(n)
    assert len(reliability(confidence, confidence > 0.5)) == bins


def test_fifteen_bins_of_equal_mass() -> None:
    confidence = np.random.default_rng(0).random(150)
    assert [item.right.n for item in reliability(confidence, confidence > 0.5)] == [10] * 15


@given(st.integers(0, 1000), st.integers(2, 5))
def test_scores_of_distributions_are_those_of_scikit_learn(seed: int, classes: int) -> None:
    logits, labels = draw(seed, n=40, classes=classes)
    assume(len(set(labels.tolist())) == classes)
    shares = softmax(logits, axis=1)
    assert mean_log_loss(shares, labels) == pytest.approx(log_loss(labels, shares))
    binary = [brier_score_loss(labels == index, shares[:, index]) for index in range(classes)]
    assert brier_score(shares, labels) == pytest.approx(sum(binary))


def test_certainty_of_the_wrong_class_is_no_infinity() -> None:
    assert mean_log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-math.log(np.finfo(float).eps))


def test_silence_below_a_threshold() -> None:
    rows = abstention(np.array([0.55, 0.8, 0.92, 0.97]), np.array([False, True, False, True]))
    found = {row.threshold: (row.answered.k, row.right and row.right.k) for row in rows}
    assert found == {0.5: (4, 2), 0.6: (3, 2), 0.7: (3, 2), 0.8: (3, 2), 0.9: (2, 1), 0.95: (1, 1), 0.99: (0, None)}
