"""ONNX: preprocessing to the byte, the classifier's probabilities, int8 by hand-worked numbers, metadata, refusals."""

from __future__ import annotations

import base64
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from benchmarks.export import KINDS, pictures_of_every_kind
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import nn

from classify_fixtures import COLOURS, FakeEncoder, paint
from impasto.classify import Classifier, Preprocessing
from impasto.classify.export import Labelled, export_onnx
from impasto.classify.export.checking import Check, open_session, self_test_picture
from impasto.classify.export.int8 import quantised, with_int8_weights
from impasto.classify.export.preprocess import Nodes, add_preprocessing
from impasto.classify.models import LinearHead
from impasto.encoders import ENCODERS, load_encoder
from impasto.errors import NumericalError, UnreadablePictureError, UsageError
from impasto.images import open_picture

NAMES = ("blue", "red", 'Straße, "é"')


def small_network(size: int = 24, seed: int = 0) -> nn.Module:
    """A network of a convolution and a dense layer, large enough for int8."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        side = (size - 2) // 2
        layers = [nn.Conv2d(3, 40, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(40 * side * side, 3)]
        return nn.Sequential(*layers).requires_grad_(False)


def pixel_classifier(size: int = 24) -> Classifier:
    config = {"model": "r0-cnn", "classes": NAMES, "preprocessing": Preprocessing(size).record(), "encoder": None}
    return Classifier(config, small_network(size))


def frozen_classifier(encoder: Any, name: str = "fake") -> Classifier:
    size, features = encoder.input_size, encoder.features(torch.rand(1, 3, 32, 32)).shape[1]
    head = LinearHead(features, 3).requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        head.linear.weight.normal_()
        head.mean.normal_()
        head.scale.uniform_(0.5, 2)
    config = {
        "model": f"frozen:{name}",
        "classes": NAMES,
        "preprocessing": Preprocessing(size).record(),
        "encoder": encoder.identity(),
    }
    return Classifier(config, head, encoder)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Pictures of many shapes and colours."""
    shapes = [(24, 24), (60, 41), (1, 1), (1, 30), (23, 25), (300, 90)]
    colours = list(COLOURS)
    return [
        paint(tmp_path / "pictures" / f"{i}.png", colours[i % len(colours)], i, shape) for i, shape in enumerate(shapes)
    ]


_SESSIONS: dict[int, Any] = {}


def preprocessed(pixels: np.ndarray, size: int) -> np.ndarray:
    """Return what the ONNX nodes make of ``pixels``: 3 x size x size in 0..1."""
    if size not in _SESSIONS:
        nodes = Nodes()
        result = add_preprocessing(nodes, "image", size)
        inputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, ["h", "w", 3])]
        outputs = [helper.make_tensor_value_info(result, TensorProto.FLOAT, [1, 3, size, size])]
        graph = helper.make_graph(nodes.nodes, "preprocessing", inputs, outputs, nodes.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        _SESSIONS[size] = open_session(model.SerializeToString())
    return _SESSIONS[size].run(None, {"image": pixels})[0][0]


@settings(max_examples=150)
@given(
    size=st.sampled_from([1, 7, 16, 31, 48]),
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    seed=st.integers(0, 2**32 - 1),
    harsh=st.booleans(),
)
def test_preprocessing_is_pillows_to_the_byte(size: int, height: int, width: int, seed: int, harsh: bool) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if harsh:  # black beside white, where Lanczos overshoots and is clipped
        pixels = np.where(pixels > 127, 255, 0).astype(np.uint8)
    expected = Preprocessing(size)(Image.fromarray(pixels)).numpy().astype(np.float32) / np.float32(255)
    assert np.array_equal(preprocessed(pixels, size), expected)


def test_a_large_picture_and_one_of_the_right_size() -> None:
    random = np.random.default_rng(0)
    large = random.integers(0, 256, (1500, 2001, 3), dtype=np.uint8)
    assert np.array_equal(preprocessed(large, 48) * 255, Preprocessing(48)(Image.fromarray(large)).numpy())
    exact = random.integers(0, 256, (48, 48, 3), dtype=np.uint8)
    assert np.array_equal(np.rint(preprocessed(exact, 48) * 255), exact.transpose(2, 0, 1))


def test_pictures_of_every_kind_are_the_same_bytes(tmp_path: Path) -> None:
    sources = [paint(tmp_path / f"{name}.png", name, 1, (90, 70)) for name in COLOURS]
    kinds = pictures_of_every_kind(sources, tmp_path / "kinds", len(KINDS))
    for path in kinds:
        image = open_picture(path).image
        found = np.rint(preprocessed(np.asarray(image), 48) * 255)
        assert np.array_equal(found, Preprocessing(48)(image).numpy()), path.name


def run_onnx(path: Path, pixels: np.ndarray) -> tuple[np.ndarray, list[str]]:
    probabilities, classes = open_session(path.read_bytes()).run(None, {"image": pixels})
    return probabilities, list(classes)


@pytest.mark.parametrize("make", [pixel_classifier, lambda: frozen_classifier(FakeEncoder())])
def test_probabilities_and_names_are_the_classifiers(make: Any, pictures: list[Path], tmp_path: Path) -> None:
    classifier = make()
    result = export_onnx(classifier, tmp_path / "model.onnx", pictures=pictures)
    assert result.check.pictures == len(pictures) + 1
    assert result.check.largest_difference < 1e-6
    assert result.size == (tmp_path / "model.onnx").stat().st_size
    for path, prediction in zip(pictures, classifier.predict(pictures), strict=True):
        found, names = run_onnx(result.path, np.asarray(Image.open(path)))
        assert names == list(NAMES)
        assert found.dtype == np.float32
        assert found == pytest.approx(list(prediction.probabilities.values()), abs=1e-6)


@pytest.mark.parametrize("name", [*ENCODERS, "vgg19-blocks1-3+vgg19-16x"])
def test_every_encoder_can_be_traced(name: str) -> None:
    encoder = load_encoder(name, weights="random")
    side = 96 if encoder.input_size > 96 else encoder.input_size
    x = torch.rand(1, 3, side, side)

    class Features(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.encoder.features(x)

    traced = torch.export.export(Features(), (x,), strict=False).module()
    assert torch.allclose(traced(x), encoder.features(x), atol=1e-5)


def test_a_real_encoder_goes_all_the_way(pictures: list[Path], tmp_path: Path) -> None:
    classifier = frozen_classifier(load_encoder("impasto-vgg"), "impasto-vgg")
    result = export_onnx(classifier, tmp_path / "model.onnx", pictures=pictures)
    assert result.check.largest_difference < 1e-4


def test_temperature_is_inside(pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = pixel_classifier()
    plain = classifier.predict(pictures)[0].probability
    monkeypatch.setattr(Classifier, "temperature", 3.0)
    export_onnx(classifier, tmp_path / "model.onnx", pictures=pictures)
    found, _ = run_onnx(tmp_path / "model.onnx", np.asarray(Image.open(pictures[0])))
    logits = classifier.logits(Preprocessing(24)(Image.open(pictures[0]))[None] / 255)
    assert found == pytest.approx((logits / 3).softmax(1)[0].numpy(), abs=1e-6)
    assert max(found) < plain


def test_the_metadata_are_a_contract_that_can_be_tested(pictures: list[Path], tmp_path: Path) -> None:
    classifier = pixel_classifier()
    result = export_onnx(classifier, tmp_path / "model.onnx", pictures=pictures)
    model = onnx.load(result.path)
    facts = {item.key: item.value for item in model.metadata_props}
    assert json.loads(facts["classes"]) == list(NAMES)
    assert json.loads(facts["preprocessing"]) == Preprocessing(24).record()
    assert json.loads(facts["check"])["largest_difference"] == result.check.largest_difference
    test = json.loads(facts["self_test"])
    (tmp_path / "test.png").write_bytes(base64.b64decode(test["png_base64"]))
    found, _ = run_onnx(result.path, np.asarray(Image.open(tmp_path / "test.png")))
    assert found == pytest.approx(test["probabilities"], abs=1e-6)
    assert sum(test["probabilities"]) == pytest.approx(1, abs=1e-6)


def test_nothing_of_this_machine_is_in_the_file(pictures: list[Path], tmp_path: Path) -> None:
    data = export_onnx(pixel_classifier(), tmp_path / "model.onnx", pictures=pictures).path.read_bytes()
    assert b".py" not in data
    assert str(tmp_path).encode() not in data


def test_a_difference_is_an_error_and_leaves_no_file(
    pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = pixel_classifier()
    from impasto.classify.export import graph

    others = small_network(seed=5).eval()
    monkeypatch.setattr(graph, "_module_of", lambda _: others)
    target = tmp_path / "out" / "model.onnx"
    with pytest.raises(NumericalError, match="differ from the classifier's by up to"):
        export_onnx(classifier, target, pictures=pictures)
    assert not target.exists()
    assert export_onnx(classifier, target, pictures=pictures, tolerance=1.0).path.is_file()


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"?")
    with pytest.raises(UnreadablePictureError, match=r"bad\.png cannot be read"):
        export_onnx(pixel_classifier(), tmp_path / "model.onnx", pictures=[bad])
    assert not (tmp_path / "model.onnx").exists()


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "impasto.classify.export.onnx_file.find_spec", lambda name: None if name == "onnx" else find(name)
    )
    with pytest.raises(UsageError, match="needs onnx") as error:
        export_onnx(pixel_classifier(), tmp_path / "model.onnx")
    assert "impasto[onnx]" in error.value.hint


def test_rounding_to_int8_by_hand() -> None:
    values = np.float32([[[1.27, -0.64], [0.0, 0.005]], [[-2.54, 0.03], [1.0, 0.0]], [[0, 0], [0, 0]]])
    integers, scale = quantised(values, axis=0)
    assert scale == pytest.approx([0.01, 0.02, 1.0])
    assert integers.tolist()[:2] == [[[127, -64], [0, 0]], [[-127, 2], [50, 0]]]
    assert not integers[2].any()


@given(seed=st.integers(0, 1000), axis=st.integers(0, 2))
def test_rounding_moves_no_weight_by_more_than_half_a_step(seed: int, axis: int) -> None:
    values = np.random.default_rng(seed).normal(0, 3, (4, 5, 6)).astype(np.float32)
    integers, scale = quantised(values, axis)
    shape = [-1 if place == axis else 1 for place in range(3)]
    assert np.all(np.abs(integers * scale.reshape(shape) - values) <= scale.reshape(shape) * 0.5001)
    assert np.all(np.abs(integers).max(axis=tuple({0, 1, 2} - {axis})) == 127)


def product(kind: str, weight: np.ndarray, **attributes: int) -> onnx.ModelProto:
    """A model of one product with a constant weight."""
    node = helper.make_node(kind, ["x", "w"], ["y"], **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None] * (4 if kind == "Conv" else 2))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * (4 if kind == "Conv" else 2))
    graph = helper.make_graph([node], "g", [x], [y], [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize(
    ("kind", "shape", "axis", "attributes"),
    [
        ("Conv", (16, 8, 3, 3), 0, {}),
        ("Gemm", (32, 40), 0, {"transB": 1}),
        ("Gemm", (40, 32), 1, {}),
        ("MatMul", (40, 32), 1, {}),
    ],
)
def test_each_product_rounds_its_output_channels(
    kind: str, shape: tuple[int, ...], axis: int, attributes: dict[str, int]
) -> None:
    random = np.random.default_rng(0)
    # Channels of very different size: a scale along the wrong axis would lose the small ones.
    spread = np.geomspace(1e-3, 1e3, shape[axis]).reshape([-1 if place == axis else 1 for place in range(len(shape))])
    weight = (random.normal(size=shape) * spread).astype(np.float32)
    exact = product(kind, weight, **attributes)
    rounded = with_int8_weights(exact)
    assert [tensor.data_type for tensor in rounded.graph.initializer] == [TensorProto.INT8, TensorProto.FLOAT]
    x = random.normal(size=(64, 8, 5, 5) if kind == "Conv" else (64, 40)).astype(np.float32)
    wanted, found = (open_session(model.SerializeToString()).run(None, {"x": x})[0] for model in (exact, rounded))
    channels = tuple(place for place in range(wanted.ndim) if place != 1)
    error = (found - wanted).std(channels) / wanted.std(channels)
    assert 0 < error.max() < 0.02


def test_small_weights_and_what_is_no_weight_stay() -> None:
    assert with_int8_weights(product("MatMul", np.ones((31, 33), np.float32))).graph.initializer[0].name == "w"
    added = product("MatMul", np.ones((32, 32), np.float32))
    added.graph.node.append(helper.make_node("Add", ["y", "w"], ["z"]))
    assert len(with_int8_weights(added).graph.initializer) == 1


def test_int8_is_smaller_and_says_what_it_costs(pictures: list[Path], tmp_path: Path) -> None:
    classifier = pixel_classifier()
    labels = tuple(item.label for item in classifier.predict(pictures))
    exact = export_onnx(classifier, tmp_path / "model.onnx", pictures=pictures)
    small = export_onnx(
        classifier, tmp_path / "int8.onnx", int8=True, pictures=pictures, labelled=Labelled(tuple(pictures), labels)
    )
    assert small.int8 is not None
    assert small.size < 0.5 * exact.size
    assert small.int8.size == exact.size
    assert small.check == exact.check
    assert small.check.largest_difference < small.int8.check.largest_difference < 0.1
    assert small.int8.accuracy is not None
    assert str(small.int8.accuracy[0]).startswith("6/6")


def test_the_check_counts() -> None:
    expected = np.array([[0.6, 0.4], [0.3, 0.7], [0.9, 0.1]])
    found = np.array([[0.4, 0.6], [0.25, 0.75], [0.9, 0.1]])
    check = Check.of(expected, found)
    assert (check.pictures, check.changed_labels) == (3, 1)
    assert check.largest_difference == pytest.approx(0.2)


def test_the_self_test_picture_tells_sides_and_channels_apart(tmp_path: Path) -> None:
    (tmp_path / "test.png").write_bytes(self_test_picture())
    pixels = np.asarray(Image.open(tmp_path / "test.png"))
    assert pixels.shape == (36, 48, 3)
    for other in (pixels[::-1], pixels[:, ::-1], pixels[:, :, ::-1]):
        assert np.abs(other.astype(int) - pixels).mean() > 20
