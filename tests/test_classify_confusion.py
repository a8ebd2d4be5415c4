"""Confusion and the scores that follow from it, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_recall_fscore_support

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


def test_macro_f1_is_that_of_scikit_learn_over_the_classes_that_were_met() -> None:
    truth, predicted = list("aaaabbc"), list("aaabbab")
    expected = f1_score(truth, predicted, average="macro", labels=list("abc"), zero_division=0)
    assert Confusion.of("abcd", truth, predicted).macro_f1 == pytest.approx(expected)


def test_intervals_are_those_of_a_plain_stratified_bootstrap() -> None:
    """Percentiles of resamples scored by scikit-learn; BCa differs from them by a correction of second order."""
    random = np.random.default_rng(5)
    truth = np.array(list("a" * 60 + "b" * 40 + "c" * 30))
    predicted = np.where(random.random(130) < 0.8, truth, random.choice(list("abc"), 130))
    scores = []
    for _ in range(600):
        rows = np.concatenate([random.choice(np.flatnonzero(truth == name), (truth == name).sum()) for name in "abc"])
        again, said = truth[rows], predicted[rows]
        scores.append((balanced_accuracy_score(again, said), f1_score(again, said, average="macro")))
    confusion = Confusion.of("abc", truth.tolist(), predicted.tolist())
    for interval, column in zip(confusion.intervals(), np.array(scores).T, strict=True):
        assert interval == pytest.approx(np.quantile(column, [0.025, 0.975]), abs=0.015)
    low, high = confusion.intervals()[0] or (1, 0)
    assert low < confusion.balanced_accuracy < high


def test_all_right_has_no_bootstrap_interval() -> None:
    assert Confusion.of("ab", "aabb", "aabb").intervals() == (None, None)


def test_classes_keep_their_size_in_the_bootstrap() -> None:
    """One picture of each class, one of them right: drawn from all they would differ, class by class they cannot."""
    assert Confusion.of("ab", "ab", "aa").intervals() == (None, None)


def test_a_class_that_is_absent_or_never_named_has_no_interval() -> None:
    scores = Confusion.of("abc", "aab", "aaa").per_class
    assert scores[0].record()["recall_wilson95"] == pytest.approx([0.342, 1.0], abs=1e-3)
    assert (scores[1].record()["precision"], scores[1].record()["precision_wilson95"]) == (0.0, None)
    assert (scores[2].record()["recall"], scores[2].record()["recall_wilson95"]) == (0.0, None)
