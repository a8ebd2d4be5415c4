"""Training a network on styles: it learns, resumes to the same bytes, keeps its budget, and says what it did."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from impasto.cli import main
from impasto.encoders import load_encoder
from impasto.errors import DataError, RunError, UsageError
from impasto.runtime import Progress, parse_time
from impasto.style import train as train_module
from impasto.style.checkpoints import load_network, save_network
from impasto.style.config import StylizeConfig
from impasto.style.crops import Crops
from impasto.style.objective import NormalisedObjective
from impasto.style.optimize import Painter
from impasto.style.perceptual import PerceptualLoss
from impasto.style.train import NetworkTrainer
from impasto.style.train_config import NetworkTrainConfig
from style_fixtures import tiny_any

TINY = {"size": 64, "batch": 2, "rate": 0.01, "precision": "fp32", "device": "cpu"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos, one file that is none, and two styles: stripes and checks."""
    root = tmp_path_factory.mktemp("training")
    random = np.random.default_rng(0)
    (root / "photos").mkdir()
    for number in range(12):
        coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((96, 80), Image.Resampling.BICUBIC).save(root / "photos" / f"{number:02d}.png")
    (root / "photos" / "text.jpg").write_text("no picture")
    across, down = np.meshgrid(np.arange(96), np.arange(96))
    stripes = np.stack([across % 12 < 6, across % 12 < 3, np.zeros_like(across)], 2) * 255
    checks = np.stack([(across // 8 + down // 8) % 2] * 3, 2) * np.array([40, 90, 255])
    for name, pixels in (("stripes", stripes), ("checks", checks)):
        Image.fromarray(pixels.astype(np.uint8)).save(root / f"{name}.png")
    save_network(tiny_any(), root / "start.safetensors")
    return root


def trainer(folder: Path, output: Path, styles: tuple[str, ...] = ("stripes",), **options: object) -> NetworkTrainer:
    config = NetworkTrainConfig(name="test", **{**TINY, **options})  # type: ignore[arg-type]
    paths = [folder / f"{style}.png" for style in styles]
    return NetworkTrainer(paths, folder / "photos", output, config, start=load_network(folder / "start.safetensors"))


def test_the_loss_of_a_batch_is_the_default_presets_loss_of_each_picture() -> None:
    torch.manual_seed(0)
    painter = Painter(StylizeConfig(weights="random", precision="fp32", strength=0.3))
    loss = PerceptualLoss(painter.network, painter.content_layers, painter.style_layers, strength=0.3)
    painted, photos, styles = (torch.rand(3, 3, 64, 64) for _ in range(3))
    found = loss(painted, photos, loss.targets(styles))
    for index in range(3):
        objective = painter.objective(photos[index, None], [styles[index, None]])
        assert isinstance(objective, NormalisedObjective)
        terms = objective.terms(painted[index, None])
        assert found[index].item() == pytest.approx(sum(terms.values()).item(), rel=1e-4)  # type: ignore[union-attr]


def test_crops_depend_on_seed_and_step_alone(folder: Path) -> None:
    paths = sorted((folder / "photos").glob("*"))
    one, other = Crops(paths, 32, 4, 1), Crops(paths, 32, 4, 1)
    batches = one.from_step(0)
    expected = [next(batches) for _ in range(4)]
    assert torch.equal(next(other.from_step(3)), expected[3])
    assert not torch.equal(Crops(paths, 32, 4, 2).at(0), expected[0])
    assert [path.name for path in one.rejected] == ["text.jpg"]
    with pytest.raises(DataError, match="none of the photos"):
        Crops([folder / "photos" / "text.jpg"], 32, 4, 1).at(0)


def test_training_lowers_the_loss_on_photos_it_never_saw(folder: Path, tmp_path: Path) -> None:
    result = trainer(folder, tmp_path / "run", steps=40).train()
    assert result.held_out < 0.7 * result.before
    assert (result.stopped, result.steps, result.styles) == ("steps", 40, ("stripes",))
    assert [path for path, _ in result.rejected] == ["text.jpg"]
    assert load_network(result.network).facts["styles"] == ["stripes"]
    sheets = sorted((tmp_path / "run" / "samples").glob("*.jpg"))
    assert len(sheets) == 9
    with Image.open(sheets[-1]) as sheet:
        assert sheet.size == (2 * 64, 2 * 64)  # two photos; the photos and one style
    curve = (tmp_path / "run" / "curve.csv").read_text().splitlines()
    assert curve[0] == "step,seconds,loss,held_out"
    assert len(curve) == 10


def test_each_style_is_nearer_to_its_own_picture_and_they_mix(folder: Path, tmp_path: Path) -> None:
    one = trainer(folder, tmp_path / "run", ("stripes", "checks"), steps=40)
    model = load_network(one.train().network).module
    photos = one.crops.at(100)
    rows = {"stripes": [1.0, 0.0], "checks": [0.0, 1.0], "both": [0.5, 0.5]}
    with torch.no_grad():
        painted = {name: model(photos, torch.tensor([shares]).expand(2, 2)) for name, shares in rows.items()}
        wanted = [{key: gram[[style]] for key, gram in one.grams.items()} for style in (0, 1)]
        losses = {
            (name, style): one.loss(image, photos, wanted[style]).mean().item()
            for name, image in painted.items()
            for style in (0, 1)
        }
    assert losses["stripes", 0] < min(losses["checks", 0], losses["both", 0])
    assert losses["checks", 1] < min(losses["stripes", 1], losses["both", 1])


def test_killed_it_goes_on_to_the_same_bytes(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = trainer(folder, tmp_path / "one", steps=24).train()
    learn, calls = NetworkTrainer._learn, []

    def dies(self: NetworkTrainer, photos: torch.Tensor) -> float:
        calls.append(0)
        if len(calls) in (8, 15):
            raise KeyboardInterrupt
        return learn(self, photos)

    monkeypatch.setattr(NetworkTrainer, "_learn", dies)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            trainer(folder, tmp_path / "two", steps=24).train()
    assert trainer(folder, tmp_path / "two", steps=24).step > 6
    result = trainer(folder, tmp_path / "two", steps=24).train()
    one, two = (load_file(each.network) for each in (undisturbed, result))
    assert all(torch.equal(one[key], two[key]) for key in one)
    with pytest.raises(RunError, match="differs in config"):
        trainer(folder, tmp_path / "two", steps=25)


def test_it_stops_when_the_held_out_loss_no_longer_falls(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "_LEAST_GAIN", 0.9)
    result = trainer(folder, tmp_path / "run", steps=16, rate=1e-9).train()
    assert (result.stopped, result.steps) == ("no gain", 8)


def test_the_budget_is_kept(folder: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    seen: list[Progress] = []
    one = trainer(folder, tmp_path / "run", budget=6.0, look_every=2.0)
    one.on_progress = seen.append
    result = one.train()
    assert result.stopped == "budget"
    assert time.monotonic() - began < 7.5
    assert len(list((tmp_path / "run" / "samples").glob("*.jpg"))) >= 3
    assert seen[-1].total == 6


def test_a_damaged_state_is_named(folder: Path, tmp_path: Path) -> None:
    trainer(folder, tmp_path / "run", steps=4).train()
    state = tmp_path / "run" / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"state\.pt is damaged"):
        trainer(folder, tmp_path / "run", steps=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps 0"),
        ({"size": 65}, "size 65"),
        ({"budget": 0.0}, "budget"),
        ({"strength": 1.0}, "strength"),
    ],
)
def test_values_that_cannot_be(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        NetworkTrainConfig(name="test", **options)  # type: ignore[arg-type]


def test_pictures_that_cannot_be(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two style pictures are called stripes"):
        trainer(folder, tmp_path / "one", ("stripes", "stripes"))
    with pytest.raises(DataError, match="too few"):
        trainer(folder, tmp_path / "two", batch=16)
    for text in ("soon", "-3m", "m", ""):
        with pytest.raises(UsageError, match="is no time"):
            parse_time(text)


def test_the_command_survives_sigkill_and_its_network_paints(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    command = [sys.executable, "-m", "impasto", "network", "train", str(folder / "stripes.png")]
    command += ["--photos", str(folder / "photos"), "-o", str(output), "--steps", "16", "--size", "64", "--batch", "2"]
    process = subprocess.Popen([*command, "--quiet"])
    for _ in range(600):
        if len(list(output.glob("samples/*.jpg"))) >= 2 or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["held_out"] < result["before"]
    photo = str(folder / "photos" / "00.png")
    arguments = ["stylize", photo, "--network", result["network"], "-o", str(tmp_path / "out.png")]
    assert CliRunner().invoke(main.app, arguments).exit_code == 0
    assert load_encoder().identity() == load_network(Path(result["network"])).facts["training"]["encoder"]
