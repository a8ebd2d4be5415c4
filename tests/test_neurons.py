"""Seeing neurons: waves and colours as stated, a known filter is found again, the dead are named."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from cli_fixtures import Program
from dream_fixtures import Fixed, Tiny, tiny_subject
from impasto.dream import NeuronsConfig, see_neurons
from impasto.dream.fourier import COVARIANCE, amplitudes, colour_root, coloured, noise_spectrum, picture_of, waves
from impasto.dream.leak import LeakyReLUs, leaking
from impasto.dream.looking import Looker
from impasto.dream.neurons import _Studio
from impasto.dream.questions import answers, channel_questions, class_question, direction_question
from impasto.dream.records import _file_names
from impasto.dream.robustness import moved
from impasto.dream.sheet import contact_sheet
from impasto.errors import UnknownNameError, UsageError
from impasto.images import open_picture, provenance, resize_short, to_tensor
from impasto.runtime import Progress, generator
from impasto.samples.photos import sample_photos
from impasto.subjects import load_subject

FEW = NeuronsConfig(layer="relu2", channels="0-3", steps=24, size=32, batch=3)


@pytest.mark.parametrize(("height", "width"), [(16, 20), (15, 21)])
def test_one_coefficient_is_one_wave(height: int, width: int) -> None:
    spectrum = torch.zeros(1, 3, height, width // 2 + 1, 2)
    spectrum[0, 1, 2, 3] = torch.tensor([0.6, -0.8])
    y, x = np.mgrid[0:height, 0:width]
    angle = 2 * np.pi * (2 * y / height + 3 * x / width)
    size = float(amplitudes(height, width)[2, 3])
    wanted = 2 * size / math.sqrt(height * width) * (0.6 * np.cos(angle) + 0.8 * np.sin(angle))
    found = waves(spectrum, width)[0]
    np.testing.assert_allclose(found[1].double().numpy(), wanted, atol=1e-6)
    assert not found[0].any()
    assert not found[2].any()


def test_the_start_has_the_spectrum_and_the_variance_of_photos() -> None:
    values = torch.cat([waves(noise_spectrum(64, 64, generator(seed)), 64) for seed in range(40)])
    assert values.var().item() == pytest.approx(1, rel=0.1)
    power = torch.fft.rfft2(values).abs().square().mean((0, 1))
    sizes = power[1:16, 0].sqrt(), power[0, 1:16].sqrt()
    for size in sizes:  # along both axes, amplitude falls as 1 / frequency
        slope = np.polyfit(np.log(np.arange(1, 16)), size.log().numpy(), 1)[0]
        assert slope == pytest.approx(-1, abs=0.1)


@pytest.mark.parametrize("width", [24, 25])
def test_amplitudes_give_pixels_of_variance_1(width: int) -> None:
    # Exactly, without drawing: the sum over coefficients of the square of what each adds to a pixel.
    sizes = amplitudes(18, width).double()
    total = torch.zeros(18, width, dtype=torch.float64)
    for row in range(18):
        for column in range(width // 2 + 1):
            for part in (1.0, 1.0j):
                one = torch.zeros(18, width // 2 + 1, dtype=torch.complex128)
                one[row, column] = part * sizes[row, column]
                total += torch.fft.irfft2(one, (18, width), norm="ortho").square()
    assert total.mean().item() == pytest.approx(1, rel=1e-5)


def test_colours_have_the_stated_covariance() -> None:
    root = colour_root().double()
    torch.testing.assert_close(root @ root, torch.tensor(COVARIANCE, dtype=torch.float64), rtol=1e-5, atol=1e-7)
    values = torch.randn(4, 3, 200, 200, generator=generator(0))
    found = torch.cov(coloured(values).permute(1, 0, 2, 3).flatten(1))
    torch.testing.assert_close(found, torch.tensor(COVARIANCE), rtol=0.03, atol=0.0)
    faint = picture_of(0.05 * noise_spectrum(64, 64, generator(0)), 64)
    linear = 0.5 + coloured(waves(0.05 * noise_spectrum(64, 64, generator(0)), 64))
    torch.testing.assert_close(faint, linear, rtol=0, atol=2e-3)


def test_the_covariance_is_that_of_the_sample_photos(tmp_path: Path) -> None:
    found = []
    for path in sample_photos(tmp_path):
        values = to_tensor(resize_short(open_picture(path).image, 128))[0].flatten(1).double()
        found.append(torch.cov(values, correction=0))
    torch.testing.assert_close(torch.stack(found).mean(0), torch.tensor(COVARIANCE).double(), rtol=0.02, atol=0.0)


def test_movements_move_and_no_movement_does_not() -> None:
    picture = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(moved(picture, torch.zeros(2, 4)), picture, rtol=1e-4, atol=1e-4)
    down = moved(picture, torch.tensor([[1.0, 0, 0, 0], [0, 0.5, 0, 0]]))
    torch.testing.assert_close(down[0, :, :30], picture[0, :, 2:], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(down[1, :, :, :31], picture[1, :, :, 1:], rtol=1e-3, atol=1e-3)
    assert torch.allclose(down[0, :, -1:], torch.tensor(0.5))  # what comes in is grey


def test_relus_leak_backwards_alone() -> None:
    x = torch.tensor([[-2.0, 3.0], [-2.0, 3.0]], requires_grad=True)
    for relu in (F.relu, torch.relu, Tensor.relu, nn.ReLU(), nn.ReLU(inplace=True)):
        with LeakyReLUs([0.1, 0.0]):
            value = relu(x * 1)
        assert value.tolist() == [[0, 3], [0, 3]]
        (slope,) = torch.autograd.grad(value.sum(), x)
        torch.testing.assert_close(slope, torch.tensor([[0.1, 1.0], [0.0, 1.0]]))
    with leaking([0.0, 0.0]):
        (slope,) = torch.autograd.grad(F.relu(x).sum(), x)
    assert slope.tolist() == [[0, 1], [0, 1]]


def test_directions_are_read() -> None:
    question = direction_question("relu2", "-3+5", 12)
    assert question.name == "relu2:-3+5"
    torch.testing.assert_close(torch.tensor(question.weights), torch.tensor([[3, -(0.5**0.5)], [5, 0.5**0.5]]))
    for text in ("", "3 5", "3*5", "a-b", "3-99"):
        with pytest.raises(UsageError):
            direction_question("relu2", text, 12)
    assert [each.name for each in channel_questions("x", "all", 3)] == ["x:0", "x:1", "x:2"]
    with pytest.raises(UsageError, match=r"0 \.\. 11"):
        channel_questions("relu2", "10-12", 12)


def test_answers_are_channels_differences_and_logits() -> None:
    subject = tiny_subject()
    looker, picture = Looker(subject, ["relu2"]), torch.rand(2, 3, 16, 24)
    maps = looker.maps(picture)["relu2"]
    questions = [*channel_questions("relu2", "4", 12), direction_question("relu2", "4-7", 12)]
    found = answers(looker, questions, picture)
    torch.testing.assert_close(found[0], maps[0, 4])
    torch.testing.assert_close(found[1], (maps[1, 4] - maps[1, 7]) / 2**0.5)
    logits = Looker(subject)
    asked = [class_question(logits, "c"), class_question(logits, "a")]
    torch.testing.assert_close(answers(logits, asked, picture).flatten(), subject(picture)[[0, 1], [2, 0]])
    with pytest.raises(UnknownNameError):
        class_question(logits, "zebra")


class _Oriented(nn.Module):
    """One filter each for stripes of 8 pixels: upright, lying, slanted."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 15, padding=7, bias=False)
        y, x = torch.meshgrid(torch.arange(-7.0, 8), torch.arange(-7.0, 8), indexing="ij")
        for number, (down, right) in enumerate(((0, 1), (1, 0), (0.7, 0.7))):
            wave = torch.cos(2 * math.pi * (down * y + right * x) / 8) * torch.exp(-(x**2 + y**2) / 18)
            self.conv.weight.data[number] = (wave - wave.mean()).expand(3, -1, -1) / 20
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.conv(x)).mean((2, 3))
        return out


def test_a_filter_gets_its_own_stripes() -> None:
    config = NeuronsConfig(layer="relu", channels="all", steps=60, size=64)
    result = see_neurons(config, subject=tiny_subject(_Oriented()))
    responses = Looker(tiny_subject(_Oriented()), ["relu"]).maps(result.pictures)["relu"].mean((2, 3))
    assert responses.argmax(1).tolist() == [0, 1, 2]
    for picture, (down, right) in zip(result.pictures.mean(1), ((0, 1), (1, 0), (1, 1)), strict=True):
        power = torch.fft.rfft2(picture).abs()
        # The filter hardly sees waves of more than 20 pixels: what they do is left to chance.
        rows = torch.fft.fftfreq(64, 1 / 64)[:, None].expand_as(power)
        columns = torch.arange(33.0)[None].expand_as(power)
        power[rows**2 + columns**2 < 3.2**2] = 0
        peak = int(power.argmax())
        angle = math.degrees(math.atan2(abs(rows.flatten()[peak]), columns.flatten()[peak]))
        assert angle == pytest.approx(math.degrees(math.atan2(down, right)), abs=15)
    assert all(each.status == "alive" and each.reached > each.photos for each in result.answers)


def _sleepers() -> Tiny:
    """Of the second layer, channel 1 is cut off, and channel 2 needs a little more than any photo or noise has."""
    network = Tiny()
    subject = tiny_subject(network)
    looker = Looker(subject, ["conv2"])
    studio = _Studio(FEW, looker, [])
    seen = [*(picture for _, picture in studio._photos()), *studio._noises()]
    most = max(float(looker.maps(picture)["conv2"][:, 2].max()) for picture in seen)
    with torch.no_grad():
        network.conv2.weight[1], network.conv2.bias[1] = 0, -1
        network.conv2.bias[2] -= most + 0.01
    return network


def test_the_dead_are_named_and_sleepers_are_woken(tmp_path: Path) -> None:
    result = see_neurons(replace(FEW, steps=120), subject=tiny_subject(_sleepers()))
    assert [each.status for each in result.answers] == ["alive", "dead", "silent", "alive"]
    assert result.dead == ("relu2:1",)
    assert result.answers[1].reached == result.answers[1].photos == 0
    assert result.answers[2].photos == 0 < result.answers[2].reached
    result.save(tmp_path / "out")
    record = json.loads((tmp_path / "out" / "neurons.json").read_text())
    assert record["dead"] == ["relu2:1"]
    assert record["answers"][2]["status"] == "silent"
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == ["neurons.json", "relu2-0.png", "relu2-2.png", "relu2-3.png", "sheet.png"]
    sheet = provenance(tmp_path / "out" / "sheet.png")
    assert sheet is not None
    assert sheet["answers"][1]["status"] == "dead"


def test_a_constant_channel_before_its_relu_is_dead_too() -> None:
    result = see_neurons(replace(FEW, layer="conv2", channels="1", steps=2), subject=tiny_subject(_sleepers()))
    assert result.dead == ("conv2:1",)


def test_the_sheet_crosses_out_the_dead() -> None:
    grey, red = Image.new("RGB", (32, 32), "grey"), Image.new("RGB", (32, 32), "red")
    sheet = contact_sheet([red, grey], [("a", "b", "c"), ("a long name " * 9, "", "")], [False, True])
    pixels = np.asarray(sheet)
    assert (pixels[90, 90] == (255, 0, 0)).all()
    assert not (pixels == (128, 128, 128)).all(2).any()


def test_ascent_reaches_more_than_photos_and_answers_are_what_they_say() -> None:
    subject = tiny_subject()
    result = see_neurons(replace(FEW, directions=("1-2",), steps=120, step_size=0.15), subject=subject)
    assert [each.name for each in result.answers] == ["relu2:0", "relu2:1", "relu2:2", "relu2:3", "relu2:1-2"]
    maps = Looker(subject, ["relu2"]).maps(result.pictures)["relu2"].mean((2, 3))
    for number, each in enumerate(result.answers[:4]):
        assert each.reached == pytest.approx(maps[number, number].item(), rel=1e-4)
        assert each.reached > each.photos
        assert each.photo
    assert result.answers[4].reached == pytest.approx((maps[4, 1] - maps[4, 2]).item() / 2**0.5, rel=1e-4)


def test_the_neuron_in_the_middle() -> None:
    subject = tiny_subject()
    result = see_neurons(replace(FEW, place="centre", channels="0"), subject=subject)
    maps = Looker(subject, ["relu2"]).maps(result.pictures)["relu2"]
    assert result.answers[0].reached == pytest.approx(maps[0, 0, 16, 16].item(), rel=1e-5)
    change = (result.pictures[0] - 0.5).abs().mean(0)
    assert change[14:19, 14:19].mean() > 2 * change[:6].mean()


def test_classes_also_of_a_network_of_one_size() -> None:
    for network in (Tiny(), Fixed()):
        subject = tiny_subject(network)
        result = see_neurons(NeuronsConfig(classes=("a", "c"), steps=60, step_size=0.15, size=40), subject=subject)
        assert result.pictures.shape[2] == (32 if isinstance(network, Fixed) else 40)
        assert all(each.status == "alive" and each.reached > each.photos for each in result.answers)
        assert result.answers[1].reached == pytest.approx(subject(result.pictures)[1, 2].item(), rel=1e-4)


def test_the_same_seed_gives_the_same_bytes_and_neighbours_do_not_matter(tmp_path: Path) -> None:
    def bytes_of(config: NeuronsConfig) -> bytes:
        return see_neurons(config, subject=tiny_subject()).save(tmp_path / "sheet.png").read_bytes()

    assert bytes_of(FEW) == bytes_of(FEW)
    assert bytes_of(FEW) != bytes_of(replace(FEW, seed=1))
    together = see_neurons(FEW, subject=tiny_subject()).pictures[2]
    alone = see_neurons(replace(FEW, channels="2"), subject=tiny_subject()).pictures[0]
    torch.testing.assert_close(together, alone, rtol=0, atol=0.02)


def test_an_interruption_keeps_finished_batches() -> None:
    def stop(progress: Progress) -> None:
        if progress.step == FEW.steps + 2:
            raise KeyboardInterrupt

    result = see_neurons(FEW, subject=tiny_subject(), on_progress=stop)
    assert result.interrupted
    assert [each.name for each in result.answers] == ["relu2:0", "relu2:1", "relu2:2"]
    with pytest.raises(KeyboardInterrupt):
        see_neurons(replace(FEW, batch=4), subject=tiny_subject(), on_progress=stop_at_once)


def stop_at_once(progress: Progress) -> None:
    if progress.step == 1:
        raise KeyboardInterrupt


def test_the_network_is_given_back() -> None:
    network = Tiny()
    see_neurons(replace(FEW, steps=2), subject=tiny_subject(network))
    assert not any(module._forward_hooks for module in network.modules())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in network.parameters())
    x = torch.tensor([-1.0], requires_grad=True)
    F.relu(x).backward()
    assert x.grad is not None
    assert x.grad.item() == 0


@pytest.mark.parametrize(
    "changes",
    [{"place": "left"}, {"classes": ("a",), "layer": "relu2"}, {"steps": 0}, {"size": 9999}, {"batch": 0}],
)
def test_what_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        NeuronsConfig(**changes)  # type: ignore[arg-type]


def test_the_command(program: Program) -> None:
    network = ["squeezenet1_1", "--weights", "random", "--size", 48, "--steps", 3]
    outcome = program("neurons", *network, "--layer", "fire3", "--channels", "0,5", "--direction", "3-4")
    assert (outcome.code, outcome.out) == (0, "squeezenet1_1--fire3\n")
    assert Path("squeezenet1_1--fire3/fire3-3-4.png").exists()
    outcome = program(
        "neurons", *network, "--layer", "fire3", "--channels", "1", "-o", "sheet.png", "--json", "--centre"
    )
    answer = json.loads(outcome.out)
    assert (answer["output"], answer["answers"][0]["name"]) == ("sheet.png", "fire3:1")
    assert program("neurons", *network, "-o", "sheet.jpg").code == 2
    assert program("neurons", *network, "--class", "goldfish").code == 2
    assert "fire9" in program("neurons", *network, "--layer", "fire99").err


def test_pictures_of_a_former_result_do_not_stay(tmp_path: Path) -> None:
    subject, few = tiny_subject(), replace(FEW, steps=1)
    see_neurons(few, subject=subject).save(tmp_path)
    (tmp_path / "mine.png").write_bytes(b"")
    see_neurons(replace(few, channels="2"), subject=subject).save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"mine.png", "neurons.json", "relu2-2.png", "sheet.png"}


def test_names_that_look_alike_in_files_have_a_picture_each() -> None:
    long = "x" * 300
    names = _file_names(["still life", "still-life", "Still Life", "sheet", long, f"{long}y"])
    assert names[:4] == ["still-life.png", "still-life-2.png", "Still-Life-3.png", "sheet-2.png"]
    assert len(set(names)) == 6
    assert max(map(len, names)) < 80


def test_a_direction_leads_somewhere() -> None:
    with pytest.raises(UsageError, match="takes away"):
        direction_question("fire6", "3-3", 64)
    assert direction_question("fire6", "3+3-4", 64).weights[0][0] == 3


def test_a_place_for_files_is_looked_for_first(program: Program) -> None:
    Path("file").write_text("")
    outcome = program("neurons", "squeezenet1_1", "--weights", "random", "-o", "file/x")
    assert (outcome.code, "is no folder" in outcome.err) == (2, True)


@pytest.mark.shared
def test_a_goldfish_as_the_network_sees_it(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(shared / "weights"))
    result = see_neurons(NeuronsConfig(network="torchvision:squeezenet1_0", classes=("goldfish",), size=96, steps=40))
    assert result.answers[0].reached > 5 * result.answers[0].photos
    subject = load_subject("torchvision:squeezenet1_0")
    assert subject.classes[int(subject(result.pictures).argmax())] == "goldfish"
