"""Intervals hold a planted truth as often as they say; the full table is ``python -m benchmarks planted``."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.planted import COUNTS, DESIGNS, LABELS, SHOTS, Design, analyse, family_errors, study, truth_of

from impasto.statistics import wilson

STUDIES = 80


def results(name: str, design: Design, studies: int = STUDIES) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(5)
    found: dict[str, list[tuple[float, float, float]]] = {}
    for _ in range(studies):
        for method, result in analyse(design, *study(generator, name, design)):
            found.setdefault("ours" if "0.12" in method else method.split(",")[0], []).append(result)
    return {method: np.array(rows) for method, rows in found.items()}


def held(rows: np.ndarray, truth: float) -> int:
    return int(((rows[:, 0] <= truth) & (truth <= rows[:, 1])).sum())


@pytest.mark.parametrize("design", [DESIGNS[0], DESIGNS[3]], ids=lambda design: design.name)
@pytest.mark.parametrize("name", ["chance", "blocks"])
def test_intervals_hold_no_difference_where_there_is_none(name: str, design: Design) -> None:
    found = results(name, design)
    for method in ("ours", "crossed_mean"):
        low, high = wilson(held(found[method], 0.0), STUDIES)
        assert low < 0.97
        assert high > 0.94
    nadeau = found["Nadeau and Bengio"]
    assert np.ptp(nadeau[:, :2], axis=1).mean() > 3 * np.ptp(found["ours"][:, :2], axis=1).mean()


def test_a_plain_t_test_is_too_sure_where_the_arms_differ_in_what_they_look_at() -> None:
    found = results("blocks", DESIGNS[0], 150)
    assert held(found["plain paired t"], 0.0) < held(found["crossed_mean"], 0.0) <= held(found["ours"], 0.0)


def test_a_difference_is_held_and_found() -> None:
    truth, error = truth_of("helps", DESIGNS[0], pools=2000)
    assert truth > 0.015
    assert error < 0.001
    ours = results("helps", DESIGNS[0])["ours"]
    assert wilson(held(ours, truth), STUDIES)[1] > 0.94
    assert (ours[:, 2] < 0.05).mean() > 0.8


def test_seven_arms_that_do_nothing() -> None:
    claims = family_errors(50)
    assert claims["crossed_mean, Holm"] <= 8
    assert claims["crossed_mean"] > claims["crossed_mean, Holm"]


def test_draws_come_in_rounds_of_disjoint_training_sets() -> None:
    _, tested = study(np.random.default_rng(0), "chance", DESIGNS[0])
    taught = ~tested
    assert taught.shape == (25, sum(COUNTS))
    for label in range(3):
        assert set(taught[:, label == LABELS].sum(axis=1)) == {SHOTS}
    rounds = min(COUNTS) // SHOTS
    for first in range(0, 25, rounds):
        assert taught[first : first + rounds].sum(axis=0).max() == 1
    assert (taught[:rounds] != taught[rounds : 2 * rounds]).any()


def test_folds_test_each_picture_once_and_fewer_can_be_tested() -> None:
    generator = np.random.default_rng(0)
    _, folds = study(generator, "blocks", Design("", folds=5))
    assert (folds.sum(axis=0) == 1).all()
    _, few = study(generator, "blocks", Design("", draws=3, tested=20))
    assert few.any(axis=0).sum() == 60


def test_two_arms_differ_on_some_pictures_of_every_study() -> None:
    for name in ("chance", "blocks", "views", "apart", "helps"):
        differences, tested = study(np.random.default_rng(1), name, DESIGNS[0])
        assert 0.01 < np.abs(differences[tested]).mean() < 0.6
