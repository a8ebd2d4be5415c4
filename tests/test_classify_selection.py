"""Greedy selection: by hand, and what must hold for any models."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from impasto.classify.judge.confidence import mean_log_loss
from impasto.classify.selection import select
from impasto.errors import UsageError


def models(seed: int, count: int, n: int = 20, classes: int = 3) -> tuple[list[npt.NDArray], npt.NDArray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    found = []
    for _ in range(count):
        shares = random.dirichlet(np.ones(classes), n)
        shares[np.arange(n), labels] += random.uniform(0, 0.5)
        found.append(shares / shares.sum(axis=1, keepdims=True))
    return found, labels


@given(st.integers(0, 10_000), st.integers(1, 6))
@example(13, 6)  # five models to begin with, and five additions
def test_each_step_is_what_it_says_and_the_last_is_the_best(seed: int, count: int) -> None:
    shares, labels = models(seed, count, n=80, classes=4)
    steps = select(shares, labels)
    for number, step in enumerate(steps, 1):
        mean = np.mean([shares[item.member] for item in steps[:number]], axis=0)
        assert step.right.k == (mean.argmax(axis=1) == labels).sum()
        assert step.nll == pytest.approx(mean_log_loss(mean, labels))
    assert max(steps, key=lambda step: step.rank) == steps[-1]
    best = max((int((row.argmax(axis=1) == labels).sum()), -mean_log_loss(row, labels)) for row in shares)
    assert steps[-1].rank >= (best[0], best[1] - 1e-12)
    assert steps == select(shares, labels)


@pytest.mark.parametrize("seed", [1, 13, 44, 49])
def test_it_adds_what_a_plain_search_would_add(seed: int) -> None:
    shares, labels = models(seed, 6, n=80, classes=4)

    def rank(bag: list[int]) -> tuple[int, float]:
        mean = np.mean([shares[index] for index in bag], axis=0)
        return int((mean.argmax(axis=1) == labels).sum()), -mean_log_loss(mean, labels)

    order = sorted(range(6), key=lambda index: rank([index]), reverse=True)
    bag = max((order[:count] for count in range(1, 7)), key=rank)
    begun = len(bag)
    while rank([*bag, best := max(range(6), key=lambda index: rank([*bag, index]))]) > rank(bag):
        bag = [*bag, best]
    assert len(bag) > begun + 1
    assert [step.member for step in select(shares, labels)] == bag


def test_two_that_complete_each_other_are_taken_and_a_bad_one_is_not() -> None:
    """Models 0 and 1 are each sure of another half and undecidedly wrong on the rest; model 2 is always wrong."""
    labels = np.array([0, 0, 1, 1])
    first = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    second = np.array([[0.4, 0.6], [0.4, 0.6], [0.1, 0.9], [0.1, 0.9]])
    steps = select([1 - np.eye(2)[labels], first, second], labels)
    assert Counter(step.member for step in steps[:2]) == {1: 1, 2: 1}
    assert 0 not in {step.member for step in steps}
    assert (steps[0].right.k, steps[1].right.k) == (2, 4)


def test_sorted_initialisation_takes_the_best_first() -> None:
    shares, labels = models(3, 4, n=200)
    right = [int((row.argmax(axis=1) == labels).sum()) for row in shares]
    assert select(shares, labels)[0].member == int(np.argmax(right))


def test_copies_of_one_model_are_that_model_once() -> None:
    (shares,), labels = models(0, 1)
    assert [step.member for step in select([shares, shares, shares], labels)] == [0]


def test_nothing_to_choose_from() -> None:
    with pytest.raises(UsageError):
        select([], np.array([0]))
    with pytest.raises(UsageError):
        select([np.zeros((0, 2))], np.zeros(0, dtype=np.int64))
