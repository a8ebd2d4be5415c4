"""Small photos and styles for studies that take seconds, and a study of them."""

from __future__ import annotations

import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from impasto.study.reading import study_from
from impasto.study.spec import Study

TINTS = ((200, 90, 60), (60, 110, 200), (90, 190, 80))


def picture(path: Path, seed: int, tint: tuple[int, int, int], size: tuple[int, int] = (60, 48)) -> Path:
    """Write coarse noise of one tint; another ``seed``, another picture."""
    noise = np.random.default_rng(seed)
    coarse = Image.fromarray(noise.integers(0, 256, (6, 8, 3)).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.blend(coarse, Image.new("RGB", size, tint), 0.35).save(path)
    return path


def photos(folder: Path, count: int = 9, classes: tuple[str, ...] = ("ant", "bee")) -> Path:
    """Write ``count`` photos of each class."""
    for place, label in enumerate(classes):
        for number in range(count):
            picture(folder / label / f"{label}{number}.png", 100 * place + number, TINTS[place])
    return folder


def styles(folder: Path, count: int = 1) -> Path:
    """Write striped style pictures."""
    for number in range(count):
        y, x = np.mgrid[0:64, 0:64]
        stripes = np.where(((x + (number + 1) * y) // 5 % 2)[..., None], TINTS[number], [20, 30, 90])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(stripes.astype(np.uint8)).save(folder / f"style{number}.png")
    return folder


FILE = """
name = "tiny"
title = "Do repaints help?"
question = "Three photos of each class teach."
[data]
classes = ["ant", "bee"]
[split]
draws = 4
[settings]
train_per_class = 3
image_size = 64
repaint_size = 48
views = 2
[factors.strength]
none = {}
light = { add = "repaints", strengths = [0.2] }
heavy = { add = "repaints", strengths = [0.8] }
[controls.duplicated]
settings = { add = "copies" }
expect = "zero"
[controls."light, unmatched"]
settings = { add = "repaints", strengths = [0.2], weigh = "naive" }
[sensitivity]
penalty = [1.0]
[tests]
sd = 5.0
"""


def tiny_study(**more: Any) -> Study:
    """Return a study that takes seconds, with other tables."""
    return study_from(_merged(tomllib.loads(FILE), more))


def _merged(table: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(table)
    for key, value in more.items():
        nested = isinstance(value, Mapping) and key in ("data", "split", "settings", "tests", "budget")
        found[key] = {**found.get(key, {}), **value} if nested else value
    return found


def program_elsewhere(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start the program in a process group of its own; what it prints goes to a file."""
    command = [sys.executable, "-m", "impasto", *map(str, arguments)]
    with (folder / "log.txt").open("a") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, text=True, start_new_session=True)


def wait_until(holds: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 120) -> bool:
    """Wait until something holds; False if the process ended before."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        if process.poll() is not None:
            return holds()
        time.sleep(0.02)
    raise TimeoutError
