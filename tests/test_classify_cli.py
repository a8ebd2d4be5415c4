"""``train``, ``evaluate`` and ``predict`` through the entry point of the program."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import get_type_hints

import pytest

from classify_fixtures import paint_classes, paint_splits
from cli_fixtures import Program
from impasto.classify import TrainConfig
from impasto.classify.config import DEFAULT_OPEN, DEFAULT_VIEWS
from impasto.classify.models import DEFAULT_MODEL, HEADS, MODELS
from impasto.classify.recipes import CLASS_WEIGHTS, OPTIMISERS, SCHEDULES
from impasto.cli.train import train
from impasto.data.load.augmentations import KINDS, PRESETS

NETWORK = ("--model", "r0-cnn", "--image-size", "24", "--batch-size", "4", "--epochs", "12", "--device", "cpu")


@pytest.fixture
def impasto(program: Program) -> Program:
    """Run the program in an empty folder with a cache of its own."""
    return program


@pytest.fixture
def trained(impasto: Program) -> Program:
    """The program beside a folder ``data`` and a model ``run`` trained on it."""
    paint_splits(Path("data"))
    assert impasto("train", "data", "-o", "run", *NETWORK, "--quiet").code == 0
    return impasto


def test_the_three_commands_in_turn(impasto: Program) -> None:
    paint_splits(Path("data"))
    result = impasto("train", "data", "-o", "run", *NETWORK)
    assert result.code == 0
    assert "validation: 8/8 = 100.0 % [67.6, 100.0]" in result.out
    assert "impasto evaluate run data" in result.err
    result = impasto("evaluate", "run", "data", "--device", "cpu")
    assert result.code == 0
    assert "test: 10/10 = 100.0 % [72.2, 100.0]   (10 of 10 pictures evaluated)" in result.out
    assert Path("run/predictions.csv").is_file()
    result = impasto("predict", "run", "data/test/red", "--device", "cpu")
    assert result.code == 0
    assert result.out.count("red ") == 5


def test_augmentations_labels_and_workers_are_asked_for_by_name(impasto: Program) -> None:
    paint_splits(Path("data"))
    for i, options in enumerate((("--labels", "subject"), ("--insist", "--workers", 1))):
        result = impasto("train", "data", "-o", f"run{i}", *NETWORK, "--augment", "r4+colour", *options)
        assert result.code == 0
        config = json.loads(Path(f"run{i}/config.json").read_text())
        assert config["augment"] == "r4+colour"
        assert (config["labels"], config["insist"]) == [("subject", False), ("style", True)][i]
        assert "workers" not in config


def test_evaluate_as_json_is_the_file(trained: Program) -> None:
    result = trained("evaluate", "run", "data", "--json", "-o", "scores")
    assert result.err == ""
    assert json.loads(result.out) == json.loads(Path("scores/evaluation.json").read_text())


def test_train_as_json_and_again_at_once(trained: Program) -> None:
    stamp = Path("run/model.safetensors").stat().st_mtime_ns
    result = trained("train", "data", "-o", "run", *NETWORK, "--json")
    record = json.loads(result.out)
    assert record["validation"]["n"] == 8
    assert record["classes"] == ["blue", "red"]
    assert (result.err, Path("run/model.safetensors").stat().st_mtime_ns) == ("", stamp)


def test_left_out_and_leaked_pictures_are_told(trained: Program) -> None:
    Path("data/test/red/broken.png").write_bytes(b"?")
    copied = min(Path("data/train/red").iterdir())
    Path("data/test/red/copy.png").write_bytes(copied.read_bytes())
    result = trained("evaluate", "run", "data")
    assert "(11 of 12 pictures evaluated)" in result.out
    assert "left out: test/red/broken.png cannot be read" in result.err
    assert f"leak: test/red/copy.png is the same file as train/red/{copied.name}" in result.err
    assert result.out.index("test, new pictures only: 10/10") < result.out.index(
        "test, leaked pictures included: 11/11"
    )
    warning = "1 of 11 pictures are not new to the model"
    assert warning in result.err
    assert warning in trained("evaluate", "run", "data", "--quiet").err


def test_folds_of_the_command_line(impasto: Program) -> None:
    paint_classes(Path("data"), 9)
    options = ("--model", "r0-cnn", "--image-size", 24, "--epochs", 3, "--folds", 3, "--device", "cpu")
    result = impasto("train", "data", "-o", "cv", *options)
    assert result.code == 0
    assert "repetition 1: " in result.out
    assert "(18 of 18 pictures evaluated)" in result.out
    assert "mean of 3 folds: " in result.out
    record = json.loads(impasto("train", "data", "-o", "cv", *options, "--json").out)
    assert record["repeats"][0]["n"] == 18
    assert len(Path("cv/folds.csv").read_text().splitlines()) == 4


def test_class_names_are_no_markup(impasto: Program) -> None:
    paint_splits(Path("data"))
    for split in ("train", "validation", "test"):
        Path(f"data/{split}/red").rename(f"data/{split}/[bold]red[")
    assert impasto("train", "data", "-o", "run", *NETWORK).code == 0
    # Its own row, and its row of the confusion, whose columns are numbered.
    assert impasto("evaluate", "run", "data").out.count("[bold]red[") == 2
    assert impasto("predict", "run", "data/test/[bold]red[", "--top", "1").out.count("[bold]red[ ") == 5


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("train", "absent", "-o", "new"), 1, "absent is not a folder"),
        (("train", "data", "-o", "new", "--model", "r0"), 2, "unknown model 'r0'"),
        (("train", "data", "-o", "new", "--epochs", "5"), 2, "has no epochs"),
        (("train", "data", "-o", "new", "--model", "r0-cnn", "--weights", "random"), 2, "has no weights"),
        (("train", "data", "-o", "data/new"), 2, "inside the data set"),
        (("train", "data", "-o", "new", *NETWORK, "--augment", "r0+color"), 2, "Did you mean colour"),
        (("train", "data", "-o", "new", *NETWORK, "--augment", "colour"), 2, "--labels subject"),
        (("train", "data", "-o", "new", *NETWORK, "--labels", "colours"), 2, "unknown kind of labels"),
        (("train", "data", "-o", "new", *NETWORK, "--workers", "-1"), 2, "--workers"),
        (("train", "data", "-o", "new", "--model", "r4-cnn", "--views", "3"), 2, "has no views"),
        (("train", "data", "-o", "new", "--head", "r3"), 2, "unknown head"),
        (("train", "data", "-o", "new", "--model", "finetune:vgg16", "--open", "some"), 2, "neither a number nor all"),
        (("train", "data", "-o", "new", *NETWORK, "--learning-rate", "high"), 2, "neither a number nor auto"),
        (("train", "data", "-o", "new", *NETWORK, "--optimiser", "adm"), 2, "Did you mean adam"),
        (("train", "data", "-o", "new", "--repeats", "3"), 2, "--folds 5"),
        (("train", "data", "-o", "run", *NETWORK, "--seed", "5"), 1, "differs in seed"),
        (("train", "data"), 2, "--output"),
        (("evaluate", "run", "data", "--split", "tets"), 2, "unknown split"),
        (("evaluate", "data", "data"), 1, "config.json does not exist"),
    ],
)
def test_errors_are_one_line_and_a_status(
    trained: Program, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = trained(*arguments)
    assert result.code == code
    assert message in result.err
    assert "Traceback" not in result.err
    assert not Path("new").exists()


def test_help_names_the_models_and_the_settings_with_their_defaults() -> None:
    """The help is written without importing torch, so nothing but this keeps it true."""
    hints = get_type_hints(train, include_extras=True)
    options = {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}
    assert all(name in options["model"].help for name in MODELS)
    assert signature(train).parameters["model"].default == DEFAULT_MODEL
    assert all(name in options["augment"].help for name in PRESETS)
    assert all(kind in options["labels"].help for kind in KINDS)
    assert all(name in options["head"].help for name in HEADS)
    for known, option in ((OPTIMISERS, "optimiser"), (SCHEDULES, "schedule"), (CLASS_WEIGHTS, "class_weights")):
        assert all(name in options[option].help for name in known)
    assert options["open_blocks"].show_default == str(DEFAULT_OPEN)
    assert options["views"].show_default == str(DEFAULT_VIEWS)
    settings = {field.name for field in fields(TrainConfig) if field.init}
    assert settings <= set(hints), "every setting has an option"


def test_as_a_module_with_data_without_splits(tmp_path: Path) -> None:
    """In a process of its own, as users run it."""
    paint_classes(tmp_path / "data", 12)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "impasto", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300)

    run("train", "data", "-o", "run", *NETWORK)
    scored = run("evaluate", "run", "data", "--device", "cpu")
    assert "test: 4/4 = 100.0 %" in scored.stdout
