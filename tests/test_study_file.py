"""The study file: every key is known and typed, and what it says is what is done."""

from __future__ import annotations

import contextlib
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli_fixtures import Program
from impasto.errors import DataError, ImpastoError, UnknownNameError, UsageError
from impasto.runs import to_plain
from impasto.study.arms import Arm, arms_of
from impasto.study.reading import bundled, read_study, study_from, study_table
from impasto.study.spec import Settings, Study

FILE = """
name = "mine"
title = "t"
question = "q?"
[split]
draws = 3
[factors.strength]
none = {}
heavy = { add = "repaints", strengths = [0.9] }
[factors.classical]
none = {}
moved = { augment = "r1" }
[controls.twice]
settings = { add = "copies" }
expect = "zero"
"""


def study(**more: Any) -> Study:
    return study_from({"name": "mine", "title": "t", "question": "q?", **more})


def by_name(of: Study) -> dict[str, Arm]:
    return {arm.name: arm for arm in arms_of(of)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "mine.toml").write_text(FILE)
    return tmp_path / "mine.toml"


# What is written where nothing of that name is known, and what the error offers.
STRANGE = [
    ({"titel": 1}, "key 'titel'", "title"),
    ({"split": {"drawz": 3}}, r"key of \[split\] 'drawz'", "draws"),
    ({"data": {"class": []}}, r"key of \[data\] 'class'", "classes"),
    ({"settings": {"strenghts": []}}, r"key of \[settings\] 'strenghts'", "strengths"),
    ({"tests": {"alfa": 0.1}}, r"key of \[tests\] 'alfa'", "alpha"),
    ({"budget": {"minute": 1}}, r"key of \[budget\] 'minute'", "minutes"),
    ({"factors": {"f": {"none": {}, "b": {"augmnt": "r1"}}}}, r"\[factors.f.b\] 'augmnt'", "augment"),
    ({"controls": {"c": {"setting": {}}}}, r"\[controls.c\] 'setting'", "settings"),
    ({"controls": {"c": {"settings": {"modle": "r0-cnn"}}}}, r"\[controls.c.settings\] 'modle'", "model"),
    ({"sensitivity": {"penaltie": [1]}}, r"\[sensitivity\] 'penaltie'", "penalty"),
    ({"mistakes": [{"wat": "", "instead": ""}]}, r"'wat'", "what"),
    ({"tests": {"within": ["strngth"]}, "factors": {"strength": {"a": {}}}}, "factor 'strngth'", "strength"),
    ({"task": "class"}, "task 'class'", "classes"),
    ({"settings": {"add": "repaint"}}, "settings.add 'repaint'", "repaints"),
    ({"factors": {"f": {"a": {"weigh": "match"}}}}, "factors.f.a.weigh 'match'", "matched"),
    ({"split": {"kind": "fewshot"}}, "split.kind 'fewshot'", "few-shot"),
    ({"settings": {"augment": "r11"}}, "'r11'", "r1"),
    ({"settings": {"model": "r0-cn"}}, "'r0-cn'", "r0-cnn"),
]


@pytest.mark.parametrize(("said", "what", "nearest"), STRANGE, ids=[str(case[0]) for case in STRANGE])
def test_an_unknown_name_is_named_with_the_nearest_known(said: dict[str, Any], what: str, nearest: str) -> None:
    with pytest.raises(UnknownNameError, match=what) as caught:
        arms_of(study(**said))
    assert nearest in caught.value.hint


WRONG = [
    ({"seed": "1"}, "seed is '1'; it must be a whole number"),
    ({"seed": 1.0}, "seed is 1.0; it must be a whole number"),
    ({"seed": True}, "seed is True; it must be a whole number"),
    ({"seed": -1}, "seed is -1; it must be 0 or more"),
    ({"title": 3}, "title is 3; it must be a text"),
    ({"split": 3}, "split is 3; it must be a table"),
    ({"split": {"draws": "many"}}, "split.draws is 'many'; it must be a whole number"),
    ({"split": {"draws": 0}}, "split.draws is 0; it must be 1 or more"),
    ({"split": {"folds": 1}}, "split.folds is 1; it must be 2 or more"),
    ({"data": {"classes": "crab"}}, "data.classes is 'crab'; it must be a list"),
    ({"data": {"classes": [1]}}, "data.classes is 1; it must be a text"),
    ({"settings": {"penalty": True}}, "settings.penalty is True; it must be a number"),
    ({"settings": {"penalty": 0}}, "penalty is 0.0; it must be above 0"),
    ({"settings": {"penalty": float("nan")}}, "penalty is nan"),
    ({"settings": {"normalise": "no"}}, "settings.normalise is 'no'; it must be true or false"),
    ({"settings": {"strengths": 0.5}}, "settings.strengths is 0.5; it must be a list"),
    ({"settings": {"strengths": []}}, "strengths is .*; it must be one or more numbers"),
    ({"settings": {"strengths": [2.0]}}, "strength"),
    ({"settings": {"repaint_size": -5}}, "size"),
    ({"settings": {"image_size": 0}}, "image_size is 0"),
    ({"settings": {"epochs": 0}}, "epochs is 0"),
    ({"settings": {"batch_size": 0}}, "batch_size is 0"),
    ({"settings": {"train_per_class": 0}}, "train_per_class is 0"),
    ({"settings": {"copies": 0}}, "copies is 0"),
    ({"factors": {"f": 3}}, "factors.f is 3; it must be a table"),
    ({"factors": {"f": {"a": 3}}}, "factors.f.a is 3; it must be a table"),
    ({"factors": {"f": {}}}, "the factor f has no levels"),
    ({"factors": {"f": {"a": {"penalty": "low"}}}}, "factors.f.a.penalty is 'low'; it must be a number"),
    ({"controls": {"c": {"expect": "one"}}}, "controls.c.expect 'one'"),
    ({"sensitivity": {"penalty": 0.1}}, "sensitivity.penalty is 0.1; it must be a list"),
    ({"sensitivity": {"penalty": ["low"]}}, "sensitivity.penalty is 'low'; it must be a number"),
    ({"mistakes": [{"what": "only"}]}, "mistakes.* is not complete"),
    ({"tests": {"alpha": 1.0}}, "tests.alpha is 1.0"),
    ({"tests": {"effect": 0}}, "tests.effect is 0.0"),
    ({"tests": {"sd": float("nan")}}, "tests.sd is nan"),
    ({"budget": {"minutes": -1}}, "budget.minutes is -1.0"),
    ({"name": "no name"}, "'no name' is no name of a study"),
    ({"name": ""}, "is no name of a study"),
]


@pytest.mark.parametrize(("said", "what"), WRONG, ids=[str(case[0]) for case in WRONG])
def test_a_wrong_value_is_refused_by_name(said: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        study(**said)


@pytest.mark.parametrize("missing", ["name", "title", "question"])
def test_what_must_be_there(missing: str) -> None:
    said = {key: "x" for key in ("name", "title", "question") if key != missing}
    with pytest.raises(UsageError, match=f"no {missing}"):
        study_from(said)


# -- the bundled studies


def test_bundled_studies_come_back_from_their_tables_and_from_json() -> None:
    studies = bundled()
    assert "R1" in studies
    for name, one in studies.items():
        table = study_table(one)
        assert study_from(table) == one, name
        assert study_from(json.loads(json.dumps(table))) == one, name
        assert one.name == name
        assert not one.twin or studies[one.twin].twin == name
        assert arms_of(one)


def test_a_name_in_any_case_or_a_file(file: Path) -> None:
    assert read_study("r1") == read_study("R1") == bundled()["R1"]
    assert read_study(file).name == "mine"
    assert read_study(str(file)) == read_study(file)


def test_what_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="R11") as caught:
        read_study("R11")
    assert "R1" in caught.value.hint
    with pytest.raises(DataError, match="cannot be read"):
        read_study(tmp_path / "none.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        read_study(tmp_path / "folder.toml")
    (tmp_path / "bad.toml").write_text("name = ")
    with pytest.raises(DataError, match="no TOML"):
        read_study(tmp_path / "bad.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="cannot be read"):
        read_study(tmp_path / "bytes.toml")


# -- changes


def test_changes_of_every_type(file: Path) -> None:
    changes = [
        "split.draws=50",
        "settings.penalty = 0.1",
        'data.classes=["a","b"]',
        "settings.model=frozen:squeezenet1_0",
        "settings.normalise=false",
        "title=two words",
        "factors.strength.heavy.strengths=[0.1]",
        "sensitivity.penalty=[0.003, 1]",
        "controls.new.expect=zero",
    ]
    changed = read_study(file, changes)
    assert (changed.split.draws, changed.settings.penalty, changed.data.classes) == (50, 0.1, ("a", "b"))
    assert (changed.settings.model, changed.settings.normalise, changed.title) == (
        "frozen:squeezenet1_0",
        False,
        "two words",
    )
    assert by_name(changed)["heavy"].settings.strengths == (0.1,)
    assert changed.sensitivity == {"penalty": (0.003, 1)}
    assert changed.controls["new"].expect == "zero"
    assert read_study(file, ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("split.drawz=3", "draws"),
        ("settings.models=x", "model"),
        ("factors.strength.heavy.strength=[1]", "strengths"),
        ("controls.twice.sets={}", "settings"),
        ("sede=3", "seed"),
    ],
)
def test_an_unknown_change_names_the_nearest(file: Path, change: str, what: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        read_study(file, [change])
    assert what in caught.value.hint


@pytest.mark.parametrize("change", ["", "split.draws", "=3", "  =3"])
def test_what_changes_nothing(file: Path, change: str) -> None:
    with pytest.raises(UsageError, match="changes nothing"):
        read_study(file, [change])


def test_a_change_inside_of_what_is_no_table(file: Path) -> None:
    with pytest.raises(UsageError, match="no table"):
        read_study(file, ["title.x=3"])


@given(st.text(max_size=40))
def test_any_change_is_read_or_refused(change: str) -> None:
    with contextlib.suppress(ImpastoError):
        read_study("R1", [change])


TOML = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(["seed", "task", *(name for name in Study.__dataclass_fields__ if name != "name")])


@given(st.dictionaries(KEYS, TOML, max_size=3))
def test_any_table_is_read_or_refused_and_comes_back(table: dict[str, Any]) -> None:
    try:
        found = study(**table)
    except ImpastoError:
        return
    again = study_from(study_table(found))
    assert to_plain(again) == to_plain(found)


NAMES = st.sampled_from(sorted(Settings.__dataclass_fields__))


@given(st.dictionaries(NAMES, TOML, max_size=2))
def test_any_settings_are_read_or_refused(table: dict[str, Any]) -> None:
    try:
        found = study(settings=table)
    except ImpastoError:
        return
    assert study_from(study_table(found)) == found


@given(
    st.integers(1, 10_000),
    st.floats(1e-6, 1e6),
    st.lists(st.sampled_from(["a", "b c", "d'e"]), unique=True, max_size=3),
)
def test_a_change_is_what_it_says(draws: int, penalty: float, classes: list[str]) -> None:
    changes = [f"split.draws={draws}", f"settings.penalty={penalty!r}", f"data.classes={json.dumps(classes)}"]
    found = read_study("R1", changes)
    assert (found.split.draws, found.settings.penalty, found.data.classes) == (draws, penalty, tuple(classes))


# -- arms


def test_arms_are_the_product_of_levels_and_the_first_levels_are_the_baseline() -> None:
    said = study(factors=tomllib.loads(FILE)["factors"], settings={"penalty": 0.5})
    arms = by_name(said)
    assert list(arms) == ["baseline", "moved", "heavy", "heavy + moved"]
    assert arms["baseline"].settings == said.settings
    assert arms["baseline"].levels == {"strength": "none", "classical": "none"}
    both = arms["heavy + moved"]
    assert (both.settings.add, both.settings.strengths, both.settings.augment) == ("repaints", (0.9,), "r1")
    assert both.settings.penalty == 0.5
    assert [arm.reference for arm in arms.values()] == ["", "baseline", "baseline", "baseline"]
    assert len({arm.key for arm in arms.values()}) == 4


def test_levels_are_told_unless_they_are_called_none() -> None:
    (first, second) = arms_of(study(factors={"size": {"small": {}, "large": {"image_size": 64}}}))
    assert (first.name, second.name, second.reference) == ("small", "large", "small")


def test_a_study_without_factors_has_one_arm() -> None:
    (only,) = arms_of(study())
    assert (only.name, only.reference, only.settings) == ("baseline", "", Settings())


def test_within_a_factor_references_have_the_same_level() -> None:
    factors = {
        "size": {"few": {"train_per_class": 5}, "many": {"train_per_class": 20}},
        "add": {"none": {}, "copies": {"add": "copies"}},
    }
    arms = arms_of(study(factors=factors, tests={"within": ["size"]}, sensitivity={"penalty": [0.1]}))
    primary = [(arm.name, arm.reference) for arm in arms if not arm.family]
    assert primary == [("few", ""), ("many", ""), ("few + copies", "few"), ("many + copies", "many")]
    other = [(arm.name, arm.reference) for arm in arms if arm.family]
    assert other == [(f"{a} (penalty = 0.1)", b and f"{b} (penalty = 0.1)") for a, b in primary]


def test_contradicting_levels_and_equal_names_are_refused() -> None:
    same = {"f": {"none": {}, "b": {"penalty": 0.1}}, "g": {"none": {}, "d": {"penalty": 0.2}}}
    with pytest.raises(UsageError, match=r"penalty = 0.2, another says 0.1"):
        arms_of(study(factors=same))
    with pytest.raises(UsageError, match="one name"):
        arms_of(study(factors={"f": {"none": {}, "b": {"penalty": 0.1}}, "g": {"none": {}, "b": {"views": 2}}}))
    with pytest.raises(UsageError, match="one name"):
        arms_of(study(factors={"f": {"none": {}, "baseline": {"penalty": 0.1}}}))


def test_controls_differ_from_the_settings_alone_and_refer_to_what_they_say() -> None:
    said = study(
        settings={"penalty": 0.5},
        factors={"f": {"none": {}, "b": {"augment": "r1"}}},
        controls={
            "twice": {"settings": {"add": "copies"}, "expect": "zero", "why": "nothing"},
            "again": {"settings": {"augment": "r1"}, "against": "b"},
            "of a control": {"settings": {}, "against": "twice"},
        },
    )
    arms = by_name(said)
    assert (arms["twice"].role, arms["twice"].reference, arms["twice"].expect) == ("control", "baseline", "zero")
    assert (arms["twice"].settings.add, arms["twice"].settings.penalty) == ("copies", 0.5)
    assert arms["again"].key == arms["b"].key  # arms of equal settings share their cells
    assert arms["again"].reference == "b"
    assert arms["of a control"].reference == "twice"


def test_a_network_that_is_taught_step_by_step_cannot_promise_zero() -> None:
    with pytest.raises(UsageError, match="copies change its batches"):
        arms_of(study(controls={"twice": {"settings": {"add": "copies", "model": "r2-cnn-a"}, "expect": "zero"}}))


@pytest.mark.parametrize(
    ("control", "what"),
    [
        ({"c": {"against": "bb"}}, "unknown arm 'bb'"),
        ({"b": {}}, "the name of an arm"),
        ({"c": {"against": "c"}}, "unknown arm 'c'"),
    ],
)
def test_controls_that_cannot_be(control: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        arms_of(study(factors={"f": {"none": {}, "b": {"augment": "r1"}}}, controls=control))


def test_sensitivity_repeats_everything_with_another_value() -> None:
    said = study(
        factors={"f": {"none": {}, "b": {"augment": "r1"}}},
        controls={"twice": {"settings": {"add": "copies"}, "expect": "zero"}},
        sensitivity={"penalty": [0.003, 1], "views": [2]},
    )
    arms = by_name(said)
    assert len(arms) == 3 * 4
    changed = arms["b (penalty = 0.003)"]
    assert (changed.settings.penalty, changed.settings.augment) == (0.003, "r1")
    assert (changed.reference, changed.family) == ("baseline (penalty = 0.003)", "penalty = 0.003")
    assert arms["twice (views = 2)"].expect == "zero"
    assert "b (penalty = 1)" in arms


def test_sensitivity_leaves_out_arms_that_say_the_setting_themselves() -> None:
    factors = {"f": {"none": {}, "b": {"penalty": 0.1}}, "g": {"none": {}, "d": {"augment": "r1"}}}
    said = study(
        factors=factors,
        controls={"own": {"settings": {"penalty": 5.0}}, "of own": {"settings": {}, "against": "own"}},
        sensitivity={"penalty": [0.3]},
    )
    assert [arm.name for arm in arms_of(said) if arm.family] == ["baseline (penalty = 0.3)", "d (penalty = 0.3)"]
    known = {arm.name for arm in arms_of(said)}
    assert all(arm.reference in {"", *known} for arm in arms_of(said))


def test_a_value_of_sensitivity_that_is_there_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        arms_of(study(sensitivity={"penalty": [0.1, 0.1]}))


# -- the command


def test_the_list_and_one_study(program: Program) -> None:
    listed = program("study", "list")
    assert listed.code == 0
    assert "R1" in listed.out
    as_json = json.loads(program("study", "list", "--json").out)
    assert as_json["R1"]["task"] == "classes"
    text = program("study", "list", "r1").out
    assert study_from(tomllib.loads(text)) == read_study("R1")
    assert study_from(json.loads(program("study", "list", "R1", "--json").out)) == read_study("R1")
    unknown = program("study", "list", "R11")
    assert unknown.code == 2
    assert "R1" in unknown.err
