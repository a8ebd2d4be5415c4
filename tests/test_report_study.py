"""The page of a study: what it says is what the analysis says, in words, tables and figures; no name does harm."""

from __future__ import annotations

import csv
import doctest
import json
import math
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import impasto.report.study_again
import impasto.report.study_words
from impasto.errors import RunError, UsageError
from impasto.report.records import Epoch
from impasto.report.study import render_study, write_study_report
from impasto.report.study_again import to_toml
from impasto.report.study_curves import averaged
from impasto.report.study_examples import read_examples
from impasto.report.study_figures import Lane, Sized, _reach, _stacked, draw_forest, draw_sized
from impasto.report.study_threats import threats
from impasto.report.study_words import SIGNS, between, points
from impasto.study.analysis import Analysis, analyse
from impasto.study.reading import bundled, study_from
from impasto.study.result import CellResult, load_result
from impasto.study.words import verdict
from study_fixtures import HOSTILE, make_study, small_study
from test_report import Page


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def analysed(folder: Path, *arguments: Any, **keywords: Any) -> Analysis:
    return analyse(load_result(make_study(folder, *arguments, **keywords)))


def text_of(page: Page) -> str:
    return " ".join(" ".join(page.words).split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a failed cell, a control at zero and an arm that harms."""
    root = tmp_path_factory.mktemp("study")
    skills = {"heavy": -1.5, "light": 0.05}
    return make_study(root / "small", small_study(), skills=skills, failing={("moved", 2)}, examples=True)


@pytest.fixture(scope="module")
def analysis(folder: Path) -> Analysis:
    return analyse(load_result(folder))


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page(write_study_report(folder).read_text(encoding="utf-8"))


def test_the_verdict_comes_first_word_by_word(page: Page, analysis: Analysis) -> None:
    words = text_of(page)
    places = [words.index(" ".join(sentence.split())) for sentence in verdict(analysis)]
    assert places == sorted(places)
    assert places[-1] < words.index("Design")
    assert analysis.result.study.question in words
    assert "Repaints make no difference." in words


def test_every_comparison_is_in_the_table_with_all_of_its_tests(page: Page, analysis: Analysis) -> None:
    assert len(analysis.comparisons) == 14
    rows = {(row[0], *row[1:3]): row for row in page.rows}
    for item in analysis.comparisons.values():
        name = item.arm.name.partition(" (")[0]
        told = (points(item.difference.mean), between(item.difference.low, item.difference.high))
        row = next(row for key, row in rows.items() if key[0].startswith(name) and key[1:] == told)
        assert row[-1] == f"{SIGNS[item.finding][0]} {item.finding}"
        assert item.corrected is not None
        assert between(item.corrected.low, item.corrected.high) in row
        assert item.signs is not None
        assert f"{item.signs.positive}\u2009:\u2009{item.signs.negative}" in row
    assert {item.finding for item in analysis.comparisons.values()} >= {"harms", "exactly zero", "cannot tell"}


def test_figures_say_their_numbers_and_how_many_draws_lie_above_zero(page: Page, analysis: Analysis) -> None:
    drawn = re.findall(r"<text[^>]*>([^<]*)</text>", page.html)
    for item in analysis.comparisons.values():
        difference = item.difference
        told = f"{points(difference.mean)}  {between(difference.low, difference.high)}"
        assert ("no answer differs" if item.identical else told) in drawn
    heavy = analysis.comparisons["heavy"].per_draw.values()
    assert f"{sum(value > 0 for value in heavy)} of 7 above 0" in drawn
    assert len(analysis.comparisons["moved"].per_draw) == 6
    assert any(text.endswith("of 6 above 0") for text in drawn)


def test_scores_of_each_class_are_those_of_the_analysis(page: Page, analysis: Analysis) -> None:
    for name in ("baseline", "heavy + moved", "duplicated"):
        score = analysis.scores[name]
        row = next(row for row in page.rows if row[0] == name and row[1] == str(score.draws) and len(row) == 11)
        expected = [score.metric, score.spread, score.accuracy]
        expected += [part[label] for label in analysis.result.classes for part in (score.precision, score.recall)]
        assert row[2:] == [f"{100 * value:.1f}" for value in expected]
    failed = next(row for row in page.rows if row[0].startswith("moved 1 failed"))
    assert failed[1] == "6"


def test_the_design_tells_levels_controls_draws_and_power(page: Page) -> None:
    words = text_of(page)
    assert ["", "light", "add = repaints, strengths = 0.1"] in page.rows
    assert any(row[:2] == ["duplicated", "against baseline"] and row[-1] == "Nothing has changed." for row in page.rows)
    assert ["scorpion", "24", "6", "18"] in page.rows
    assert "7 draws in 2 rounds" in words
    assert "spread by 2.4 points (a pilot)" in words
    assert "7 draws find 1.5 points with a chance of" in words
    assert any(row[0] == "penalty" and row[1] == "0.01" for row in page.rows)  # shared, though a sensitivity changes it
    assert not any(row[0] in ("epochs", "ratio") for row in page.rows)  # a solved head has no epochs


def test_effects_are_told_in_words(page: Page, analysis: Analysis) -> None:
    assert [effect.name for effect in analysis.effects] == ["strength", "classical", "strength x classical"]
    rows = {row[0]: row[-1] for row in page.rows if len(row) == 6}
    assert rows["strength"] == "Which level of strength is taken makes a difference."
    assert "classical" in rows["strength x classical"]


def test_failed_cells_cost_and_threats_are_listed(page: Page, analysis: Analysis) -> None:
    words = text_of(page)
    assert f"1 of {len(analysis.result.cells)} cells failed" in words
    assert ["moved, draw 2, fold 0", "the picture cannot be read: it is <empty>."] in page.rows
    assert ["repaints", "744", "10 min 10 s", "0.82 s"] in page.rows
    for sentence in threats(analysis):
        assert " ".join(sentence.split()) in words
    assert "1 cell failed (0.9" in words
    assert "7 draws: their scatter" in words


def test_the_page_is_one_file_without_script(page: Page) -> None:
    assert not {"script", "iframe", "link", "object"} & {tag for tag, _ in page.elements}
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href"):
                assert (value or "").startswith(("data:image/", "#"))
    assert "default-src 'none'" in page.html
    assert not page.open
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {f"#{name}" for name in ids} >= {value for _, each in page.elements if (value := each.get("href"))}


def test_the_same_study_gives_the_same_bytes(folder: Path, page: Page, tmp_path: Path) -> None:
    again = write_study_report(folder, tmp_path / "again.html")
    assert again == tmp_path / "again.html"
    assert again.read_text(encoding="utf-8") == page.html


def test_examples_are_embedded(page: Page, folder: Path) -> None:
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    entries = json.loads((folder / "examples.json").read_text())
    assert len(images) == sum(len(entry["pictures"]) for entry in entries) == 28
    assert images[0]["alt"] == "the photo of scorpion/image_0000.jpg"


def test_tables_hold_the_numbers_as_shares(folder: Path, page: Page, analysis: Analysis) -> None:
    compared = {row["arm"]: row for row in read_rows(folder / "tables" / "comparisons.csv")}
    assert list(compared) == list(analysis.comparisons)
    row, item = compared["heavy"], analysis.comparisons["heavy"]
    assert float(row["difference"]) == item.difference.mean
    assert (float(row["p"]), float(row["p_holm"])) == (item.difference.p, item.p)
    assert (row["reference"], row["role"], row["finding"]) == ("baseline", "arm", "harms")
    assert row["mcnemar_p"] == ""
    arms = {row["arm"]: row for row in read_rows(folder / "tables" / "arms.csv")}
    assert list(arms) == list(analysis.scores)
    assert float(arms["moved"]["recall crab"]) == analysis.scores["moved"].recall["crab"]
    assert arms["moved"]["failed"] == "1"
    effects = read_rows(folder / "tables" / "effects.csv")
    assert [float(row["p"]) for row in effects] == [effect.p for effect in analysis.effects]
    paired = [row for row in read_rows(folder / "tables" / "paired.csv") if row["arm"] == "heavy"]
    assert [float(row["difference"]) for row in paired] == list(item.per_draw.values())


def test_a_failed_control_is_a_warning(tmp_path: Path) -> None:
    analysis = analysed(tmp_path / "s", small_study(sensitivity={}), broken={"duplicated"})
    words = text_of(Page(render_study(analysis)))
    assert words.index("1 control failed: what follows is not to be believed.") < words.index("Do not believe")
    assert "✕ control failed" in words


def test_hostile_names_are_text(tmp_path: Path) -> None:
    script, image, long = HOSTILE
    study = small_study(
        title=f"{script} & {image}",
        question=script,
        factors={script: {"none": {}, image: {"add": "repaints"}, long: {"augment": "r1"}}},
        controls={f"{script} {long}": {"settings": {"add": "copies"}, "against": image, "why": script}},
        sensitivity={"train_per_class": [3]},
        settings={"train_per_class": 6, "model": "r0-cnn"},
        published=[{"what": script, "value": image}],
        mistakes=[{"what": image, "instead": script}],
        threats=[script],
    )
    folder = make_study(tmp_path / "s", study, names=HOSTILE, failing={(f"{script} {long}", 0)}, examples=True)
    html = write_study_report(folder).read_text(encoding="utf-8")
    page = Page(html)
    assert "<script" not in html
    assert all(attributes.get("src", "data:").startswith("data:") for _, attributes in page.elements)
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert html.count("&lt;script&gt;") > 10
    assert not page.open


def test_taught_networks_have_curves_and_sizes_a_figure(tmp_path: Path) -> None:
    study = small_study(settings={"model": "r0-cnn"}, sensitivity={"train_per_class": [3]}, controls={})
    analysis = analysed(tmp_path / "s", study)
    page = Page(render_study(analysis))
    words = text_of(page)
    assert sum(attributes.get("aria-label", "").startswith("Loss of ") for _, attributes in page.elements) == 6
    assert "By the size of the training set" in words
    score, small = analysis.scores["heavy"], analysis.scores["heavy (train_per_class = 3)"]
    assert f"3 photos: {100 * small.metric:.1f} %; 10 photos: {100 * score.metric:.1f} %" in words


def cell(*rows: tuple[float, ...]) -> CellResult:
    return CellResult("a", 0, 0, 0, (), (), curve=rows)


def test_curves_are_averaged_over_the_networks_still_taught() -> None:
    nan = float("nan")
    first = cell((1, 1.0, 0.5, 2.0, nan), (2, 0.5, 0.6, 1.5, nan), (3, 0.25, 0.7, 1.0, nan))
    second = cell((1, 3.0, 0.7, 2.0, nan), (2, 1.5, 0.8, 2.5, nan))
    mean, low, high = averaged([first, second])
    assert mean == [Epoch(1, None, 2.0, pytest.approx(0.6), 2.0, None), Epoch(2, None, 1.0, 0.7, 2.0, None)]
    assert (low[0].train_loss, high[0].train_loss) == pytest.approx((2 - math.sqrt(2), 2 + math.sqrt(2)))
    assert [len(part) for part in averaged([first])] == [3, 3, 3]
    assert averaged([first])[0] == averaged([first])[1]


def test_repaints_are_measured_in_distances(tmp_path: Path) -> None:
    way = {"way": {"network": {}, "optimise": {"method": "optimise"}}}
    study = small_study(task="repaints", factors=way, controls={}, sensitivity={}, split={"draws": 1})
    folder = make_study(tmp_path / "s", study, photos=8)
    page = Page(write_study_report(folder).read_text(encoding="utf-8"))
    words = text_of(page)
    assert "less is better" in words
    assert "Below zero is better." in words
    assert "Mean distance of all repaints" in words
    assert "precision" not in words
    assert "recall" not in words
    scores = read_rows(folder / "tables" / "arms.csv")
    assert scores[0]["style_distance"]
    assert "mean_recall" not in scores[0]
    assert {row["photo"] for row in read_rows(folder / "tables" / "paired.csv")} == set(map(str, range(24)))


@pytest.mark.parametrize("kind", ["fixed", "folds"])
def test_other_splits_say_how_they_were_dealt(tmp_path: Path, kind: str) -> None:
    study = small_study(split={"kind": kind, "draws": 2, "folds": 3}, sensitivity={})
    words = text_of(Page(render_study(analysed(tmp_path / "s", study, photos=40))))
    assert ("taught with 2 seeds" in words) == (kind == "fixed")
    assert ("it alone : reference alone" in words) == (kind == "fixed")  # McNemar
    assert ("3-fold cross-validation, 2 repetitions" in words) == (kind == "folds")
    assert ("Signs" in words) is False


def test_versions_stand_side_by_side(tmp_path: Path) -> None:
    mistakes = [{"what": "Three draws.", "instead": "Seven."}]
    literal = small_study(
        name="small-literal",
        version="literal",
        split={"draws": 3},
        controls={},
        published=[{"what": "accuracy", "value": "96.68 %"}],
        mistakes=mistakes,
    )
    other, sound = make_study(tmp_path / "l", literal), make_study(tmp_path / "s", small_study(mistakes=mistakes))
    page = Page(write_study_report(sound, beside=[other]).read_text(encoding="utf-8"))
    heads = next(row for row in page.rows if row[1:2] == ["as published"])
    assert heads[2].startswith("run again as published small-literal")
    assert heads[3].startswith("as a sound study small")
    assert ["accuracy", "96.68 %", "", ""] in page.rows
    assert page.rows.count(["Three draws.", "Seven."]) == 1
    row = next(row for row in page.rows if row[0] == "heavy" and len(row) == 4)
    for found, told in ((analyse(load_result(other)), row[2]), (analyse(load_result(sound)), row[3])):
        item = found.comparisons["heavy"]
        assert told.startswith(f"{100 * found.scores['heavy'].metric:.1f} % {points(item.difference.mean)} ")
        assert told.endswith(item.finding)
    assert next(row for row in page.rows if row[0] == "duplicated" and len(row) == 4)[2] == "–"
    assert "1 known mistake included" in text_of(Page(write_study_report(other).read_text(encoding="utf-8")))


def test_an_arm_that_failed_altogether_is_named(tmp_path: Path) -> None:
    failing = {("heavy", number) for number in range(7)}
    page = Page(render_study(analysed(tmp_path / "s", small_study(sensitivity={}), failing=failing)))
    row = next(row for row in page.rows if row[0].startswith("heavy 7 failed"))
    assert set(row[2:]) == {"–"}
    assert "Factors" not in text_of(page).split("Design")[0]


@pytest.mark.parametrize("name", [None, *bundled()])
def test_the_study_file_on_the_page_is_the_study(name: str | None) -> None:
    odd = {'a "level"': {}, "b\\n": {"add": "repaints", "strengths": [0.1, 1e-7]}, "ü.x": {"ratio": 1e8}}
    study = bundled()[name] if name else small_study(factors={"the way": odd}, threats=["one\ntwo", "\x7f\x01"])
    assert study_from(tomllib.loads(to_toml(study))) == study


def test_a_bundled_study_is_run_again_by_its_name(tmp_path: Path, folder: Path, page: Page) -> None:
    words = text_of(page)
    assert "impasto study run small.toml --data photos --styles styles -o small" in words
    assert "save the file below first" in words
    table = json.loads((folder / "config.json").read_text())["study"]
    assert study_from(table) == load_result(folder).study


def test_examples_outside_of_the_folder_are_refused(tmp_path: Path) -> None:
    folder = make_study(tmp_path / "s", small_study(sensitivity={}))
    assert read_examples(folder) == ()
    entry = {"arm": "a", "photo": "b", "pictures": [{"file": "../secret.jpg", "caption": ""}]}
    (folder / "examples.json").write_text(json.dumps([entry]))
    with pytest.raises(RunError, match=r"names '../secret.jpg', which lies outside"):
        write_study_report(folder)
    (folder / "examples.json").write_text('[{"arm": "a"}]')
    with pytest.raises(RunError, match=r"examples.json is damaged"):
        write_study_report(folder)


def test_no_study_is_an_error_and_nothing_is_written(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(RunError, match="does not exist"):
        write_study_report(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError):
        write_study_report(folder, tmp_path / "file" / "report.html")
    assert not (tmp_path / "none").exists()


def test_wide_intervals_do_not_squeeze_the_others() -> None:
    lanes = [Lane("a", 1.0, 0.5, 1.5), Lane("controls"), Lane("b", -2.0, -90.0, 86.0)]
    assert _reach(lanes, 1.0) == pytest.approx(1.06 * 5)
    axes = draw_forest(lanes, 1.0, "x").axes[0]
    arrows = [line for line in axes.lines if line.get_marker() in "<>"]
    assert sorted(line.get_xdata()[0] for line in arrows) == pytest.approx([-5.3, 5.3])
    markers = {line.get_marker() for line in axes.lines}
    assert "o" in markers


def test_each_finding_has_its_own_marker() -> None:
    lanes = [Lane(finding, 0.5, 0.0, 1.0, finding=finding) for finding in SIGNS]
    axes = draw_forest(lanes, 1.0, "x").axes[0]
    assert len({line.get_marker() for line in axes.lines if len(line.get_xdata()) == 1}) == len(SIGNS)


def test_equal_dots_stand_side_by_side() -> None:
    across, down = _stacked([1.0, 1.0, 1.0, 5.0], 6.0)
    assert across == [1.0, 1.0, 1.0, 5.0]
    assert len(set(down[:3])) == 3
    assert down[3] == 0
    assert np.abs(_stacked([0.0] * 200, 6.0)[1]).max() <= 0.4


def test_the_baseline_has_a_size_figure_of_its_own() -> None:
    base = Sized("baseline", (3, 6), (50.0, 60.0), (1.0, float("nan")))
    other = Sized("heavy", (3, 6), (52.0, 61.0), (1.0, 2.0))
    assert [len(draw_sized(arm, base, "y").axes[0].containers) for arm in (base, other)] == [1, 2]


@pytest.mark.parametrize("module", [impasto.report.study_words, impasto.report.study_again])
def test_examples_of_docstrings(module: Any) -> None:
    assert doctest.testmod(module).failed == 0
