"""Dreaming while repainting: the objective as mathematics, what may be named, the choice of channels, the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from cli_fixtures import Program
from impasto.encoders import load_encoder
from impasto.errors import UnknownNameError, UsageError
from impasto.images import open_picture, provenance, to_tensor
from impasto.runtime import Progress
from impasto.style import dream_channels, judging, losses
from impasto.style.config import PRESETS, StylizeConfig
from impasto.style.dream import DreamLayer, check_dream, look_size, parse_dream
from impasto.style.dream_channels import candidate_layers, choose_channels, try_layer
from impasto.style.dream_compare import compare_dream
from impasto.style.objective import Gatys2015Objective, NormalisedObjective
from impasto.style.optimize import Painter, stylize
from style_fixtures import photo_and_stripes

TINY = {"encoder": "squeezenet1_1", "weights": "random", "size": 64, "steps": 6}


@pytest.fixture(autouse=True)
def _small_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    """VGG-19 takes seconds to draw at random."""
    monkeypatch.setattr(judging, "_JUDGES", ("squeezenet1_1", "squeezenet1_0"))


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    """A smooth photo and a striped style."""
    return photo_and_stripes(tmp_path)


def an_objective(kind: type, dream: str, weight: float = 0.2, **options: float) -> NormalisedObjective:
    torch.manual_seed(0)
    encoder = load_encoder("squeezenet1_1", weights="random")
    photo, style = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64) ** 3
    layers = (("fire4",), ("relu1", "fire2"))
    return kind(encoder, photo, [style], [1.0], *layers, dream=parse_dream(dream), dream_weight=weight, **options)


def test_the_dream_distance_is_a_half_at_the_photo_and_bounded() -> None:
    gains = torch.tensor([0.0, 1.0, 2.0, 1e9])
    torch.testing.assert_close(losses.dream_distance(gains), torch.tensor([1, 1 / 2, 1 / 3, 0]), atol=1e-8, rtol=0)
    assert losses.dream_energy(torch.tensor([[[[3.0, 4.0]]]])) == pytest.approx(12.5)


@pytest.mark.parametrize(
    ("kind", "options"), [(NormalisedObjective, {"strength": 0.5}), (Gatys2015Objective, {"ratio": 1e8})]
)
def test_the_dream_term_is_the_formula_in_both_objectives(kind: type, options: dict[str, float]) -> None:
    objective = an_objective(kind, "fire6:3,5+fire8", **options)
    plain = an_objective(kind, "", **options)
    torch.manual_seed(1)
    photo, image = objective_photo(), torch.rand(1, 3, 64, 64)
    encoder = objective.encoder
    with torch.no_grad():
        was, now = (encoder(each, ["fire6", "fire8"]) for each in (photo, image))
        gains = [
            float(now["fire6"][:, [3, 5]].double().square().mean() / was["fire6"][:, [3, 5]].double().square().mean()),
            float(now["fire8"].double().square().mean() / was["fire8"].double().square().mean()),
        ]
        terms, bare = objective.terms(image), plain.terms(image)
    expected = 0.2 * sum(1 / (1 + gain) for gain in gains) / 2 * float(bare["style"] + bare["content"])
    assert terms["dream"].item() == pytest.approx(expected, rel=1e-4)
    assert {name: value.item() for name, value in terms.items() if name != "dream"} == {
        name: value.item() for name, value in bare.items()
    }
    assert "dream" not in bare


def objective_photo() -> torch.Tensor:
    """The photo of ``an_objective``, drawn after the encoder, which has its own random numbers."""
    torch.manual_seed(0)
    return torch.rand(1, 3, 64, 64)


def test_a_channel_silent_in_the_photo_has_a_finite_gain() -> None:
    features = torch.rand(1, 4, 5, 5)
    features[:, 2] = 0
    layer = DreamLayer("any", (2,))
    assert layer.usual_energy(features) == pytest.approx(0.01 * features.square().mean().item(), rel=1e-5)
    assert torch.isfinite(layer.energy(torch.rand(1, 4, 5, 5)) / layer.usual_energy(torch.zeros(1, 4, 5, 5)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fire6", [("fire6", ())]),
        ("fire6:12,40,12", [("fire6", (12, 40))]),
        (" fire6: 1 + features.3 ", [("fire6", (1,)), ("features.3", ())]),
        ("", []),
        ("auto", []),
    ],
)
def test_dreams_are_read(text: str, expected: list[tuple[str, tuple[int, ...]]]) -> None:
    assert [(each.layer, each.channels) for each in parse_dream(text)] == expected


@pytest.mark.parametrize("text", ["fire6:", "fire6:a", ":3", "fire6+", "fire6:-1", "fire6:1+fire6:2", "fire6:1.5"])
def test_dreams_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="the dream"):
        StylizeConfig(dream=text)


def test_a_layer_in_use_is_refused_as_a_whole_also_by_another_name(pictures: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match=r"the style loss uses fire2.*undo the dream.*fire2:1,2"):
        stylize(*pictures, **TINY, dream="fire2")
    path = load_encoder("squeezenet1_1", weights="random").path_of("fire2")
    with pytest.raises(UsageError, match="the style loss uses"):
        stylize(*pictures, **TINY, dream=path)
    with pytest.raises(UsageError, match="the content loss uses fire8"):
        stylize(*pictures, **TINY, dream="fire8", content_layers=("fire8",))
    assert "dream" in stylize(*pictures, **TINY, dream="fire2:1,2").trace[0]


def test_unknown_layers_and_channels_are_refused(pictures: tuple[Path, Path]) -> None:
    with pytest.raises(UnknownNameError, match="fire6"):
        stylize(*pictures, **TINY, dream="fire66")
    with pytest.raises(UsageError, match=r"no channel 384.*0 \.\. 383"):
        stylize(*pictures, **TINY, dream="fire6:0,384")
    with pytest.raises(UsageError, match="dream strength 0"):
        StylizeConfig(dream="auto", dream_strength=0)


def silence(encoder: torch.nn.Module, layer: str, channels: list[int], half: str = "expand1x1") -> None:
    """Let channels of a half of a fire module be 0 for every picture."""
    module = getattr(encoder.network[int(encoder.path_of(layer))], half)  # type: ignore[operator, union-attr, index]
    with torch.no_grad():
        module.weight[channels] = 0
        module.bias[channels] = -1.0


def test_silent_channels_are_named_and_refused_where_there_is_nothing_else() -> None:
    encoder = load_encoder("squeezenet1_1", weights="random")
    silence(encoder, "fire9", [4, 9])
    photo = objective_photo()
    loud = int(encoder(photo, ["fire9"])["fire9"].sum((0, 2, 3)).argmax())
    dream = check_dream(parse_dream(f"fire9:4,{loud}"), encoder, photo, ("fire5",), ("fire2",))
    assert dream.silent == (DreamLayer("fire9", (4,)),)
    with pytest.raises(UsageError, match="fire9:4,9 is silent in this photo"):
        check_dream(parse_dream("fire9:4,9"), encoder, photo, ("fire5",), ("fire2",))


def test_without_a_dream_nothing_changes(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    """No term, no fact, no other byte: a strength without a dream has no meaning."""
    usual = stylize(*pictures, **TINY)
    other = stylize(*pictures, **TINY, dream="", dream_strength=7.0)
    assert torch.equal(usual.image, other.image)
    files = [each.save(tmp_path / name).read_bytes() for each, name in ((usual, "a.png"), (other, "b.png"))]
    assert files[0] == files[1]
    assert not {"dream", "dream_strength"} & usual.provenance["config"].keys()
    assert "dream" not in usual.provenance
    assert usual.trace[0].keys() == {"scale", "style", "content", "smoothness", "range", "loss"}


@pytest.mark.parametrize("preset", ["default", "gatys2015"])
def test_a_dream_grows_with_its_strength(pictures: tuple[Path, Path], preset: str) -> None:
    options = {**TINY, "steps": 25, "preset": preset, "init": "noise"}  # with R1's sums the photo itself is the best
    encoder = load_encoder("squeezenet1_1", weights="random")

    def energy(image: torch.Tensor) -> float:
        return losses.dream_energy(encoder(image, ["fire9"])["fire9"][:, [7, 8]]).item()

    plain, weak, strong = (
        energy(stylize(*pictures, **options, **dream, network=encoder).image)
        for dream in ({}, {"dream": "fire9:7,8"}, {"dream": "fire9:7,8", "dream_strength": 50.0})
    )
    assert weak < strong
    assert strong > 1.5 * plain


def test_the_trace_the_loss_and_the_record_tell_of_the_dream(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    result = stylize(*pictures, **TINY, dream="fire9:7+fire8:3")
    terms = dict(result.trace[-1])
    loss, _ = terms.pop("loss"), terms.pop("scale")
    assert loss == pytest.approx(sum(terms.values()), rel=1e-4)
    assert 0 < terms["dream"] <= 0.2 * (terms["style"] + terms["content"])
    made = provenance(result.save(tmp_path / "out.png"))
    assert made is not None
    assert made["dream"]["of"] == "fire9:7+fire8:3"
    assert made["config"]["dream"] == "fire9:7+fire8:3"
    assert not made["dream"]["chosen"]


def test_an_interrupted_dream_keeps_the_best(pictures: tuple[Path, Path]) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    result = stylize(*pictures, **TINY, dream="fire9:7", on_progress=stop)
    assert result.interrupted
    assert result.provenance["dream"]["of"] == "fire9:7"
    assert len(result.trace) == 3


def test_candidates_are_deep_free_layers_first() -> None:
    objective = an_objective(NormalisedObjective, "", strength=0.5)
    objective.content_layers, objective.style_layers = ("fire5",), ("relu1", "fire3", "fire7")
    assert candidate_layers(objective) == ["fire9", "fire8", "fire6", "fire7", "fire5"]


def test_the_choice_is_by_conflict_and_never_of_silent_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dream_channels, "TRIED", 20)
    objective = an_objective(NormalisedObjective, "", strength=0.5)
    silence(objective.encoder, "fire9", list(range(0, 200)))
    photo, preset = objective_photo(), PRESETS["default"]
    dream = choose_channels(objective, photo, preset)
    again = choose_channels(objective, photo, preset)
    assert dream == again
    (chosen,), (silent,) = dream.layers, dream.silent
    assert chosen.layer == silent.layer == "fire9"
    assert set(range(200)) <= set(silent.channels)
    assert not set(silent.channels) & set(chosen.channels)
    looks = dream_channels._looks(objective, photo, preset)
    trials = {each.channel: each for each in try_layer(objective, photo, looks, "fire9")}
    worst = max(trials[each].conflict for each in chosen.channels)
    assert all(each.conflict >= worst for name, each in trials.items() if name not in chosen.channels)
    assert "channels are silent in this photo" in dream.description()


def test_a_trial_that_gains_nothing_costs_endlessly() -> None:
    assert dream_channels.Trial(1, 0.5, 0.25).conflict == 2
    assert dream_channels.Trial(1, 0.5, -0.1).conflict == float("inf")


def test_a_layer_without_living_channels_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dream_channels, "TRIED", 8)
    objective = an_objective(NormalisedObjective, "", strength=0.5)
    silence(objective.encoder, "fire9", list(range(256)), "expand1x1")
    silence(objective.encoder, "fire9", list(range(256)), "expand3x3")
    assert choose_channels(objective, objective_photo(), PRESETS["default"]).layers[0].layer == "fire8"
    monkeypatch.setattr(dream_channels, "candidate_layers", lambda _: ["fire9"])
    with pytest.raises(UsageError, match="no channel to dream of"):
        choose_channels(objective, objective_photo(), PRESETS["default"])


def test_thin_photos_are_looked_at_larger_and_none_above_its_size() -> None:
    assert look_size((400, 300), 512) == 128
    assert look_size((400, 100), 512) == 256
    assert look_size((100, 400), 64) == 64


def test_the_choice_is_made_once_for_a_photo_and_its_styles(
    pictures: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dream_channels, "TRIED", 10)
    photo, style = map(open_picture, pictures)
    painter = Painter(StylizeConfig(**TINY, dream="auto"))
    dream = painter.dream(photo, [style])
    assert painter.dream(photo, [style]) is dream
    assert painter.with_config(replace(painter.config, dream="fire9:1")).dream(photo, [style]) != dream
    result = painter.paint(photo, [style])
    assert result.provenance["dream"]["of"] == str(dream)
    named = stylize(photo, style, **TINY, dream=str(dream), network=painter.network)
    assert torch.equal(named.image, result.image), "what was chosen can be named"


def test_a_comparison_measures_both_with_the_own_and_another_encoder(pictures: tuple[Path, Path]) -> None:
    photo, style = map(open_picture, pictures)
    painter = Painter(StylizeConfig(**{**TINY, "steps": 25}, dream="fire9:7,8", dream_strength=20.0))
    dreaming = painter.paint(photo, [style])
    found = compare_dream(painter, photo, [style], dreaming)
    assert [(row.measure, row.encoder) for row in found.rows] == [
        ("style", "squeezenet1_1"),
        ("content", "squeezenet1_1"),
        ("style", "squeezenet1_0"),
        ("content", "squeezenet1_0"),
        ("dream", "squeezenet1_1"),
    ]
    assert found.rows[4].photo == pytest.approx(1)
    assert found.rows[4].ratio > 1
    assert torch.equal(found.plain.image, stylize(photo, style, **{**TINY, "steps": 25}).image)
    last = replace(painter.config, dream="")
    plain_terms = Painter(last, painter.network).objective(
        to_tensor(photo.image.resize((64, 48), Image.Resampling.LANCZOS)), [painter.style_at(style, 64)]
    )
    assert found.rows[0].plain == pytest.approx(plain_terms.terms(found.plain.image)["style"].item(), rel=1e-4)
    assert found.holds == (found.rows[0].ratio <= 1.1 and found.rows[1].ratio <= 1.1)
    with pytest.raises(UsageError, match="nothing is dreamed of"):
        compare_dream(Painter(last, painter.network), photo, [style], dreaming)


OPTIONS = ("--size", 64, "--steps", 3, "--encoder", "squeezenet1_1", "--weights", "random")


def test_the_command_says_what_it_dreams_and_what_that_costs(program: Program, pictures: tuple[Path, Path]) -> None:
    done = program("stylize", *pictures[:1], "-s", pictures[1], "--dream", "fire9:7,8", *OPTIONS, "--compare-plain")
    assert done.code == 0, done.err
    assert "dreaming of fire9:7,8" in done.err
    assert "3 steps" in done.err
    assert "dream 0." in done.err
    assert "of the plain repaint" in done.err
    assert "dreaming / plain" in done.out
    assert Path("photo--stripes.png").is_file()
    assert Path("photo--stripes-plain.png").is_file()
    done = program(
        "stylize", pictures[0], "-s", pictures[1], "--dream", "fire9:7", *OPTIONS, "--compare-plain", "--json"
    )
    record = json.loads(done.out)
    assert record["dream"]["of"] == "fire9:7"
    assert [row["measure"] for row in record["compared"]["rows"]][-1] == "dream"
    assert done.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dream", "fire2"], "would undo the dream"),
        (["--compare-plain"], "without --dream"),
        (["--method", "fast", "--dream", "auto"], "--dream has no meaning"),
        (["--method", "fast", "--dream-strength", "2"], "--dream-strength has no meaning"),
    ],
)
def test_the_command_refuses(program: Program, pictures: tuple[Path, Path], arguments: list[str], message: str) -> None:
    options = () if "fast" in arguments else OPTIONS
    done = program("stylize", pictures[0], "-s", pictures[1], *options, *arguments)
    assert done.code == 2
    assert message in done.err.replace("\n", " ")


@pytest.mark.shared
def test_with_real_weights_the_dream_grows_and_style_and_content_stay(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(shared / "weights"))
    photo = open_picture(shared / "data/content/tubingen.jpg")
    style = open_picture(shared / "data/styles/starry-night.jpg")
    painter = Painter(StylizeConfig(encoder="squeezenet1_0", size=128, steps=75, dream="auto"))
    found = compare_dream(painter, photo, [style], painter.paint(photo, [style]))
    assert found.holds, found.rows
    assert found.rows[-1].ratio > 2
