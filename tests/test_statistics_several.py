"""Holm's adjustment and the sign test against hand-worked values and their definitions."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from impasto.errors import UsageError
from impasto.statistics import SignTest, holm, sign_test

p_values = st.lists(st.floats(0, 1), max_size=12)


def test_holm_by_hand() -> None:
    """0.01 x 4 = 0.04; 0.02 x 3 = 0.06; 0.022 x 2 = 0.044, which may not fall below 0.06; 0.9 x 1."""
    assert holm([0.022, 0.9, 0.01, 0.02]) == pytest.approx([0.06, 0.9, 0.04, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


@given(p_values)
def test_holm_lies_between_the_raw_values_and_bonferroni_and_keeps_their_order(values: list[float]) -> None:
    adjusted = holm(values)
    for raw, held in zip(values, adjusted, strict=True):
        assert raw <= held <= min(1.0, len(values) * raw) + 1e-12
    order = sorted(range(len(values)), key=values.__getitem__)
    assert [adjusted[place] for place in order] == sorted(adjusted)


@given(p_values.flatmap(lambda values: st.tuples(st.just(values), st.permutations(range(len(values))))))
def test_holm_does_not_know_the_order_of_the_tests(pair: tuple[list[float], list[int]]) -> None:
    values, order = pair
    assert holm([values[place] for place in order]) == [holm(values)[place] for place in order]


@given(p_values, st.floats(0.001, 0.2))
def test_holm_rejects_what_the_step_down_procedure_rejects(values: list[float], level: float) -> None:
    """Its definition: from the smallest on, reject while the value is at most level / (tests that are left)."""
    rejected, left = set(), len(values)
    for place in sorted(range(len(values)), key=values.__getitem__):
        if left * values[place] > level:
            break
        rejected.add(place)
        left -= 1
    assert {place for place, value in enumerate(holm(values)) if value <= level} == rejected


@pytest.mark.parametrize("value", [math.nan, -0.1, 1.1, math.inf])
def test_what_is_no_p_value(value: float) -> None:
    with pytest.raises(UsageError, match="no p-value"):
        holm([0.1, value])


def test_signs_by_hand() -> None:
    test = sign_test([0.1, 0.2, -0.1, 0.0, 0.3, 0.1, 0.2])
    assert (test.positive, test.negative, test.ties) == (5, 1, 1)
    assert test.p == pytest.approx(2 * (1 + 6) / 2**6)
    assert test.record() == {"positive": 5, "negative": 1, "ties": 1, "p": test.p}


def test_counts_of_arrays_can_be_written() -> None:
    assert json.loads(json.dumps(sign_test(np.array([0.1, -0.2, 0.3])).record()))["positive"] == 2
    assert json.loads(json.dumps(holm(np.array([0.01, 0.2])))) == [0.02, 0.2]


def test_seven_of_seven_is_the_least_that_seven_draws_can_say() -> None:
    assert sign_test([0.01] * 7).p == pytest.approx(2 / 2**7)
    assert sign_test([-0.01] * 7).p == pytest.approx(2 / 2**7)


def test_nothing_is_left() -> None:
    assert sign_test([]).p == 1.0
    assert sign_test([0.0, -0.0]) == SignTest(0, 0, 2)
    assert sign_test([0.0]).p == 1.0
    assert SignTest(3, 3, 0).p == 1.0


@given(st.lists(st.floats(-1, 1), max_size=20))
def test_exchanging_the_arms_keeps_the_p_value(differences: list[float]) -> None:
    there, back = sign_test(differences), sign_test([-value for value in differences])
    assert (there.positive, there.negative) == (back.negative, back.positive)
    assert there.p == pytest.approx(back.p)


def test_a_difference_that_is_not_a_number() -> None:
    with pytest.raises(UsageError, match="not a number"):
        sign_test([0.1, math.nan])
