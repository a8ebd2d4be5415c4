"""The strongest repaint that keeps the label: with a judge whose limits are known, and through the command."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cli_fixtures import Program
from impasto.data.repaint.choosing import STRENGTHS_NAME
from impasto.data.repaint.records import RepaintConfig, RepaintResult, read_rows
from impasto.data.repaint.repainting import FolderPainter, repaint_folder
from impasto.errors import DataError, RunError, UsageError
from impasto.files import file_digest
from impasto.images import Picture, open_picture, provenance
from impasto.judged import KeepLabel, open_judge
from impasto.judged.judges import Networks
from impasto.judged.strengths import FAST_LADDER, MISNAMED, NAMED, NOTHING, SLOW_LADDER, bisect_up
from impasto.report.commands import _stylize_settings
from impasto.runs import write_csv
from impasto.style.config import FastConfig, StylizeConfig
from impasto.style.result import Repaint
from judged_fixtures import Brightness, Colours, flat, untrained

FAST = RepaintConfig(FastConfig(size=48), label="content")


def darker(photo: float, by: float, calls: list[float] | None = None):  # type: ignore[no-untyped-def]
    """A painter that takes ``by`` times the strength off a grey photo."""

    def paint(strength: float) -> Repaint:
        if calls is not None:
            calls.append(strength)
        return Repaint(torch.full((1, 3, 8, 8), photo - by * strength), None, {}, 0.0)

    return paint


def grey(tmp_path: Path, value: float) -> Picture:
    return open_picture(flat(tmp_path / f"{value}.png", 255 * value))


@pytest.mark.parametrize(
    ("photo", "by", "keep", "strength", "reason", "paintings"),
    [
        (0.8, 0.1, 0.5, 1.0, NAMED, 1),  # 0.7 at full strength: still bright
        (0.8, 0.4, 0.5, 0.7, NAMED, 4),  # bright as long as 0.8 - 0.4 s > 0.5
        (0.8, 0.4, 0.9, 0.2, NAMED, 9),  # 0.8 - 0.4 s >= 0.72
        (0.8, 0.4, 0.0, 0.7, NAMED, 4),  # the first answer alone
        (0.8, 4.0, 0.5, 0.1, NOTHING, 10),  # dark at a tenth
        (0.4, 0.3, 0.5, 0.6, MISNAMED, 5),  # dark itself: 0.4 - 0.3 s >= 0.2
        (0.4, 0.3, 0.0, 1.0, MISNAMED, 1),
        (0.4, -0.5, 1.0, 1.0, NAMED, 1),  # becomes what it is
    ],
)
def test_the_strongest_of_a_network(
    tmp_path: Path, photo: float, by: float, keep: float, strength: float, reason: str, paintings: int
) -> None:
    calls: list[float] = []
    choice, repaint = KeepLabel(Brightness(), keep).choose(
        grey(tmp_path, photo), "bright", 48, darker(photo, by, calls)
    )
    assert (choice.strength, choice.reason, choice.paintings) == (strength, reason, paintings)
    assert calls == list(FAST_LADDER[:paintings])
    assert repaint.image.mean() == pytest.approx(photo - by * choice.strength)
    assert choice.before == pytest.approx(photo, abs=0.003)
    assert choice.after == pytest.approx(np.clip(photo - by * choice.strength, 0, 1), abs=0.003)
    assert choice.answer == ("bright" if choice.after > 0.5 else "dark")


def test_a_misnamed_photo_stays_what_the_judge_saw(tmp_path: Path) -> None:
    """Green in place of red; with more and more blue in it, it becomes blue between 0.6 and 0.7."""
    photo = open_picture(flat(tmp_path / "x.png", (100, 140, 10)))

    def bluer(strength: float) -> Repaint:
        colour = torch.tensor([100, 140, 10 + 200 * strength]).view(1, 3, 1, 1) / 255
        return Repaint(colour.expand(1, 3, 8, 8), None, {}, 0.0)

    choice, _ = KeepLabel(Colours()).choose(photo, "red", 48, bluer)
    assert (choice.strength, choice.reason, choice.photo_answer, choice.answer) == (0.6, MISNAMED, "green", "green")
    assert choice.before == pytest.approx(101 / 253, abs=1e-6)
    assert choice.after == pytest.approx(101 / 373, abs=1e-6)
    assert KeepLabel(Colours(), 0.75).choose(photo, "red", 48, bluer)[0].strength == 0.4  # 101 / 333 of 101 / 253


@given(limit=st.floats(0, 1))
def test_bisection_finds_the_limit_with_three_paintings(limit: float) -> None:
    tried: list[float] = []

    def keeps(strength: float) -> bool:
        tried.append(strength)
        return strength <= limit

    assert bisect_up(SLOW_LADDER, keeps) == max((s for s in SLOW_LADDER if s <= limit), default=None)
    assert len(tried) == 3


def test_optimisation_is_painted_three_times_and_the_weakest_of_all_is_among_them(tmp_path: Path) -> None:
    judge = Brightness()
    for by, strength, reason in ((0.7, 0.35, NAMED), (9.0, 0.05, NOTHING), (0.1, 0.95, NAMED)):
        calls: list[float] = []
        choice, repaint = KeepLabel(judge, slow=True).choose(grey(tmp_path, 0.8), "bright", 8, darker(0.8, by, calls))
        assert (choice.strength, choice.reason, choice.paintings, len(calls)) == (strength, reason, 3, 3)
        assert repaint.image.mean() == pytest.approx(0.8 - by * strength)


def test_a_photo_is_looked_at_once_and_in_the_repaints_size(tmp_path: Path) -> None:
    judge = Brightness()
    chooser, photo = KeepLabel(judge), grey(tmp_path, 0.8)
    for _ in range(2):
        chooser.choose(photo, "bright", 32, darker(0.8, 0.1))
    assert judge.shown == [(32, 24), (8, 8), (8, 8)]


def test_what_is_transparent_is_judged_as_it_will_be_read(tmp_path: Path) -> None:
    alpha = Image.new("L", (8, 8), 0)
    black = Repaint(torch.zeros(1, 3, 8, 8), alpha, {}, 0.0)
    choice, _ = KeepLabel(Brightness()).choose(grey(tmp_path, 0.8), "bright", 8, lambda _: black)
    assert choice.after == 1


def test_shares_that_cannot_be_kept() -> None:
    for keep in (-0.1, 1.1, float("nan")):
        with pytest.raises(UsageError, match="cannot be kept"):
            KeepLabel(Brightness(), keep)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Six photos of two classes and two styles, one of them black."""
    for index, value in enumerate((250, 170, 135)):
        flat(tmp_path / "photos" / "bright" / f"b{index}.png", value)
        flat(tmp_path / "photos" / "dark" / f"d{index}.png", 255 - value)
    flat(tmp_path / "styles" / "black.png", 0)
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "styles" / "noise.png")
    return tmp_path / "photos", tmp_path / "styles", tmp_path / "out"


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / STRENGTHS_NAME).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def check_choices(result: RepaintResult, photos: Path) -> None:
    """Each picture is what a run of the chosen strength alone paints, and the next stronger one loses the label."""
    rows = read_rows(result.folder)
    lines = table(result.folder)
    assert [line["output"] for line in lines] == [row.output for row in rows]
    for row, line, choice in zip(rows, lines, result.choices, strict=True):
        made = provenance(result.folder / row.output)
        assert made is not None
        assert made["config"]["strength"] == choice.strength == float(row.strength) == float(line["strength"])
        assert made["config"]["seed"] == int(row.seed)
        assert made["chosen"] == choice.record()
        assert (line["reason"], line["answer"], line["label"]) == (choice.reason, choice.answer, row.label)
        mean = np.asarray(Image.open(result.folder / row.output)).mean() / 255
        assert choice.after == pytest.approx(mean if row.label == "bright" else 1 - mean, abs=1e-6)
        assert choice.photo_answer == row.label
        assert choice.reason == (NAMED if choice.after >= max(0.5, 0.5 * choice.before) else NOTHING)
        assert (photos / row.content).is_file()


def test_a_folder_says_which_strength_each_picture_got(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    photos, styles, out = folders
    taught = frozenset({file_digest(photos / "bright" / "b0.png")})
    result = repaint_folder(photos, styles, out, FAST, chooser=KeepLabel(Brightness(taught=taught)))
    check_choices(result, photos)
    strengths = {choice.strength for choice in result.choices}
    assert len(strengths) > 1
    assert {line["content"] for line in table(out) if line["taught"] == "True"} == {"bright/b0.png"}
    manifest = json.loads((out / "manifest.json").read_text())
    assert sum(manifest["chosen"]["reasons"].values()) == 12
    assert manifest["chosen"]["taught"] == 2
    chooser = json.loads((out / "config.json").read_text())["chooser"]
    assert chooser == {"strength": "auto", "keep": 0.5, "ladder": list(FAST_LADDER), "judge": Brightness().identity()}

    plain = RepaintConfig(FastConfig(size=48), label="content", strengths=tuple(sorted(strengths)))
    repaint_folder(photos, styles, tmp_path / "plain", plain)
    named = {(row.content, row.style, row.strength): row for row in read_rows(tmp_path / "plain")}
    for row in read_rows(out):
        twin = named[row.content, row.style, row.strength]
        assert (row.seed, row.config, row.method, row.split) == (twin.seed, twin.config, twin.method, twin.split)
        pixels = [np.asarray(Image.open(path)) for path in (out / row.output, tmp_path / "plain" / twin.output)]
        assert np.array_equal(*pixels)


def test_a_report_gives_the_command_back(folders: tuple[Path, Path, Path]) -> None:
    repaint_folder(*folders, FAST, chooser=KeepLabel(Brightness(), 0.7))
    words = _stylize_settings(json.loads((folders[2] / "config.json").read_text()))
    assert " ".join(words).count("--strength") == 1
    assert "--judge JUDGE --keep 0.7 --strength auto" in " ".join(words)


def test_originals_stay_and_have_no_strength(folders: tuple[Path, Path, Path]) -> None:
    config = RepaintConfig(FastConfig(size=48), label="content", originals=True)
    result = repaint_folder(*folders, config, chooser=KeepLabel(Brightness()))
    assert (len(result.dataset), len(result.choices), len(table(folders[2]))) == (18, 12, 12)


def test_optimisation_chooses_too(folders: tuple[Path, Path, Path]) -> None:
    photos, styles, out = folders
    (styles / "noise.png").unlink()
    stylize = StylizeConfig(encoder="squeezenet1_1", weights="random", size=48, steps=2)
    chooser = KeepLabel(Brightness(), slow=True)
    result = repaint_folder(photos, styles, out, RepaintConfig(stylize, label="content"), chooser=chooser)
    check_choices(result, photos)
    assert {choice.paintings for choice in result.choices} == {3}
    assert all(choice.strength in SLOW_LADDER for choice in result.choices)


def test_a_run_goes_on_with_the_choices_that_were_made(folders: tuple[Path, Path, Path]) -> None:
    photos, styles, out = folders
    repaint_folder(photos, styles, out, FAST, chooser=KeepLabel(Brightness()))
    before = {path: file_digest(path) for path in out.rglob("*") if path.is_file()}
    rows = read_rows(out)
    for path in (out / rows[0].output, out / rows[5].output, out / "manifest.json", out / STRENGTHS_NAME):
        path.unlink()
    painter = FolderPainter(photos, styles, out, FAST, chooser=KeepLabel(Brightness()))
    result = painter.paint()
    assert (result.painted, result.reused, len(result.choices)) == (2, 10, 12)
    assert {path: file_digest(path) for path in out.rglob("*") if path.is_file()} == before
    with pytest.raises(RunError, match="differs in chooser"):
        FolderPainter(photos, styles, out, FAST, chooser=KeepLabel(Brightness(), 0.6))
    with pytest.raises(RunError, match="differs in chooser"):
        FolderPainter(photos, styles, out, FAST)


def test_what_cannot_be_chosen(folders: tuple[Path, Path, Path]) -> None:
    with pytest.raises(UsageError, match="labels are the photos' own"):
        repaint_folder(*folders, RepaintConfig(FastConfig(size=48)), chooser=KeepLabel(Brightness()))
    strong = RepaintConfig(FastConfig(size=48), label="content", strengths=(1.0,))
    with pytest.raises(UsageError, match="labels are the photos' own"):
        repaint_folder(*folders, strong, chooser=KeepLabel(Brightness()))
    (folders[0] / "dark").rename(folders[0] / "drak")
    with pytest.raises(DataError, match=r"does not know the class 'drak'.*Did you mean dark"):
        repaint_folder(*folders, FAST, chooser=KeepLabel(Brightness()))
    assert not folders[2].exists()


def test_an_opened_model_is_a_judge(tmp_path: Path) -> None:
    run = untrained(tmp_path / "run", ("dark", "bright"))
    rows = [
        {"path": "a", "sha256": "1" * 64, "split": "train", "label": "dark", "group": ""},
        {"path": "b", "sha256": "2" * 64, "split": "test", "label": "dark", "group": ""},
    ]
    write_csv(run / "split.csv", rows, list(rows[0]))
    judge = open_judge(run, device="cpu")
    assert isinstance(judge, Networks)
    assert judge.taught == {"1" * 64}
    path = flat(tmp_path / "x.png", (200, 30, 90))
    from impasto.classify import load_classifier

    expected = load_classifier(run, device="cpu").predict([path])[0].probabilities
    found = dict(zip(judge.classes, judge.shares([open_picture(path).image])[0], strict=True))
    assert found == pytest.approx(dict(expected))
    moved = run.rename(tmp_path / "moved")
    assert open_judge(moved, device="cpu").identity() == judge.identity()
    other = untrained(tmp_path / "other", ("dark", "bright"), seed=4)
    assert open_judge(other, device="cpu").identity() != judge.identity()
    with pytest.raises(UsageError, match="is an encoder"):
        open_judge("impasto-vgg", device="cpu")


def test_an_ensemble_judges_with_the_mean_of_its_members(tmp_path: Path, program: Program) -> None:
    untrained(tmp_path / "one", ("dark", "bright"))
    untrained(tmp_path / "two", ("dark", "bright"), seed=5)
    assert program("ensemble", "one", "two", "-o", "both", "-q").code == 0
    picture = open_picture(flat(tmp_path / "x.png", (200, 30, 90))).image
    single = [open_judge(tmp_path / name, device="cpu").shares([picture]) for name in ("one", "two")]
    assert open_judge(tmp_path / "both", device="cpu").shares([picture]) == pytest.approx(sum(single) / 2)


def arguments(*more: object) -> Sequence[object]:
    return ["dataset", "stylize", "photos", "-s", "styles", "-o", "out", "--label", "content", "--size", 48, *more]


def test_the_command_chooses_and_says_so(folders: tuple[Path, Path, Path], program: Program) -> None:
    untrained(Path("run"), ("bright", "dark"))
    rows = [
        {"path": "b0.png", "sha256": file_digest(folders[0] / "bright" / "b0.png"), "split": "train"}
        | {"label": "bright", "group": ""}
    ]
    write_csv(Path("run/split.csv"), rows, list(rows[0]))
    done = program(*arguments("--strength", "auto", "--judge", "run", "--keep", 0.2))
    assert done.code == 0, done.err
    assert "warning: 2 of 12 repaints are of photos that taught run" in done.err
    assert "strengths: " in done.err
    again = json.loads(program(*arguments("--strength", "auto", "--judge", "run", "--keep", 0.2, "--json")).out)
    assert (again["painted"], again["reused"], len(again["chosen"])) == (0, 12, 12)
    assert json.loads(Path("out/manifest.json").read_text())["folders"]["judge"] == "../run"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--strength", "atuo"), "strength 'atuo' is neither a number nor auto"),
        (("--strength", "auto"), "needs somebody who says"),
        (("--strength", "auto", "--strength", "0.5", "--judge", "run"), "stands alone"),
        (("--judge", "run"), "--judge has no meaning without --strength auto"),
        (("--keep", "0.5"), "--keep has no meaning"),
        (("--strength", "auto", "--judge", "run", "--keep", "2"), "cannot be kept"),
        (("--strength", "auto", "--judge", "run", "--label", "style"), "labels are the photos' own"),
        (("--strength", "auto", "--judge", "nowhere"), "unknown network 'nowhere'"),
        (("--strength", "7"), "strength 7.0 is not allowed"),
    ],
)
def test_wrong_usage(
    folders: tuple[Path, Path, Path], program: Program, options: tuple[str, ...], message: str
) -> None:
    untrained(Path("run"), ("bright", "dark"))
    done = program(*arguments(*options))
    assert done.code == 2, done.err
    assert message in done.err
    assert not folders[2].exists()


def test_killed_it_ends_with_the_same_bytes(folders: tuple[Path, Path, Path], program: Program, tmp_path: Path) -> None:
    untrained(tmp_path / "run", ("bright", "dark"))
    words = [str(word) for word in arguments("--strength", "auto", "--judge", "run", "--quiet")]
    process = subprocess.Popen([sys.executable, "-m", "impasto", *words], cwd=tmp_path, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(folders[2].rglob("*--*.png"))) < 3 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folders[2] / "manifest.json").exists()
    assert program(*words).code == 0
    killed = {path.relative_to(tmp_path): path for path in folders[2].rename(tmp_path / "killed").rglob("*.*")}
    assert program(*words).code == 0
    whole = {path.relative_to(tmp_path): path for path in folders[2].rglob("*.*")}
    assert [file_digest(path) for _, path in sorted(whole.items())] == [
        file_digest(path) for _, path in sorted(killed.items())
    ]
    assert len(whole) == 12 + 5
