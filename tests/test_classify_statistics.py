"""Intervals, confusion and the scores that follow from it, against known values and scikit-learn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support

from impasto.classify import Confusion, Proportion, wilson
from impasto.errors import UsageError

# Labels of which one is never met and one never named, in many draws.
answers = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=40)


@pytest.mark.parametrize(("k", "n", "low", "high"), [(50, 60, 72.0, 90.7), (59, 60, 91.1, 99.7), (52, 60, 75.8, 93.1)])
def test_wilson_of_the_published_scores(k: int, n: int, low: float, high: float) -> None:
    assert [round(100 * end, 1) for end in wilson(k, n)] == [low, high]


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_holds_the_proportion_and_mirrors(pair: tuple[int, int], confidence: float) -> None:
    k, n = pair
    low, high = wilson(k, n, confidence)
    assert 0 <= low <= k / n <= high <= 1
    mirrored = wilson(n - k, n, confidence)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-9)


def test_wilson_narrows_with_n_and_widens_with_confidence() -> None:
    assert wilson(500, 600)[0] > wilson(50, 60)[0]
    assert wilson(50, 60, 0.99)[0] < wilson(50, 60)[0]


@pytest.mark.parametrize(("k", "n"), [(0, 0), (5, 4), (-1, 4)])
def test_no_proportion(k: int, n: int) -> None:
    with pytest.raises(UsageError):
        wilson(k, n)


def test_a_proportion_prints_counts_first() -> None:
    assert str(Proportion(59, 60)) == "59/60 = 98.3 % [91.1, 99.7]"


@given(answers)
def test_class_scores_are_those_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    truth, predicted = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    confusion = Confusion.of("abcd", truth, predicted)
    expected = precision_recall_fscore_support(truth, predicted, labels=list("abcd"), zero_division=0)
    for index, score in enumerate(confusion.per_class):
        found = (score.precision, score.recall, score.f1, score.support)
        assert found == pytest.approx([column[index] for column in expected])
    assert confusion.accuracy == Proportion(sum(t == p for t, p in pairs), len(pairs))
    assert sum(map(sum, confusion.counts)) == len(pairs)


def test_balanced_accuracy_is_that_of_scikit_learn() -> None:
    truth, predicted = list("aaaabbc"), list("aaabbab")
    expected = balanced_accuracy_score(truth, predicted)
    assert Confusion.of("abcd", truth, predicted).balanced_accuracy == pytest.approx(expected)


def test_rows_are_truth_and_columns_answers() -> None:
    assert Confusion.of("ab", "aab", "bab").counts == ((1, 1), (0, 1))


def test_guessing_one_class_has_half_the_balanced_accuracy() -> None:
    confusion = Confusion.of("ab", "a" * 90 + "b" * 10, "a" * 100)
    assert (confusion.accuracy.value, confusion.balanced_accuracy) == (0.9, 0.5)
