"""Fixtures that every test file may use."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from cli_fixtures import Outcome, Program

# The first call of an operator in torch takes longer than hypothesis' patience.
settings.register_profile("impasto", deadline=None)
settings.load_profile("impasto")

# Two cores are shared by everything: more threads than cores make tiny networks slower, not faster.
os.environ.setdefault("OMP_NUM_THREADS", "2")


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what tests compute out of the user's cache, and out of each other's."""
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Program:
    """Run the program in an empty folder."""
    from impasto.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, stdin: bytes = b"") -> Outcome:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["impasto", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            main.run()
            code = 0
        except SystemExit as ending:
            code = int(ending.code or 0)
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of sample data and real weights that lies beside the repository, or a skip with the reason."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "weights").is_dir():
        pytest.skip("needs the sample data and weights (folder shared/ beside the repository)")
    return folder
