"""``evaluate`` and ``ensemble`` through the entry point: what is printed, what is saved, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from classify_fixtures import paint, paint_splits
from cli_fixtures import Program
from impasto.classify import VIEWS
from test_classify_ensemble import member


@pytest.fixture
def impasto(program: Program) -> Program:
    """The program beside a folder ``data`` and two untrained models ``one`` and ``two``."""
    paint_splits(Path("data"))
    for seed, name in enumerate(("one", "two")):
        member(Path(name), Path("data"), seed)
    return program


def test_evaluate_says_it_all_and_saves_it(impasto: Program) -> None:
    result = impasto("evaluate", "one", "data", "--device", "cpu")
    assert result.code == 0
    record = json.loads(Path("one/evaluation.json").read_text())
    assert f"test: {record['correct']}/10 = " in result.out
    assert "(10 of 10 pictures evaluated)" in result.out
    assert f"macro AUC {record['macro_auc']:.3f}" in result.out
    fit = record["calibration"]
    scores = f"ECE {fit['ece']:.3f} (1 bin), Brier {fit['brier']:.3f}, log loss {fit['nll']:.3f}, temperature 1.00"
    assert scores in result.out
    assert "answers from" in result.out
    for name in ("predictions.csv", "reliability.png", "roc.png"):
        assert Path("one", name).is_file()


def test_against_another_model(impasto: Program) -> None:
    result = impasto("evaluate", "one", "data", "--against", "two", "--device", "cpu", "-o", "scores")
    assert result.code == 0
    test = json.loads(Path("scores/evaluation.json").read_text())["against"]
    assert (test["other"], test["n"]) == ("two", 10)
    assert "against two, on the same 10 pictures" in result.out
    assert f"only this one is right on {test['b']}, only the other on {test['c']}" in result.out
    assert "exact McNemar p = " in result.out


@pytest.mark.parametrize("views", VIEWS)
def test_views_are_asked_for_by_name_and_recorded(impasto: Program, views: str) -> None:
    result = impasto("evaluate", "one", "data", "--views", views, "--json", "--device", "cpu")
    assert json.loads(result.out)["views"] == views
    assert impasto("predict", "one", "data/test/red", "--views", views, "--device", "cpu").code == 0


def test_an_ensemble_is_a_model_like_any_other(impasto: Program) -> None:
    result = impasto("ensemble", "one", "two", "-o", "both")
    assert (result.code, result.out) == (0, "0.500  one\n0.500  two\n")
    result = impasto("evaluate", "both", "data", "--against", "one", "--device", "cpu")
    assert result.code == 0
    assert "against one, on the same 10 pictures" in result.out
    assert json.loads(Path("both/evaluation.json").read_text())["model"]["model"] == "ensemble"
    answers = json.loads(impasto("predict", "both", "data/test/red", "--json", "--device", "cpu").out)
    assert len(answers) == 5


def test_greedy_tells_each_step_and_the_weights(impasto: Program) -> None:
    result = impasto("ensemble", "one", "two", "-o", "both", "--greedy", "data", "--device", "cpu")
    assert result.code == 0
    steps = [line for line in result.out.splitlines() if line.startswith("with ")]
    assert steps
    assert all("validation " in line and "/8 = " in line for line in steps)
    assert "judge it on other pictures" in result.err
    record = json.loads(
        impasto("ensemble", "one", "two", "-o", "both", "--greedy", "data", "--json", "--device", "cpu").out
    )
    assert sum(record["weights"].values()) == pytest.approx(1)
    assert len(record["steps"]) == len(steps)


def test_the_report_takes_an_ensemble(impasto: Program) -> None:
    from impasto.report.collect import read_run_records
    from impasto.report.commands import commands
    from impasto.report.records import DatasetRecord

    impasto("ensemble", "one", "two", "-o", "both", "--greedy", "data", "--device", "cpu")
    impasto("evaluate", "both", "data", "--device", "cpu", "-q", "--views", "mirror")
    (record,) = read_run_records([Path("both")])
    data = DatasetRecord(Path("data"), (), (), {}, {}, True, {})
    making, judging, _ = commands(data, [record])
    assert making == "impasto ensemble one two --output both --greedy data"
    assert judging == "impasto evaluate both data --split test --views mirror"
    assert record.model == "ensemble"
    assert record.evaluation is not None
    assert record.evaluation.n_evaluated == 10


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("evaluate", "one", "data", "--views", "slides"), 2, "Did you mean slide"),
        (("predict", "one", "data/test/red", "--views", "slides"), 2, "Did you mean slide"),
        (("evaluate", "one", "data", "--against", "absent"), 1, "absent/config.json does not exist"),
        (("ensemble", "one", "-o", "new"), 2, "two models or more"),
        (("ensemble", "one", "absent", "-o", "new"), 1, "absent/config.json does not exist"),
        (("ensemble", "one", "two"), 2, "--output"),
        (("ensemble", "one", "two", "-o", "one"), 1, "one holds a run that differs in"),
        (("ensemble", "one", "two", "-o", "new", "--greedy", "nowhere"), 1, "nowhere is not a folder"),
    ],
)
def test_errors_are_one_line_and_a_status(
    impasto: Program, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = impasto(*arguments)
    assert result.code == code
    assert message in result.err
    assert "Traceback" not in result.err
    assert not Path("new").exists()


def test_more_classes_have_top_three(impasto: Program) -> None:
    four = ("blue", "green", "grey", "red")
    for seed, split in enumerate(("train", "validation", "test")):
        for name in four:
            paint(Path("more") / split / name / "x.png", name, 10 * seed + len(name))
    member(Path("many"), Path("more"), classes=four)
    result = impasto("evaluate", "many", "more", "--device", "cpu")
    assert "label among the 3 most probable: " in result.out
    assert "label among the 5" not in result.out


def test_the_help_names_all_views() -> None:
    from impasto.cli.models import Views

    assert all(name in Views.__metadata__[0].help for name in VIEWS)
