"""One pass: any size comes back in its own, no painted frame, and the commands that import, list and use networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from impasto.cli import main
from impasto.errors import UnknownNameError, UsageError, WrongWeightsError
from impasto.files import file_digest
from impasto.images import open_picture, provenance, to_tensor
from impasto.style import apply as apply_module
from impasto.style.apply import FastPainter, Network, apply_network, repaint_fast
from impasto.style.checkpoints import StyleNetwork, save_network
from impasto.style.config import FastConfig
from impasto.style.impasto_net import ImpastoNet
from impasto.style.library import list_networks, open_network
from impasto.style.networks import EngstromNet, PyTorchExamplesNet


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library with one small network called "tiny"; the user's own is out of sight."""
    folder = tmp_path / "networks"
    folder.mkdir()
    monkeypatch.setenv("IMPASTO_NETWORKS", str(folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "nowhere"))
    save_network(tiny(), folder / "tiny.safetensors")
    return folder


def tiny() -> StyleNetwork:
    torch.manual_seed(0)
    facts = {"name": "tiny", "source": "tiny.pth", "source_format": "PyTorch", "licence": "MIT", "width": 4}
    return StyleNetwork(PyTorchExamplesNet(4).eval(), "pytorch-examples", facts)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 45, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (41, 62), (64, 64), (33, 2)])
def test_any_size_comes_back_in_its_own(shape: tuple[int, int]) -> None:
    for network in (PyTorchExamplesNet(4), EngstromNet(), ImpastoNet(6, 1)):
        painted = apply_network(network, torch.rand(2, 3, *shape))
        assert painted.shape == (2, 3, *shape)
        assert torch.isfinite(painted).all()


def test_the_network_sees_the_picture_mirrored_and_its_place_is_kept() -> None:
    image = torch.rand(1, 3, 50, 70)
    seen: list[torch.Tensor] = []
    probe = torch.nn.Identity()
    probe.frame, probe.multiple = 32, 4
    assert torch.equal(apply_network(probe, image), image)
    probe.register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0]))
    apply_network(probe, image)
    assert seen[0].shape == (1, 3, 116, 136)  # 50 + 64 and 70 + 64, to multiples of 4
    assert torch.equal(seen[0][:, :, 32:82, 31], image[:, :, :, 1])
    assert torch.equal(seen[0][:, :, 31, 32:102], image[:, :, 1, :])


NETWORKS = [EngstromNet(), PyTorchExamplesNet(4), ImpastoNet(6, 2)]


@pytest.mark.parametrize("network", NETWORKS, ids=["engstrom", "examples", "impasto"])
@pytest.mark.parametrize(("width", "height"), [(70, 50), (3, 41), (1, 1), (130, 97)])
def test_layer_by_layer_gives_what_one_piece_gives(network: Network, width: int, height: int) -> None:
    """With weights that make instance norm matter: statistics of strips would be far off."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        if parameter.ndim == 1:
            parameter.data.uniform_(0.5, 1.5, generator=generator)
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels[: height // 2] //= 8  # dark above: each strip has other statistics than the whole
    image = Image.fromarray(pixels)
    whole = apply_network(network, to_tensor(image)).clamp(0, 1)
    for memory in (1, 2_000_000):
        streamed = apply_module.apply_streamed(network, image, memory)
        assert streamed.shape == whole.shape
        # One pixel has no variance, and 1 / sqrt(eps) magnifies the rounding.
        assert (streamed - whole).abs().max() < (2e-5 if width > 1 else 1e-3)


def test_little_memory_streams_and_saves_the_same_picture(library: Path, photo: Path, tmp_path: Path) -> None:
    pictures = []
    for memory in ("1", "0.0001"):
        target = tmp_path / f"{memory}.png"
        arguments = ["stylize", str(photo), "--network", "tiny", "--memory", memory, "-o", str(target)]
        assert CliRunner().invoke(main.app, arguments).exit_code == 0
        pictures.append(np.asarray(Image.open(target), dtype=int))
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_no_frame_is_painted(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R0's network pads with zeros; what that paints at the rim must be gone, a wider frame being the truth."""
    network = EngstromNet().eval()
    network.load_state_dict(load_file(shared / "weights/fast-style/wave.safetensors"))
    photo = to_tensor(open_picture(shared / "data/goldens/chicago.jpg").image)[:, :, :200, :280]
    band = torch.zeros(200, 280, dtype=torch.bool)
    band[:8], band[-8:], band[:, :8], band[:, -8:] = True, True, True, True
    with torch.no_grad():
        bare = network(photo)[:, :, :200, :280]
    framed = apply_network(network, photo)
    monkeypatch.setattr(EngstromNet, "frame", 96)
    truth = apply_network(network, photo)
    error_bare, error_framed = ((each - truth)[..., band].abs().mean() for each in (bare, framed))
    assert error_framed < error_bare / 3


def test_a_repaint_keeps_size_alpha_and_how_it_was_made(photo: Path, tmp_path: Path) -> None:
    rgba = Image.open(photo).convert("RGBA")
    rgba.putalpha(Image.linear_gradient("L").resize(rgba.size))
    rgba.save(tmp_path / "clear.png")
    result = repaint_fast(tmp_path / "clear.png", network=tiny())
    result.save(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as saved:
        assert (saved.size, saved.mode) == ((45, 30), "RGBA")
    made = provenance(tmp_path / "out.png")
    assert made is not None
    assert made["content"]["sha256"] == file_digest(tmp_path / "clear.png")
    assert made["network"]["name"] == "tiny"
    assert repaint_fast(photo, network=tiny(), size=90).image.shape == (1, 3, 60, 90)


def test_the_same_picture_twice(photo: Path, library: Path) -> None:
    painter = FastPainter(FastConfig("tiny"))
    one, two = (painter.paint(open_picture(photo)).image for _ in range(2))
    assert torch.equal(one, two)
    assert 0 <= one.min() <= one.max() <= 1


def test_networks_are_found_by_name_and_by_file(library: Path) -> None:
    assert open_network("tiny").facts["licence"] == "MIT"
    assert open_network(str(library / "tiny.safetensors")).architecture == "pytorch-examples"
    with pytest.raises(UnknownNameError, match="tiny"):
        open_network("tinny")
    (library / "broken.safetensors").write_bytes(b"no network")
    with pytest.raises(WrongWeightsError, match="broken"):
        open_network("broken")
    broken, embedded, good = list_networks()
    assert (embedded.name, embedded.problem) == ("impasto-any", "")
    assert (broken.name, broken.network) == ("broken", None)
    assert "broken.safetensors" in broken.problem
    assert (good.name, good.problem) == ("tiny", "")


def test_sizes_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="size 0"):
        FastConfig("tiny", size=0)


def test_import_list_and_paint_on_the_command_line(library: Path, photo: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    torch.save(PyTorchExamplesNet(4).state_dict(), tmp_path / "sunset.pth")
    run = CliRunner()
    imported = run.invoke(main.app, ["network", "import", str(tmp_path / "sunset.pth"), "--licence", "CC0"])
    assert imported.exit_code == 0, imported.output
    assert (library / "sunset.safetensors").is_file()
    listed = json.loads(run.invoke(main.app, ["network", "list", "--json"]).stdout)
    assert [(each["name"], each["licence"]) for each in listed] == [
        ("impasto-any", "Apache-2.0"),
        ("sunset", "CC0"),
        ("tiny", "MIT"),
    ]
    assert "sunset.pth" in run.invoke(main.app, ["network", "list"]).stdout
    arguments = ["stylize", str(photo), "--network", "sunset", "-o", str(tmp_path / "out.png"), "--json"]
    painted = json.loads(run.invoke(main.app, arguments).stdout)
    assert painted["network"]["licence"] == "CC0"
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (45, 30)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--network", "tiny", "--steps", "3"], "--steps has no meaning"),
        (["--network", "tiny", "--precision", "bf16"], "computes in float32"),
        (["--network", "tiny", "--style", "a.jpg"], "has one style"),
        (["--network", "tiny", "--memory", "0"], "memory 0"),
        (["--style", "a.jpg", "--memory", "2", "--method", "optimise"], "--memory has no meaning"),
        (["--style", "a.jpg", "--memory", "2", "--encoder", "vgg19"], "--encoder has no meaning with --memory"),
        (["--method", "fast"], "no style picture"),
        ([], "no style was given"),
    ],
)
def test_options_that_contradict_each_other(library: Path, photo: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main.app, ["stylize", str(photo), *arguments])
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)
