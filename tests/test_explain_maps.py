"""Attribution maps: against formulae, against established implementations, and in the right places."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from captum.attr import IntegratedGradients, LayerGradCam, Occlusion
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from explain_fixtures import Pooled, Red, pictures, pooled, subject_of_network, waves
from impasto.classify.models import R4CNN
from impasto.errors import UnknownNameError, UsageError
from impasto.explain.attribution import METHODS, attribute, enlarged, facts, on_grid, positive
from impasto.explain.cam import ablation_cam, grad_cam
from impasto.explain.pixels import integrated_gradients, occlusion, veiled
from impasto.explain.targets import Goal, custom_target, parse_target
from impasto.subjects import load_subject

CLASSES = ("a", "b", "c")


def _goal(text: str, count: int = 2) -> Goal:
    return parse_target(text, CLASSES).bind(torch.zeros(count, 3), [-1] * count)


def test_targets_are_sums_of_logits() -> None:
    logits = torch.tensor([[1.0, 5.0, 2.0], [4.0, 0.0, 3.0]])
    values = {
        "b": [5, 0],
        "- b": [-5, 0],
        "a - b": [-4, 4],
        "0.5*a + 2 * c - b": [-0.5, 8],
        "predicted": [5, 4],
        "predicted - next": [3, 1],
        "label - a": [1, 0],
    }
    for text, wanted in values.items():
        assert parse_target(text, CLASSES).bind(logits, [2, 0])(logits).tolist() == wanted, text


def test_a_single_class_can_be_asked_about() -> None:
    assert parse_target("predicted", ["a"]).bind(torch.tensor([[3.0]]), [-1])(torch.tensor([[3.0]])).tolist() == [3]
    with pytest.raises(UsageError, match="one class"):
        parse_target("predicted - next", ["a"])


def test_names_may_hold_hyphens_and_blanks() -> None:
    classes = ("still-life", "van Gogh", "-odd")
    logits = torch.tensor([[1.0, 10.0, 100.0]])
    for text, wanted in {"still-life - van Gogh": -9, "-odd": 100, "- van Gogh": -10}.items():
        assert parse_target(text, classes).bind(logits, [-1])(logits).tolist() == [wanted]


def test_of_two_classes_only_the_distance_counts() -> None:
    logits = torch.tensor([[0.0, 3.0]])
    assert parse_target("x", ("x", "y")).bind(logits, [-1])(logits).tolist() == [-3]
    assert parse_target("y - x", ("x", "y")).bind(logits, [-1])(logits).tolist() == [3]


def test_a_predicted_target_stays_where_it_was() -> None:
    before, after = torch.tensor([[3.0, 1.0, 0.0]]), torch.tensor([[0.0, 9.0, 0.0]])
    assert parse_target("predicted", CLASSES).bind(before, [-1])(after).tolist() == [0]


@pytest.mark.parametrize("text", ["monte", "a - d", "label - bb"])
def test_unknown_classes_are_named(text: str) -> None:
    with pytest.raises(UnknownNameError):
        parse_target(text, CLASSES)


def test_a_label_target_needs_labels() -> None:
    with pytest.raises(UsageError, match="labels"):
        parse_target("label", CLASSES).bind(torch.zeros(1, 3), [-1])


@given(seed=st.integers(0, 1000), name=st.sampled_from(CLASSES))
def test_grad_cam_of_mean_and_linear_layer_is_the_class_activation_map(seed: int, name: str) -> None:
    subject, batch = pooled(seed), pictures(2, seed=seed)
    network = subject.network
    assert isinstance(network, Pooled)
    maps = network.relu2(network.conv2(network.relu1(network.conv1(batch)))).double()
    wanted = torch.einsum("k,bkhw->bhw", network.fc.weight[CLASSES.index(name)].double(), maps) / 64
    torch.testing.assert_close(grad_cam(subject, batch, _goal(name), "relu2").double(), wanted, atol=1e-6, rtol=1e-4)


def test_grad_cam_agrees_with_captum() -> None:
    subject, batch = pooled(), pictures()
    theirs = LayerGradCam(subject.network, subject.network.get_submodule("conv1")).attribute(batch, target=1)
    torch.testing.assert_close(grad_cam(subject, batch, _goal("b"), "conv1"), theirs[:, 0].detach())


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "ablation-cam"])
def test_maps_agree_with_those_of_another_program(method: str) -> None:
    golden = json.loads((Path(__file__).parent / "goldens" / "cams.json").read_text())
    network, picture = waves()
    ours = positive(attribute(subject_of_network(network), picture, _goal("b", 1), method, golden["layer"]))[0]
    torch.testing.assert_close(ours, torch.tensor(golden["maps"][method]), atol=2e-4, rtol=1e-3)


def test_ablation_cam_is_what_the_target_loses_without_each_channel() -> None:
    subject, batch = pooled(1), pictures()
    network = subject.network
    assert isinstance(network, Pooled)
    maps = network.relu1(network.conv1(batch))

    def rest(activation: Tensor) -> Tensor:
        logits: Tensor = network.fc(network.relu2(network.conv2(activation)).mean((2, 3)))
        return logits[:, 2] - logits[:, 0]

    wanted = torch.zeros(2, 16, 16)
    for channel in range(4):
        without = maps.clone()
        without[:, channel] = 0
        wanted += (rest(maps) - rest(without)).view(-1, 1, 1) * maps[:, channel]
    torch.testing.assert_close(ablation_cam(subject, batch, _goal("c - a"), "relu1"), wanted)


def test_ablation_around_which_there_is_another_way() -> None:
    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.fc(torch.cat([self.relu(self.conv(x)), x], 1).mean((2, 3)))
            return out

    torch.manual_seed(0)
    subject = subject_of_network(Around())
    batch = pictures()
    # Linear behind the layer: what a channel is worth is its weight times its mean.
    maps = subject.watch(batch, ["relu"]).maps["relu"]
    weights = subject.network.get_parameter("fc.weight")[0, :3] * maps.mean((2, 3))
    wanted = torch.einsum("bk,bkhw->bhw", weights, maps)
    torch.testing.assert_close(ablation_cam(subject, batch, _goal("a"), "relu"), wanted)


def test_integrated_gradients_agree_with_captum() -> None:
    subject, batch = pooled(), pictures()
    baseline = veiled(batch)
    theirs = IntegratedGradients(subject.network).attribute(
        batch, baseline, target=1, n_steps=20, method="riemann_middle"
    )
    ours = integrated_gradients(subject, batch, _goal("b"), steps=20)
    torch.testing.assert_close(ours, theirs.sum(1).detach().float(), atol=1e-6, rtol=1e-3)


def test_integrated_gradients_add_up() -> None:
    subject, batch = pooled(2), pictures(4)
    goal = _goal("a - b", 4)
    gained = goal(subject(batch)) - goal(subject(veiled(batch)))
    torch.testing.assert_close(integrated_gradients(subject, batch, goal).sum((1, 2)), gained, atol=1e-3, rtol=0.05)


def test_occlusion_agrees_with_captum() -> None:
    subject, batch = pooled(), pictures()
    theirs = Occlusion(subject.network).attribute(
        batch, (3, 4, 4), strides=(3, 2, 2), baselines=veiled(batch), target=2
    )
    ours = occlusion(subject, batch, _goal("c"), window=4, stride=2)
    torch.testing.assert_close(ours, theirs[:, 0].float(), atol=1e-6, rtol=1e-4)


def test_occlusion_reaches_the_last_pixel() -> None:
    assert not occlusion(pooled(), pictures(), _goal("a"), window=5, stride=4).isnan().any()


@pytest.mark.parametrize("method", METHODS)
def test_red_is_found_where_it_counts(method: str) -> None:
    picture = torch.full((1, 3, 16, 16), 0.2)
    picture[0, 0, 1:5, 2:6] = 1
    picture[0, 0, 10:14, 10:14] = 1  # the network does not look there
    subject = subject_of_network(Red())
    maps = enlarged(positive(attribute(subject, picture, _goal("a", 1), method, "look")), 16)[0]
    assert maps[1:5, 2:6].mean() > 2 * maps.mean()
    if method in ("integrated-gradients", "occlusion"):  # the maps of a layer know nothing of what is cut off later
        assert maps[10:14, 10:14].mean() < 0.05


@pytest.mark.parametrize("method", METHODS)
def test_any_function_of_the_logits_is_a_target(method: str) -> None:
    subject, batch = pooled(), pictures()
    goal = custom_target(lambda logits: logits.logsumexp(1)).bind(subject(batch), [-1, -1])
    assert attribute(subject, batch, goal, method).abs().sum() > 0


@pytest.mark.parametrize("method", METHODS)
def test_maps_of_a_batch_are_those_of_its_pictures(method: str) -> None:
    subject, batch = pooled(), pictures(3)
    goal = parse_target("predicted", CLASSES).bind(subject(batch), [-1] * 3)
    alone = [attribute(subject, batch[row : row + 1], goal.repeated(row, 1), method) for row in range(3)]
    torch.testing.assert_close(attribute(subject, batch, goal, method), torch.cat(alone), atol=1e-6, rtol=1e-4)


def test_the_one_output_of_two_classes_has_maps_for_both() -> None:
    torch.manual_seed(0)
    network = R4CNN(2, 64)
    subject = subject_of_network(network, ("monet", "sisley"), 64)
    batch = pictures(1, 64)
    maps = [
        attribute(subject, batch, parse_target(name, subject.classes).bind(subject(batch), [-1]), "grad-cam")
        for name in subject.classes
    ]
    assert maps[0].abs().sum() > 0
    torch.testing.assert_close(maps[0], -maps[1])


@pytest.mark.parametrize("method", METHODS)
def test_transformers_have_maps(method: str) -> None:
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=3)
    nn.init.normal_(network.heads.head.weight)
    subject = subject_of_network(network, CLASSES, 32)
    maps = attribute(subject, pictures(2, 32), _goal("a"), method)
    assert maps.shape == ((2, 4, 4) if METHODS[method].of_layer else (2, 32, 32))
    assert maps.abs().sum() > 0


def test_flat_and_negative_maps_are_told_from_fine_ones() -> None:
    assert facts(torch.zeros(3, 3))["state"] == "flat"
    assert facts(torch.tensor([[-1.0, 0.0]]))["state"] == "negative"
    found = facts(torch.tensor([[-1.0, 3.0]]))
    assert (found["state"], found["against"]) == ("fine", 0.25)
    assert positive(torch.zeros(1, 3, 3)).isfinite().all()


@given(side=st.integers(2, 40))
def test_the_grid_keeps_the_mean_of_what_it_averages(side: int) -> None:
    maps = torch.rand(1, side, side, generator=torch.Generator().manual_seed(side))
    assert on_grid(maps).shape == (1, 14, 14)
    if side % 14 == 0:
        torch.testing.assert_close(on_grid(maps).mean(), maps.mean())


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(UnknownNameError, match="grad-cam"):
        attribute(pooled(), pictures(), _goal("a"), "gradcam")


def test_a_frozen_head_can_be_looked_into() -> None:
    from impasto.classify.models import LinearPoolHead, OnFeatures
    from impasto.encoders import load_encoder

    torch.manual_seed(0)
    encoder = load_encoder("squeezenet1_1", weights="random")
    network = OnFeatures(encoder, LinearPoolHead(1024, 3)).requires_grad_(False)
    subject = subject_of_network(network, CLASSES, 96)
    for name in METHODS:
        assert attribute(subject, pictures(1, 96), _goal("a", 1), name).abs().sum() > 0, name


@pytest.mark.shared
def test_a_real_network_looks_at_the_goldfish(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from impasto.images import open_picture

    monkeypatch.setenv("IMPASTO_WEIGHTS", str(shared / "weights"))
    subject = load_subject("torchvision:squeezenet1_0")
    path = sorted((shared / "data" / "photos").iterdir())[1]
    picture = subject.preprocessing(open_picture(path).image).unsqueeze(0) / 255
    goal = parse_target("goldfish - tench", subject.classes).bind(subject(picture), [-1])
    orange = (picture[:, 0] - picture[:, 2]).clamp(min=0)
    for name in METHODS:
        maps = enlarged(positive(attribute(subject, picture, goal, name)), subject.size)
        weighted = (maps * orange).sum() / maps.sum()
        assert weighted > 1.2 * orange.mean(), name  # hot where it is orange
