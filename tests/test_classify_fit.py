"""Gradient descent: schedules, optimisers, mixing, averages, accumulation, resuming, several processes."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from classify_fixtures import paint_splits
from impasto.classify import TrainConfig, train
from impasto.classify.fit import loop
from impasto.classify.fit.curves import CurvePoint
from impasto.classify.fit.feeds import FeatureFeed
from impasto.classify.fit.loop import Fitting
from impasto.classify.fit.mixing import balanced_weights, mix, objective
from impasto.classify.fit.optimisers import Average, make_optimiser
from impasto.classify.fit.processes import Crew
from impasto.classify.fit.rates import find_rate
from impasto.classify.fit.schedules import rate_factor
from impasto.classify.recipes import OPTIMISERS, SCHEDULES, Recipe
from impasto.data.load.loaders import Share
from impasto.errors import NumericalError, RunError, UsageError
from impasto.runtime import Progress

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))


def clouds(n: int = 40, classes: int = 3, features: int = 6, apart: float = 2.0) -> tuple[Tensor, Tensor]:
    """Points around as many centres as there are classes."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % classes
    centres = apart * torch.eye(classes, features)
    return torch.randn(n, features, generator=draw) + centres[labels], labels


def feed(batch_size: int = 8, **options: Any) -> FeatureFeed:
    points, labels = clouds(**options)
    return FeatureFeed(points[None], labels, (points[:12], labels[:12]), batch_size, 0, CPU)


def network(dropout: float = 0.0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3))


def fitted(recipe: Recipe, net: nn.Module | None = None, **options: Any) -> tuple[nn.Module, Fitting]:
    net = net or network()
    fitting = Fitting(net, feed(recipe.batch_size), recipe, 3, Crew(CPU), **options)
    fitting.run()
    return net, fitting


def weights(net: nn.Module) -> Tensor:
    return torch.cat([value.detach().flatten() for value in net.parameters()])


# Schedules


@pytest.mark.parametrize("schedule", SCHEDULES)
@given(epochs=st.integers(2, 30), steps=st.integers(1, 20), warmup=st.sampled_from([0.0, 0.5, 1.0, 1.5]))
def test_a_rate_is_a_share_of_the_highest(schedule: str, epochs: int, steps: int, warmup: float) -> None:
    recipe = Recipe(epochs=epochs, schedule=schedule, warmup=warmup)
    factors = [rate_factor(recipe, step, steps, []) for step in range(epochs * steps)]
    assert all(0 < factor <= 1 for factor in factors)


def test_cosine_with_warmup_at_known_steps() -> None:
    recipe = Recipe(epochs=11, schedule="cosine", warmup=1)
    factors = [rate_factor(recipe, step, 10, []) for step in range(110)]
    assert factors[:10] == pytest.approx([0.1 * i for i in range(1, 11)])
    assert factors[10] == 1
    assert factors[60] == pytest.approx(0.5)
    assert factors[109] == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.99)))


def test_one_cycle_is_torchs_own() -> None:
    recipe = Recipe(epochs=5, schedule="one-cycle")
    value = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([value], lr=1.0)
    torchs = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.0, total_steps=101, div_factor=25, final_div_factor=1e4)
    for step in range(100):
        # torch counts its phases in whole steps, from 0 to the last one
        assert rate_factor(recipe, step, 20, []) == pytest.approx(optimiser.param_groups[0]["lr"], abs=0.03)
        optimiser.step()
        torchs.step()


def test_plateau_falls_when_validation_loss_does_not() -> None:
    recipe = Recipe(epochs=50, schedule="plateau")

    def points(*losses: float) -> list[CurvePoint]:
        return [CurvePoint(i, 0.0, 0.0, loss, 0.0) for i, loss in enumerate(losses, 1)]

    assert rate_factor(recipe, 0, 1, points(3, 2, 1, 1.1, 1.2)) == 1
    assert rate_factor(recipe, 0, 1, points(3, 2, 1, 1.1, 1.2, 1.0)) == pytest.approx(0.2)
    assert rate_factor(recipe, 0, 1, points(1, 1, 1, 1, 1, 1, 1)) == pytest.approx(0.04)
    assert rate_factor(recipe, 0, 1, points(1, 1, 1, 0.9, 1, 1)) == 1


# Optimisers and losses


@pytest.mark.parametrize("name", OPTIMISERS)
def test_one_step_of_each_optimiser_by_hand(name: str) -> None:
    value = nn.Linear(2, 1)
    with torch.no_grad():
        value.weight.copy_(torch.tensor([[3.0, -2.0]]))
        value.bias.fill_(1.0)
    optimiser = make_optimiser(value, Recipe(optimiser=name, weight_decay=0.1))
    value.weight.grad, value.bias.grad = torch.tensor([[0.5, 2.0]]), torch.tensor([-4.0])
    for group in optimiser.param_groups:
        group["lr"] = 0.01
    optimiser.step()
    w = torch.tensor([[3.0, -2.0]], dtype=torch.float64)
    g = torch.tensor([[0.5, 2.0]], dtype=torch.float64)
    coupled = g + 0.1 * w
    expected = {
        "adam": w - 0.01 * coupled.sign(),
        "adamw": w * (1 - 0.01 * 0.1) - 0.01 * g.sign(),
        "sgd": w - 0.01 * (coupled + 0.9 * coupled),
        "rmsprop": w - 0.01 * coupled.sign() / math.sqrt(0.1),  # Keras: the mean of squares begins at 0
    }[name]
    assert torch.allclose(value.weight.double(), expected, atol=1e-5)
    step = {"sgd": 0.01 * 4 * 1.9, "rmsprop": 0.01 / math.sqrt(0.1)}.get(name, 0.01)
    assert value.bias.item() == pytest.approx(1 + step, abs=1e-5)  # biases are not decayed


def test_class_weights_are_scikit_learns() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = torch.tensor([0, 0, 0, 0, 1, 2, 2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    assert balanced_weights(labels, 3).tolist() == pytest.approx(expected.tolist())
    assert balanced_weights(labels, 4)[3] == 1


@given(st.floats(0, 0.9), st.integers(0, 2))
def test_smoothed_loss_in_float64(smoothing: float, label: int) -> None:
    logits = torch.tensor([[0.3, -1.2, 2.0]], dtype=torch.float64)
    log = (logits - logits.exp().sum().log())[0]
    target = torch.full((3,), smoothing / 3, dtype=torch.float64)
    target[label] += 1 - smoothing
    found = objective(logits, torch.tensor([label]), None, smoothing)
    assert found.item() == pytest.approx(-(target * log).sum().item(), rel=1e-9)


def test_mixed_pictures_have_mixed_labels() -> None:
    inputs = F.one_hot(torch.arange(5), 5).float()
    mixed, targets = mix(inputs, torch.arange(5), 5, 0.4, (3, 1, 2))
    assert torch.allclose(mixed, targets)  # what is true of pictures is true of labels
    assert torch.allclose(targets.sum(1), torch.ones(5))
    assert torch.equal(mix(inputs, torch.arange(5), 5, 0.4, (3, 1, 2))[0], mixed)
    assert not torch.equal(mix(inputs, torch.arange(5), 5, 0.4, (3, 1, 3))[0], mixed)


def test_the_share_of_mixing_is_beta() -> None:
    from scipy.stats import kstest

    inputs = torch.tensor([[0.0], [1.0]])
    shares = []
    for batch in range(400):
        mixed, _ = mix(inputs, torch.tensor([0, 1]), 2, 0.4, (0, 1, batch))
        if 0 < mixed[0, 0] < 1:  # a picture may be its own partner
            shares.append(mixed[1, 0].item())
    assert kstest(shares, "beta", args=(0.4, 0.4)).pvalue > 0.01


def test_the_average_of_weights() -> None:
    net = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        net.weight.fill_(1.0)
        average = Average(net, 0.9)
        expected = 1.0
        for step in range(1, 200):
            net.weight.fill_(float(step))
            keep = min(0.9, (1 + step) / (10 + step))
            expected = keep * expected + (1 - keep) * step
            average.update(net, step)
    assert average.values["weight"].item() == pytest.approx(expected, rel=1e-5)
    with average.in_place_of(net):
        assert net.weight.item() == pytest.approx(expected, rel=1e-5)
    assert net.weight.item() == 199


# The loop


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_every_optimiser_learns(optimiser: str) -> None:
    rate = 0.05 if optimiser == "sgd" else 0.01
    _, fitting = fitted(Recipe(epochs=15, batch_size=8, optimiser=optimiser, learning_rate=rate))
    assert fitting.points[-1].train_loss < 0.6 * fitting.points[0].train_loss
    assert fitting.best is not None
    assert fitting.best.validation_accuracy >= 0.75


def test_a_batch_in_parts_is_the_same_step() -> None:
    whole, _ = fitted(Recipe(epochs=3, batch_size=8, optimiser="sgd", learning_rate=0.1, label_smoothing=0.1))
    for parts in (2, 3, 8):
        recipe = Recipe(
            epochs=3, batch_size=8, accumulate=parts, optimiser="sgd", learning_rate=0.1, label_smoothing=0.1
        )
        assert torch.allclose(weights(fitted(recipe)[0]), weights(whole), atol=1e-6)


def test_settings_change_what_is_learned() -> None:
    """None of them is without effect."""
    base = Recipe(epochs=2, batch_size=8, optimiser="sgd", learning_rate=0.1)
    changes: list[dict[str, Any]] = [
        {"label_smoothing": 0.1},
        {"mixup": 0.4},
        {"weight_decay": 0.1},
        {"schedule": "cosine"},
        {"warmup": 1},
        {"ema": 0.9},
        {"class_weights": "balanced"},
    ]
    plain = weights(fitted(base)[0])
    assert torch.equal(weights(fitted(base)[0]), plain)
    for change in changes:
        assert not torch.allclose(weights(fitted(dataclasses.replace(base, **change))[0]), plain, atol=1e-5), change


def test_the_kept_weights_are_those_that_were_validated() -> None:
    for ema in (0.0, 0.8):
        net, fitting = fitted(Recipe(epochs=6, batch_size=8, learning_rate=0.02, ema=ema))
        points, labels = fitting.feed.held_out  # type: ignore[attr-defined]
        with torch.no_grad():
            logits = net(points)
        assert fitting.best is not None
        assert (logits.argmax(1) == labels).double().mean().item() == fitting.best.validation_accuracy
        assert F.cross_entropy(logits, labels).item() == pytest.approx(fitting.best.validation_loss, rel=1e-5)
        assert torch.equal(fitting.judged()[0], logits)


class Killed(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize(
    "settings",
    [
        {"optimiser": "adamw", "schedule": "one-cycle", "ema": 0.9, "mixup": 0.3},
        {"optimiser": "sgd", "schedule": "plateau", "label_smoothing": 0.1},
        {"optimiser": "rmsprop", "schedule": "cosine", "warmup": 1.0, "patience": 3},
    ],
)
@pytest.mark.parametrize("at", [1, 5, 9, 14])
def test_a_killed_training_goes_on_to_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], at: int
) -> None:
    monkeypatch.setattr(loop, "_KEEP_EVERY", 0.0)
    recipe = Recipe(epochs=4, batch_size=8, learning_rate=0.01, **settings)
    whole, straight = fitted(recipe, network(dropout=0.3))

    def kill(progress: Progress) -> None:
        if progress.step == at:
            raise Killed

    keep = tmp_path / "state"
    with pytest.raises(Killed):
        fitted(recipe, network(dropout=0.3), keep=keep, on_progress=kill)
    assert keep.exists() is (at > 1)
    steps: list[int] = []
    again, resumed = fitted(
        recipe, network(dropout=0.3), keep=keep, on_progress=lambda progress: steps.append(progress.step)
    )
    assert steps[0] == at - 1
    assert torch.equal(weights(again), weights(whole))
    assert resumed.points == straight.points


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_moments_come_back_in_the_layout_of_their_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimiser: str
) -> None:
    """Convolutions lie channels last, files do not: a step that mixed the two up would be of another network."""
    monkeypatch.setattr(loop, "_KEEP_EVERY", 0.0)

    def pictures(**options: Any) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = nn.Sequential(nn.Unflatten(1, (3, 4, 4)), nn.Conv2d(3, 5, 3), nn.Flatten(), nn.Linear(20, 3))
        recipe = Recipe(epochs=2, batch_size=8, optimiser=optimiser, learning_rate=0.01)
        points, labels = clouds(features=48)
        source = FeatureFeed(points[None], labels, (points[:12], labels[:12]), 8, 0, CPU)
        Fitting(net, source, recipe, 3, Crew(CPU), **options).run()
        return net

    def kill(progress: Progress) -> None:
        if progress.step == 4:
            raise Killed

    with pytest.raises(Killed):
        pictures(keep=tmp_path / "state", on_progress=kill)
    assert torch.equal(weights(pictures(keep=tmp_path / "state")), weights(pictures()))


def test_the_state_of_another_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_KEEP_EVERY", 0.0)
    fitted(Recipe(epochs=1, batch_size=8), keep=tmp_path / "state")
    with pytest.raises(RunError, match="of another training"):
        fitted(Recipe(epochs=1, batch_size=8), nn.Linear(6, 3), keep=tmp_path / "state")
    (tmp_path / "state").write_bytes(b"nonsense")
    with pytest.raises(RunError, match="damaged"):
        fitted(Recipe(epochs=1, batch_size=8), keep=tmp_path / "state")


def test_the_finder_suggests_a_rate_that_learns() -> None:
    recipe = Recipe(epochs=10, batch_size=8, optimiser="sgd", learning_rate=1e-3)
    net = network()
    before = weights(net)
    fitting = Fitting(net, feed(8), recipe, 3, Crew(CPU))
    scan = find_rate(fitting)
    assert torch.equal(weights(net), before)
    assert list(scan.rates) == sorted(scan.rates)
    assert 1e-4 < scan.suggestion < 1
    _, slow = fitted(recipe)
    _, found = fitted(dataclasses.replace(recipe, learning_rate=scan.suggestion))
    assert found.points[-1].train_loss < slow.points[-1].train_loss


def test_the_finder_says_when_nothing_helps() -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            return x[:, :3] * math.nan + self.weight

    with pytest.raises(NumericalError, match="at every learning rate"):
        find_rate(Fitting(Broken(), feed(8), Recipe(batch_size=8), 3, Crew(CPU)))


def test_features_of_views_are_taken_in_turn() -> None:
    views = torch.stack([torch.full((5, 2), float(view)) for view in range(3)])
    source = FeatureFeed(views, torch.zeros(5, dtype=torch.int64), (views[0], torch.zeros(5)), 2, 0, CPU)
    met = [next(iter(source.training(epoch)))[0][0, 0].item() for epoch in range(1, 8)]
    assert met == [0, 1, 2, 0, 1, 2, 0]


@given(st.integers(1, 5), st.integers(1, 12))
def test_shares_part_a_batch(world: int, total: int) -> None:
    rows = torch.arange(total)
    own = [Share(rank, world).own(rows) for rank in range(world)]
    assert sorted(torch.cat(own).tolist()) == rows.tolist()
    assert [len(part) for part in own] == [Share(rank, world).size(total) for rank in range(world)]
    assert all(len(Share(rank, world).of(rows)) >= 1 for rank in range(world))


# The whole procedure, in processes of its own


def command(data: Path, run: Path, *options: str) -> list[str]:
    network = ("--model", "r0-cnn", "--image-size", "24", "--epochs", "4", "--precision", "fp32", "--quiet")
    return ["train", str(data), "-o", str(run), "--device", "cpu", *network, *options]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "IMPASTO_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}


def until(seen: Path, process: subprocess.Popen[bytes]) -> Iterator[None]:
    while not seen.exists() and process.poll() is None:
        time.sleep(0.01)
        yield


def test_sigkill_and_the_same_command_again(tmp_path: Path, environment: dict[str, str]) -> None:
    data = paint_splits(tmp_path / "data")
    slow = "import time; from impasto.classify.fit import loop; loop._KEEP_EVERY = 0.0; step = loop.Fitting._step\n"
    slow += "def late(self, *rest): time.sleep(0.15); step(self, *rest)\n"
    slow += "loop.Fitting._step = late; from impasto.cli.main import run; run()"
    arguments = command(data, tmp_path / "run", "--batch-size", "4", "--mixup", "0.2")
    process = subprocess.Popen([sys.executable, "-c", slow, *arguments], env=environment)
    for _ in until(tmp_path / "run" / "training.safetensors", process):
        pass
    time.sleep(0.4)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "run" / "manifest.json").exists()
    for name in ("run", "whole"):
        arguments = command(data, tmp_path / name, "--batch-size", "4", "--mixup", "0.2")
        subprocess.run([sys.executable, "-m", "impasto", *arguments], env=environment, check=True)
    for name in ("model.safetensors", "curves.csv", "calibration.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert not (tmp_path / "run" / "training.safetensors").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--batch-size", "6", "--label-smoothing", "0.1"),
        ("--batch-size", "5", "--mixup", "0.3", "--class-weights", "balanced"),  # 16 pictures: a last batch of one
    ],
)
def test_two_processes_teach_what_one_does(
    tmp_path: Path, environment: dict[str, str], options: tuple[str, ...]
) -> None:
    data = paint_splits(tmp_path / "data")
    subprocess.run(
        [sys.executable, "-m", "impasto", *command(data, tmp_path / "one", *options)], env=environment, check=True
    )
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "impasto"]
    result = subprocess.run(
        [*two, *command(data, tmp_path / "two", *options)], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for key, value in one.items():
        assert torch.allclose(value, other[key], atol=2e-5), key
    curves = [(tmp_path / name / "curves.csv").read_text().splitlines()[1:] for name in ("one", "two")]
    for row, again in zip(*curves, strict=True):
        numbers = [[float(cell) for cell in line.split(",") if cell] for line in (row, again)]
        assert numbers[0] == pytest.approx(numbers[1], abs=2e-4)
    manifests = [json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("one", "two")]
    assert manifests[0] == manifests[1]


def test_one_gpu_cannot_be_that_of_two_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    config = TrainConfig(paint_splits(tmp_path / "data"), model="r0-cnn", image_size=24, device="cuda:1")
    with pytest.raises(UsageError, match=r"cuda:1 cannot be that of 2 processes"):
        train(config, tmp_path / "run")
