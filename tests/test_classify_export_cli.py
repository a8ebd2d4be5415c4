"""``export`` through the entry point of the program."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
import torch

from classify_fixtures import paint_splits
from cli_fixtures import Program
from impasto.classify import Classifier, Preprocessing
from impasto.classify.models import R0CNN


@pytest.fixture
def impasto(program: Program) -> Program:
    """Run the program beside labelled pictures ``data`` and an untrained model ``run``."""
    paint_splits(Path("data"))
    config = {
        "model": "r0-cnn",
        "classes": ("blue", "red"),
        "preprocessing": Preprocessing(32).record(),
        "encoder": None,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        Classifier(config, R0CNN(2, 32).requires_grad_(False)).save(Path("run"))
    return program


def test_onnx_with_the_sample_photos(impasto: Program) -> None:
    result = impasto("export", "run", "-o", "out/model.onnx")
    assert result.code == 0
    assert "13 pictures: probabilities differ by" in result.out
    assert "The model is in out/model.onnx." in result.err
    assert [item.name for item in onnx.load("out/model.onnx").graph.input] == ["image"]


def test_int8_is_counted_on_labelled_pictures(impasto: Program) -> None:
    result = impasto("export", "run", "-o", "small.onnx", "--int8", "--data", "data", "--pictures", "data/test", "-q")
    assert result.code == 0
    lines = result.out.splitlines()
    size = Path("small.onnx").stat().st_size
    assert lines[0].startswith("11 pictures: probabilities differ by")
    assert lines[1].endswith(f"bytes become {size:,}")
    assert "of 11 labels change" in lines[2]
    assert lines[3].startswith("float32: ")
    assert "/10 = " in lines[3]
    assert "/10 = " in lines[4]
    record = json.loads(
        impasto(
            "export", "run", "-o", "small.onnx", "--int8", "--data", "data", "--pictures", "data/test", "--json"
        ).out
    )
    assert record["size"] == size < record["int8"]["size"] / 2
    assert record["int8"]["accuracy"][0]["n"] == 10


def test_safetensors(impasto: Program) -> None:
    result = impasto("export", "run", "-o", "folder", "--format", "safetensors", "--pictures", "data/test/red")
    assert result.code == 0
    assert "6 pictures: probabilities differ by" in result.out
    assert sorted(path.name for path in Path("folder").iterdir()) == ["README.md", "config.json", "model.safetensors"]
    record = json.loads(impasto("export", "run", "-o", "folder", "--format", "safetensors", "--json").out)
    assert (record["library"], record["check"]["pictures"]) == ("torch", 13)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("run", "-o", "x.onnx", "--pictures", "data/test", "--tolerance", "0"), 1, "nothing was written"),
        (("run", "-o", "x.onnx", "--data", "data"), 2, "--int8"),
        (("run", "-o", "x", "--format", "safetensors", "--int8"), 2, "--format onnx"),
        (("run", "-o", "run", "--format", "safetensors"), 2, "run holds other files"),
        (("run", "-o", "x.onnx", "--pictures", "nothing/*.png"), 1, "no pictures in nothing"),
        (("run", "-o", "x.onnx", "--int8", "--data", "data", "--split", "tets"), 2, "unknown split"),
        (("ensemble", "-o", "x.onnx"), 2, "is an ensemble"),
        (("data", "-o", "x.onnx"), 1, "config.json does not exist"),
        (("run",), 2, "--output"),
    ],
)
def test_errors_leave_nothing(impasto: Program, arguments: tuple[str, ...], code: int, message: str) -> None:
    Path("ensemble").mkdir()
    Path("ensemble/config.json").write_text('{"model": "ensemble"}')
    if arguments == ("run", "-o", "run", "--format", "safetensors"):
        Path("run/manifest.json").write_text("{}")
    result = impasto("export", *arguments)
    assert result.code == code
    assert message in result.err
    assert "Traceback" not in result.err
    assert not Path("x.onnx").exists()
    assert not Path("x").exists()
