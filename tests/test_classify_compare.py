"""Two models on the same pictures: who is counted, who is left out, and what is said."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from scipy.stats import binomtest

from classify_fixtures import FakeEncoder, paint, paint_splits
from impasto.classify import Evaluation, Prediction, TrainConfig, evaluate, train
from impasto.classify.judge.compare import Comparison
from impasto.classify.judge.evaluate import _compare
from impasto.classify.judge.leaks import Leak, LeakCheck
from impasto.data.dataset import Dataset, Sample
from impasto.errors import DataError
from impasto.statistics import McNemar


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return paint_splits(tmp_path / "data")


def taught(data: Path, folder: Path) -> Path:
    config = TrainConfig(data, model="frozen:fake", device="cpu")
    return train(config, folder, encoder=FakeEncoder()).folder  # type: ignore[arg-type]


def judge(run: Path, data: Path, output: Path | None = None, **options: object) -> Evaluation:
    return evaluate(run, data, "test", output, device="cpu", encoder=FakeEncoder(), **options)  # type: ignore[arg-type]


def swapped(run: Path) -> Path:
    """A copy of a model that says red for blue."""
    other = run.with_name("other")
    shutil.copytree(run, other)
    record = json.loads((other / "config.json").read_text())
    record["classes"] = record["classes"][::-1]
    (other / "config.json").write_text(json.dumps(record))
    return other


def test_the_table_is_that_of_the_two_tables_of_predictions(data: Path, tmp_path: Path) -> None:
    run = taught(data, tmp_path / "run")
    other = swapped(run)
    for red in sorted((data / "test" / "red").iterdir())[:2]:  # what is labelled wrongly is right for the other one
        red.rename(data / "test" / "blue" / red.name)
    found = judge(run, data, tmp_path / "one", against=other)
    judge(other, data, tmp_path / "two")
    tables = []
    for folder in ("one", "two"):
        with (tmp_path / folder / "predictions.csv").open(newline="") as file:
            tables.append({row["path"]: row["correct"] == "True" for row in csv.DictReader(file)})
    one, two = tables
    b, c = sum(one[path] > two[path] for path in one), sum(one[path] < two[path] for path in one)
    assert (b, c) == (8, 2)
    assert found.against is not None
    assert (found.against.test.b, found.against.test.c) == (b, c)
    record = json.loads((tmp_path / "one" / "evaluation.json").read_text())["against"]
    assert record["p"] == pytest.approx(binomtest(8, 10).pvalue)
    assert record["difference"] == pytest.approx(0.6)
    assert (record["n"], record["other"], record["unread"], record["leaked"]) == (10, str(other), 0, 0)


def test_a_model_against_itself(data: Path, tmp_path: Path) -> None:
    run = taught(data, tmp_path / "run")
    (data / "test" / "red" / "broken.png").write_bytes(b"?")
    comparison = judge(run, data, against=run).against
    assert comparison is not None
    assert comparison.test == McNemar(10, 0, 0, 0)
    assert comparison.unread == 1


def test_pictures_that_taught_the_other_model_are_left_out(data: Path, tmp_path: Path) -> None:
    run = taught(data, tmp_path / "run")
    more = tmp_path / "more"
    shutil.copytree(data, more)
    for picture in sorted((data / "test" / "red").iterdir())[:2]:
        shutil.copy(picture, more / "train" / "red" / f"again {picture.name}")
    other = taught(more, tmp_path / "other")
    comparison = judge(run, data, against=other).against
    assert comparison is not None
    assert (comparison.test.n, comparison.leaked) == (8, 2)


def test_one_that_was_not_taught_a_class_is_named(data: Path, tmp_path: Path) -> None:
    run = taught(data, tmp_path / "run")
    third = tmp_path / "third"
    shutil.copytree(data, third)
    for seed, split in enumerate(("train", "validation", "test")):
        paint(third / split / "grey" / "g.png", "grey", seed)
    other = taught(third, tmp_path / "more classes")
    with pytest.raises(DataError, match=r"run was not taught: grey"):
        judge(other, third, against=run)


def said(*labels: str) -> list[Prediction]:
    """Predictions of these labels, unreadable where there is none."""
    return [
        Prediction(Path(f"{i}.png"), {label: 1.0}) if label else Prediction(Path(f"{i}.png"), error="cut")
        for i, label in enumerate(labels)
    ]


def test_only_pictures_that_both_could_read_and_that_are_new_to_both_count() -> None:
    data = Dataset(Path(), tuple(Sample(Path(f"{i}.png"), "a") for i in range(6)))
    checks = [LeakCheck(), LeakCheck({Path("5.png"): Leak("x", "bytes")})]
    found = _compare("other", data, (said("a", "a", "b", "", "a", "a"), said("a", "b", "b", "a", "", "a")), checks)
    assert found == Comparison("other", McNemar(both=1, b=1, c=0, neither=1), unread=2, leaked=1)
    assert "on the same 3 pictures (2 unreadable, 1 not new to both left out): 2 right against 1" in str(found)


def test_nothing_to_compare() -> None:
    data = Dataset(Path(), (Sample(Path("0.png"), "a"),))
    with pytest.raises(DataError, match="no picture"):
        _compare("other", data, (said("a"), said("")), [LeakCheck(), LeakCheck()])


def test_the_sentence() -> None:
    text = str(Comparison("runs/b", McNemar(40, 10, 2, 8), 0, 0))
    assert text == (
        "against runs/b, on the same 60 pictures: 50 right against 42; only this one is right on 10, only the other "
        "on 2; difference +13.3 points [+1.9, +24.7], exact McNemar p = 0.039"
    )
    assert "p = 1.9e-09" in str(Comparison("b", McNemar(0, 30, 0, 0), 0, 0))
