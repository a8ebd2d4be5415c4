"""A study from pictures to its table, in this process: what comes out, what is refused, what goes on."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

import study_pictures
from cli_fixtures import Program
from impasto.encoders import load_encoder
from impasto.errors import DataError, ResourceError, RunError, UnknownNameError, UsageError
from impasto.study import LocalEngine, StudyResult, StudyRun, analyse, load_result, run_study, runner
from impasto.study.plan import plan_study
from impasto.study.result import ANSWERS_NAME, CELLS_NAME
from impasto.study.spec import Study
from impasto.study.work import fit, measure, perform
from impasto.study.work.bench import Bench
from impasto.study.work.units import Painting
from impasto.style import judging
from study_pictures import picture, tiny_study

TABLES = (CELLS_NAME, ANSWERS_NAME)


@dataclass(frozen=True)
class World:
    """Photos, styles and a finished study of them."""

    photos: Path
    styles: Path
    done: Path
    result: StudyResult

    def run(self, study: Study, output: Path, workers: int = 1) -> StudyResult:
        return run_study(study, self.photos, output, styles=self.styles, engine=LocalEngine(workers))

    def opened(self, study: Study, output: Path) -> StudyRun:
        return StudyRun(study, self.photos, self.styles, output)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("study")
    photos, styles = study_pictures.photos(folder / "photos"), study_pictures.styles(folder / "styles")
    result = run_study(tiny_study(), photos, folder / "done", styles=styles, engine=LocalEngine(1))
    return World(photos, styles, folder / "done", result)


def small(**more: Any) -> Study:
    """Return a study of few cells."""
    return tiny_study(**{"split": {"draws": 2}, "sensitivity": {}, "controls": {}, **more})


def tables(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in TABLES]


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


# -- what comes out


def test_the_tables_have_a_row_for_each_cell_and_each_answer(world: World) -> None:
    cells, answers = rows(world.done, CELLS_NAME), rows(world.done, ANSWERS_NAME)
    assert len(cells) == 5 * 2 * 4
    assert len(answers) == len(cells) * 12
    assert {(row["taught"], row["added"]) for row in cells if row["arm"].startswith("light")} == {("6", "6")}
    assert {(row["taught"], row["added"]) for row in cells if row["arm"].startswith("baseline")} == {("6", "0")}
    for cell in cells:
        own = [row for row in answers if (row["arm"], row["replicate"]) == (cell["arm"], cell["replicate"])]
        right = [row["truth"] == row["said"] for row in own]
        assert (int(cell["right"]), len(right)) == (sum(right), int(cell["tested"]))
        recalls = [np.mean([row["said"] == c for row in own if row["truth"] == c]) for c in ("ant", "bee")]
        assert float(cell["balanced"]) == pytest.approx(np.mean(recalls), abs=1e-6)


def test_no_photo_is_taught_and_tested(world: World) -> None:
    for cell in world.result.cells:
        assert not set(cell.train) & set(cell.test)


def test_duplicates_come_out_at_exactly_zero_answer_by_answer(world: World) -> None:
    by_arm = {(cell.arm, cell.replicate): cell for cell in world.result.cells}
    for family in ("", " (penalty = 1)"):
        for number in range(4):
            plain, twice = (by_arm[f"{arm}{family}", number] for arm in ("baseline", "duplicated"))
            assert (plain.said, plain.test) == (twice.said, twice.test)
            assert (plain.added, twice.added) == (0, 6)
    found = analyse(world.result)
    assert found.comparisons["duplicated"].finding == "exactly zero"
    assert found.comparisons["duplicated"].difference.mean == 0


def test_a_result_is_read_back(world: World) -> None:
    again = load_result(world.done)
    assert again.cells == world.result.cells
    assert again.study == tiny_study()
    assert again.cost["units"] == {"repaint": 36, "features": 2, "cell": 40}
    examples = json.loads((world.done / "examples.json").read_text())
    assert {item["arm"] for item in examples} == {"baseline", "light", "heavy", "duplicated", "light, unmatched"}
    assert all((world.done / shown["file"]).is_file() for item in examples for shown in item["pictures"])


def test_the_same_command_again_does_nothing(world: World) -> None:
    before = {path: path.stat().st_mtime_ns for path in world.done.rglob("*") if path.is_file()}
    world.run(tiny_study(), world.done)
    assert {path: path.stat().st_mtime_ns for path in world.done.rglob("*") if path.is_file()} == before


def test_two_workers_write_the_same_tables_and_repaints(world: World, tmp_path: Path) -> None:
    world.run(tiny_study(), tmp_path / "two", 2)
    assert tables(tmp_path / "two") == tables(world.done)
    journal = rows(tmp_path / "two", "journal.csv")
    assert len({row["name"] for row in journal}) == len(journal) == 78
    for path in (*(world.done / "repaints").iterdir(), *(world.done / "features").iterdir()):
        assert (tmp_path / "two" / path.relative_to(world.done)).read_bytes() == path.read_bytes()


def test_three_workers_fit_the_same_heads(world: World, tmp_path: Path) -> None:
    folder = shutil.copytree(world.done, tmp_path / "three")
    shutil.rmtree(folder / "cells")
    for name in ("manifest.json", *TABLES):
        (folder / name).unlink()
    world.run(tiny_study(), folder, 3)
    assert tables(folder) == tables(world.done)


def test_the_plan_says_what_is_then_done(world: World, tmp_path: Path) -> None:
    opened = world.opened(tiny_study(), tmp_path / "study")
    plan = plan_study(opened, 1, timed=False)
    journal = [row["kind"] for row in rows(world.done, "journal.csv")]
    assert (plan.cells, plan.repaints, plan.features) == tuple(map(journal.count, ("cell", "repaint", "features")))
    assert (plan.trainings, plan.seconds) == (0, None)
    assert plan.counts == {"ant": 9, "bee": 9}
    assert (plan.taught, plan.tested) == ({"ant": 3, "bee": 3}, {"ant": 6, "bee": 6})
    assert plan.chance is not None
    assert 0 < plan.chance < 1
    assert any("ant: 9 usable pictures, 3 teach and 6 are tested" in line for line in plan.lines())
    again = plan_study(world.opened(tiny_study(), world.done), 1, timed=False)
    assert (again.cells, again.repaints, again.features, again.disk) == (0, 0, 0, 0)
    unknown = plan_study(world.opened(tiny_study(tests={"sd": 0}), tmp_path / "other"), 1, timed=False)
    assert (unknown.chance, unknown.needed) == (None, None)


def test_a_timed_plan_leaves_nothing_behind(world: World, tmp_path: Path) -> None:
    opened = world.opened(tiny_study(), tmp_path / "study")
    one, two = plan_study(opened, 1), plan_study(opened, 2)
    assert one.seconds is not None
    assert one.seconds > 0
    assert two.workers == 2
    assert [path.name for path in (tmp_path / "study").iterdir()] == ["config.json"]


# -- the head


def features(count: int, seed: int) -> tuple[Any, Any]:
    dice = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    return dice.normal(0, 1, (count, 5)) + 0.9 * np.eye(3, 5)[labels], labels


def reference(rows: Any, labels: Any, weights: Any, c: float, held_out: Any) -> Any:
    """Minimise C sum_i w_i loss_i + |W|² / 2 in float64, and return the scores of ``held_out``."""
    one_hot = np.eye(3)[labels]

    def objective(flat: Any) -> tuple[float, Any]:
        W, b = flat[:15].reshape(5, 3), flat[15:]
        scores = rows @ W + b
        top = scores.max(1, keepdims=True)
        shares = np.exp(scores - top)
        total = shares.sum(1, keepdims=True)
        losses = (np.log(total) + top)[:, 0] - (scores * one_hot).sum(1)
        gradient = c * weights[:, None] * (shares / total - one_hot)
        value = c * float(weights @ losses) + 0.5 * float((W**2).sum())
        return value, np.concatenate([(rows.T @ gradient + W).ravel(), gradient.sum(0)])

    found = minimize(objective, np.zeros(18), jac=True, method="L-BFGS-B", options={"gtol": 1e-9, "maxiter": 5000})
    return held_out @ found.x[:15].reshape(5, 3) + found.x[15:]


@pytest.mark.parametrize("c", [0.003, 0.1, 10.0])
def test_the_head_minimises_weighted_losses_beside_the_penalty(c: float) -> None:
    taught, labels = features(60, 0)
    held_out, _ = features(3000, 1)
    weights = np.random.default_rng(2).uniform(0.1, 3, 60)
    said = fit.fit_head(taught, labels, weights, c, taught, held_out)
    mean, scale = taught.mean(0), taught.std(0)
    scores = reference((taught - mean) / scale, labels, weights, c, (held_out - mean) / scale)
    first, second = np.sort(scores, 1)[:, -1], np.sort(scores, 1)[:, -2]
    clear = first - second > 0.02 * np.abs(scores).max()
    assert clear.mean() > 0.9
    assert (said[clear] == scores.argmax(1)[clear]).all()


def test_duplicates_of_half_the_weight_change_nothing_and_of_full_weight_weaken_the_penalty() -> None:
    taught, labels = features(30, 0)
    held_out, _ = features(3000, 1)
    twice, again, ones = np.tile(taught, (2, 1)), np.tile(labels, 2), np.ones(30)
    plain = fit.fit_head(taught, labels, ones, 0.01, taught, held_out)
    halved = fit.fit_head(twice, again, np.full(60, 0.5), 0.01, taught, held_out)
    full = fit.fit_head(twice, again, np.ones(60), 0.01, taught, held_out)
    doubled = fit.fit_head(taught, labels, 2 * ones, 0.01, taught, held_out)
    assert (plain == halved).mean() > 0.998
    assert (full == doubled).mean() > 0.998
    assert (plain == full).mean() < 0.998


def test_a_feature_that_never_changes_is_no_division_by_zero() -> None:
    taught, labels = features(30, 0)
    taught[:, 0] = 7.0
    said = fit.fit_head(taught, labels, np.ones(30), 0.1, taught, taught)
    assert (said == labels).mean() > 0.5


def weights_of(bench: Bench, name: str) -> tuple[Any, Any, int]:
    (arm,) = (arm for arm in bench.arms if arm.name == name)
    taught, labels, weights, added = fit._taught(bench, arm.settings, bench.deal.of(arm)[0])
    assert len(taught) == len(labels) == len(weights)
    return labels, weights, added


def test_matched_arms_weigh_as_much_as_the_photos_alone(world: World) -> None:
    bench = world.opened(tiny_study(), world.done).bench
    for name, count, weight in (
        ("baseline", 6, 1.0),
        ("light", 12, 0.5),
        ("duplicated", 6, 1.0),
        ("light, unmatched", 12, 1.0),
    ):
        labels, weights, _ = weights_of(bench, name)
        assert weights.tolist() == [weight] * count, name
        assert np.bincount(labels).tolist() == [count // 2] * 2


@pytest.mark.parametrize("copies", [1, 2, 5, 9, 48])
def test_any_number_of_matched_copies_weighs_exactly_one(world: World, tmp_path: Path, copies: int) -> None:
    controls = {"duplicated": {"settings": {"add": "copies", "copies": copies}}}
    bench = world.opened(tiny_study(controls=controls), tmp_path / "study").bench
    shutil.copytree(world.done / "features", tmp_path / "study" / "features")
    _, weights, added = weights_of(bench, "duplicated")
    assert set(weights.tolist()) == {1.0}
    assert added == 6 * copies


def test_augmented_views_share_the_weight_of_their_picture(world: World, tmp_path: Path) -> None:
    study = small(settings={"augment": "r1", "views": 3})
    world.run(study, tmp_path / "study")
    labels, weights, _ = weights_of(world.opened(study, tmp_path / "study").bench, "heavy")
    assert weights.tolist() == pytest.approx([1 / 6] * 36)
    assert len(labels) == 36


# -- other tasks, other classifiers


def test_networks_that_are_taught_give_curves(world: World, tmp_path: Path) -> None:
    study = small(settings={"model": "r2-cnn-a", "image_size": 32, "epochs": 2, "batch_size": 4})
    opened = world.opened(study, tmp_path / "study")
    plan = plan_study(opened, 1)
    result = opened.perform(LocalEngine(1))
    assert (plan.cells, plan.trainings, plan.features) == (6, 6, 0)
    assert plan.seconds is not None
    for cell in result.cells:
        assert not cell.error
        # Matched: as many steps with twice the pictures as without.
        assert [row[0] for row in cell.curve] == ([1, 2] if cell.arm == "baseline" else [1])
        assert (cell.taught, cell.added) == (6, 0 if cell.arm == "baseline" else 6)
    assert not list((tmp_path / "study" / "training").iterdir())


@pytest.mark.parametrize("normalise", [True, False])
def test_heads_on_features_that_are_taught_give_curves(world: World, tmp_path: Path, normalise: bool) -> None:
    settings = {"head": "r4", "epochs": 2, "normalise": normalise}
    study = small(settings=settings, factors={}, split={"draws": 1})
    (cell,) = world.opened(study, tmp_path / "study").perform(LocalEngine(1)).cells
    assert not cell.error
    assert [row[0] for row in cell.curve] == [1, 2]


def test_a_half_removed_training_is_no_obstacle(world: World, tmp_path: Path) -> None:
    study = small(settings={"model": "r2-cnn-a", "image_size": 32, "epochs": 1}, factors={}, split={"draws": 1})
    opened = world.opened(study, tmp_path / "study")
    (cell,) = opened.bench.cells()
    leftover = tmp_path / "study" / "training" / cell.name
    leftover.mkdir(parents=True)
    (leftover / "curves.csv").write_text("epoch\n")
    assert not opened.perform(LocalEngine(1)).failed


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"model": "r2-cnn-a", "head": "linear"}, "has no head"),
        ({"model": "r2-cnn-a", "normalise": False}, "normalise"),
        ({"styles": ["style00"], "add": "repaints"}, "style0"),
    ],
)
def test_settings_that_would_fail_in_every_cell_are_refused_at_once(
    world: World, tmp_path: Path, settings: dict[str, Any], what: str
) -> None:
    with pytest.raises(UsageError, match=what):
        world.opened(small(settings=settings, factors={}), tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_an_encoder_without_its_preprocessing_sees_other_features(world: World, tmp_path: Path) -> None:
    factors = {"input": {"its own": {}, "x / 255": {"normalise": False}}}
    world.run(small(factors=factors), tmp_path / "study")
    bench = world.opened(small(factors=factors), tmp_path / "study").bench
    own, other = (fit._taught(bench, arm.settings, bench.deal.of(arm)[0])[0] for arm in bench.arms)
    assert own.std(0).mean() > 10 * other.std(0).mean()
    assert np.isfinite(other).all()


def test_styles_are_told_apart(world: World, tmp_path: Path) -> None:
    study = small(
        task="styles",
        data={"classes": [], "photos": 6},
        split={"kind": "folds", "folds": 3, "draws": 1},
        factors={"split": {"by photo": {}, "at random": {"apart": "picture"}}},
    )
    styles = study_pictures.styles(tmp_path / "styles", 3)
    result = run_study(study, world.photos, tmp_path / "study", styles=styles, engine=LocalEngine(1))
    assert result.classes == ("style0", "style1", "style2")
    assert len(result.items) == 18
    for cell in result.of("by photo"):
        assert not {result.items[row].group for row in cell.train} & {result.items[row].group for row in cell.test}
    assert analyse(result).scores["by photo"].metric > 0.7
    assert analyse(result).comparisons["at random"].arm.reference == "by photo"


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put an encoder there that was never taught, to judge repaints."""

    def load(name: str) -> Any:
        return load_encoder(name, weights="random" if name == "squeezenet1_1" else None)

    monkeypatch.setattr(judging, "encoders_here", lambda weights=None: ["impasto-vgg", "squeezenet1_1"])
    monkeypatch.setattr(measure, "load_encoder", load)
    monkeypatch.setattr(runner, "load_encoder", load)


@pytest.mark.usefixtures("judge")
def test_repaints_are_judged_by_an_encoder_that_paints_none(world: World, tmp_path: Path) -> None:
    levels = {"none": {}, "light": {"strengths": [0.2]}, "heavy": {"strengths": [0.8]}}
    study = small(task="repaints", data={"classes": [], "photos": 3}, factors={"strength": levels})
    opened = world.opened(study, tmp_path / "study")
    plan = plan_study(opened, 1)
    assert (plan.cells, plan.repaints, plan.trainings, plan.features) == (3, 9, 0, 0)
    result = opened.perform(LocalEngine(1))
    found = analyse(result)
    metrics = [found.scores[name].metric for name in ("light", "baseline", "heavy")]
    assert metrics == sorted(metrics, reverse=True)  # the stronger, the closer to the style
    contents = [found.scores[name].accuracy for name in ("light", "baseline", "heavy")]
    assert contents == sorted(contents)
    cells = rows(tmp_path / "study", CELLS_NAME)
    assert [float(row["style"]) for row in cells] == pytest.approx([metrics[1], metrics[0], metrics[2]], abs=1e-6)
    judges = {json.loads(path.read_text())["judge"] for path in (tmp_path / "study" / "cells").iterdir()}
    assert judges == {"squeezenet1_1"}


@pytest.mark.usefixtures("judge")
def test_one_style_is_enough_to_compare_repaints(world: World, tmp_path: Path) -> None:
    levels = {"none": {}, "heavy": {"strengths": [0.8]}}
    study = small(task="repaints", data={"classes": [], "photos": 4}, factors={"strength": levels})
    found = analyse(world.run(study, tmp_path / "study")).comparisons["heavy"]
    assert found.difference.items == 4
    assert found.difference.mean < 0


@pytest.mark.usefixtures("judge")
def test_the_judge_belongs_to_the_study(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = small(task="repaints", data={"classes": [], "photos": 2}, factors={})
    world.opened(study, tmp_path / "study")
    monkeypatch.setattr(judging, "encoders_here", lambda weights=None: ["impasto-vgg", "squeezenet1_0"])
    monkeypatch.setattr(runner, "load_encoder", lambda name: load_encoder(name, weights="random"))
    with pytest.raises(RunError, match="differs in networks"):
        world.opened(study, tmp_path / "study")


def test_what_a_network_was_taught_with_is_no_judge_of_it(world: World, tmp_path: Path) -> None:
    # The setting "encoder" is of optimisations: the network's own encoder counts, which is the only one here.
    study = small(task="repaints", data={"classes": []}, factors={}, settings={"encoder": "vgg19"})
    with pytest.raises(UsageError, match="none can judge"):
        world.opened(study, tmp_path / "study")


# -- what is refused


def test_an_output_among_the_pictures_is_refused(world: World) -> None:
    for folder in (world.photos, world.styles):
        with pytest.raises(UsageError, match="lies inside"):
            world.opened(small(), folder / "study")
        assert not (folder / "study").exists()


def test_another_study_in_the_same_folder_is_refused_with_what_differs(world: World, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="differs in study"):
        world.run(tiny_study(title="another"), world.done)
    with pytest.raises(RunError, match="draws, study"):
        world.run(tiny_study(seed=1), world.done)
    more = shutil.copytree(world.photos, tmp_path / "photos")
    picture(more / "ant" / "new.png", 77, (1, 2, 3))
    with pytest.raises(RunError, match="draws, pictures"):
        run_study(tiny_study(), more, world.done, styles=world.styles)


def test_repaints_want_styles_and_what_is_named_must_be_there(world: World, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no styles"):
        StudyRun(tiny_study(), world.photos, None, tmp_path / "study")
    with pytest.raises(UnknownNameError, match="wasp"):
        world.opened(tiny_study(data={"classes": ["ant", "wasp"]}), tmp_path / "study")
    with pytest.raises(UnknownNameError, match="stile0"):
        world.opened(tiny_study(data={"styles": ["stile0"]}), tmp_path / "study")
    with pytest.raises(DataError, match="is not a folder"):
        StudyRun(tiny_study(), tmp_path / "none", world.styles, tmp_path / "study")
    with pytest.raises(DataError, match="is not a folder"):
        StudyRun(tiny_study(), world.photos, tmp_path / "none", tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_a_budget_that_does_not_do_is_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"its budget is 0\.001 min"):
        plan_study(world.opened(tiny_study(budget={"minutes": 0.001}), tmp_path / "a"), 1)
    with pytest.raises(ResourceError, match=r"its budget is 0\.0001 GB"):
        plan_study(world.opened(tiny_study(budget={"gigabytes": 0.0001}), tmp_path / "b"), 1, timed=False)
    plan_study(world.opened(tiny_study(budget={"minutes": 60, "gigabytes": 1}), tmp_path / "c"), 1)


# -- pictures that cannot be used


def test_corrupt_photos_and_styles_are_named_and_set_aside(world: World, tmp_path: Path) -> None:
    photos = shutil.copytree(world.photos, tmp_path / "photos")
    styles = shutil.copytree(world.styles, tmp_path / "styles")
    (photos / "ant" / "broken.png").write_bytes(b"no picture")
    shutil.copy(photos / "bee" / "bee0.png", photos / "bee" / "again.png")
    (styles / "bad.png").write_bytes(b"")
    picture(styles / "tiny.png", 1, (9, 9, 9), (20, 20))
    study = small(factors={"f": {"none": {}, "heavy": {"add": "repaints"}}}, split={"draws": 1})
    result = run_study(study, photos, tmp_path / "study", styles=styles, engine=LocalEngine(1))
    aside = dict(result.aside)
    assert set(aside) == {"ant/broken.png", "bad.png", "tiny.png", "bee/bee0.png"}
    assert "again.png" in aside["bee/bee0.png"]
    assert "pixels" in aside["tiny.png"]
    assert not result.failed
    assert {thing.photo for thing in result.items} == {
        *(f"ant/ant{i}.png" for i in range(9)),
        *(f"bee/bee{i}.png" for i in range(1, 9)),
        "bee/again.png",
    }


def test_a_repaint_that_cannot_be_made_fails_its_cells_and_is_tried_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = perform.paint

    def bad(bench: Bench, unit: Painting) -> None:
        if unit.photo < 9 and unit.config.strength == 0.8:  # all ants, heavily
            raise MemoryError("no room")
        good(bench, unit)

    study, folder = small(), tmp_path / "study"
    monkeypatch.setattr(perform, "paint", bad)
    broken = world.run(study, folder)
    assert {cell.arm for cell in broken.failed} == {"heavy"}
    assert len(broken.failed) == 2
    assert all("could not be" in row["error"] for row in rows(folder, CELLS_NAME) if row["arm"] == "heavy")
    assert "MemoryError: no room" in {row["error"] for row in rows(folder, "journal.csv")}
    assert analyse(broken).comparisons.keys() == {"light"}
    monkeypatch.setattr(perform, "paint", good)
    mended = world.run(study, folder)
    assert not mended.failed
    world.run(study, tmp_path / "other")
    assert tables(folder) == tables(tmp_path / "other")
    assert not list(folder.rglob("*.failed.json"))


def test_a_second_try_that_is_killed_is_not_taken_for_finished(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(bench: Bench, unit: Painting) -> None:
        raise MemoryError

    def killed(bench: Bench, unit: Painting) -> None:
        raise KeyboardInterrupt

    study, folder, good = small(), tmp_path / "study", perform.paint
    monkeypatch.setattr(perform, "paint", no)
    assert world.run(study, folder).failed
    monkeypatch.setattr(perform, "paint", killed)
    with pytest.raises(KeyboardInterrupt):
        world.run(study, folder)
    monkeypatch.setattr(perform, "paint", good)
    assert not world.run(study, folder).failed


def test_features_that_could_not_be_computed_fail_the_cells_that_need_them_only(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, folder, good = tiny_study(split={"draws": 4}), tmp_path / "study", perform.encode
    opened = world.opened(study, folder)
    (lost, *_) = opened.bench.encodings()

    def bad(bench: Bench, unit: Any) -> None:
        if unit.name == lost.name:
            raise MemoryError("no room")
        good(bench, unit)

    monkeypatch.setattr(perform, "encode", bad)
    result = opened.perform(LocalEngine(1))
    assert result.failed
    assert not any(str(tmp_path) in cell.error for cell in result.failed)
    monkeypatch.setattr(perform, "encode", good)
    assert not world.run(study, folder).failed
    assert tables(folder) == tables(world.done)


# -- a disk that is full


@pytest.mark.parametrize("after", [3, 40, 60])
def test_a_full_disk_stops_the_study_which_goes_on_later(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    from impasto import files

    publish, count = files._publish, iter(range(1000))

    def full(temporary: Path, path: Path) -> None:
        if next(count) >= after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        publish(temporary, path)

    study, folder = tiny_study(), tmp_path / "study"
    monkeypatch.setattr(files, "_publish", full)
    with pytest.raises(ResourceError, match="the disk is full"):
        world.run(study, folder)
    assert not list(folder.rglob("*.failed.json"))
    with pytest.raises(RunError, match="not finished"):
        load_result(folder)
    monkeypatch.setattr(files, "_publish", publish)
    world.run(study, folder)
    assert tables(folder) == tables(world.done)
    journal = [row["name"] for row in rows(folder, "journal.csv")]
    assert len(set(journal)) == len(journal)


def test_a_disk_too_full_for_the_journal(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    study, folder = small(), tmp_path / "study"
    world.run(study, folder)
    expected = tables(folder)
    for name in ("manifest.json", CELLS_NAME, ANSWERS_NAME):
        (folder / name).unlink()
    cell = next((folder / "cells").iterdir())
    cell.unlink()
    size = (folder / "journal.csv").stat().st_size
    largest = max(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    with (folder / "journal.csv").open("a") as file:
        for _ in range(largest // 10):
            file.write("cell,x,0.1,1,\r\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, ((folder / "journal.csv").stat().st_size + 9, before[1]))
    try:
        with pytest.raises(ResourceError, match=r"journal\.csv"):
            world.run(study, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert size
    world.run(study, folder)
    assert tables(folder) == expected
    assert {row["kind"] for row in rows(folder, "journal.csv")} == {"repaint", "features", "cell"}


@pytest.mark.parametrize("left", ["", "kind,name", "kind,name,seconds,memory,error\r\ncell,abc,0.1"])
def test_a_journal_that_a_kill_cut_short(world: World, tmp_path: Path, left: str) -> None:
    folder = tmp_path / "study"
    opened = world.opened(small(), folder)
    (folder / "journal.csv").write_text(left, newline="")
    result = opened.perform(LocalEngine(1))
    assert result.cost["units"] == {"repaint": 24, "features": result.cost["units"]["features"], "cell": 6}
    assert result.cost["work"]["repaint"] > 0


# -- the command


@pytest.fixture
def command(world: World, program: Program, tmp_path: Path) -> Iterator[Any]:
    (tmp_path / "tiny.toml").write_text(study_pictures.FILE)

    def run(*more: object) -> Any:
        return program("study", "run", "tiny.toml", "--data", world.photos, "--styles", world.styles, *more)

    return run


def test_the_command_writes_the_same_tables_and_a_page(world: World, command: Any, tmp_path: Path) -> None:
    done = command("-o", "out", "--workers", 1, "--device", "cpu")
    assert done.code == 0, done.err
    assert tables(tmp_path / "out") == tables(world.done)
    assert (tmp_path / "out" / "report.html").is_file()
    assert done.out.rstrip().endswith("report.html")
    assert "came out exactly as its reference" in done.out
    assert "40 cells" in done.err
    again = command("-o", "out", "--json", "--device", "cpu")
    said = json.loads(again.out)
    assert said["failed"] == 0
    assert said["comparisons"]["duplicated"]["finding"] == "exactly zero"
    other = command("-o", "out", "--set", "seed=3")
    assert other.code == 1
    assert "differs in draws, study" in other.err.replace("\n", " ")


@pytest.mark.parametrize("folder", ["out", "empty"])
def test_a_dry_run_says_what_is_ahead_and_leaves_nothing(command: Any, tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    done = command("-o", folder, "--dry-run", "--workers", 1)
    assert done.code == 0
    said = " ".join(done.err.split())
    assert "40 cells" in said
    assert "36 repaints" in said
    assert "ant: 9 usable pictures" in said
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "empty").iterdir())
    plan = json.loads(command("-o", folder, "--dry-run", "--json").out)
    assert (plan["cells"], plan["repaints"], plan["trainings"]) == (40, 36, 0)


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (("--engine", "rey"), "ray"),
        (("--engine", "ray", "--workers", "2"), "--workers"),
        (("--set", "split.drawz=3"), "draws"),
        (("--set", "settings.model=r2-cnn-a", "--set", "settings.head=linear"), "head"),
    ],
)
def test_what_the_command_refuses_leaves_no_folder(command: Any, tmp_path: Path, more: Any, what: str) -> None:
    done = command("-o", "out", *more)
    assert done.code == 2
    assert what in done.err
    assert not (tmp_path / "out").exists()


def test_a_study_beyond_its_budget_does_nothing(command: Any, tmp_path: Path) -> None:
    done = command("-o", "out", "--set", "budget.minutes=0.001")
    assert done.code == 1
    assert "its budget is 0.001 min" in " ".join(done.err.split())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["config.json"]


def test_photos_that_are_set_aside_are_told(world: World, program: Program, tmp_path: Path) -> None:
    photos = shutil.copytree(world.photos, tmp_path / "photos")
    (photos / "ant" / "[red]broken.png").write_bytes(b"no picture")
    (tmp_path / "tiny.toml").write_text(study_pictures.FILE)
    done = program("study", "run", "tiny.toml", "--data", photos, "-s", world.styles, "-o", "out", "--dry-run")
    assert "set aside: ant/[red]broken.png" in " ".join(done.err.split())


def test_a_study_that_is_not_finished_has_no_report(program: Program, world: World, tmp_path: Path) -> None:
    world.opened(small(), tmp_path / "out")
    done = program("study", "report", tmp_path / "out")
    assert done.code == 1
    assert "not finished" in " ".join(done.err.split())


def test_benches_of_one_folder_and_study_are_equal(world: World, tmp_path: Path) -> None:
    bench = world.opened(small(), tmp_path / "a").bench
    assert bench == replace(bench)
    assert hash(bench) == hash(replace(bench))
    assert bench != world.opened(small(seed=1), tmp_path / "b").bench
