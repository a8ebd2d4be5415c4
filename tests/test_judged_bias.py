"""Shape against texture: exact counts with a judge whose answers are known, the pairs, the words, the command."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cli_fixtures import Program
from impasto.data.dataset import read_dataset
from impasto.data.repaint.records import read_rows
from impasto.errors import DataError, UsageError
from impasto.files import file_digest
from impasto.images import open_picture
from impasto.judged import ConflictConfig, CueCounts, Decision, ShapeBias, make_conflicts, shape_bias
from impasto.judged.conflicts import pair_up
from impasto.judged.decisions import CSV_NAME, JSON_NAME, SHEET_NAME
from impasto.judged.sheet import chosen
from impasto.statistics import Proportion
from impasto.style.config import FastConfig
from judged_fixtures import Colours, flat, repaint_by_hand, untrained

RED, GREEN, BLUE = (200, 10, 10), (10, 200, 10), (10, 10, 200)


@pytest.fixture
def conflicts(tmp_path: Path) -> Path:
    """Photos that are named as they are, but for one that says blue and is red; styles are photos, too."""
    for name, colour in (("red/a", RED), ("red/b", BLUE), ("green/c", GREEN), ("blue/d", BLUE)):
        flat(tmp_path / "photos" / f"{name}.png", colour)
        flat(tmp_path / "styles" / f"{name}.png", colour)
    return repaint_by_hand(
        tmp_path,
        [
            ("red/a.png", "green/c.png", "1", RED),  # shape
            ("red/a.png", "blue/d.png", "1", BLUE),  # texture
            ("green/c.png", "red/a.png", "1", RED),  # texture
            ("green/c.png", "red/b.png", "1", BLUE),  # other; the style photo is misnamed
            ("blue/d.png", "green/c.png", "1", GREEN),  # texture
            ("red/b.png", "green/c.png", "1", RED),  # shape, but the photo itself is misnamed: does not count
            ("red/b.png", "red/a.png", "1", RED),  # no conflict
        ],
    )


def test_exact_counts(conflicts: Path, tmp_path: Path) -> None:
    result = shape_bias(conflicts, Colours(), output=tmp_path / "bias")
    assert [item.cue for item in result.decisions] == ["shape", "texture", "texture", "other", "texture", "shape"]
    assert [item.counts for item in result.decisions] == [True] * 5 + [False]
    assert result.counted == CueCounts(shape=1, texture=3, other=1, likelier=1)
    assert result.both == CueCounts(shape=1, texture=3, other=0, likelier=1)
    assert result.every == CueCounts(shape=2, texture=3, other=1, likelier=2)
    assert result.counted.bias == Proportion(1, 4)
    assert {name: counts.n for name, counts in result.by_class().items()} == {"green": 2, "red": 2, "blue": 1}
    assert result.by_class()["blue"].bias == Proportion(0, 1)
    record = json.loads((tmp_path / "bias" / JSON_NAME).read_text())
    assert record["content_named"]["shape_bias"]["wilson95"] == list(Proportion(1, 4).interval)
    assert record["content_named"]["texture"]["k"] == 3
    assert record["both_named"]["pictures"] == 4
    with (tmp_path / "bias" / CSV_NAME).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["decision"] for row in rows] == [item.cue for item in result.decisions]
    assert float(rows[0]["texture_probability"]) == pytest.approx(11 / 223, abs=1e-6)
    assert float(rows[0]["shape_probability"]) == pytest.approx(201 / 223, abs=1e-6)
    assert min(open_picture(tmp_path / "bias" / SHEET_NAME).image.size) > 300
    again = file_digest(tmp_path / "bias" / SHEET_NAME)
    shape_bias(conflicts, Colours(), output=tmp_path / "bias")
    assert file_digest(tmp_path / "bias" / SHEET_NAME) == again


def test_what_taught_the_network_is_counted(conflicts: Path, tmp_path: Path) -> None:
    taught = frozenset({file_digest(tmp_path / "photos" / "red" / "a.png")})
    assert shape_bias(conflicts, Colours(taught=taught)).taught == 2


def test_photos_that_have_gone_do_not_count(conflicts: Path, tmp_path: Path) -> None:
    (tmp_path / "photos" / "red" / "a.png").unlink()
    result = shape_bias(conflicts, Colours())
    assert (result.counted.n, result.every.n) == (3, 6)
    assert len(result.skipped) == 1


def decisions(shape: int, texture: int, other: int, *, named: bool = True) -> tuple[Decision, ...]:
    def one(answer: str) -> Decision:
        return Decision("o", "a/x", "b/y", "1", "a", "b", answer, 0.5, 0.3, 0.2, "a" if named else "c", "b")

    return (*(one("a") for _ in range(shape)), *(one("b") for _ in range(texture)), *(one("c") for _ in range(other)))


@pytest.mark.parametrize(
    ("counts", "named", "start"),
    [
        ((10, 40, 5), True, "net decides by texture: 10/50 = 20.0 %"),
        ((40, 10, 5), True, "net decides by shape: 40/50 = 80.0 %"),
        ((28, 22, 5), True, "Cannot tell whether net decides by shape or by texture: 28/50"),
        ((0, 12, 5), True, "Cannot tell from 12 decisions: 0/12"),
        ((0, 0, 5), True, "Cannot tell: net names none of the 5 pictures"),
        ((10, 40, 5), False, "Cannot tell: of 55 pictures none has a content photo"),
    ],
)
def test_the_verdict(counts: tuple[int, int, int], named: bool, start: str) -> None:
    assert ShapeBias("net", decisions(*counts, named=named), (), {}).words.startswith(start)


def test_style_photos_that_are_misnamed_decide_nothing() -> None:
    """Photos were chosen for being named; of the styles nobody asked, so that shape has the advantage."""
    misnamed = tuple(replace(item, style_answer="c") for item in decisions(40, 10, 5))
    words = ShapeBias("net", misnamed, (), {}).words
    assert words.startswith("Cannot tell whether net decides by shape or by texture: 40/50 = 80.0 %")
    assert "there is no decision" in words
    even = misnamed + decisions(10, 10, 0)
    assert "where the style photo is named as well, 10/20" in ShapeBias("net", even, (), {}).words


def test_reserves_are_said() -> None:
    words = ShapeBias("net", decisions(30, 0, 70), (), {}, weak=True).words
    assert words.startswith("Cannot tell: 70 of 100 are named c, which 0 show and 0 are painted with")
    assert "(30/30 = 100.0 %" in words
    assert "70/100 = 70.0 %" in words
    assert "in 100/100" in words
    assert "below full strength" in words
    plain = ShapeBias("net", decisions(30, 10, 5), (), {}).words
    assert "Cannot" not in plain
    assert "neither" not in plain
    assert "strength" not in plain


def test_a_sheet_shows_each_kind() -> None:
    assert Counter(item.cue for item in chosen(decisions(1, 20, 5))) == {"shape": 1, "texture": 6, "other": 5}
    assert len(chosen(decisions(2, 1, 0))) == 3


@given(
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=5),
    count=st.integers(1, 60),
    seed=st.integers(0, 5),
)
def test_pairs(sizes: list[int], count: int, seed: int) -> None:
    photos = {f"class{index}": [f"{index}/{number}" for number in range(size)] for index, size in enumerate(sizes)}
    pairs = pair_up(photos, count, seed)
    possible = sum(sizes) ** 2 - sum(size**2 for size in sizes)
    assert len(set(pairs)) == len(pairs) == min(count, possible)
    assert all(content.split("/")[0] != style.split("/")[0] for content, style in pairs)
    assert pair_up(photos, count + 7, seed)[: len(pairs)] == pairs


def test_pairs_are_even() -> None:
    photos = {name: [f"{name}{number}" for number in range(40)] for name in "abcd"}
    pairs = pair_up(photos, 120, seed=1)
    assert set(Counter((content[0], style[0]) for content, style in pairs).values()) == {10}
    assert set(Counter(content for content, _ in pairs).values()) == {1}
    assert set(Counter(style for _, style in pairs).values()) == {1}
    assert pair_up(photos, 120, seed=2) != pairs


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three classes of photos with the same file names."""
    for place, colour in enumerate(("red", "green", "blue")):
        for index in range(4):
            noise = np.random.default_rng(10 * place + index).integers(0, 60, (40, 52, 3), dtype=np.uint8)
            noise[..., place] += 150
            path = tmp_path / "photos" / colour / f"image_{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise).save(path)
    return tmp_path / "photos"


def test_conflicts_are_painted_with_photos_of_other_classes(photos: Path, tmp_path: Path) -> None:
    config = ConflictConfig(FastConfig(size=48, seed=3), 9)
    result = make_conflicts(photos, tmp_path / "out", config)
    rows = read_rows(tmp_path / "out")
    assert result.painted == len(rows) == 9
    for row in rows:
        assert Path(row.content).parent.name == row.label != Path(row.style).parent.name
        assert file_digest(photos / row.style) == row.style_sha256
        assert open_picture(tmp_path / "out" / row.output).image.size == (48, 37)
    assert read_dataset(tmp_path / "out").counts() == {"blue": 3, "green": 3, "red": 3}
    before = {path: file_digest(path) for path in (tmp_path / "out").rglob("*.*")}
    (tmp_path / "out" / rows[2].output).unlink()
    again = make_conflicts(photos, tmp_path / "out", config)
    assert (again.painted, again.reused) == (1, 8)
    assert {path: file_digest(path) for path in (tmp_path / "out").rglob("*.*")} == before


def test_only_pictures_of_the_test_split_and_known_classes(photos: Path, tmp_path: Path) -> None:
    few = ConflictConfig(FastConfig(size=48), 4)
    for colour in ("red", "green", "blue"):
        (photos / "train" / colour).mkdir(parents=True)
        (photos / "test").mkdir(exist_ok=True)
        (photos / colour / "image_0.png").rename(photos / "train" / colour / "image_0.png")
        (photos / colour).rename(photos / "test" / colour)
    make_conflicts(photos, tmp_path / "out", few, classes=("red", "blue"))
    rows = read_rows(tmp_path / "out")
    assert {row.label for row in rows} == {"red", "blue"}
    assert all(name.startswith("test/") for row in rows for name in (row.content, row.style))
    with pytest.raises(DataError, match="photos of 1 classes that the model knows"):
        make_conflicts(photos, tmp_path / "none", few, classes=("red", "yellow"))
    with pytest.raises(UsageError, match="0 cue conflicts"):
        ConflictConfig(pictures=0)


def test_the_command_paints_judges_and_is_judged_again(photos: Path, program: Program) -> None:
    untrained(Path("run"), ("blue", "green", "red"))
    untrained(Path("other"), ("blue", "green", "red"), seed=4)
    options = ["--pictures", 6, "--size", 48, "-q"]
    done = program("bias", photos, "--model", "run", *options)
    assert done.code == 0, done.err
    assert done.out.strip().endswith("run/bias/conflicts.png")
    result = shape_bias("run/bias/conflicts", "run")
    assert result.words in done.out
    assert len(result.decisions) == 6
    record = json.loads(program("bias", photos, "-m", "run", *options, "--json").out)
    assert record["all"]["pictures"] == 6
    assert record["painted"] == "network impasto-any, strength 1"
    record = json.loads(program("bias", "run/bias/conflicts", "-m", "other", "-o", "again", "--json").out)
    assert record["model"] != result.judge
    assert not Path("again/conflicts").exists()
    assert Path("again/conflicts.png").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--pictures", "0"), "--pictures"),
        (("--method", "slow"), "unknown method 'slow'"),
        (("--method", "fast", "--steps", "5"), "--steps has no meaning"),
        (("--strength", "2"), "strength 2.0 is not allowed"),
    ],
)
def test_wrong_usage(photos: Path, program: Program, options: tuple[str, ...], message: str) -> None:
    untrained(Path("run"), ("blue", "green", "red"))
    done = program("bias", photos, "-m", "run", *options)
    assert done.code == 2
    assert message in done.err


def test_repaints_without_classes_of_styles_have_no_conflict(tmp_path: Path, program: Program) -> None:
    flat(tmp_path / "photos" / "red" / "a.png", RED)
    flat(tmp_path / "styles" / "wave.png", BLUE)
    folder = repaint_by_hand(tmp_path, [("red/a.png", "wave.png", "1", BLUE)])
    with pytest.raises(DataError, match="no repaint whose style picture lay in a class folder"):
        shape_bias(folder, Colours())
