"""Scores of repaints: counts that are known beforehand, untouched photos at hand or not, and the command."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from cli_fixtures import Program
from impasto.data.repaint.records import RepaintConfig
from impasto.data.repaint.repainting import repaint_folder
from impasto.errors import DataError
from impasto.files import file_digest
from impasto.judged import score_repaints
from impasto.judged.scores import CSV_NAME, JSON_NAME
from impasto.statistics import Proportion
from impasto.style.config import FastConfig
from judged_fixtures import Brightness, Colours, flat, repaint_by_hand, untrained


@pytest.fixture
def repaints(tmp_path: Path) -> Path:
    """Three bright photos, one of them dark in truth, and two dark ones; two styles, two strengths."""
    for name, grey in (("bright/a", 200), ("bright/b", 230), ("bright/c", 90), ("dark/d", 30), ("dark/e", 40)):
        flat(tmp_path / "photos" / f"{name}.png", grey)
    for style in ("red", "green"):
        flat(tmp_path / "styles" / f"{style}.png", 100)
    red, green = (210, 30, 30), (20, 250, 200)  # dark and bright
    return repaint_by_hand(
        tmp_path,
        [
            ("bright/a.png", "red.png", "1", red),
            ("bright/a.png", "green.png", "0.5", green),
            ("bright/b.png", "red.png", "1", (255, 200, 200)),
            ("bright/c.png", "red.png", "1", (255, 180, 180)),
            ("dark/d.png", "red.png", "0.5", red),
            ("dark/e.png", "green.png", "1", (250, 200, 20)),
        ],
    )


def test_every_count(repaints: Path) -> None:
    scores = score_repaints(repaints, Brightness(), style_model=Colours())
    found = {(item.content, item.strength): item for item in scores.scores}
    assert [item.kept for item in scores.scores] == [False, True, True, True, True, False]
    assert [item.named for item in scores.scores] == [True, True, True, False, True, True]
    first = found["bright/a.png", "1"]
    assert (first.photo_answer, first.answer, first.style_label, first.style_answer) == ("bright", "dark", "red", "red")
    assert first.before == pytest.approx(200 / 255, abs=1e-6)
    assert first.after == pytest.approx(90 / 255, abs=1e-6)
    whole = scores.overall
    assert whole.kept == Proportion(4, 6)
    assert whole.photos == Proportion(5, 6)
    assert whole.kept_of_named == Proportion(3, 5)
    assert whole.recognised == Proportion(5, 6)  # the last one is red and should be green
    strengths = {tally.name: tally for tally in scores.by("strength")}
    assert list(strengths) == ["0.5", "1"]
    assert (strengths["0.5"].kept, strengths["1"].kept_of_named) == (Proportion(2, 2), Proportion(1, 3))
    styles = {tally.name: tally.kept for tally in scores.by("style")}
    assert styles == {"green.png": Proportion(1, 2), "red.png": Proportion(3, 4)}
    classes = {tally.name: tally for tally in scores.by("label")}
    assert classes["bright"].kept_of_named == Proportion(2, 3)
    assert classes["dark"].before == pytest.approx(1 - 35 / 255, abs=1e-6)


def test_tables_say_the_same(repaints: Path, tmp_path: Path) -> None:
    scores = score_repaints(repaints, Brightness(), style_model=Colours(), output=tmp_path / "scored")
    with (tmp_path / "scored" / CSV_NAME).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["kept"] for row in rows] == [str(item.kept) for item in scores.scores]
    assert [row["style_recognised"] for row in rows] == ["True"] * 5 + ["False"]
    record = json.loads((tmp_path / "scored" / JSON_NAME).read_text())
    low, high = Proportion(3, 5).interval
    assert record["all"]["kept_of_named"] == {"k": 3, "n": 5, "value": 0.6, "wilson95": [low, high]}
    assert [item["name"] for item in record["classes"]] == ["bright", "dark"]
    assert record["judges"] == {"classes": Brightness().identity(), "styles": Colours().identity()}


def test_photos_are_asked_once_in_the_size_of_the_repaints(repaints: Path, tmp_path: Path) -> None:
    large = tmp_path / "photos" / "bright" / "a.png"
    judge = Brightness()
    score_repaints(repaints, judge)
    assert len(judge.shown) == 5 + 6
    assert set(judge.shown) == {(64, 48)}
    flat(large, 200, (640, 480))  # other bytes
    skipped = dict(score_repaints(repaints, Brightness()).skipped)
    assert "has changed since" in skipped[str(repaints / "../photos/bright/a.png")]


def test_photos_that_have_gone_leave_it_open(repaints: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    scores = score_repaints(repaints, Brightness())
    assert scores.overall.kept == Proportion(4, 6)
    assert (scores.overall.photos, scores.overall.kept_of_named, scores.overall.before) == (None, None, None)
    assert scores.overall.recognised is None
    assert len(scores.skipped) == 5


def test_originals_stand_in_for_photos_that_have_gone(tmp_path: Path) -> None:
    flat(tmp_path / "photos" / "bright" / "a.png", 200)
    for index in range(4):
        flat(tmp_path / "photos" / "dark" / f"d{index}.png", 20 + index)
    flat(tmp_path / "styles" / "grey.png", 120)
    config = RepaintConfig(FastConfig(size=48), label="content", originals=True)
    repaint_folder(tmp_path / "photos", tmp_path / "styles", tmp_path / "out", config)
    there = score_repaints(tmp_path / "out", Brightness())
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    gone = score_repaints(tmp_path / "out", Brightness())
    assert len(there.scores) == 5  # originals are no repaints
    assert [item.before for item in gone.scores] == pytest.approx([item.before for item in there.scores], abs=1e-6)


def test_a_bad_repaint_is_named_and_set_aside(repaints: Path) -> None:
    bad = sorted(repaints.rglob("*.png"))[0]
    bad.write_bytes(b"?")
    scores = score_repaints(repaints, Brightness())
    assert len(scores.scores) == 5
    assert scores.skipped[0][0] == str(bad)


def test_photos_that_taught_the_judge_are_counted(repaints: Path, tmp_path: Path) -> None:
    taught = frozenset({file_digest(tmp_path / "photos" / "bright" / "a.png")})
    scores = score_repaints(repaints, Brightness(taught=taught))
    assert scores.taught == 2
    assert [item.taught for item in scores.scores] == [True, True, False, False, False, False]


def test_folders_and_judges_without_use(repaints: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no repaints"):
        score_repaints(tmp_path / "photos", Brightness())
    with pytest.raises(DataError, match=r"does not know the class 'bright'.*Did you mean brigth"):
        score_repaints(repaints, Brightness(classes=("brigth", "dark")))
    with pytest.raises(DataError, match="knows none of the styles"):
        score_repaints(repaints, Brightness(), style_model=Brightness())


def test_the_command(repaints: Path, program: Program) -> None:
    untrained(Path("run"), ("bright", "dark"))
    untrained(Path("styles-run"), ("green", "red"))
    done = program("dataset", "score", repaints, "--model", "run", "--style-model", "styles-run", "-q")
    assert done.code == 0, done.err
    scores = score_repaints(repaints, "run", style_model="styles-run")
    assert f"class kept: {scores.overall.kept}" in done.out
    assert f"style recognised: {scores.overall.recognised}" in done.out
    record = json.loads(program("dataset", "score", repaints, "-m", "run", "-o", "here", "--json").out)
    assert record["all"]["kept"]["k"] == scores.overall.kept.k
    assert json.loads(Path("here/scores.json").read_text()) == {k: v for k, v in record.items() if k != "folder"}
    assert program("dataset", "score", "run", "-m", "run").code == 1
