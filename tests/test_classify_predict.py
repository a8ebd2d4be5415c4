"""``predict`` through the entry point: formats, abstention, standard input, files with errors, streaming."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest
import torch

from classify_fixtures import paint, paint_classes
from cli_fixtures import Program
from impasto.classify import Classifier, Preprocessing
from impasto.classify.models import R0CNN
from impasto.cli import predict

CLASSES = ("blue", "red", "straße")


@pytest.fixture
def impasto(program: Program) -> Program:
    """Run the program beside a folder ``data`` of ten pictures and an untrained model ``run``."""
    paint_classes(Path("data"), 5)
    config = {"model": "r0-cnn", "classes": CLASSES, "preprocessing": Preprocessing(24).record(), "encoder": None}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        Classifier(config, R0CNN(3, 24).requires_grad_(False)).save(Path("run"))
    return program


def expected(*paths: str | Path) -> list[list[tuple[str, float]]]:
    return [item.top(3) for item in Classifier.load("run", device="cpu").predict(paths)]


def pictures() -> list[Path]:
    return sorted(Path("data").rglob("*.png"))


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def test_a_table_for_people(impasto: Program) -> None:
    result = impasto("predict", "run", "data", "--top", 2)
    assert result.code == 0
    label, share = expected(pictures()[0])[0][0]
    assert f"{label} {share:.1%}" in result.out
    assert [result.out.count(f" {rank}. ") for rank in (1, 2, 3)] == [1, 1, 0]


def test_csv_json_and_json_lines_say_the_same(impasto: Program) -> None:
    paths = pictures()[3:6]
    table = rows(impasto("predict", "run", *paths, "--format", "csv").out)
    lines = [json.loads(line) for line in impasto("predict", "run", *paths, "--format", "jsonl").out.splitlines()]
    assert json.loads(impasto("predict", "run", *paths, "--format", "json").out) == lines
    assert json.loads(impasto("predict", "run", *paths, "--json").out) == lines
    for path, row, line, best in zip(paths, table, lines, expected(*paths), strict=True):
        assert (row["path"], row["label"], row["abstained"], row["error"]) == (str(path), best[0][0], "False", "")
        for rank, (label, share) in enumerate(best, 1):
            assert row[f"class_{rank}"] == label
            assert float(row[f"probability_{rank}"]) == pytest.approx(share, abs=1e-6)
        assert float(row["probability"]) == float(row["probability_1"]) == line["probability"]
        assert (line["path"], line["label"], line["abstained"]) == (str(path), best[0][0], False)
        assert [item["label"] for item in line["top"]] == [label for label, _ in best]


def test_an_unsure_picture_has_no_label(impasto: Program) -> None:
    paths = pictures()
    shares = sorted(best[0][1] for best in expected(*paths))
    limit = (shares[4] + shares[5]) / 2
    found = rows(impasto("predict", "run", "data", "--abstain", limit, "--format", "csv").out)
    for row, best in zip(found, expected(*paths), strict=True):
        unsure = best[0][1] < limit
        assert (row["abstained"], row["label"]) == (str(unsure), "" if unsure else best[0][0])
        assert (row["class_1"], float(row["probability"])) == (best[0][0], pytest.approx(best[0][1], abs=1e-6))
    assert sum(row["abstained"] == "True" for row in found) == 5
    table = impasto("predict", "run", "data", "--abstain", limit).out
    label, share = expected(paths[0])[0][0]
    assert table.count("unsure (") == 5
    assert all(
        not json.loads(line)["abstained"]
        for line in impasto("predict", "run", "data", "--format", "jsonl").out.splitlines()
    )
    sure = impasto("predict", "run", paths[0], "--abstain", 1).out
    assert f"unsure ({label} {100 * share:.0f} %)" in sure


def test_unreadable_pictures_are_rows_with_an_error_and_the_rest_goes_on(impasto: Program) -> None:
    Path("bad.png").write_bytes(b"?")
    good = pictures()[0]
    result = impasto("predict", "run", "bad.png", good, "absent.png", "--format", "csv")
    assert result.code == 0
    found = rows(result.out)
    assert [row["path"] for row in found] == ["bad.png", str(good), "absent.png"]
    assert [bool(row["error"]) for row in found] == [True, False, True]
    assert [row["label"] == "" for row in found] == [True, False, True]
    assert found[0]["probability"] == found[0]["class_1"] == ""
    assert [line.split()[0] for line in result.err.splitlines() if ".png" in line] == ["bad.png", "absent.png"]
    records = json.loads(impasto("predict", "run", "bad.png", good, "--json").out)
    assert [(item["probability"] is None, item["top"] == []) for item in records] == [(True, True), (False, False)]
    assert "bad.png" not in impasto("predict", "run", "bad.png", good).out


def test_nothing_readable_is_a_failure(impasto: Program) -> None:
    Path("bad.png").write_bytes(b"?")
    for form in ("table", "csv", "json", "jsonl"):
        assert impasto("predict", "run", "bad.png", "--format", form).code == 1
    Path("empty").mkdir()
    for argument in ("empty", "*.jpeg", "-"):
        result = impasto("predict", "run", argument)
        assert result.code == 1
        assert f"no pictures in {argument}" in result.err


def test_files_folders_and_patterns_are_each_taken_once(impasto: Program) -> None:
    red = sorted(Path("data/red").iterdir())
    paint(Path("odd[1].png"), "red", 1)
    result = impasto("predict", "run", red[0], "data/red", "data/*/*.png", "odd[1].png", "--json")
    paths = [item["path"] for item in json.loads(result.out)]
    assert len(paths) == len(set(paths)) == 11
    assert paths[0] == str(red[0])
    assert paths[-1] == "odd[1].png"


def test_paths_from_standard_input(impasto: Program) -> None:
    paths = pictures()
    paint(Path("odd [1] ü.png"), "red", 1)
    text = f"{paths[0]}\n\nodd [1] ü.png\r\n{paths[0]}\ndata/red".encode()
    result = impasto("predict", "run", "-", "--format", "jsonl", stdin=text)
    assert [json.loads(line)["path"] for line in result.out.splitlines()] == [
        str(paths[0]),
        "odd [1] ü.png",
        *(str(path) for path in paths if path.parent.name == "red"),
    ]


def test_results_come_before_all_is_read(impasto: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than one batch is ever asked for, and its results are out before the next one is."""
    sizes: list[int] = []
    printed: list[int] = []
    original = Classifier.predict

    def watched(self: Classifier, paths: list[Path], **settings: object) -> object:
        sizes.append(len(paths))
        printed.append(len(sys.stdout.getvalue().splitlines()))  # type: ignore[attr-defined]
        return original(self, paths, **settings)

    monkeypatch.setattr(Classifier, "predict", watched)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    impasto("predict", "run", "data", "--format", "jsonl", "--batch-size", 4, "-q")
    assert (sizes, printed) == ([4, 4, 2], [0, 4, 8])


def test_a_file_is_whole_or_absent(impasto: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    said = impasto("predict", "run", "data", "--format", "csv").out
    result = impasto("predict", "run", "data", "-o", "found/a.csv")
    assert (result.code, result.out, Path("found/a.csv").read_text(encoding="utf-8")) == (0, "", said)
    assert impasto("predict", "run", "data", "-o", "found/b.json").out == ""
    assert len(json.loads(Path("found/b.json").read_text(encoding="utf-8"))) == 10
    original, calls = predict.Answer.of, iter(range(100))

    def failing(*arguments: object) -> object:
        if next(calls) == 6:
            raise KeyboardInterrupt
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(predict.Answer, "of", failing)
    assert impasto("predict", "run", "data", "-o", "found/c.jsonl").code == 130
    assert sorted(path.name for path in Path("found").iterdir()) == ["a.csv", "b.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data", "--format", "xml"), "xml"),
        (("data", "--top", "0"), "--top"),
        (("data", "--abstain", "1.5"), "--abstain"),
        (("data", "-o", "found.txt"), "found.txt cannot hold a table"),
        ((), "PICTURES"),
    ],
)
def test_wrong_usage(impasto: Program, arguments: tuple[str, ...], message: str) -> None:
    result = impasto("predict", "run", *arguments)
    assert result.code == 2
    assert message in result.err
    assert not Path("found.txt").exists()
