"""Explanations as a user gets them: files, figures, pages and commands."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from classify_fixtures import paint_splits
from cli_fixtures import Program
from explain_fixtures import pooled, subject_of_network
from impasto.classify import Classifier, TrainConfig, train
from impasto.data.dataset import Sample
from impasto.errors import DataError, UnknownNameError, UsageError
from impasto.explain import ExplainConfig, explain
from impasto.explain.activations import ActivationsConfig, show_activations, spread_layers, varied_channels
from impasto.explain.attribution import attribute
from impasto.explain.drawing import draw_sheet, overlay, what_is_shown
from impasto.explain.missed import show_missed
from impasto.explain.receptive import receptive_field
from impasto.explain.targets import parse_target
from impasto.images import provenance
from impasto.subjects import load_subject


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three classes of tiny pictures."""
    return paint_splits(tmp_path_factory.mktemp("data"), ("blue", "green", "red"))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CNN that was trained on them."""
    folder = tmp_path_factory.mktemp("run")
    train(TrainConfig(data, model="r4-cnn", epochs=1, image_size=64), folder)
    return folder


def test_hot_is_redder_than_cold_and_against_is_bluer() -> None:
    values = torch.tensor([[1.0, 0.0], [0.0, -1.0]])
    plain = np.asarray(overlay(Image.new("RGB", (40, 40), "green"), values), dtype=int)
    both = np.asarray(overlay(Image.new("RGB", (40, 40), "green"), values, signed=True), dtype=int)
    redness, blueness = (lambda p: p[0] - p[2]), (lambda p: p[2] - p[0])
    assert redness(plain[2, 2]) > 100
    assert redness(plain[2, 37]) == redness(plain[37, 37]) == 0  # grey: the picture's own colour would look like heat
    assert blueness(both[37, 37]) > 100
    assert np.asarray(overlay(Image.new("RGB", (40, 40)), values))[37, 37].min() > 80  # black hides no map


def test_a_map_keeps_its_place_in_a_wide_picture() -> None:
    values = torch.zeros(7, 7)
    values[0, 6] = 1
    shown = np.asarray(overlay(Image.new("RGB", (140, 35)), values), dtype=int)
    hot = (shown[..., 0] - shown[..., 2]).argmax()
    row, column = divmod(int(hot), 140)
    assert row < 5
    assert column > 120


def test_nothing_to_show_is_said() -> None:
    assert "does not depend" in what_is_shown(torch.zeros(2, 2))
    assert "only against" in what_is_shown(-torch.ones(2, 2))
    assert what_is_shown(torch.ones(2, 2)) == ""


def test_files_of_an_explanation(tmp_path: Path, data: Path, run: Path) -> None:
    subject = load_subject(run)
    pictures = sorted(data.rglob("*.png"))[:3]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    result = explain(subject, [*pictures, broken], ExplainConfig(check=2), output=tmp_path / "out")
    assert [path for path, _ in result.skipped] == [str(broken)]
    maps = load_file(tmp_path / "out" / "maps.safetensors")["maps"]
    assert torch.equal(maps, torch.stack([item.values for item in result.items]))
    record = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert record["layer"] == "relu4"
    assert [item["path"] for item in record["pictures"]] == [str(path) for path in pictures]
    written = sorted((tmp_path / "out" / "pictures").iterdir())
    assert len(written) == 3
    about = provenance(written[0])
    assert about is not None
    assert about["sha256"] == record["pictures"][0]["sha256"]
    again = explain(subject, pictures, ExplainConfig(check=2), output=tmp_path / "again")
    assert (tmp_path / "again" / "maps.safetensors").read_bytes() == (
        tmp_path / "out" / "maps.safetensors"
    ).read_bytes()
    assert again.verdict == result.verdict


def test_labels_and_classes_that_are_not_the_networks(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", (20, 20)).save(path)
    with pytest.raises(DataError, match="'z'"):
        explain(pooled(), [Sample(path, "z")])
    with pytest.raises(UnknownNameError, match="'d'"):
        explain(pooled(), [path], ExplainConfig(target="d"))
    with pytest.raises(UsageError, match="pixels"):
        ExplainConfig(method="occlusion", layer="relu1")
    with pytest.raises(DataError, match="none of the pictures"):
        explain(pooled(), [tmp_path / "absent.png"])


@pytest.mark.parametrize(
    ("network", "layer", "side"),
    [("vgg16", "relu1_2", 5), ("vgg16", "relu2_2", 14), ("vgg16", "relu3_3", 40), ("vgg16", "relu4_3", 92)],
)
def test_receptive_fields_are_those_of_the_arithmetic(network: str, layer: str, side: int) -> None:
    subject = load_subject(network, weights="random")
    field = receptive_field(subject, layer, torch.rand(1, 3, 224, 224))
    assert (field.side, field.whole) == (side, False)
    assert 0 < field.effective <= side


def test_attention_sees_everything() -> None:
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.VisionTransformer(32, 8, 1, 2, 16, 32, num_classes=3)
    nn.init.normal_(network.heads.head.weight)
    subject = subject_of_network(network, size=32)
    assert receptive_field(subject, "encoder.layers.encoder_layer_0", torch.rand(1, 3, 32, 32)).whole


def test_channels_are_ordered_by_variance_and_silent_ones_are_counted(tmp_path: Path) -> None:
    subject = pooled()
    with torch.no_grad():
        subject.network.get_parameter("conv1.weight")[2] = 0
        subject.network.get_parameter("conv1.bias")[2] = -1
    paths = []
    for number in range(2):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (16, 16, 3), np.uint8)).save(paths[-1])
    found = show_activations(subject, paths, ActivationsConfig(("relu1", "relu2"), channels=3), output=tmp_path / "out")
    view = found.layers[0]
    assert view.silent == (2,)
    variances = view.maps.flatten(1).var(1).tolist()
    assert variances == sorted(variances, reverse=True)
    assert view.zero >= 0.25
    arrays = load_file(tmp_path / "out" / "activations.safetensors")
    assert arrays["relu1"].shape == (3, 16, 16)
    assert (tmp_path / "out" / "layers.csv").read_text().splitlines()[0].startswith("layer,channels")
    assert varied_channels(torch.stack([torch.zeros(2, 2), torch.eye(2)]), 1) == (1,)


def test_wrong_layers_and_channels(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", (20, 20), "red").save(path)
    with pytest.raises(UsageError, match="no places"):
        show_activations(pooled(), [path], ActivationsConfig(("fc",)))
    with pytest.raises(UsageError, match="no channel 9"):
        show_activations(pooled(), [path], ActivationsConfig(("relu1",), chosen=(9,)))


def test_a_network_that_answers_nothing_has_no_layers_to_choose_from() -> None:
    subject = pooled()
    with torch.no_grad():
        subject.network.fc.weight.zero_()
    with pytest.raises(UsageError, match="Name one"):
        show_activations(subject, [])


def test_four_layers_of_the_baseline_as_in_r4() -> None:
    torch.manual_seed(0)
    from impasto.classify.models import R4CNN
    from impasto.subjects.load import _layers

    network = R4CNN(2, 64).requires_grad_(False).eval()
    from dataclasses import replace

    subject = replace(subject_of_network(network, ("a", "b"), 64), layers=_layers(network))
    assert spread_layers(subject) == ("relu1", "relu2", "relu3", "relu4")


def test_the_commands(program: Program, data: Path, run: Path, tmp_path: Path) -> None:
    done = program(
        "explain", run, data / "validation", "-o", "x", "--check", "2", "--quiet", "--target", "predicted - next"
    )
    assert done.code == 0, done.err
    page = (tmp_path / "x" / "explanation.html").read_text()
    assert "Can it be believed?" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert "points at what matters" in done.out
    told = json.loads(program("explain", run, data / "validation", "-o", "y", "--check", "0", "--json").out)
    assert told["verdict"] is None
    assert {item["label"] for item in told["pictures"]} == {"blue", "green", "red"}

    picture = next((data / "validation").rglob("*.png"))
    done = program("activations", run, picture, "-o", "layers", "--channels", "4", "--quiet")
    assert done.code == 0, done.err
    assert "relu4" in done.out
    assert (tmp_path / "layers" / "activations.png").is_file()

    done = program("missed", run, data, "--split", "validation", "-o", "m", "--quiet")
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "m" / "missed.json").read_text())
    assert len(record["missed"]) == record["n"] - record["correct"]
    for each in record["missed"]:
        assert each["answer"] != each["label"]
        assert abs(sum(each["probabilities"].values()) - 1) < 1e-6
        assert [near["cosine"] for near in each["nearest"]] == sorted(
            (near["cosine"] for near in each["nearest"]), reverse=True
        )
        assert all("/train/" in near["path"] for near in each["nearest"])


def test_wrong_use_is_told(program: Program, run: Path, data: Path) -> None:
    assert program("explain", run, data, "--method", "gradcam").code == 2
    assert "Did you mean grad-cam" in program("explain", run, data, "--method", "gradcam").err
    assert program("explain", "squeezenet1_1", data, "--weights", "random").code == 2
    assert program("activations", run, data, "--channel", "x").code == 2


def test_names_are_escaped(program: Program, run: Path, tmp_path: Path) -> None:
    path = tmp_path / "<img src=x onerror=alert(1)>.png"
    Image.new("RGB", (64, 64), "red").save(path)
    assert program("explain", run, path, "-o", "x", "--check", "0", "--quiet").code == 0
    assert "<img src=x" not in (tmp_path / "x" / "explanation.html").read_text()


def test_the_report_shows_what_was_looked_at(program: Program, data: Path, run: Path) -> None:
    from impasto.report.looks import read_looked_at

    assert program("explain", run, data / "validation", "--check", "2", "--quiet").code == 0
    assert program("activations", run, next((data / "validation").rglob("*.png")), "--quiet").code == 0
    looks = read_looked_at(run)
    assert [look.title for look in looks] == ["What it looks at", "What its layers make of a picture"]
    assert looks[0].words == json.loads((run / "explained" / "manifest.json").read_text())["verdict"]["words"]
    assert all(look.image.startswith("data:image/webp") for look in looks)
    (run / "explained" / "maps.png").write_bytes(b"")
    assert [look.title for look in read_looked_at(run)] == ["What its layers make of a picture"]


def test_nothing_of_a_former_explanation_stays(program: Program, run: Path, data: Path, tmp_path: Path) -> None:
    pictures = sorted((data / "validation").rglob("*.png"))
    assert program("explain", run, *pictures[:3], "-o", "x", "--check", "0", "--quiet").code == 0
    assert program("explain", run, pictures[4], "-o", "x", "--check", "0", "--quiet").code == 0
    assert [path.name for path in (tmp_path / "x" / "pictures").iterdir()] == [f"0000-{pictures[4].stem}.png"]


@pytest.mark.parametrize("command", ["explain", "activations"])
def test_folders_with_something_else_are_left_alone(program: Program, run: Path, data: Path, command: str) -> None:
    """A model's manifest would be written over, and the maps would be explained by the next call."""
    before = (run / "manifest.json").read_bytes()
    for folder in (run, data / "validation" / "blue"):
        done = program(command, run, data / "validation" / "blue", "-o", folder, "--quiet")
        assert (done.code, "Choose another output folder" in done.err) == (2, True)
    assert (run / "manifest.json").read_bytes() == before
    Path("file").write_text("")
    done = program(command, run, data / "validation" / "blue", "-o", "file/x", "--quiet")
    assert (done.code, "is no folder" in done.err) == (2, True)


def test_names_as_long_as_can_be_and_in_no_utf8(program: Program, run: Path, tmp_path: Path) -> None:
    long, strange = (
        tmp_path / ("x" * 250 + ".png"),
        Path(os.fsdecode(os.fsencode(tmp_path) + "/絵".encode() + b"\xe9.png")),
    )
    try:
        for path in (long, strange):
            Image.new("RGB", (64, 64), "red").save(path)
    except OSError:
        pytest.skip("this file system does not take such names")
    done = program("explain", run, long, strange, "-o", "x", "--check", "0", "--quiet")
    assert done.code == 0, done.err
    assert len(list((tmp_path / "x" / "pictures").iterdir())) == 2
    told = json.loads(program("explain", run, strange, "-o", "x", "--check", "0", "--json").out)
    assert Path(told["pictures"][0]["path"]) == strange
    assert program("activations", run, strange, "-o", "y", "--quiet").code == 0


@pytest.mark.parametrize("method", ["grad-cam", "ablation-cam"])
def test_a_layer_without_places_is_refused(method: str) -> None:
    goal = parse_target("a", "abc").bind(torch.zeros(1, 3), [-1])
    with pytest.raises(UsageError, match="fc has no places"):
        attribute(pooled(), torch.rand(1, 3, 16, 16), goal, method, "fc")


def test_probabilities_are_those_of_the_classifier(data: Path, run: Path) -> None:
    """A calibrated classifier divides its logits by a temperature, wherever it is asked."""
    subject, pictures = load_subject(run), sorted((data / "validation").rglob("*.png"))
    assert subject.temperature != 1
    explained = explain(subject, pictures, ExplainConfig(check=0)).items
    told = Classifier.load(run).predict(pictures)
    assert [each.probability for each in explained] == pytest.approx([each.probability for each in told], abs=1e-6)


def test_a_missed_training_picture_is_not_near_itself(run: Path, data: Path) -> None:
    missed = show_missed(run, data, "train").missed
    assert missed
    assert all(near.sample.path != each.item.sample.path for each in missed for near in each.near)
    assert {len(each.near) for each in missed} == {5}


def test_ensembles_are_refused_before_the_work(program: Program, tmp_path: Path, data: Path) -> None:
    (tmp_path / "config.json").write_text('{"model": "ensemble"}')
    done = program("missed", tmp_path, data)
    assert (done.code, "members/0" in done.err) == (2, True)


def test_words_on_a_sheet_stay_on_it() -> None:
    """A single picture makes a narrow sheet, on which a verdict takes several lines; a tall one has its own below."""
    cells = [(Image.new("RGB", (30, 240)), "bannister, banister, balustrade, balusters, handrail 12 %\nflat: nothing")]
    for count in (1, 7):
        figure = draw_sheet(cells * count, "Grad-CAM of 'predicted' " * 4, "Do not believe these maps: it failed. " * 5)
        figure.draw_without_rendering()
        inside = figure.bbox.padded(1)
        for text in figure.findobj(Text):
            box = text.get_window_extent()
            assert inside.contains(box.x0, box.y0), text.get_text()
            assert inside.contains(box.x1, box.y1), text.get_text()
