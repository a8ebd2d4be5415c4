"""R0's network as its recipe describes it, linear heads, names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from impasto.classify.models import DEFAULT_MODEL, MODELS, R0CNN, LinearHead, encoder_of, glorot_
from impasto.errors import UnknownNameError, UsageError
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
    assert encoder_of("r0-cnn") is None
    assert encoder_of("frozen:timm:resnet18") == "timm:resnet18"
    assert encoder_of(DEFAULT_MODEL) == "impasto-vgg"


@pytest.mark.parametrize("name", ["r0_cnn", "frozen", "frozen:", "vgg19", ""])
def test_an_unknown_name_offers_the_known(name: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        encoder_of(name)
    assert any(known in str(caught.value) for known in MODELS)
