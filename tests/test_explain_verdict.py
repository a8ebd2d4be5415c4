"""Verdicts: maps that mean something pass, maps that do not fail, and planted faults are found and named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from explain_fixtures import pictures, pooled, subject_of_network
from impasto.data.dataset import Sample
from impasto.errors import UsageError
from impasto.explain import ExplainConfig, explain, parse_target
from impasto.explain.borders import regions
from impasto.explain.explaining import Explained
from impasto.explain.faithful import faithfulness
from impasto.explain.randomise import STAGES, cascade, randomised
from impasto.explain.shortcuts import find_shortcuts
from impasto.explain.targets import weighted
from impasto.explain.verdict import Case, judge
from impasto.subjects import Subject

SIDE = 56


class Spots(nn.Module):
    """Knows red, green and blue spots wherever they are."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(3, 3, 1, bias=False)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(3, 3)
        with torch.no_grad():
            self.look.weight.copy_((1.5 * torch.eye(3) - 0.5).view(3, 3, 1, 1))
            self.fc.weight.copy_(60 * torch.eye(3) - 10)
            self.fc.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.relu(self.look(x)).square().mean((2, 3)))
        return out


class Corner(nn.Module):
    """Answers by the upper left corner alone: its first class where that is red."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.scale
        corner = x[..., :8, :8].mean((2, 3))
        red = corner[:, 0] - corner[:, 1]
        green = x[:, 1].mean((1, 2)) - x[:, 2].mean((1, 2))
        return torch.stack([40 * red - 8, 20 * green, -20 * green], 1)


def _textured(count: int, seed: int = 0) -> tuple[Tensor, list[int]]:
    """Return noise with a patch of lines across, lines down or a chequerboard somewhere; all have the same colours."""
    draw = torch.Generator().manual_seed(seed)
    batch = 0.3 + 0.4 * torch.rand(count, 1, SIDE, SIDE, generator=draw).expand(-1, 3, -1, -1).clone()
    labels = [index % 3 for index in range(count)]
    steps = torch.arange(20) // 2 % 2
    patches = [steps.view(-1, 1).expand(20, 20), steps.expand(20, 20), (steps.view(-1, 1) + steps) % 2]
    for row, label in enumerate(labels):
        top, left = torch.randint(4, SIDE - 24, (2,), generator=draw).tolist()
        batch[row, :, top : top + 20, left : left + 20] = patches[label].float()
    return batch, labels


@pytest.fixture(scope="module")
def taught() -> nn.Module:
    """A small network that has learned the textures."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 12, 5, 2, 2), nn.ReLU(), nn.Conv2d(12, 16, 3, 2, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for step in range(120):
        batch, labels = _textured(24, 100 + step)
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(batch), torch.tensor(labels)).backward()
        optimiser.step()
    return network


def _spotted(count: int, seed: int = 0) -> tuple[Tensor, list[int]]:
    """Return grey pictures with a spot of one colour somewhere, and which colour."""
    draw = torch.Generator().manual_seed(seed)
    batch = 0.4 + 0.05 * torch.rand(count, 3, SIDE, SIDE, generator=draw)
    labels = [index % 3 for index in range(count)]
    for row, label in enumerate(labels):
        top, left = torch.randint(2, SIDE - 14, (2,), generator=draw).tolist()
        batch[row, :, top : top + 12, left : left + 12] = 0.1
        batch[row, label, top : top + 12, left : left + 12] = 1
    return batch, labels


def _case(network: nn.Module, batch: Tensor, labels: list[int], layer: str = "relu") -> Case:
    subject = subject_of_network(network, ("r", "g", "b"), SIDE)
    return Case(subject, batch, labels, parse_target("predicted", subject.classes), "grad-cam", layer)


def _checks(case: Case) -> dict[str, bool | None]:
    return {check.name: check.passed for check in judge(case).checks}


def test_a_network_that_has_learned_is_believed(taught: nn.Module) -> None:
    batch, labels = _textured(12)
    verdict = judge(_case(taught, batch, labels, "3"))
    assert verdict.believable, verdict.record()
    assert "can be believed" in verdict.words
    assert all(item.advantage > 0 and item.insertion > item.deletion for item in verdict.faithful)


def test_shuffled_weights_are_not_believed(taught: nn.Module) -> None:
    batch, labels = _textured(12)
    case = _case(taught, batch, labels, "3")
    with randomised(case.subject, seed=3) as subject:
        answers = subject(batch).argmax(1)
        assert (answers == torch.tensor(labels)).float().mean() < 0.7
        verdict = judge(case)
    assert verdict.believable is False
    assert "knows the classes" in verdict.words
    assert torch.equal(case.subject(batch).argmax(1), torch.tensor(labels))  # the weights are back


def test_maps_that_point_anywhere_fail(taught: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, labels = _textured(12)
    case = _case(taught, batch, labels, "3")

    def anywhere(subject: Subject, some: Tensor, *_: object) -> Tensor:
        return torch.rand(len(some), 14, 14, generator=torch.Generator().manual_seed(1))

    monkeypatch.setattr("impasto.explain.verdict.attribute", anywhere)
    checks = _checks(case)
    assert checks["points at what matters"] is False
    assert checks["depends on the weights"] is False  # an edge detector would fail here, too


def test_a_network_that_always_says_the_same_is_deaf() -> None:
    network = Spots()
    nn.init.constant_(network.fc.bias, 0)
    with torch.no_grad():
        network.fc.bias[0] = 1e3
    batch, labels = _spotted(12)
    checks = _checks(_case(network, batch, labels))
    assert checks["answers what is shown"] is False
    assert checks["knows the classes"] is False


def test_a_few_pictures_prove_nothing(taught: nn.Module) -> None:
    batch, _ = _textured(2)
    verdict = judge(_case(taught, batch, [-1, -1], "3"))
    assert verdict.believable is None
    assert "cannot be told" in verdict.words


def test_a_network_that_looks_at_the_border_is_named() -> None:
    class Border(Spots):
        def forward(self, x: Tensor) -> Tensor:
            mask = torch.ones(SIDE, SIDE)
            mask[4:-4, 4:-4] = 0
            out: Tensor = self.fc(4 * (self.relu(self.look(x)) * mask).square().mean((2, 3)))
            return out

    draw = torch.Generator().manual_seed(0)
    batch = 0.3 * torch.rand(12, 3, SIDE, SIDE, generator=draw)
    labels = [index % 3 for index in range(12)]
    for row, label in enumerate(labels):
        batch[row, label, :4] = 0.5 + 0.5 * torch.rand(4, SIDE, generator=draw)
    case = _case(Border(), batch, labels)
    verdict = judge(Case(case.subject, batch, labels, case.target, "occlusion", ""))
    checks = {check.name: check for check in verdict.checks}
    assert checks["looks inside the picture"].passed is False
    assert "border" in checks["looks inside the picture"].text
    assert verdict.regions["border"].ratio > 1.2
    assert "fault of the network" in verdict.words or verdict.believable is False
    assert verdict.changed.k > 6


def test_deletion_and_insertion_by_hand() -> None:
    batch, labels = _spotted(1)
    subject = subject_of_network(Spots(), ("r", "g", "b"), SIDE)
    goal = parse_target("r", subject.classes).bind(subject(batch), labels)
    true = (batch[0, 0] - batch[0, 1]).clamp(min=0)
    good = faithfulness(subject, batch, goal, true, moves=5, seed=0)
    bad = faithfulness(subject, batch, goal, -true, moves=5, seed=0)
    full, veiled = goal(subject(batch)).item(), bad.deletion
    assert good.insertion > good.deletion
    assert good.beaten == 5
    assert bad.gain < 0
    assert min(full, veiled) - 1e-3 <= good.insertion <= max(full, veiled) * 1.2


def test_a_cascade_goes_from_the_logits_to_the_pixels_and_back() -> None:
    subject, batch = pooled(), pictures(4)
    before = {name: value.clone() for name, value in subject.network.state_dict().items()}
    goal = weighted(torch.eye(3)[[0, 1, 2, 0]])
    from impasto.explain.attribution import attribute

    stages = cascade(subject, lambda: attribute(subject, batch, goal, "grad-cam"), seed=0)
    assert [stage.layer for stage in stages] == ["fc", "conv2", "conv1"]
    assert len(stages) <= STAGES
    assert all(-1 <= stage.correlation <= 1 for stage in stages)
    assert all(torch.equal(value, before[name]) for name, value in subject.network.state_dict().items())
    again = cascade(subject, lambda: attribute(subject, batch, goal, "grad-cam"), seed=0)
    assert stages == again


def test_weights_come_back_after_an_error() -> None:
    subject = pooled()
    before = {name: value.clone() for name, value in subject.network.state_dict().items()}
    with pytest.raises(RuntimeError, match="planned"), randomised(subject, seed=0):
        raise RuntimeError("planned")
    assert all(torch.equal(value, before[name]) for name, value in subject.network.state_dict().items())


@given(
    top=st.integers(0, 20),
    bottom=st.integers(0, 20),
    left=st.integers(0, 20),
    right=st.integers(0, 20),
    shade=st.floats(0, 1),
)
def test_letterboxes_of_any_shade_are_found(top: int, bottom: int, left: int, right: int, shade: float) -> None:
    picture = torch.full((3, 64, 64), shade)
    height, width = 64 - top - bottom, 64 - left - right
    content = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    picture[:, top : 64 - bottom, left : 64 - right] = content
    found = regions(picture)
    assert int(found.letterbox.sum()) == 64 * 64 - height * width
    torch.testing.assert_close(found.letterbox + found.border + found.inside, torch.ones(64, 64))


def test_a_flat_picture_has_no_letterbox() -> None:
    assert regions(torch.full((3, 32, 32), 0.5)).letterbox.sum() == 0


def _files(folder: Path, batch: Tensor, labels: list[int], names: str = "rgb") -> list[Sample]:
    samples = []
    for row, (picture, label) in enumerate(zip(batch, labels, strict=True)):
        path = folder / f"{row:03d}.png"
        Image.fromarray((picture.permute(1, 2, 0) * 255).round().byte().numpy()).save(path)
        samples.append(Sample(path, names[label]))
    return samples


def test_a_planted_corner_mark_is_found_and_named(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    batch = 0.2 + 0.3 * torch.rand(18, 3, SIDE, SIDE, generator=draw)
    labels = [index % 3 for index in range(18)]
    for row, label in enumerate(labels):
        if label == 0:
            batch[row, :, :8, :8] = torch.tensor([1.0, 0, 0]).view(3, 1, 1)
        else:
            batch[row, label] += 0.3
    subject = subject_of_network(Corner(), ("r", "g", "b"), SIDE)
    config = ExplainConfig(method="occlusion", check=6)
    found = explain(subject, _files(tmp_path, batch, labels), config)
    assert [(item.label, item.place) for item in found.shortcuts] == [("r", "upper left corner")]
    shortcut = found.shortcuts[0]
    assert (shortcut.turned, shortcut.control) == (shortcut.n, 0)
    assert "Shortcut: the upper left corner" in shortcut.words


def test_honest_spots_are_no_shortcut(tmp_path: Path) -> None:
    batch, labels = _spotted(18)
    subject = subject_of_network(Spots(), ("r", "g", "b"), SIDE)
    found = explain(subject, _files(tmp_path, batch, labels), ExplainConfig(check=6, layer="relu"))
    assert found.shortcuts == ()


def test_one_class_has_no_shortcuts(tmp_path: Path) -> None:
    batch, _ = _spotted(3)
    samples = _files(tmp_path, batch, [0, 0, 0])
    items = [Explained(sample, "", "r", 1.0, 1.0, torch.rand(4, 4)) for sample in samples]
    assert find_shortcuts(subject_of_network(Spots(), ("r", "g", "b"), SIDE), items) == ()


def test_what_is_asked_of_an_encoder() -> None:
    from impasto.subjects import load_subject

    with pytest.raises(UsageError, match="encoder"):
        explain(load_subject("squeezenet1_1", weights="random"), ["x.png"])
