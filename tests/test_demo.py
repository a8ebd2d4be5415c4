"""The demonstration: from nothing but the package to a report, and again after being stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.data.dataset import read_dataset
from impasto.demo import DemoConfig, DemoResult, run_demo
from impasto.errors import DataError
from impasto.files import file_digest

PHOTOS, STYLES = 8, 3


def paint(folder: Path, count: int, seed: int) -> Path:
    """Blurred noise: large shapes for photos, each in colours of its own."""
    folder.mkdir()
    for index in range(count):
        random = np.random.default_rng([seed, index])
        small = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize((96, 72), Image.Resampling.BICUBIC).save(folder / f"{folder.name}-{index}.png")
    return folder


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoConfig, Path, DemoResult]:
    root = tmp_path_factory.mktemp("demo")
    content, styles = paint(root / "photos", PHOTOS, 1), paint(root / "styles", STYLES, 2)
    config = DemoConfig(content, styles, size=48, epochs=1)
    return config, root / "out", run_demo(config, root / "out")


def test_every_photo_is_painted_in_every_style_and_judged_on_photos_of_its_own(
    demo: tuple[DemoConfig, Path, DemoResult],
) -> None:
    _, output, result = demo
    data = read_dataset(output / "dataset")
    assert data.counts() == {f"styles-{index}": PHOTOS for index in range(STYLES)}
    groups = [{sample.group for sample in data.split(name).samples} for name in ("train", "validation", "test")]
    assert all(groups)
    assert sum(map(len, groups)) == len(set.union(*groups)) == PHOTOS
    for score in result.scores.values():
        assert score.accuracy.n == len(data.split("test"))
    assert result.report.read_text().count("data:image/") >= PHOTOS * STYLES


def test_the_same_call_reuses_everything_and_writes_the_same_bytes(demo: tuple[DemoConfig, Path, DemoResult]) -> None:
    config, output, first = demo
    before = {path: file_digest(path) for path in output.rglob("*") if path.is_file()}
    again = run_demo(config, output)
    assert (again.repaints.painted, again.repaints.reused) == (0, PHOTOS * STYLES)
    assert {path: file_digest(path) for path in output.rglob("*") if path.is_file()} == before
    assert {name: score.accuracy for name, score in again.scores.items()} == {
        name: score.accuracy for name, score in first.scores.items()
    }


def test_the_samples_alone_are_enough(tmp_path: Path) -> None:
    styles = paint(tmp_path / "styles", 2, 3)
    result = run_demo(DemoConfig(styles=styles, size=48, epochs=1), tmp_path / "out")
    assert len(result.repaints.dataset) >= 10 * 2
    assert (tmp_path / "out" / "photos" / "credits.csv").is_file()


def test_too_few_photos_are_an_error_before_anything_is_painted(tmp_path: Path) -> None:
    config = DemoConfig(paint(tmp_path / "photos", 1, 1), paint(tmp_path / "styles", 2, 2), size=48)
    with pytest.raises(DataError):
        run_demo(config, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.png"))


def test_the_command_prints_where_the_report_is(tmp_path: Path) -> None:
    content, styles = paint(tmp_path / "photos", 6, 1), paint(tmp_path / "styles", 2, 2)
    command = [sys.executable, "-m", "impasto", "demo", "-o", str(tmp_path / "out"), "--json"]
    run = subprocess.run(
        [*command, "--content", str(content), "--styles", str(styles)], capture_output=True, text=True, check=True
    )
    result = json.loads(run.stdout)
    assert Path(result["report"]).is_file()
    assert set(result["scores"]) == {"frozen", "r0-cnn"}
    assert run.stderr == ""
