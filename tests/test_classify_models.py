"""R0's network as its recipe describes it, linear heads, names, augmentation."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from impasto.classify.augment import augment
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


def picture(size: int = 24) -> torch.Tensor:
    return torch.rand(3, size, size, generator=generator(0, "picture"))


@given(st.integers(0, 1000), st.integers(1, 100), st.integers(0, 10_000))
def test_augmentation_depends_on_seed_epoch_and_index_alone(seed: int, epoch: int, index: int) -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = augment(picture(), seed=seed, epoch=epoch, index=index)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(2)
    assert torch.equal(first, augment(picture(), seed=seed, epoch=epoch, index=index))


def test_augmentation_differs_between_pictures_epochs_and_seeds() -> None:
    keys = [(0, 1, 0), (0, 1, 1), (0, 2, 0), (1, 1, 0)]
    results = [augment(picture(), seed=seed, epoch=epoch, index=index) for seed, epoch, index in keys]
    assert all(not torch.equal(a, b) for i, a in enumerate(results) for b in results[:i])


@given(st.integers(0, 300), st.integers(8, 40))
def test_augmentation_keeps_range_and_shape_and_invents_no_border(index: int, size: int) -> None:
    """A picture of one colour stays that picture: no black wedge is let in from outside."""
    plain = torch.tensor([0.2, 0.5, 0.9]).view(3, 1, 1).expand(3, size, size)
    assert torch.allclose(augment(plain, seed=0, epoch=1, index=index), plain, atol=1e-5)


def test_half_of_the_pictures_are_mirrored_and_zooms_spread_both_ways() -> None:
    ramp = torch.linspace(0, 1, 33).expand(3, 33, 33)
    slopes = []
    for index in range(200):
        row = augment(ramp, seed=0, epoch=1, index=index)[0, 16]
        slopes.append(float(row[18] - row[14]) * 8)  # 1 at no zoom, less when enlarged, negative when mirrored
    mirrored = [slope for slope in slopes if slope < 0]
    assert 75 <= len(mirrored) <= 125
    zooms = [1 / abs(slope) for slope in slopes]
    assert min(zooms) == pytest.approx(0.8, abs=0.02)
    assert max(zooms) == pytest.approx(1.2, abs=0.02)


def test_shear_slants_verticals_by_up_to_eleven_degrees_either_way() -> None:
    ramp = torch.linspace(0, 1, 33).expand(3, 33, 33)
    slants = []
    for index in range(200):
        changed = augment(ramp, seed=0, epoch=1, index=index)[0]
        down, across = changed[20, 16] - changed[12, 16], changed[16, 20] - changed[16, 12]
        slants.append(math.degrees(math.atan(float(down / across))))
    assert min(slants) == pytest.approx(-11.46, abs=0.3)
    assert max(slants) == pytest.approx(11.46, abs=0.3)
