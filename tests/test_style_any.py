"""The network for any style: what its style vectors do, strength, mixtures, colours; and our own architecture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

from impasto.cli import main
from impasto.errors import PictureSizeError, UnknownNameError, UsageError, WrongWeightsError
from impasto.images import open_picture, provenance, to_tensor
from impasto.style.any_style import moments
from impasto.style.apply import FastPainter, apply_network, repaint_fast
from impasto.style.architectures import IMPASTO
from impasto.style.brush import brush_of
from impasto.style.checkpoints import StyleNetwork, load_network, save_network
from impasto.style.config import FastConfig
from impasto.style.impasto_net import ImpastoNet, ManyStyles, convolve_doubled, double, fold_doubling, mirror
from style_fixtures import tiny_any

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network() -> StyleNetwork:
    return tiny_any()


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """A photo and two styles: reddish and bluish noise."""
    random = np.random.default_rng(0)
    paths = []
    for name, scale in (("photo", (1, 1, 1)), ("red", (1, 0.2, 0.1)), ("blue", (0.1, 0.3, 1))):
        pixels = random.integers(0, 256, (72, 90, 3)) * np.array(scale)
        paths.append(tmp_path / f"{name}.png")
        Image.fromarray(pixels.astype(np.uint8)).save(paths[-1])
    return paths


def test_mirror_and_double_are_the_usual_operations() -> None:
    x = torch.rand(2, 3, 7, 9)
    for pixels in (1, 2):
        assert torch.equal(mirror(x, pixels), torch.nn.functional.pad(x, (pixels,) * 4, mode="reflect"))
    assert torch.equal(double(x), torch.nn.functional.interpolate(x, scale_factor=2, mode="nearest"))


@given(height=st.integers(2, 9), width=st.integers(2, 9), seed=st.integers(0, 99))
def test_a_folded_convolution_is_doubling_mirroring_and_the_whole_one(height: int, width: int, seed: int) -> None:
    """In float64; 4/9 of the multiplications."""
    generator = torch.Generator().manual_seed(seed)
    x, kernel = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((2, 3, height, width), (5, 3, 3, 3))
    )
    folded = fold_doubling(kernel)
    assert 4 * kernel.numel() * 4 == 9 * folded.numel()
    whole = torch.nn.functional.conv2d(mirror(double(x), 1), kernel)
    assert torch.allclose(convolve_doubled(x, folded), whole, atol=1e-12)


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_quickened_is_the_same_network(dtype: torch.dtype, most: float) -> None:
    torch.manual_seed(0)
    net = ImpastoNet(12, 2).eval()
    x, style = torch.rand(2, 3, 40, 48), 0.3 * torch.randn(net.style_size)
    quick = net.quickened(dtype).with_style(style)
    with torch.no_grad():
        difference = (quick(x) - net(x, style.expand(2, -1))).abs()
    assert quick.up1.folded is not None
    assert difference.mean() < most / 2
    assert difference.max() < 5 * most


def test_a_layer_is_convolution_instance_norm_and_the_style_on_top() -> None:
    """Against the formula in float64; each picture of a batch has its own style."""
    torch.manual_seed(0)
    layer = ImpastoNet(6, 1).down2
    x, style = torch.rand(2, 6, 16, 16), torch.randn(2, 2 * layer.outputs)
    raw = torch.nn.functional.conv2d(mirror(x, 1), layer.conv.weight, stride=2).double()
    normal = (raw - raw.mean((2, 3), keepdim=True)) / (raw.var((2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
    gain, shift = (each[:, :, None, None] for each in style.double().split(layer.outputs, 1))
    assert torch.allclose(layer(x, style).double(), ((1 + gain) * normal + shift).relu(), atol=1e-5)


def test_with_style_is_the_same_network_as_the_style_beside_it() -> None:
    torch.manual_seed(0)
    net = ImpastoNet(6, 2)
    x, style = torch.rand(1, 3, 40, 48), 0.5 * torch.randn(net.style_size)
    with torch.no_grad():
        beside, inside = net(x, style[None]), net.with_style(style)(x)
        other = net(x)
    assert torch.allclose(beside, inside, atol=1e-6)
    assert (beside - other).abs().max() > 0.01
    assert net.with_style(style).down1.conv.weight.data_ptr() == net.down1.conv.weight.data_ptr()


def test_it_needs_fewer_operations_than_r0s_network() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    from impasto.style.networks import EngstromNet

    counts = []
    for network in (ImpastoNet(), EngstromNet()):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.rand(1, 3, 128, 128))
        counts.append(counter.get_total_flops())
    assert counts[0] < 0.65 * counts[1]


def test_moments_are_mean_deviation_and_correlation(network: StyleNetwork) -> None:
    """Of features that are known: against numpy in float64."""
    features = torch.rand(1, 4, 6, 5) * torch.tensor([1.0, 2.0, 0.5, 3.0])[None, :, None, None]

    class Known:
        def __call__(self, pictures: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
            return dict.fromkeys(layers, features)

    found = moments(Known(), torch.zeros(1, 3, 8, 8))[0][0].double().numpy()  # type: ignore[arg-type]
    flat = features[0].flatten(1).double().numpy()
    assert np.allclose(found[:, 0], flat.mean(1), atol=1e-5)
    assert np.allclose(found[:, 1], flat.std(1), atol=1e-5)
    assert np.allclose(found[:, 2:], np.corrcoef(flat), atol=2e-3)


def test_strength_goes_from_the_photo_itself_to_the_style(network: StyleNetwork, pictures: list[Path]) -> None:
    photo, style = pictures[:2]
    image = to_tensor(open_picture(photo).image)
    painted = {each: repaint_fast(photo, style, network=network, strength=each).image for each in (0, 0.3, 0.7, 1)}
    distances = [(picture - image).square().mean().item() for picture in painted.values()]
    assert distances[0] < 1e-10
    assert distances == sorted(distances)
    assert distances[3] > 10 * distances[1]


def test_styles_are_mixed_in_the_middle_of_their_vectors(network: StyleNetwork, pictures: list[Path]) -> None:
    brush = brush_of(network, CPU)
    red, blue = (brush.read(to_tensor(open_picture(path).image)) for path in pictures[1:])  # type: ignore[attr-defined]
    mixed = network.module.net.with_style(0.25 * red + 0.75 * blue)
    image = to_tensor(open_picture(pictures[0]).image)
    expected = apply_network(mixed, image).clamp(0, 1)
    options = {"network": network, "precision": "fp32"}
    found = repaint_fast(pictures[0], pictures[1:], style_weights=(1, 3), style_size=4.0, **options).image
    assert torch.allclose(found, expected, atol=1e-5)
    alone = repaint_fast(pictures[0], pictures[1], **options).image
    assert torch.allclose(repaint_fast(pictures[0], pictures[1:], style_weights=(1, 0), **options).image, alone)


def test_the_photos_colours_are_kept_on_wish(pictures: list[Path]) -> None:
    """With the real network: the reddish style makes the photo red, unless its colours are kept."""
    red, kept = (repaint_fast(*pictures[:2], keep_colour=each).image.mean((0, 2, 3)) for each in (False, True))
    photo = to_tensor(open_picture(pictures[0]).image).mean((0, 2, 3))
    assert red[0] > red[2] + 0.1
    assert (kept - photo).abs().max() < (red - photo).abs().max() / 2


def test_the_same_picture_twice_and_how_it_was_made(pictures: list[Path], tmp_path: Path) -> None:
    outputs = [repaint_fast(*pictures[:2], strength=0.6).save(tmp_path / f"{index}.png") for index in range(2)]
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    made = provenance(outputs[0])
    assert made is not None
    assert [style["name"] for style in made["styles"]] == ["red.png"]
    assert made["network"]["name"] == "impasto-any"
    assert len(made["network"]["sha256"]) == 64
    assert made["config"]["strength"] == 0.6


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (33, 40)])
def test_odd_photos_come_back_in_their_size(pictures: list[Path], tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, (200, 30, 90)).save(tmp_path / "odd.png")
    image = repaint_fast(tmp_path / "odd.png", pictures[1], strength=0.5).image
    assert image.shape == (1, 3, size[1], size[0])
    assert torch.isfinite(image).all()


def test_bf16_stays_within_one_per_cent(pictures: list[Path]) -> None:
    exact, fast = (repaint_fast(*pictures[:2], precision=each).image for each in ("fp32", "bf16"))
    assert (exact - fast).abs().mean() < 0.01
    assert not torch.equal(exact, fast)


def test_wrong_styles_are_refused(network: StyleNetwork, pictures: list[Path], tmp_path: Path) -> None:
    Image.new("RGB", (20, 300)).save(tmp_path / "thin.png")
    with pytest.raises(PictureSizeError, match="too small for a style"):
        repaint_fast(pictures[0], tmp_path / "thin.png", network=network)
    with pytest.raises(UsageError, match="no style picture"):
        repaint_fast(pictures[0], network=network)
    with pytest.raises(UsageError, match="2 style weights"):
        repaint_fast(pictures[0], pictures[1], network=network, style_weights=(1, 2))
    other = replace(network, facts={**network.facts, "encoder_sha256": "0" * 64})
    with pytest.raises(WrongWeightsError, match="another impasto-vgg"):
        repaint_fast(pictures[0], pictures[1], network=other)


def test_a_network_of_named_styles_paints_and_mixes_them(pictures: list[Path], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ManyStyles(ImpastoNet(6, 1), 2)
    model.table.data.normal_(0, 0.5)
    save_network(StyleNetwork(model, IMPASTO, {"name": "two", "styles": ["sun", "moon"]}), tmp_path / "two.safetensors")
    painter = FastPainter(FastConfig(str(tmp_path / "two.safetensors"), precision="fp32"))
    photo = open_picture(pictures[0])
    sun, moon = (painter.paint(photo, [name]).image for name in ("sun", "moon"))
    both = painter.paint(photo, ["sun", "moon"]).image
    assert (sun - moon).abs().max() > 0.01
    middle = model.net.with_style(model.table.detach().mean(0))
    assert torch.allclose(both, apply_network(middle, to_tensor(photo.image)).clamp(0, 1), atol=1e-5)
    with pytest.raises(UsageError, match="sun, moon"):
        painter.paint(photo)
    with pytest.raises(UnknownNameError, match="moon"):
        painter.paint(photo, ["mon"])


def test_a_file_must_name_each_of_its_styles(tmp_path: Path) -> None:
    broken = StyleNetwork(ManyStyles(ImpastoNet(6, 1), 2), IMPASTO, {"name": "two", "styles": ["sun"]})
    save_network(broken, tmp_path / "two.safetensors")
    with pytest.raises(WrongWeightsError, match="does not name each"):
        load_network(tmp_path / "two.safetensors")


def test_the_command_paints_any_style_in_one_pass(pictures: list[Path], tmp_path: Path) -> None:
    photo, *styles = map(str, pictures)
    target = tmp_path / "out.png"
    arguments = ["stylize", photo, "--method", "fast", "--style", f"{styles[0]}:2", "--style", styles[1]]
    result = CliRunner().invoke(main.app, [*arguments, "--strength", "0.8", "--keep-colour", "-o", str(target)])
    assert result.exit_code == 0, result.output
    made = provenance(target)
    assert made is not None
    assert (made["config"]["style_weights"], made["config"]["keep_colour"]) == ([2.0, 1.0], True)
    with Image.open(target) as saved:
        assert saved.size == (90, 72)
