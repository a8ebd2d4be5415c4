"""The parts of a report: verdicts, limits, figures, numbers in words, commands, colours."""

from __future__ import annotations

import contextlib
import doctest
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy.stats import binomtest

import impasto.report.sheet
import impasto.report.wording
from impasto.errors import RunError
from impasto.report import figures
from impasto.report.collect import read_dataset_record, read_run_records
from impasto.report.commands import commands
from impasto.report.limits import limits
from impasto.report.records import DatasetRecord, RunRecord
from impasto.report.scores import read_evaluation
from impasto.report.verdict import contests, ranking, verdict
from impasto.report.wording import percent
from report_fixtures import evaluate, make_dataset, make_run, make_sources, write_object, write_rows

CLASSES = ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    make_dataset(folder / "data", *make_sources(folder))
    return folder


@pytest.fixture(scope="module")
def dataset(root: Path) -> DatasetRecord:
    return read_dataset_record(root / "data")


def scored(folder: Path, right: list[bool], model: str, **changes: object) -> Path:
    """Write a run that names picture number i correctly if ``right[i]``."""
    rows = []
    for index, hit in enumerate(right):
        truth = CLASSES[index % 4]
        said = truth if hit else CLASSES[(index + 1) % 4]
        rows.append({"path": f"{index}.png", "label": truth, "predicted": said, "correct": hit, "probability": 0.5})
    write_rows(folder / "predictions.csv", rows)
    write_object(folder / "config.json", {"model": model})
    write_object(folder / "evaluation.json", evaluate(rows, CLASSES, "test", {}) | changes)
    return folder


def runs(folder: Path, *columns: list[bool]) -> tuple[RunRecord, ...]:
    names = ["one", "two", "three"]
    paths = [scored(folder / name, right, name) for name, right in zip(names, columns, strict=False)]
    return read_run_records(paths)


def test_overlapping_models_cannot_be_told_apart(tmp_path: Path, dataset: DatasetRecord) -> None:
    first, second = [True] * 20 + [False] * 4, [True] * 17 + [False] * 7
    sentences = verdict(dataset, runs(tmp_path, first, second))
    assert sentences[0].startswith("Best model: one names 20 of 24 held-out repaints correctly (83\xa0%")
    assert sentences[1:] == ["These pictures cannot tell it apart from two (17 of 24)."]


def test_a_clear_winner_is_said_to_be_ahead(tmp_path: Path, dataset: DatasetRecord) -> None:
    sentences = verdict(dataset, runs(tmp_path, [False] * 16 + [True] * 8, [True] * 24))
    assert sentences[1:] == ["It is ahead of one (8 of 24) by more than luck explains."]


def test_a_tie_names_both(tmp_path: Path, dataset: DatasetRecord) -> None:
    sentences = verdict(dataset, runs(tmp_path, [True, False] * 12, [False, True] * 12))
    assert sentences[0].startswith("Best models, in a tie: one and two each name 12 of 24")
    assert len(sentences) == 1


def test_a_model_at_chance_is_not_praised(tmp_path: Path, dataset: DatasetRecord) -> None:
    sentences = verdict(dataset, runs(tmp_path, [True] * 7 + [False] * 17))
    assert sentences[0].startswith("The model one names 7 of 24")
    assert sentences[1] == "The interval holds chance: nothing shows that this is better than guessing."


def test_pairs_are_tested_on_the_pictures_where_they_differ(tmp_path: Path) -> None:
    both = [True] * 40
    best, other = both + [True] * 8 + [False], both + [False] * 8 + [True]
    (contest,) = contests(ranking(runs(tmp_path, other, best)))
    assert (contest.best.run.name, contest.best_only, contest.other_only) == ("two", 8, 1)
    assert contest.p == pytest.approx(2 * (1 + 9) / 2**9)
    assert contest.distinct
    assert contest.overlap


def test_equal_predictions_cannot_differ(tmp_path: Path) -> None:
    right = [True, False, True, True]
    (contest,) = contests(ranking(runs(tmp_path, right, right)))
    assert contest.p == 1
    assert not contest.distinct


def test_several_contests_are_corrected(tmp_path: Path) -> None:
    best = [True] * 20
    columns = best, [False] * 8 + [True] * 12, [False] * 7 + [True] * 13
    found = contests(ranking(runs(tmp_path, *columns)))
    raw = {8: binomtest(0, 8).pvalue, 7: binomtest(0, 7).pvalue}
    assert {item.best_only: item.p for item in found} == {
        8: pytest.approx(2 * raw[8]),
        7: pytest.approx(max(2 * raw[8], raw[7])),
    }


def test_without_common_pictures_only_the_intervals_speak(tmp_path: Path) -> None:
    scored(tmp_path / "x", [True] * 30, "x")
    scored(tmp_path / "y", [False] * 20, "y")
    (contest,) = contests(ranking(read_run_records([tmp_path / "x", tmp_path / "y"])))
    assert contest.p is None
    assert contest.distinct is (not contest.overlap) is True


@pytest.mark.parametrize(("classes", "text"), [(3, "33.3\xa0%"), (8, "12.5\xa0%"), (10, "10\xa0%")])
def test_chance_is_one_in_the_number_of_classes(
    tmp_path: Path, dataset: DatasetRecord, classes: int, text: str
) -> None:
    names = [f"c{index}" for index in range(classes)]
    rows = [{"label": name, "predicted": names[0]} for name in names]
    write_object(tmp_path / "config.json", {"model": "m"})
    write_object(tmp_path / "evaluation.json", evaluate(rows, names, "test", {}))
    run = read_run_records([tmp_path])
    assert verdict(dataset, run)[0].endswith(f"chance is {text}.")


def test_limits_count_photos_styles_and_points(root: Path, dataset: DatasetRecord) -> None:
    run = read_run_records([make_run(root / "run", root / "data", skill=0.5)])
    text = " ".join(limits(dataset, run))
    low, high = run[0].evaluation.wilson95  # type: ignore[union-attr]
    assert f"rests on 8 pictures. Its 95\xa0% interval ({100 * low:.0f} to {100 * high:.0f})" in text
    assert f"spans {100 * (high - low):.0f} points, and one picture more or less moves the score by 12" in text
    assert "come from 2 photos" in text
    assert "The 4 style pictures behind the scored repaints also made the training set." in text
    assert "No test photo was seen in training" in text


def test_a_common_class_is_compared_with_always_naming_it(tmp_path: Path, dataset: DatasetRecord) -> None:
    rows = [{"label": "a" if index else "b", "predicted": "a"} for index in range(10)]
    write_object(tmp_path / "config.json", {"model": "m"})
    write_object(tmp_path / "evaluation.json", evaluate(rows, ["a", "b"], "test", {}))
    text = " ".join(limits(dataset, read_run_records([tmp_path])))
    assert "always naming the commonest one would score 90\xa0%, more than the 50\xa0% of blind chance" in text


def test_a_photo_under_two_names_is_found_in_both_splits(dataset: DatasetRecord) -> None:
    assert dataset.divided_photos() == ()
    train = next(item for item in dataset.pictures if item.split == "train")
    twin = replace(train, content="twin.png", group="twin", split="test")
    assert replace(dataset, pictures=(*dataset.pictures, twin)).divided_photos() == (train.content, "twin.png")


JUNK = st.none() | st.booleans() | st.integers(-3, 99) | st.floats() | st.text(max_size=3) | st.lists(st.integers())
FIELDS = [
    *("split", "n_evaluated", "n_available", "correct", "accuracy", "wilson95", "balanced_accuracy"),
    *("macro_f1", "classes", "per_class", "confusion", "skipped", "trained_on"),
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(FIELDS), junk=JUNK, missing=st.booleans())
def test_a_junk_field_is_refused_or_harmless(tmp_path: Path, name: str, junk: object, missing: bool) -> None:
    scored(tmp_path, [True] * 6 + [False] * 2, "m")
    path = tmp_path / "evaluation.json"
    record = json.loads(path.read_text())
    record.pop(name, None)
    path.write_text(json.dumps(record if missing else record | {name: junk}))
    with contextlib.suppress(RunError):
        evaluation = read_evaluation(path)
        assert evaluation is not None
        assert (evaluation.correct, evaluation.n_evaluated, evaluation.accuracy) == (6, 8, 0.75)


@pytest.mark.parametrize(
    "changes",
    [
        {"correct": 5},
        {"n_evaluated": 9},
        {"accuracy": 0.76},
        {"wilson95": [0.8, 0.9]},
        {"n_available": 7},
        {"confusion": [[8]]},
        {"macro_f1": float("nan")},
    ],
)
def test_scores_that_contradict_each_other_are_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    scored(tmp_path, [True] * 6 + [False] * 2, "m", **changes)
    with pytest.raises(RunError, match=r"evaluation\.json is damaged"):
        read_run_records([tmp_path])


def test_predictions_that_are_not_the_evaluated_ones_are_refused(tmp_path: Path) -> None:
    scored(tmp_path, [True] * 8, "m")
    scored(tmp_path / "other", [True] * 7 + [False], "m")
    (tmp_path / "other" / "predictions.csv").replace(tmp_path / "predictions.csv")
    with pytest.raises(RunError, match=r"predictions\.csv and evaluation\.json beside it disagree"):
        read_run_records([tmp_path])


def test_what_the_classify_room_writes_is_read(tmp_path: Path) -> None:
    from impasto.classify import Confusion, Evaluation, Prediction
    from impasto.classify.judge.evaluation import Judged
    from impasto.classify.judge.leaks import Leak, LeakCheck
    from impasto.data.dataset import Sample

    known = Leak("train/a/0.png", "bytes")
    truth, said = ["a", "b", "b", "a"], ["a", "b", "a", "a"]
    predictions = [
        Prediction(Path(f"{i}.png"), {"a": 0.7, "b": 0.3} if label == "a" else {"a": 0.3, "b": 0.7})
        for i, label in enumerate(said)
    ]
    judged = tuple(
        Judged(Sample(Path(f"{i}.png"), label), f"test/{label}/{i}.png", predictions[i], leak=None if i else known)
        for i, label in enumerate(truth)
    )
    confusion = Confusion.of(["a", "b"], truth, said)
    evaluation = Evaluation("test", 5, confusion, judged, (("bad.png", "cut"),), {"model": "r0-cnn"}, LeakCheck())
    evaluation.save(tmp_path)
    write_object(tmp_path / "config.json", {"model": "r0-cnn"})
    (run,) = read_run_records([tmp_path])
    assert run.evaluation is not None
    assert (run.evaluation.correct, run.evaluation.n_available) == (3, 5)
    assert run.evaluation.wilson95 == evaluation.accuracy.interval
    assert run.evaluation.trained_on == ("test/a/0.png",)
    assert run.evaluation.skipped == (("bad.png", "cut"),)
    assert [item.correct for item in run.predictions] == [True, True, False, True]


def test_what_the_data_room_writes_has_the_columns_read_here() -> None:
    from impasto.data.repaint.repainting import COLUMNS
    from impasto.report.collect import _REPAINT_COLUMNS, _STYLE_COLUMNS

    assert set(_REPAINT_COLUMNS + _STYLE_COLUMNS) <= set(COLUMNS)


def parsed(command: str) -> dict[str, object]:
    """Return the parameters that the real command line understands."""
    import shlex

    from impasto.cli.main import app

    words = shlex.split(command.replace("\\\n", ""))
    assert words.pop(0) == "impasto"
    context = typer.main.get_group(app).make_context("impasto", list(words))
    command_name, found, rest = context.command.resolve_command(context, [*context._protected_args, *context.args])  # type: ignore[attr-defined]
    while hasattr(found, "resolve_command"):
        context = found.make_context(command_name, rest, parent=context)
        command_name, found, rest = found.resolve_command(context, [*context._protected_args, *context.args])
    return dict(found.make_context(command_name, rest, parent=context).params)


def test_commands_are_understood_and_carry_the_settings(root: Path, tmp_path: Path, dataset: DatasetRecord) -> None:
    run = make_run(tmp_path / "my run", root / "data", model="frozen:impasto-vgg", seed=5)
    lines = commands(dataset, read_run_records([run]))
    stylize, train, judge, report = (parsed(line) for line in lines)
    assert (stylize["size"], stylize["seed"], stylize["fractions"]) == (256, 7, (0.5, 0.25, 0.25))
    assert stylize["strength"] == ["0.5"]
    assert (train["output"], train["model"], train["seed"]) == (Path("my run"), "frozen:impasto-vgg", 5)
    assert (judge["run"], judge["data"], judge["split"]) == (Path("my run"), Path("data"), "test")
    assert (report["dataset"], report["runs"]) == (Path("data"), [Path("my run")])
    assert all(len(line) < 90 for command in lines for line in command.splitlines())


def axes_of(figure: Figure):
    return figure.axes[0]


def test_curves_are_the_numbers_of_the_table_and_the_kept_epoch_is_marked(root: Path) -> None:
    (run,) = read_run_records([make_run(root / "curved", root / "data", epochs=12)])
    axes = axes_of(figures.draw_curve(run.curves, "loss", run.best))
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines["training"].get_ydata()) == [epoch.train_loss for epoch in run.curves]
    assert list(lines["validation"].get_xdata()) == list(range(1, 13))
    assert list(lines["kept"].get_xdata()) == [8, 8]
    ring = axes.lines[-1]
    assert list(ring.get_ydata()) == [run.curves[7].validation_loss]


def test_curves_of_a_linear_head_run_over_its_penalty(root: Path) -> None:
    (run,) = read_run_records([make_run(root / "head", root / "data", model="frozen:x", epochs=9)])
    axes = axes_of(figures.draw_curve(run.curves, "accuracy", run.best))
    assert axes.get_xscale() == "log"
    assert list(axes.lines[0].get_xdata()) == [epoch.c for epoch in run.curves]


def test_curves_with_gaps_and_single_points_are_drawn(root: Path) -> None:
    (run,) = read_run_records([make_run(root / "short", root / "data", epochs=1)])
    bare = [replace(epoch, validation_loss=None, validation_accuracy=None) for epoch in run.curves]
    axes = axes_of(figures.draw_curve(bare, "loss"))
    assert [line.get_label() for line in axes.lines] == ["training"]
    assert axes.lines[0].get_marker() == "o"


def test_a_better_model_lies_further_right_and_whiskers_end_at_the_interval() -> None:
    bars = [figures.Bar("good", "9 of 10", 0.9, 0.6, 0.98, 0.25), figures.Bar("poor", "4 of 10", 0.4, 0.17, 0.69, 0.25)]
    axes = axes_of(figures.draw_intervals(bars))
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [dot.get_xdata()[0] for dot in dots] == [0.9, 0.4]
    assert dots[0].get_ydata()[0] < dots[1].get_ydata()[0]  # the axis points down: the best is on top
    assert axes.yaxis_inverted()
    segments = [np.asarray(item.get_segments()[0])[:, 0].tolist() for item in axes.collections]
    assert [0.6, 0.98] in segments
    assert segments.count([0.25, 0.25]) == 2


def test_svg_takes_colours_from_the_page_and_escapes_names() -> None:
    bar = figures.Bar("<b> $\\frac$ 星", "1 of 2", 0.5, 0.1, 0.9, 0.5)
    svg, again = (str(figures.to_svg(figures.draw_intervals([bar]), "i")) for _ in range(2))
    assert svg == again
    assert "&lt;b&gt; $\\frac$ 星" in svg
    assert "var(--accent)" in svg
    assert not re.search(r"#[0-9a-f]{6}", svg)
    assert all(name.startswith("i-") for name in re.findall(r'\bid="([^"]*)"', svg))


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_only_all_and_nothing_are_written_as_100_and_0(k: int, n: int) -> None:
    share = min(k, n) / n
    text = percent(share)
    assert (text == "100\xa0%") == (share == 1)
    assert (text == "0\xa0%") == (share == 0)


@pytest.mark.parametrize("module", [impasto.report.wording, impasto.report.sheet])
def test_examples_in_docstrings_hold(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted
    assert not result.failed


def luminance(colour: np.ndarray) -> float:
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(first: np.ndarray, second: np.ndarray) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_have_the_contrast_that_wcag_asks_for(theme: int) -> None:
    css = (Path(figures.__file__).parent / "templates" / "style.css").read_text()
    block = css.split(":root {")[1 + theme].split("}")[0]
    colour = {
        name: np.array([int(value[i : i + 2], 16) for i in (0, 2, 4)]) / 255
        for name, value in re.findall(r"--([\w-]+): #([0-9a-f]{6});", block)
    }
    assert contrast(colour["ink"], colour["paper"]) > 7
    for text in ("muted", "accent"):
        assert contrast(colour[text], colour["paper"]) > 4.5
    for mark in ("train", "validation", "test", "right", "wrong"):
        assert contrast(colour[mark], colour["paper"]) > 3
    for heat in ("hit", "miss"):
        hottest = 0.7 * colour[heat] + 0.3 * colour["raised"]
        assert contrast(colour["ink"], hottest) > 4.5
