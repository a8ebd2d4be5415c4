"""Folders for torchvision and timm: the code of the card, run as it stands, says what the classifier says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from classify_fixtures import COLOURS, paint
from impasto.classify import Classifier, Preprocessing
from impasto.classify.export import export_folder
from impasto.classify.export.layouts import layout_of
from impasto.classify.export.sequences import folded
from impasto.classify.models import HEADS, Foreign, LinearHead, Tuned
from impasto.classify.models.foreign import foreign_spec
from impasto.classify.models.names import small_network
from impasto.encoders import Encoder, load_encoder
from impasto.errors import NumericalError, UsageError

NAMES = ("blue", "red", "Straße")


def classifier_of(
    name: str, network: nn.Module, size: int, encoder: Any = None, classes: tuple[str, ...] = NAMES
) -> Classifier:
    config = {
        "model": name,
        "classes": classes,
        "preprocessing": Preprocessing(size).record(),
        "encoder": None if encoder is None else encoder.identity(),
    }
    return Classifier(config, network.eval().requires_grad_(False), encoder)


def drawn(network: nn.Module, seed: int = 0) -> nn.Module:
    """Draw all weights and statistics anew, so that none is 0 or 1."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                low, high = (0.5, 1.5) if name.endswith(("scale", "var")) else (-0.1, 0.1)
                value.uniform_(low, high, generator=random)
    return network


def small(name: str, size: int, classes: tuple[str, ...] = NAMES) -> Classifier:
    return classifier_of(name, drawn(small_network(name, len(classes), size)), size, classes=classes)


def headed(
    encoder: str, head: str = "linear-mean", classes: tuple[str, ...] = NAMES, tuned: bool = False
) -> Classifier:
    trunk = load_encoder(encoder, weights="random")
    size = trunk.input_size
    features = trunk.pooled(torch.zeros(1, 3, size, size), HEADS[head].grid) if isinstance(trunk, Encoder) else None
    width = features.shape[1] if features is not None else trunk.feature_size
    network = drawn(HEADS[head](width, len(classes)))
    if tuned:
        assert isinstance(trunk, Encoder)
        return classifier_of(f"finetune:{encoder}", Tuned(trunk, network, []), size, classes=classes)
    return classifier_of(f"frozen:{encoder}", network, size, trunk, classes)


def foreign(name: str) -> Classifier:
    spec = foreign_spec(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = spec.build(3)
    return classifier_of(name, Foreign(network, spec, pretrained=True), 64)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    sizes = [(64, 64), (300, 200), (41, 97)]
    return [
        paint(tmp_path / f"{i}.png", colour, i, size)
        for i, (colour, size) in enumerate(zip(COLOURS, sizes, strict=False))
    ]


def run_card(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], dict[str, float]]:
    """Run the one piece of code in the card as it stands, in a name space of its own."""
    codes = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(codes) == 1
    assert "impasto" not in codes[0]
    space: dict[str, Any] = {}
    monkeypatch.chdir(folder)
    exec(compile(codes[0], "README.md", "exec"), space)
    return space["probabilities"]


CASES: dict[str, tuple[Callable[[], Classifier], str, str]] = {
    "r0": (lambda: small("r0-cnn", 32), "torch", "sequential"),
    "r2b": (lambda: small("r2-cnn-b", 40), "torch", "sequential"),
    "r4": (lambda: small("r4-cnn", 64), "torch", "sequential"),
    "r4 of two classes": (lambda: small("r4-cnn-bn", 64, NAMES[:2]), "torch", "sequential"),
    "impasto-cnn": (lambda: small("impasto-cnn", 48), "torch", "sequential"),
    "embedded": (lambda: headed("impasto-vgg"), "torch", "sequential"),
    "squeezenet": (lambda: headed("squeezenet1_0"), "torch", "sequential"),
    "means and maxima": (lambda: headed("squeezenet1_1", "linear"), "torch", "sequential"),
    "colours and reflection": (lambda: headed("vgg19-16x", tuned=True), "torch", "sequential"),
    "the last of two": (lambda: headed("vgg19-blocks1-3+vgg19-16x"), "torch", "sequential"),
    "alexnet, head r2": (lambda: headed("alexnet", "r2"), "torch", "sequential"),
    "alexnet, head r4": (lambda: headed("alexnet", "r4", NAMES[:2]), "torch", "sequential"),
    "resnet18": (lambda: headed("resnet18"), "torchvision", "resnet18"),
    "resnet18 tuned": (lambda: headed("resnet18", tuned=True), "torchvision", "resnet18"),
    "googlenet": (lambda: headed("googlenet"), "torchvision", "googlenet"),
    "torchvision": (lambda: foreign("torchvision:squeezenet1_1"), "torchvision", "squeezenet1_1"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_cards_code_says_what_the_classifier_says(
    case: str, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, library, architecture = CASES[case]
    classifier = make()
    monkeypatch.setattr(Classifier, "temperature", 1.7)
    result = export_folder(classifier, tmp_path / "folder", pictures=pictures)
    assert (result.library, result.architecture) == (library, architecture)
    assert result.check.largest_difference < 1e-4
    probabilities = run_card(result.folder, monkeypatch)
    for path, prediction in zip(pictures, classifier.predict(pictures), strict=True):
        found = probabilities(path)
        assert list(found) == list(classifier.classes)
        assert list(found.values()) == pytest.approx(list(prediction.probabilities.values()), abs=1e-4)


def test_timm_reads_its_own(pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm")
    made = foreign("timm:resnet10t"), headed("timm:resnet10t")
    for i, classifier in enumerate(made):
        result = export_folder(classifier, tmp_path / f"folder{i}", pictures=pictures)
        assert (result.library, result.architecture) == ("timm", "resnet10t")
        probabilities = run_card(result.folder, monkeypatch)
        wanted = classifier.predict(pictures[:1])[0].probabilities
        assert probabilities(pictures[0]) == pytest.approx(wanted, abs=1e-4)
        network = timm.create_model(f"local-dir:{result.folder}", pretrained=True).eval()
        stored = load_file(result.folder / "model.safetensors")
        assert all(torch.equal(value, stored[name]) for name, value in network.state_dict().items())


def test_the_configuration_is_laid_out_as_timms(pictures: list[Path], tmp_path: Path) -> None:
    export_folder(headed("resnet18"), tmp_path / "folder", pictures=pictures)
    config = json.loads((tmp_path / "folder" / "config.json").read_text(encoding="utf-8"))
    assert (config["architecture"], config["num_classes"], config["label_names"]) == ("resnet18", 3, list(NAMES))
    facts = config["pretrained_cfg"]
    assert facts["mean"] == pytest.approx([0.485, 0.456, 0.406])
    assert facts["std"] == pytest.approx([0.229, 0.224, 0.225])
    assert (facts["input_size"], facts["interpolation"], facts["crop_pct"]) == ([3, 224, 224], "lanczos", 1.0)


def test_standardisation_is_folded_by_the_formula() -> None:
    head = drawn(LinearHead(5, 3))
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(folded(head)(x), head(x), atol=1e-6)  # type: ignore[arg-type]


def test_what_cannot_be_told_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no sequence of layers") as error:
        export_folder(headed("resnet18", "r2"), tmp_path / "folder")
    assert "onnx" in error.value.hint
    assert not (tmp_path / "folder").exists()


def test_folders_with_other_files_are_left_alone(pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    (tmp_path / "run" / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match="holds other files"):
        export_folder(small("r0-cnn", 32), tmp_path / "run", pictures=pictures)
    for _ in range(2):  # an export may be made again
        export_folder(small("r0-cnn", 32), tmp_path / "new", pictures=pictures)


def test_a_difference_is_an_error(pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = small("r0-cnn", 32)
    layout = layout_of(small("r0-cnn", 32))
    drawn(layout.network, seed=9)
    monkeypatch.setattr("impasto.classify.export.folder.layout_of", lambda _: layout)
    with pytest.raises(NumericalError, match="differ"):
        export_folder(classifier, tmp_path / "folder", pictures=pictures, tolerance=1e-9)
    assert not (tmp_path / "folder").exists()
