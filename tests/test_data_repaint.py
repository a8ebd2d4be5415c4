"""Repainting a folder: what comes out, and that nothing is lost when it is killed, full, or fed rubbish."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.data.dataset import read_dataset
from impasto.data.repaint import repainting as repaint_module
from impasto.data.repaint.records import COLUMNS, RepaintConfig, read_rows
from impasto.data.repaint.repainting import FolderPainter, repaint_folder
from impasto.errors import DataError, ResourceError, RunError, UsageError
from impasto.files import file_digest
from impasto.images import provenance
from impasto.style.config import FastConfig, StylizeConfig

TINY = StylizeConfig(encoder="squeezenet1_1", weights="random", size=48, steps=2)
OPTIONS = ["--size", "48", "--steps", "2", "--encoder", "squeezenet1_1", "--weights", "random", "--quiet"]


def paint_noise(path: Path, seed: int, size: tuple[int, int] = (64, 48)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(array).resize(size, Image.Resampling.BICUBIC).save(path)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Ten photos in two class folders, two styles, and a place for the result."""
    for index in range(10):
        paint_noise(tmp_path / "photos" / ("cats" if index < 5 else "dogs") / f"p{index}.jpg", index)
    for index, name in enumerate(("dots", "lines")):
        paint_noise(tmp_path / "styles" / f"{name}.png", 100 + index)
    return tmp_path / "photos", tmp_path / "styles", tmp_path / "out"


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}


def test_every_photo_in_every_style_labelled_by_style(folders: tuple[Path, Path, Path]) -> None:
    result = repaint_folder(*folders, RepaintConfig(TINY))
    assert result.painted == 20
    assert result.dataset.counts() == {"dots": 10, "lines": 10}
    rows = read_rows(folders[2])
    assert {row.kind for row in rows} == {"repaint"}
    for row in rows:
        path = folders[2] / row.output
        assert file_digest(path) == row.output_sha256
        assert file_digest(folders[0] / row.content) == row.content_sha256
        assert file_digest(folders[1] / row.style) == row.style_sha256
        made = provenance(path)
        assert made is not None
        assert made["config"]["seed"] == int(row.seed)
    with (folders[2] / "manifest.csv").open() as file:
        assert next(csv.reader(file)) == COLUMNS
    for kind, folder in json.loads((folders[2] / "manifest.json").read_text())["folders"].items():
        assert (folders[2] / folder).resolve() == folders[("content", "styles").index(kind)]


def test_no_photo_is_in_two_splits(folders: tuple[Path, Path, Path]) -> None:
    repaint_folder(*folders, RepaintConfig(TINY))
    splits: dict[str, set[str]] = {}
    for row in read_rows(folders[2]):
        splits.setdefault(row.content_sha256, set()).add(row.split)
    assert all(len(names) == 1 for names in splits.values())
    assert {name for names in splits.values() for name in names} == {"train", "validation", "test"}


def test_views_of_one_scene_stay_together(folders: tuple[Path, Path, Path]) -> None:
    result = repaint_folder(*folders, RepaintConfig(TINY), group_of=lambda name: str(int(name[-5]) // 2))
    by_group: dict[str, set[str]] = {}
    for sample in result.dataset.samples:
        by_group.setdefault(sample.group, set()).add(sample.split)
    assert len(by_group) == 5
    assert all(len(names) == 1 for names in by_group.values())


def test_labels_of_the_content_with_originals(folders: tuple[Path, Path, Path]) -> None:
    config = RepaintConfig(TINY, label="content", originals=True, strengths=(0.3, 0.7))
    result = repaint_folder(*folders, config)
    assert result.dataset.counts() == {"cats": 25, "dogs": 25}
    kinds = Counter((row.kind, row.strength) for row in read_rows(folders[2]))
    assert kinds == {("original", ""): 10, ("repaint", "0.3"): 20, ("repaint", "0.7"): 20}
    assert read_dataset(folders[2]).counts() == result.dataset.counts()


def test_the_tree_is_an_imagefolder(folders: tuple[Path, Path, Path]) -> None:
    from torchvision.datasets import ImageFolder

    result = repaint_folder(*folders, RepaintConfig(TINY))
    assert len(ImageFolder(folders[2] / "train")) == len(result.dataset.split("train"))


def test_a_second_run_paints_nothing_and_another_configuration_is_refused(folders: tuple[Path, Path, Path]) -> None:
    repaint_folder(*folders, RepaintConfig(TINY))
    before = digests(folders[2])
    again = repaint_folder(*folders, RepaintConfig(TINY))
    assert (again.painted, again.reused) == (0, 20)
    assert digests(folders[2]) == before
    with pytest.raises(RunError, match="differs in config"):
        repaint_folder(*folders, RepaintConfig(TINY, originals=True))
    paint_noise(folders[0] / "cats" / "new.jpg", 77)
    with pytest.raises(RunError, match="differs in inputs"):
        repaint_folder(*folders, RepaintConfig(TINY))


def test_adding_a_photo_leaves_the_others_repaints_as_they_were(folders: tuple[Path, Path, Path]) -> None:
    photos, styles, out = folders
    repaint_folder(photos, styles, out, RepaintConfig(TINY))
    first = {(row.content, row.style): row.output_sha256 for row in read_rows(out)}
    paint_noise(photos / "cats" / "new.jpg", 77)
    repaint_folder(photos, styles, out.with_name("more"), RepaintConfig(TINY))
    second = {(row.content, row.style): row.output_sha256 for row in read_rows(out.with_name("more"))}
    assert first.items() <= second.items()


def test_corrupt_pictures_are_named_and_set_aside(folders: tuple[Path, Path, Path]) -> None:
    photos, styles, out = folders
    whole = (photos / "cats" / "p0.jpg").read_bytes()
    (photos / "cats" / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "dogs" / "empty.png").write_bytes(b"")
    (photos / "birds").mkdir()
    (styles / "text.jpg").write_text("no picture")
    paint_noise(styles / "dot.png", 1, (1, 1))
    paint_noise(photos / "dogs" / "thin.png", 1, (500, 3))
    paint_noise(photos / "cats" / "one.png", 1, (1, 1))
    result = repaint_folder(photos, styles, out, RepaintConfig(TINY))
    assert result.painted == 20
    with (out / "rejected.csv").open() as file:
        rejected = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    bad = {"cats/half.jpg", "cats/one.png", "dogs/empty.png", "dogs/thin.png", "birds", "text.jpg", "dot.png"}
    assert rejected.keys() == bad
    assert all(Path(path).name in reason for path, reason in rejected.items())


def test_strange_names_have_an_outcome(tmp_path: Path) -> None:
    names = ["a b.jpg", "Grüße 漢字.png", 'x,y;"q".webp', "-dash.jpg", "a.b.c.jpg", "100%.jpg"]
    for index, name in enumerate(names):
        paint_noise(tmp_path / "photos" / name, index)
    paint_noise(tmp_path / "styles" / "un été.png", 50)
    result = repaint_folder(tmp_path / "photos", tmp_path / "styles", tmp_path / "out", RepaintConfig(TINY))
    assert {row.content for row in read_rows(tmp_path / "out")} == set(names)
    assert len(read_dataset(tmp_path / "out")) == 6 == result.painted


def test_two_photos_of_one_name_are_told_apart_or_refused(folders: tuple[Path, Path, Path]) -> None:
    photos, styles, out = folders
    paint_noise(photos / "cats" / "p0.png", 55)
    with pytest.raises(DataError, match=r"p0\.jpg and cats/p0\.png would both become"):
        repaint_folder(photos, styles, out, RepaintConfig(TINY))


def test_folders_without_use(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no usable picture"):
        repaint_folder(tmp_path / "empty", folders[1], folders[2], RepaintConfig(TINY))
    with pytest.raises(DataError, match="not a folder"):
        repaint_folder(tmp_path / "absent", folders[1], folders[2], RepaintConfig(TINY))
    paint_noise(folders[0] / "loose.jpg", 3)
    with pytest.raises(DataError, match="outside of class folders"):
        repaint_folder(*folders, RepaintConfig(TINY, label="content"))
    with pytest.raises(UsageError, match="neither style nor content"):
        RepaintConfig(TINY, label="artist")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="three shares"):
        RepaintConfig(TINY, fractions=(0.9, 0.2, 0.1))
    assert not folders[2].exists()


def test_too_small_a_disk_is_refused_before_anything_is_painted(
    folders: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repaint_module, "free_disk", lambda _: 30_000)
    with pytest.raises(ResourceError, match="would fit"):
        repaint_folder(*folders, RepaintConfig(TINY))
    assert not list(folders[2].rglob("*.png"))


def test_the_estimate_counts_what_is_left(folders: tuple[Path, Path, Path]) -> None:
    painter = FolderPainter(*folders, RepaintConfig(TINY))
    estimate = painter.estimate()
    assert estimate.pictures == 20
    assert estimate.disk > 0
    assert estimate.seconds > 0
    result = painter.paint()
    used = sum(path.stat().st_size for path in folders[2].rglob("*.png"))
    assert used < 4 * estimate.disk
    assert FolderPainter(*folders, RepaintConfig(TINY)).estimate().pictures == 20 - result.painted == 0


def test_a_full_disk_leaves_whole_files_and_the_run_goes_on(
    folders: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import impasto.images.writing as writing

    real, count = writing.write_bytes, 0

    def failing(path: Path, data: bytes) -> None:
        nonlocal count
        count += 1
        if count > 7:
            raise ResourceError(f"the disk is full: {path} could not be written.")
        real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(writing, "write_bytes", failing)
        with pytest.raises(ResourceError, match="disk is full"):
            repaint_folder(*folders, RepaintConfig(TINY))
    for path in folders[2].rglob("*.png"):
        Image.open(path).load()
    assert not (folders[2] / "manifest.json").exists()
    result = repaint_folder(*folders, RepaintConfig(TINY))
    assert (result.painted, result.reused) == (13, 7)


def test_one_pass_is_the_usual_method(folders: tuple[Path, Path, Path]) -> None:
    """Each picture says how it was made, two strengths differ, and originals stay what they are."""
    result = repaint_folder(*folders, RepaintConfig(originals=True, strengths=(0.4, 1.0)))
    rows = read_rows(folders[2])
    assert Counter((row.method, row.strength) for row in rows) == {
        ("copy", ""): 10,
        ("network impasto-any", "0.4"): 20,
        ("network impasto-any", "1"): 20,
    }
    made = provenance(folders[2] / next(row.output for row in rows if row.strength == "1"))
    assert made is not None
    assert (made["config"]["network"], made["config"]["size"]) == ("impasto-any", 256)
    assert result.dataset.counts() == {"original": 10, "dots": 20, "lines": 20}
    with pytest.raises(UsageError, match="needs one size"):
        RepaintConfig(FastConfig())


FAST = ["--size", "48", "--quiet"]


def command(folders: tuple[Path, Path, Path], out: Path, options: list[str]) -> list[str]:
    photos, styles, _ = folders
    return [
        sys.executable,
        "-m",
        "impasto",
        "dataset",
        "stylize",
        str(photos),
        "-s",
        str(styles),
        "-o",
        str(out),
        *options,
    ]


@pytest.mark.parametrize("options", [OPTIONS, FAST], ids=["optimise", "fast"])
def test_killed_three_times_it_ends_with_the_same_bytes(
    folders: tuple[Path, Path, Path], tmp_path: Path, options: list[str]
) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    done = subprocess.run(
        command(folders, undisturbed, options), capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    for wanted in (2, 6, 11):
        process = subprocess.Popen(
            command(folders, killed, options), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 120
        while len(list(killed.rglob("*--*.png"))) < wanted and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not (killed / "manifest.json").exists()
    done = subprocess.run(command(folders, killed, options), capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert digests(killed) == digests(undisturbed)
    assert json.loads((killed / "manifest.json").read_text())["pictures"] == 20


def test_the_command_estimates_and_reports(folders: tuple[Path, Path, Path]) -> None:
    (folders[0] / "bad.jpg").write_text("x")
    loud = [argument for argument in command(folders, folders[2], OPTIONS) if argument != "--quiet"]
    done = subprocess.run([*loud, "--dry-run"], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0
    assert "20 pictures to make" in done.stderr
    assert not list(folders[2].rglob("*.png"))
    done = subprocess.run([*loud, "--json"], capture_output=True, text=True, timeout=200, check=False)
    result = json.loads(done.stdout)
    assert result["painted"] == 20
    assert result["rejected"][0][0] == "bad.jpg"
