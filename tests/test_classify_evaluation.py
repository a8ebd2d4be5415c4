"""The record of an evaluation: counts that must add up, scores against scikit-learn, and JSON that is JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import balanced_accuracy_score, log_loss, roc_auc_score

from impasto.classify import Confusion, Evaluation, Prediction
from impasto.classify.judge.evaluation import Judged
from impasto.classify.judge.leaks import LeakCheck
from impasto.data.dataset import Sample
from impasto.errors import UsageError

CLASSES = ("a", "b", "c", "d")


def evaluation(n: int = 40, classes: tuple[str, ...] = CLASSES, met: int | None = None, seed: int = 0) -> Evaluation:
    """Random answers; only the first ``met`` classes have pictures."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, met or len(classes), n)
    shares = random.dirichlet(np.ones(len(classes)), n)
    shares[np.arange(n), truth] += 0.4
    shares /= shares.sum(axis=1, keepdims=True)
    predictions = [
        Prediction(Path(f"{i}.png"), dict(zip(classes, row.tolist(), strict=True))) for i, row in enumerate(shares)
    ]
    judged = tuple(
        Judged(Sample(item.path, classes[label]), item.path.name, item, None)
        for item, label in zip(predictions, truth, strict=True)
    )
    confusion = Confusion.of(classes, [item.sample.label for item in judged], [item.label for item in predictions])
    return Evaluation("test", n + 1, confusion, judged, (("bad.png", "cut"),), {"model": "x"}, LeakCheck())


def no_constant(name: str) -> NoReturn:
    raise AssertionError(f"{name} is no JSON")


def test_the_scores_are_those_of_scikit_learn() -> None:
    found = evaluation()
    truth = [item.sample.label for item in found.judged]
    said = [item.prediction.label for item in found.judged]
    shares = np.array([list(item.prediction.probabilities.values()) for item in found.judged])
    record = found.record()
    assert record["correct"] == sum(one == other for one, other in zip(truth, said, strict=True))
    assert record["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, said))
    assert record["macro_auc"] == pytest.approx(roc_auc_score(truth, shares, multi_class="ovr", labels=list(CLASSES)))
    assert record["calibration"]["nll"] == pytest.approx(log_loss(truth, shares, labels=list(CLASSES)))
    low, high = record["balanced_accuracy_bca95"]
    assert low < record["balanced_accuracy"] < high
    assert (record["n_evaluated"], record["n_skipped"], record["n_available"]) == (40, 1, 41)
    assert list(record["top_k"]) == ["3"]


@given(st.integers(1, 25), st.integers(2, 7), st.integers(0, 1000))
def test_the_counts_of_a_record_add_up(n: int, classes: int, seed: int) -> None:
    record = evaluation(n, tuple("abcdefg"[:classes]), seed=seed).record()
    assert sum(map(sum, record["confusion"])) == record["n_evaluated"] == n
    assert sum(entry["correct"] for entry in record["per_class"]) == record["correct"]
    assert sum(entry["support"] for entry in record["per_class"]) == n
    assert sum(entry["right"]["n"] for entry in record["calibration"]["reliability"]) == n
    assert sum(entry["right"]["k"] for entry in record["calibration"]["reliability"]) == record["correct"]
    answered = [entry["answered"]["k"] for entry in record["abstention"]]
    assert answered == sorted(answered, reverse=True)
    assert all(
        entry["right"] is None or entry["right"]["n"] == entry["answered"]["k"] for entry in record["abstention"]
    )


@pytest.mark.parametrize("met", [1, 2, 3])
def test_a_class_without_pictures_leaves_valid_json_and_figures(tmp_path: Path, met: int) -> None:
    evaluation(met=met).save(tmp_path)
    record = json.loads((tmp_path / "evaluation.json").read_text(), parse_constant=no_constant)
    areas = [entry["auc"] for entry in record["per_class"]]
    assert [area is None for area in areas] == ([False] * met + [True] * (4 - met) if met > 1 else [True] * 4)
    assert (record["macro_auc"] is None) == (met == 1)
    for name in ("reliability.png", "roc.png"):
        with Image.open(tmp_path / name) as figure:
            assert figure.size == (736, 768)


def test_one_picture_can_be_judged(tmp_path: Path) -> None:
    evaluation(1).save(tmp_path)
    record = json.loads((tmp_path / "evaluation.json").read_text(), parse_constant=no_constant)
    assert record["balanced_accuracy_bca95"] is None


def test_figures_take_any_class_name_and_are_the_same_bytes_again(tmp_path: Path) -> None:
    names = ("_hidden", "$no$ math", "日本画", "a" * 90, *(f"class {i}" for i in range(12)))
    for folder in ("one", "two"):
        evaluation(200, names).save(tmp_path / folder)
    for name in ("reliability.png", "roc.png", "evaluation.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_scores_that_cannot_be_are_refused() -> None:
    sound = evaluation()
    other = evaluation(seed=9)
    with pytest.raises(UsageError, match="contradict"):
        replace(sound, n_available=40)
    with pytest.raises(UsageError, match="contradict"):
        replace(sound, judged=sound.judged[1:])
    with pytest.raises(UsageError, match="contradict"):
        replace(sound, confusion=Confusion.of(CLASSES, "a" * 40, "a" * 40))
    with pytest.raises(UsageError, match="contradict"):
        replace(sound, judged=other.judged, confusion=Confusion.of(CLASSES, "a" * 41, "a" * 41))
    wrong = replace(sound.judged[0], prediction=Prediction(Path("x"), {"b": 1.0, "a": 0.0, "c": 0.0, "d": 0.0}))
    with pytest.raises(UsageError, match="contradict"):
        replace(sound, judged=(wrong, *sound.judged[1:]))
