"""Scores of an order, against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, top_k_accuracy_score

from impasto.classify.judge.ranking import macro_area, one_against_rest, top_k


@given(st.integers(0, 10_000), st.integers(2, 7), st.integers(1, 40))
def test_areas_are_those_of_scikit_learn(seed: int, classes: int, n: int) -> None:
    """With many ties, and with classes that are absent or the only one."""
    random = np.random.default_rng(seed)
    shares, labels = random.integers(0, 4, (n, classes)) / 4, random.integers(0, classes, n)
    for index, area in enumerate(one_against_rest(shares, labels)):
        if 0 < (labels == index).sum() < n:
            assert area == pytest.approx(roc_auc_score(labels == index, shares[:, index]))
        else:
            assert area is None


def test_an_area_by_hand() -> None:
    """Of class 1 the scores 0.8 and 0.4, of the other 0.5 and 0.1: three of four pairs are in order."""
    second = np.array([0.8, 0.4, 0.5, 0.1])
    found = one_against_rest(np.stack([1 - second, second, 0 * second], axis=1), np.array([1, 1, 0, 0]))
    assert found == [0.75, 0.75, None]
    assert macro_area(found) == 0.75
    assert macro_area([None]) is None


@given(st.integers(0, 10_000), st.integers(2, 8))
def test_top_k_is_that_of_scikit_learn_and_grows(seed: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    shares, labels = random.random((30, classes)), random.integers(0, classes, 30)
    found = top_k(shares, labels)
    assert list(found) == [k for k in (3, 5) if k < classes]
    for k, share in found.items():
        expected = top_k_accuracy_score(labels, shares, k=k, labels=np.arange(classes), normalize=False)
        assert share.k == expected
    assert sorted(share.k for share in found.values()) == [share.k for share in found.values()]
