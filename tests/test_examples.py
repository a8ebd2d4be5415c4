"""The examples run, from their folder's own files, and print what they promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from impasto.study import arms_of, read_study

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_every_example_is_tested() -> None:
    assert [path.name for path in sorted(EXAMPLES.glob("*.py"))] == ["paint_and_learn.py"]


def test_paint_and_learn(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / "paint_and_learn.py"), "--folder", str(tmp_path)]
    run = subprocess.run([*command, "--size", "48"], capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    assert lines[0].startswith("36 pictures, {'dots-at-sunset': 12")
    assert "Wilson" in lines[1] or "/" in lines[1]
    assert lines[2].startswith("mosaic-sun.png looks like [(")


def test_the_study_compares_with_as_many_photos() -> None:
    arms = {arm.name: arm for arm in arms_of(read_study(EXAMPLES / "study.toml"))}
    assert arms["twenty + repainted"].reference == "twenty"
    assert (arms["ten, twice"].reference, arms["ten, twice"].expect) == ("ten", "zero")
