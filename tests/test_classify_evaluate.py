"""Scores: what is counted, what is written, what has been seen before."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from classify_fixtures import FakeEncoder, paint, paint_classes, paint_splits
from impasto.classify import Evaluation, Proportion, TrainConfig, evaluate, train
from impasto.errors import DataError, RunError, UnknownNameError
from impasto.report.scores import read_evaluation, read_predictions


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return paint_splits(tmp_path / "data")


@pytest.fixture
def run(data: Path, tmp_path: Path) -> Path:
    config = TrainConfig(data, model="frozen:fake", device="cpu")
    return train(config, tmp_path / "run", encoder=FakeEncoder()).folder  # type: ignore[arg-type]


def judge(run: Path, data: Path, split: str = "test", output: Path | None = None) -> Evaluation:
    return evaluate(run, data, split, output, device="cpu", encoder=FakeEncoder())  # type: ignore[arg-type]


def mislabel(data: Path) -> None:
    """Let one red test picture pass for blue."""
    path = min((data / "test" / "red").iterdir())
    path.rename(data / "test" / "blue" / path.name)


def test_the_record(run: Path, data: Path, tmp_path: Path) -> None:
    mislabel(data)
    (data / "test" / "red" / "broken.png").write_bytes(b"?")
    record = judge(run, data, output=tmp_path / "out").record()
    assert record == json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (record["split"], record["n_evaluated"], record["n_available"], record["correct"]) == ("test", 10, 11, 9)
    assert record["wilson95"] == pytest.approx([0.596, 0.982], abs=1e-3)
    assert record["confusion"] == [[5, 1], [0, 4]]
    assert record["per_class"][0] == {
        "class": "blue",
        "support": 6,
        "named": 5,
        "correct": 5,
        "precision": 1.0,
        "precision_wilson95": [pytest.approx(0.5655, abs=1e-4), 1.0],
        "recall": pytest.approx(5 / 6),
        "recall_wilson95": pytest.approx([0.4365, 0.9699], abs=1e-4),
        "f1": pytest.approx(10 / 11),
        "auc": pytest.approx(5 / 6),
    }
    assert record["balanced_accuracy"] == pytest.approx((5 / 6 + 1) / 2)
    assert record["skipped"][0]["path"] == "test/red/broken.png"
    assert record["skipped"][0]["reason"].startswith("cannot be read")
    assert record["model"]["model"] == "frozen:fake"


def test_one_row_a_picture(run: Path, data: Path, tmp_path: Path) -> None:
    mislabel(data)
    judge(run, data, output=tmp_path / "out")
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "label", "predicted", "correct", "probability", "p:blue", "p:red"]
    assert {(data / row["path"]).is_file() for row in rows} == {True}
    assert len(rows) == 10
    assert [row["correct"] for row in rows].count("False") == 1
    for row in rows:
        shares = [float(row["p:blue"]), float(row["p:red"])]
        assert sum(shares) == pytest.approx(1)
        assert float(row["probability"]) == max(shares)
        assert row["predicted"] == ("blue", "red")[shares.index(max(shares))]


def test_the_report_reads_it(run: Path, data: Path, tmp_path: Path) -> None:
    mislabel(data)
    judge(run, data, output=tmp_path / "out")
    evaluation = read_evaluation(tmp_path / "out" / "evaluation.json")
    assert evaluation
    assert len(read_predictions(tmp_path / "out" / "predictions.csv", evaluation)) == 10


def test_nothing_is_written_without_an_output(run: Path, data: Path) -> None:
    before = sorted(run.rglob("*"))
    judge(run, data)
    assert sorted(run.rglob("*")) == before


def test_pictures_of_train_in_test_are_found_and_scored_apart(run: Path, data: Path) -> None:
    """The mistake of R2: training images copied, not moved, to the test folder."""
    mislabel(data)
    for i, path in enumerate(sorted((data / "train" / "red").iterdir())[:3]):
        shutil.copy(path, data / "test" / "red" / f"copy{i}.png")
    evaluation = judge(run, data)
    assert [item.name for item in evaluation.leaked] == [f"test/red/copy{i}.png" for i in range(3)]
    assert evaluation.record()["trained_on"] == [item.name for item in evaluation.leaked]
    assert evaluation.accuracy == Proportion(12, 13)
    assert evaluation.accuracy_without_leaked == Proportion(9, 10)


def test_nearly_the_same_pictures_are_found_and_scored_apart(run: Path, data: Path, tmp_path: Path) -> None:
    """Other bytes and another size."""
    mislabel(data)
    with Image.open(data / "train" / "blue" / "blue0.png") as image:
        image.resize((48, 40), Image.Resampling.BICUBIC).save(data / "test" / "blue" / "larger.png")
    evaluation = judge(run, data, output=tmp_path / "out")
    assert evaluation.accuracy_without_leaked == Proportion(9, 10)
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert record["leaks"] == [{"path": "test/blue/larger.png", "of": "train/blue/blue0.png", "kind": "features"}]
    assert (record["without_leaks"]["correct"], record["without_leaks"]["n"]) == (9, 10)
    assert record["leak_check"] == {"taught": 24, "compared": 24}


def test_a_repaint_of_a_photo_that_was_taught_is_not_new(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number in range(12):
        split = "train" if number < 6 else "validation" if number < 9 else "test"
        for colour in ("blue", "red"):
            paint(
                data / split / colour / f"photo{number % 11} {'abc'[number % 3]}.png", colour, 50 * number + len(colour)
            )
    rows = ["output,label,split,group"]
    for path in sorted(data.rglob("*.png")):
        name = path.relative_to(data).as_posix()
        rows.append(f"{name},{path.parent.name},{path.parent.parent.name},{path.name.split()[0]}")
    (data / "manifest.csv").write_text("\n".join(rows) + "\n")
    config = TrainConfig(data, model="frozen:fake", device="cpu")
    run = train(config, tmp_path / "run", encoder=FakeEncoder()).folder  # type: ignore[arg-type]
    leaks = {item.name: item.leak for item in judge(run, data).leaked}
    assert {name: leak and leak.kind for name, leak in leaks.items()} == {
        "test/blue/photo0 c.png": "group",
        "test/red/photo0 c.png": "group",
    }


def test_without_the_training_pictures_only_bytes_are_compared_and_it_says_so(
    run: Path, data: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "elsewhere"
    shutil.copytree(data / "test", alone / "test")
    shutil.copy(data / "train" / "red" / "red1000.png", alone / "test" / "red" / "copy.png")
    evaluation = judge(run, alone)
    assert [item.name for item in evaluation.leaked] == ["test/red/copy.png"]
    assert (evaluation.check.taught, evaluation.check.compared) == (24, 1)


def test_each_split_knows_what_it_must_not_contain(run: Path, data: Path) -> None:
    assert not judge(run, data, "train").leaked
    assert not judge(run, data, "validation").leaked
    everything = judge(run, data, "all")
    assert everything.accuracy.n == 34
    assert everything.accuracy_without_leaked == Proportion(10, 10)
    shutil.copytree(data / "train", data / "validation", dirs_exist_ok=True)
    assert len(judge(run, data, "validation").leaked) == 16


def test_another_folder_has_no_split_of_ours(run: Path, tmp_path: Path) -> None:
    other = paint_classes(tmp_path / "other", 3, first=700)
    with pytest.raises(DataError, match=r"no test split.*--split all"):
        judge(run, other)
    assert judge(run, other, "all").accuracy == Proportion(6, 6)


def test_a_data_set_that_moved_keeps_its_split(tmp_path: Path) -> None:
    data = paint_classes(tmp_path / "before", 20)
    config = TrainConfig(data, model="frozen:fake", device="cpu")
    run = train(config, tmp_path / "run", encoder=FakeEncoder()).folder  # type: ignore[arg-type]
    names = [item.name for item in judge(run, data).judged]
    moved = data.rename(tmp_path / "after")
    paint(moved / "red" / "new.png", "red", 9999)  # never dealt, so in no split
    assert [item.name for item in judge(run, moved).judged] == names


def test_classes_the_model_was_not_taught(run: Path, data: Path) -> None:
    paint(data / "test" / "green" / "a.png", "green", 1)
    with pytest.raises(DataError, match=r"not taught: green.*It knows blue, red"):
        judge(run, data)


def test_an_unknown_split(run: Path, data: Path) -> None:
    with pytest.raises(UnknownNameError, match="test"):
        judge(run, data, "tset")


def test_nothing_readable(run: Path, data: Path) -> None:
    for path in (data / "test").rglob("*.png"):
        path.write_bytes(b"?")
    with pytest.raises(DataError, match="none of the 10 pictures"):
        judge(run, data)


def test_a_damaged_split_table(run: Path, data: Path) -> None:
    (run / "split.csv").write_text("path,split\na,b\n")
    with pytest.raises(RunError, match=r"split\.csv is damaged"):
        judge(run, data)


def test_a_model_without_split_table_can_be_judged(run: Path, data: Path) -> None:
    """A folder that someone handed on with the weights and the configuration only."""
    (run / "split.csv").unlink()
    assert judge(run, data).accuracy == Proportion(10, 10)
