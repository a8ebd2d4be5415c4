"""Feed-forward networks: R0's is the published one to the last layer, and sizes follow TensorFlow's rule."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from impasto.images import open_picture, to_tensor
from impasto.style.networks import EngstromNet, PyTorchExamplesNet, SameConv, SameUpConv, instance_norm, same_padding


def psnr(one: Tensor, other: Tensor) -> float:
    """Peak signal to noise in dB of two pictures in 0..1."""
    return -10 * (one - other).square().mean().log10().item()


@given(st.integers(1, 400), st.sampled_from([1, 3, 9]), st.sampled_from([1, 2]))
def test_same_padding_gives_the_rounded_up_quotient_and_the_odd_pixel_after(
    size: int, kernel: int, stride: int
) -> None:
    before, after = same_padding(size, kernel, stride)
    assert 0 <= after - before <= 1
    outputs = (size + before + after - kernel) // stride + 1
    assert outputs == -(-size // stride)


def test_up_convolution_is_the_gradient_of_the_same_convolution() -> None:
    """That is how TensorFlow defines conv2d_transpose: <conv(x), y> = <x, up(y)>."""
    torch.manual_seed(0)
    up = SameUpConv(4, 3)
    kernel = up.weight.detach().double()
    x, y = torch.randn(1, 3, 10, 14).double(), torch.randn(1, 4, 5, 7).double()
    rows, columns = same_padding(10, 3, 2), same_padding(14, 3, 2)
    forward = F.conv2d(F.pad(x, (*columns, *rows)), kernel, stride=2)
    whole = F.conv_transpose2d(y, kernel, stride=2)[..., :10, :14]
    assert (forward * y).sum().item() == pytest.approx((x * whole).sum().item())
    expected = F.instance_norm(whole.float(), eps=1e-3)
    assert torch.allclose(up(y.float()), expected, atol=1e-5)


def test_instance_norm_has_the_papers_constant() -> None:
    """Against the formula in float64: (x - mean) / sqrt(variance + 1e-3), biased variance."""
    layer = SameConv(3, 2, 3)
    x = torch.rand(1, 3, 9, 8) * 0.05
    raw = F.conv2d(F.pad(x, (1, 1, 1, 1)), layer.weight).double()
    mean, variance = raw.mean((2, 3), keepdim=True), raw.var((2, 3), unbiased=False, keepdim=True)
    assert torch.allclose(layer(x).double(), (raw - mean) / (variance + 1e-3).sqrt(), atol=1e-5)


@pytest.mark.parametrize("network", [EngstromNet(), PyTorchExamplesNet(8)])
def test_sides_become_multiples_of_four(network: torch.nn.Module) -> None:
    with torch.no_grad():
        assert network(torch.rand(2, 3, 41, 62)).shape == (2, 3, 44, 64)


def test_parameters_are_those_of_the_published_networks() -> None:
    count = lambda network: sum(parameter.numel() for parameter in network.parameters())  # noqa: E731
    assert count(PyTorchExamplesNet(32)) == 1_679_235
    assert count(EngstromNet()) == 1_679_235 - 32 - 64 - 128 * 11 - 64 - 32 - 3 + 6


def test_r0s_network_reproduces_the_published_udnie(shared: Path) -> None:
    network = EngstromNet()
    network.load_state_dict(load_file(shared / "weights/fast-style/udnie.safetensors"))
    with torch.no_grad():
        painted = network(to_tensor(open_picture(shared / "data/goldens/chicago.jpg").image))
    assert painted.shape[2:] == (476, 712)
    # The published picture was cut to whole numbers and not rounded, and lacks the first two rows.
    stored = (painted[:, :, 2:].clamp(0, 1) * 255).floor() / 255
    assert psnr(stored, to_tensor(open_picture(shared / "data/goldens/chicago_udnie.jpg").image)) >= 43


def test_the_examples_network_reproduces_the_published_candy(shared: Path) -> None:
    network = PyTorchExamplesNet(16)
    network.load_state_dict(torch.load(shared / "weights/pytorch-examples/candy_nc16.model", weights_only=True))
    with torch.no_grad():
        painted = network(to_tensor(open_picture(shared / "data/goldens/amber.jpg").image)).clamp(0, 1)
    assert psnr(painted, to_tensor(open_picture(shared / "data/goldens/amber_candy_nc16.jpg").image)) >= 30


@pytest.mark.parametrize("batch", [1, 3])
def test_the_fused_norm_is_instance_norm(batch: int) -> None:
    torch.manual_seed(0)
    norm = torch.nn.InstanceNorm2d(5, eps=1e-3, affine=True)
    norm.weight.data.uniform_(0.5, 2)
    norm.bias.data.normal_()
    x = torch.randn(batch, 5, 9, 11) * torch.tensor([0.01, 1, 10, 100, 0])[:, None, None] + 3
    expected = norm(x)
    with torch.no_grad():
        assert torch.allclose(instance_norm(x, norm), expected, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_instance_norm_of_a_large_picture_is_as_precise_as_of_a_small_one(dtype: torch.dtype) -> None:
    """Against float64; channels far from zero, where adding up a million numbers one by one goes astray."""
    torch.manual_seed(0)
    norm = torch.nn.InstanceNorm2d(3, affine=True)
    x = (torch.randn(1, 3, 1050, 1000) + torch.tensor([0.0, 3.0, -5.0])[:, None, None]).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    exact = x.double()
    variance, mean = torch.var_mean(exact, (2, 3), unbiased=False, keepdim=True)
    expected = (exact - mean) / (variance + norm.eps).sqrt()
    with torch.no_grad():
        found = instance_norm(x, norm).double()
    assert (found - expected).abs().max() < (2e-6 if dtype == torch.float32 else 0.02)
