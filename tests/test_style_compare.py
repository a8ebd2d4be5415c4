"""One photo in one style, painted with each encoder and judged by another: library and command."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cli_fixtures import Program
from impasto.errors import MissingWeightsError, UnknownNameError, UsageError
from impasto.images import open_picture, provenance, to_tensor
from impasto.runtime import Progress
from impasto.style import judging
from impasto.style.compare import CompareConfig, compare_encoders
from impasto.style.config import StylizeConfig
from impasto.style.judging import Judge, encoders_here, judge_for
from impasto.style.optimize import stylize
from impasto.style.sheet import captioned_sheet
from style_fixtures import photo_and_stripes

NAMES = ("squeezenet1_0", "squeezenet1_1")
TINY = CompareConfig(NAMES, size=64, steps=2, weights="random")


@pytest.fixture(autouse=True)
def _small_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    """VGG-19 takes seconds to draw at random."""
    monkeypatch.setattr(judging, "_JUDGES", ("squeezenet1_1", "squeezenet1_0"))


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    """A smooth photo and a striped style."""
    return photo_and_stripes(tmp_path)


def test_each_encoder_paints_and_another_judges(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    photo, style = map(open_picture, pictures)
    result = compare_encoders(photo, style, tmp_path / "out", TINY)
    assert [(row.encoder, row.judge, row.steps) for row in result.rows] == [
        ("squeezenet1_0", "squeezenet1_1", 2),
        ("squeezenet1_1", "squeezenet1_0", 2),
    ]
    assert result.rows[1].parameters == 722_496
    painted = to_tensor(open_picture(tmp_path / "out" / "squeezenet1_0.png").image)
    alone = stylize(photo, style, TINY.painting("squeezenet1_0")).image
    torch.testing.assert_close(painted, alone, atol=1 / 255, rtol=0)
    judge = Judge("squeezenet1_1", photo, [style], TINY.painting("squeezenet1_0"))
    seen = judge.distances(alone)
    assert result.rows[0].style == pytest.approx(seen.style / judge.distances(judge.photo).style, rel=1e-4)
    assert result.rows[0].content == pytest.approx(seen.content, rel=1e-4)


def test_tables_and_sheet_tell_the_same(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    result = compare_encoders(*map(open_picture, pictures), tmp_path / "out", TINY)
    rows = list(csv.DictReader((tmp_path / "out" / "encoders.csv").read_text().splitlines()))
    record = json.loads((tmp_path / "out" / "encoders.json").read_text())
    assert [row["encoder"] for row in rows] == [row["encoder"] for row in record["rows"]] == list(NAMES)
    assert float(rows[0]["style"]) == result.rows[0].style
    assert record["content"]["name"] == "photo.png"
    made = provenance(tmp_path / "out" / "sheet.png")
    assert made is not None
    assert made["rows"] == record["rows"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "encoders.csv",
        "encoders.json",
        "sheet.png",
        "squeezenet1_0.png",
        "squeezenet1_1.png",
    ]


def test_encoders_that_cannot_paint_are_left_out_with_the_reason(
    pictures: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.encoders import weights

    def offline(url: str) -> Path:
        raise OSError("no network here")

    monkeypatch.setattr(weights, "_download", offline)
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path / "nothing"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    photo, style = map(open_picture, pictures)
    result = compare_encoders(photo, style, tmp_path / "all", CompareConfig(size=64, steps=1))
    assert [row.encoder for row in result.rows] == ["impasto-vgg"]
    assert result.rows[0].judge == ""
    assert ("vgg19", "no weights on this machine") in result.left_out
    with pytest.raises(MissingWeightsError, match="no encoder could paint: alexnet"):
        compare_encoders(photo, style, tmp_path / "none", CompareConfig(("alexnet",), size=64, steps=1))


def test_a_photo_in_its_own_style_has_no_share_of_it(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    photo = open_picture(pictures[0])
    assert [row.style for row in compare_encoders(photo, photo, tmp_path / "out", TINY).rows] == [None, None]


def test_what_a_former_comparison_painted_does_not_stay(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    photo, style = map(open_picture, pictures)
    compare_encoders(photo, style, tmp_path / "out", TINY)
    (tmp_path / "out" / "mine.png").write_bytes(b"")
    compare_encoders(photo, style, tmp_path / "out", replace(TINY, encoders=("squeezenet1_1",)))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"mine.png", "squeezenet1_1.png", "sheet.png", "encoders.csv", "encoders.json"}
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is no folder"):
        compare_encoders(photo, style, tmp_path / "file" / "x", TINY)


def test_the_judge_is_never_the_painter_nor_a_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judge_for("squeezenet1_1", "random") == "squeezenet1_0"
    assert judge_for("squeezenet1_1+squeezenet1_0", "random") is None
    monkeypatch.setattr(judging, "find_weights", lambda _: None)
    assert judge_for("vgg19") is None
    assert encoders_here() == []


def test_the_judge_measures_shares_of_the_targets(pictures: tuple[Path, Path]) -> None:
    photo, style = map(open_picture, pictures)
    judge = Judge("squeezenet1_1", photo, [style], StylizeConfig(size=64, weights="random", dream="auto"))
    assert judge.distances(judge.photo).content == 0
    styled = to_tensor(style.image.resize((64, 48), Image.Resampling.LANCZOS))
    assert judge.distances(styled).style < 0.01 * judge.distances(judge.photo).style


def test_an_interruption_keeps_what_is_finished(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    seen: list[str] = []

    def stop(progress: Progress) -> None:
        seen.append(progress.message)
        if progress.stage == "repaint" and progress.step == 1 and "squeezenet1_1" in seen:
            raise KeyboardInterrupt

    result = compare_encoders(*map(open_picture, pictures), tmp_path / "out", TINY, stop)
    assert result.interrupted
    assert [row.encoder for row in result.rows] == ["squeezenet1_0"]
    assert not (tmp_path / "out" / "squeezenet1_1.png").exists()
    assert json.loads((tmp_path / "out" / "encoders.json").read_text())["interrupted"]
    assert open_picture(tmp_path / "out" / "sheet.png").image.width > 3 * 64


def test_values_that_cannot_be_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="vgg19"):
        CompareConfig(("vgg-19",))
    with pytest.raises(UsageError, match="twice"):
        CompareConfig(("vgg19", "vgg19"))
    with pytest.raises(UsageError, match="cannot fill several"):
        CompareConfig(weights="file.pth")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="size 3"):
        CompareConfig(size=3)


def test_a_sheet_has_rows_with_captions() -> None:
    tiles = [(Image.new("RGB", (80, 60), "red"), f"tile {index}\nsecond") for index in range(5)]
    sheet = np.asarray(captioned_sheet(tiles, 40, columns=3))
    assert sheet.shape == (2 * (30 + 30 + 4) + 4, 3 * 44 + 4, 3)
    assert (sheet[4:34, 4:44] == [255, 0, 0]).all()
    assert (sheet[34:74, 4:44] < 100).all(2).any(), "the caption is black on white below the picture"
    assert (sheet[68 + 30 :, 92:] == 255).all(), "the sixth place is empty"


def test_the_command_compares_and_the_list_still_lists(program: Program, pictures: tuple[Path, Path]) -> None:
    options = ["--size", 64, "--steps", 1, "--weights", "random"]
    names = ["--encoder", "squeezenet1_0", "--encoder", "squeezenet1_1"]
    done = program("encoders", "compare", *pictures, "-o", "out", *names, *options)
    assert done.code == 0, done.err
    assert "style left" in done.out
    assert done.out.splitlines()[-1] == "out"
    done = program("encoders", "compare", *pictures, "-o", "out2", *names, *options, "--json")
    assert [row["encoder"] for row in json.loads(done.out)["rows"]] == list(NAMES)
    assert done.err == ""
    done = program("encoders")
    assert "impasto-vgg" in done.out
    assert "embedded" in done.out
    assert {"impasto-vgg", "vgg19"} <= {each["name"] for each in json.loads(program("encoders", "--json").out)}
    done = program("encoders", "--json", "compare", *pictures, "-o", "out3")
    assert done.code == 2
    assert "encoders compare --json" in done.err
    assert program("encoders", "compare", *pictures, "-o", "x", "--size", 3).code == 2


@pytest.mark.shared
def test_with_real_weights_every_encoder_comes_nearer_to_the_style(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(shared / "weights"))
    photo = open_picture(shared / "data/content/tubingen.jpg")
    style = open_picture(shared / "data/styles/starry-night.jpg")
    config = CompareConfig(("squeezenet1_1", "impasto-vgg"), size=96, steps=20)
    result = compare_encoders(photo, style, tmp_path / "out", config)
    assert all(row.style is not None and row.style < 0.6 for row in result.rows), result.rows
    assert [row.judge for row in result.rows] == ["squeezenet1_0", "squeezenet1_1"]
