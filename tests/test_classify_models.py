"""The networks as their recipes describe them, heads, fine-tuned encoders, classifiers of others, names."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from impasto.classify.fit.optimisers import parameter_groups
from impasto.classify.models import (
    DEFAULT_MODEL,
    MODELS,
    R0CNN,
    R4CNN,
    Foreign,
    ImpastoCNN,
    LinearHead,
    R2CNNa,
    R2CNNb,
    R2Head,
    R4Head,
    R4MeanHead,
    Tuned,
    fresh_network,
    parse_model,
    small_network,
)
from impasto.classify.models.heads import as_logits
from impasto.classify.models.small import glorot_
from impasto.classify.recipes import HEAD_RECIPES, Recipe
from impasto.encoders import blocks, load_encoder
from impasto.errors import UnknownNameError, UsageError, WrongWeightsError
from impasto.files import file_digest
from impasto.runtime import generator


def test_r0_is_a_stack_of_conv_relu_pool_and_a_dense_head() -> None:
    network = R0CNN(classes=4)
    kinds = [type(layer) for layer in network]
    assert kinds == [nn.Conv2d, nn.ReLU, nn.MaxPool2d] * 3 + [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear]
    convolutions = [layer for layer in network if isinstance(layer, nn.Conv2d)]
    assert {layer.out_channels for layer in convolutions} == {32}
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}
    assert {layer.kernel_size for layer in network if isinstance(layer, nn.MaxPool2d)} == {2}


def test_parameters_of_r0_at_256_pixels() -> None:
    convolutions = (3 * 9 * 32 + 32) + 2 * (32 * 9 * 32 + 32)
    dense = (30 * 30 * 32 * 64 + 64) + (64 * 4 + 4)
    assert sum(value.numel() for value in R0CNN(classes=4).parameters()) == convolutions + dense == 1_862_916


@pytest.mark.parametrize("size", [22, 23, 32, 57])
def test_the_head_fits_every_size(size: int) -> None:
    assert R0CNN(classes=3, image_size=size)(torch.rand(2, 3, size, size)).shape == (2, 3)


def test_a_size_that_nothing_is_left_of() -> None:
    with pytest.raises(UsageError, match="21 pixels"):
        R0CNN(classes=3, image_size=21)


def test_first_weights_are_glorot_uniform_and_seeded() -> None:
    networks = [R0CNN(classes=3, image_size=32) for _ in range(2)]
    for network in networks:
        glorot_(network, generator(5, "weights"))
    first, again = (network.state_dict() for network in networks)
    assert all(torch.equal(first[name], again[name]) for name in first)
    limit = (6 / (32 * 9 + 32 * 9)) ** 0.5
    weight = first["3.weight"]
    assert limit * 0.95 < weight.abs().max() <= limit
    assert weight.std() == pytest.approx(limit / 3**0.5, rel=0.05)
    assert not first["3.bias"].any()


def test_a_head_standardises() -> None:
    head = LinearHead(2, 2)
    state = {
        "mean": [10.0, 20.0],
        "scale": [2.0, 5.0],
        "linear.weight": [[1.0, 0.0], [0.0, 1.0]],
        "linear.bias": [0, 1.0],
    }
    head.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    assert head(torch.tensor([[14.0, 15.0]])).tolist() == [[2.0, 0.0]]


def test_names() -> None:
    assert parse_model("r0-cnn").encoder is None
    assert parse_model("frozen:timm:resnet18").encoder == "timm:resnet18"
    assert parse_model("finetune:vgg16").kind == "finetune"
    assert parse_model("torchvision:resnet18").image_size() == 224
    assert parse_model(DEFAULT_MODEL).encoder == "impasto-vgg"


@pytest.mark.parametrize("name", ["r0_cnn", "frozen", "frozen:", "finetune:", "vgg19", "keras:vgg16", ""])
def test_an_unknown_name_offers_the_known(name: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        parse_model(name)
    assert any(known in str(caught.value) for known in MODELS)


def parameters(network: nn.Module) -> int:
    return sum(value.numel() for value in network.parameters())


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (R4CNN(2), 9_679_041),
        (R2CNNa(5), (3 * 9 + 1) * 32 + (32 * 9 + 1) * 64 + (36 * 36 * 64 + 1) * 64 + 65 * 128 + 129 * 5),
        (
            R2CNNb(5),
            (3 * 9 + 1) * 32 + (32 * 9 + 1) * (32 + 64) + (17 * 17 * 64 + 1) * 128 + 129 * 64 + 65 * 5,
        ),
        (R4Head(25088, 2), 25089 * 256 + 257),
        (R2Head(25088, 5), 25089 * 32 + 33 * 64 + 65 * 128 + 129 * 64 + 65 * 5),
    ],
)
def test_parameters_of_the_recipes_as_published(network: nn.Module, expected: int) -> None:
    assert parameters(network) == expected


def test_features_of_a_grid_of_0_are_means_and_maxima() -> None:
    encoder, x = load_encoder("squeezenet1_1", weights="random"), torch.rand(2, 3, 64, 64)
    maps = encoder(x, ["fire9"])["fire9"]
    found = encoder.features(x, 0)
    assert torch.equal(found[:, :512], maps.mean((2, 3)))
    assert torch.equal(found[:, 512:], maps.flatten(2).max(2).values)
    assert torch.equal(encoder.features(x, 1), found[:, :512])
    cells = encoder.features(x, 3)
    assert cells.shape == (2, 512 * 9)
    assert torch.allclose(cells.view(2, 512, 9).mean(2), maps.mean((2, 3)), atol=1e-5)  # 3 x 3 positions


def test_the_head_on_means_has_a_fiftieth_of_the_weights() -> None:
    assert 48 < parameters(R4Head(49 * 512, 2)) / parameters(R4MeanHead(512, 2)) < 50


def test_parameters_that_docstrings_tell() -> None:
    for network in (R2CNNa(5), R2CNNb(5)):
        assert f"{parameters(network):,} parameters" in (type(network).__doc__ or "")
    assert round(parameters(ImpastoCNN(2)) / 1000) * 1000 == 408_000


def test_layers_of_r4_and_r2() -> None:
    r4 = [type(layer) for layer in R4CNN(2).modules() if not list(layer.children())]
    assert r4 == [nn.Conv2d, nn.ReLU, nn.MaxPool2d] * 4 + [nn.Flatten, nn.Dropout, nn.Linear, nn.ReLU, nn.Linear]
    assert [layer.out_channels for layer in R4CNN(2).modules() if isinstance(layer, nn.Conv2d)] == [32, 64, 128, 128]
    b = [type(layer) for layer in R2CNNb(5)]
    block = [nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.Dropout]
    assert b == block * 3 + [nn.Flatten] + [nn.Linear, nn.ReLU, nn.Dropout] * 2 + [nn.Linear]
    assert {layer.p for layer in R2CNNb(5) if isinstance(layer, nn.Dropout)} == {0.2}
    assert R4CNN(2).hidden[1].p == R4Head(4, 2).dropout.p == 0.5


@given(st.floats(-30, 30))
def test_one_output_for_two_classes_is_a_sigmoid(value: float) -> None:
    shares = as_logits(torch.tensor([[value]], dtype=torch.float64)).softmax(1)
    assert shares[0, 1].item() == pytest.approx(1 / (1 + math.exp(-value)), rel=1e-12)
    assert R4CNN(2, 46)(torch.rand(1, 3, 46, 46))[0, 0] == 0
    assert R4CNN(3, 46)(torch.rand(1, 3, 46, 46)).shape == (1, 3)


@pytest.mark.parametrize(
    ("name", "least"),
    [("r0-cnn", 22), ("r2-cnn-a", 10), ("r2-cnn-b", 22), ("r4-cnn", 46), ("r4-cnn-bn", 46), ("impasto-cnn", 32)],
)
def test_the_least_size_of_each_network(name: str, least: int) -> None:
    network, _ = fresh_network(parse_model(name), 3, least, seed=0)
    assert network.eval()(torch.rand(2, 3, least, least)).shape == (2, 3)
    with pytest.raises(UsageError, match=f"Choose {least} or more"):
        small_network(name, 3, least - 1)


def test_what_l2_is_put_on_in_recipe_r4() -> None:
    head = R4Head(49, 2)
    groups = parameter_groups(head, HEAD_RECIPES["r4"])
    decayed = [value for group in groups if group["weight_decay"] for value in group["params"]]
    assert len(decayed) == 1
    assert decayed[0] is head.hidden.weight
    # 5e-5 * sum(w^2), whose slope is what torch calls weight decay times w
    assert {group["weight_decay"] for group in groups} == {0.0, 2 * 5e-5}


@pytest.mark.parametrize("name", ["resnet18", "vgg19-16x", "squeezenet1_1", "impasto-vgg", "alexnet", "googlenet"])
def test_blocks_are_in_order_of_depth_and_leave_the_encoder_as_it_was(name: str) -> None:
    encoder = load_encoder(name, weights="random")
    named = blocks(encoder)
    expected = {
        "resnet18": ["conv1", "layer1", "layer2", "layer3", "layer4"],
        "vgg19-16x": ["input", "block1", "block2", "block3", "block4", "block5"],
        "squeezenet1_1": ["conv1", *(f"fire{i}" for i in range(2, 10))],
        "impasto-vgg": ["block1", "block2", "block3", "branch.adapt1", *(f"fire{i}" for i in range(5, 10))],
        "alexnet": [f"conv{i}" for i in range(1, 6)],
    }.get(name, list(named))
    assert list(named) == expected
    names = [parameter for block in named.values() for parameter in block]
    assert len(names) == len(set(names))
    assert set(names) <= {parameter for parameter, _ in encoder.network.named_parameters()}
    assert not any(value.requires_grad or value.grad is not None for value in encoder.network.parameters())
    assert not any(module._forward_pre_hooks for module in encoder.network.modules())


def tuned(name: str = "resnet18", count: int = 1) -> Tuned:
    encoder = load_encoder(name, weights="random")
    return Tuned(encoder, LinearHead(encoder.feature_size, 3), list(blocks(encoder).values())[-count:])


def test_frozen_batch_norm_stays_frozen() -> None:
    """The mistake behind "ResNet: not successful": statistics that move while their weights do not."""
    network = tuned().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimiser = torch.optim.SGD([value for value in network.parameters() if value.requires_grad], 1e-6)
    for _ in range(2):
        network(3 + 5 * torch.rand(4, 3, 64, 64)).square().sum().backward()
        optimiser.step()
    norms = [module for module in network.encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert not any(module.training for module in norms)
    after = network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any("running" in name or "num_batches" in name for name in changed)
    assert {name.split(".")[2] for name in changed if name.startswith("encoder.")} == {"layer4"}
    assert any(name.startswith("head.") for name in changed)
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():  # training and prediction see the same features
        assert torch.equal(network.train().encoder.pooled(x), network.eval().encoder.pooled(x))


def test_the_same_network_with_batch_norm_left_in_training_mode_would_drift() -> None:
    """That the test above can fail: what torch does by itself."""
    network = load_encoder("resnet18", weights="random").network
    before = network.bn1.running_mean.clone()
    network.train()(3 + 5 * torch.rand(4, 3, 64, 64))
    assert not torch.equal(before, network.bn1.running_mean)


def test_rates_fall_with_depth() -> None:
    encoder = load_encoder("resnet18", weights="random")
    opened = list(blocks(encoder).values())[-3:]
    network = Tuned(encoder, LinearHead(encoder.feature_size, 3), opened)
    groups = parameter_groups(network, Recipe(layer_decay=0.5, weight_decay=0.1))
    share = {id(value): group["share"] for group in groups for value in group["params"]}
    of = {name: share.get(id(value)) for name, value in network.named_parameters()}
    assert of["head.linear.weight"] == 1.0
    assert [of[f"encoder.network.layer{i}.0.conv1.weight"] for i in (4, 3, 2, 1)] == [0.5, 0.25, 0.125, None]
    assert sum(len(group["params"]) for group in groups) == sum(map(len, opened)) + 2
    decay = {id(value): group["weight_decay"] for group in groups for value in group["params"]}
    assert decay[id(network.encoder.network.layer4[0].conv1.weight)] == 0.1
    assert decay[id(network.encoder.network.layer4[0].bn1.weight)] == decay[id(network.head.linear.bias)] == 0.0


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "mobilenet_v2", "vit_b_16"])
def test_a_classifier_of_torchvision_takes_weights_of_another_number_of_classes(tmp_path: Path, name: str) -> None:
    other, _ = fresh_network(parse_model(f"torchvision:{name}"), 7, 224, seed=1, weights="random")
    file = tmp_path / f"{name}.safetensors"
    save_file(other.network.state_dict(), file)
    network, origin = fresh_network(parse_model(f"torchvision:{name}"), 3, 224, seed=0, weights=file)
    assert origin["sha256"] == file_digest(file)
    own, given_weights = network.network.state_dict(), other.network.state_dict()
    unlike = {key for key in own if own[key].shape != given_weights[key].shape}
    assert {key.rpartition(".")[2] for key in unlike} == {"weight", "bias"}
    assert len(unlike) == 2
    assert all(torch.equal(own[key], given_weights[key]) for key in own if key not in unlike)
    assert network.pretrained
    with torch.no_grad():
        assert network(torch.rand(1, 3, 224, 224)).shape == (1, 3)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(3, 3)}, tmp_path / "x.safetensors")
    with pytest.raises(WrongWeightsError, match="does not fit torchvision:resnet18"):
        fresh_network(parse_model("torchvision:resnet18"), 3, 224, seed=0, weights=tmp_path / "x.safetensors")


def test_pretrained_batch_norm_of_a_whole_classifier_keeps_its_statistics() -> None:
    network, _ = fresh_network(parse_model("torchvision:resnet18"), 3, 224, seed=0, weights="random")
    assert isinstance(network, Foreign)
    assert network.train().network.bn1.training
    network.pretrained = True
    assert not network.train().network.bn1.training
    assert network.network.fc.training


def test_first_weights_of_a_foreign_classifier_are_seeded() -> None:
    def drawn(seed: int) -> Tensor:
        network, _ = fresh_network(parse_model("torchvision:squeezenet1_1"), 3, 224, seed, "random")
        return torch.cat([value.flatten() for value in network.parameters()])

    before = torch.random.get_rng_state()
    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    assert torch.equal(before, torch.random.get_rng_state())
