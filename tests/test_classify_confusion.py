"""Confusion and the scores that follow from it, against scikit-learn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support

from impasto.classify import Confusion
from impasto.statistics import Proportion

# Labels of which one is never met and one never named, in many draws.
answers = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=40)


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
