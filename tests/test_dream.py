"""DeepDream: what grows, what is carried over, no seams, and nothing lost by an interruption."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from cli_fixtures import Program
from dream_fixtures import Fixed, Tiny, tiny_subject
from impasto.dream import DreamConfig, Dreamer, DreamResult, ZoomConfig, dream, dream_zoom
from impasto.dream.choices import usual_layer
from impasto.dream.gradient import choose_tile, gradient, spans
from impasto.dream.looking import Looker
from impasto.dream.objectives import ClassObjective, Guide, LayerObjective, energy, guide_of, mean
from impasto.dream.octaves import Ascent, Kept, climb, jittered, octave_sizes
from impasto.dream.targets import Target, parse_channels, parse_targets
from impasto.dream.zoom import enlarged
from impasto.errors import PictureSizeError, ResourceError, RunError, UnknownNameError, UsageError
from impasto.images import open_picture, provenance, to_tensor
from impasto.runtime import Progress
from impasto.style.engine import resize

RELU2 = DreamConfig(layers="relu2", steps=3, octaves=3, jitter=4)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A smooth picture with some detail."""
    y, x = np.mgrid[0:72, 0:96]
    noise = np.random.default_rng(0).integers(0, 40, (72, 96, 3))
    pixels = (np.stack([x * 2, y * 3, 200 - x], -1) + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


class _Plain:
    """An objective that is a function of the picture and needs no network."""

    def __init__(self, function: object) -> None:
        self.function = function
        self.looker = Looker(tiny_subject(), ["relu1"])

    def __call__(self, picture: Tensor) -> Tensor:
        value: Tensor = self.function(picture)  # type: ignore[operator]
        return value


def _layer_objective(layer: str = "relu2", **network: object) -> LayerObjective:
    looker = Looker(tiny_subject(**network), [layer])  # type: ignore[arg-type]
    return LayerObjective(looker, (Target(layer),), energy)


@pytest.mark.parametrize("objective", ["energy", "mean", "guide", "guide-cosine"])
def test_every_objective_of_layers_grows(objective: str, photo: Path) -> None:
    guide = photo.with_name("guide.png") if objective.startswith("guide") else None
    if guide:
        Image.effect_noise((24, 24), 90).convert("RGB").save(guide)
    config = replace(RELU2, objective=objective, octaves=1, steps=8)
    values = [each["objective"] for each in dream(photo, config, guide=guide, subject=tiny_subject()).trace]
    assert values[-1] > values[0]
    # A guide's matches are chosen anew in each step, and windows move: almost always upwards is what ascent is.
    assert np.mean(np.diff(values) > 0) >= 0.8


def test_a_class_grows_and_others_do_not(photo: Path) -> None:
    subject = tiny_subject()
    config = DreamConfig(class_name="b", steps=10, octaves=1, jitter=2)
    result = dream(photo, config, subject=subject)
    before, after = (torch.softmax(subject(each), 1)[0] for each in (to_tensor(Image.open(photo)), result.image))
    assert after[1] > before[1]
    assert result.provenance["config"]["class_name"] == "b"


def test_detail_is_enlarged_and_added_to_the_photo_of_the_next_octave() -> None:
    torch.manual_seed(0)
    photo, detail = torch.rand(1, 3, 40, 56) * 0.2 + 0.4, torch.rand(1, 3, 20, 28) * 0.1
    wanted = photo + resize(detail, 40, 56)
    torch.testing.assert_close(Kept(detail).over(photo), wanted)
    # Ascent of the sum moves each value by the step: what is left of every octave is a constant, and the photo's own
    # detail comes through untouched.
    ascent = Ascent(octaves=2, ratio=2.0, steps=3, step_size=0.01, jitter=5, tile=64, least=8)
    kept: list[Kept] = []
    records = list(climb(photo, _Plain(torch.sum), ascent, torch.Generator().manual_seed(0), kept))
    torch.testing.assert_close(kept[-1].over(photo), photo + 6 * 0.01)
    assert [(each["height"], each["width"]) for each in records] == [(20, 28)] * 3 + [(40, 56)] * 3


def test_octaves_cost_a_geometric_series() -> None:
    sizes = octave_sizes(683, 1024, 10, 1.4)
    assert sizes[-1] == (683, 1024)
    work = [height * width for height, width in sizes]
    assert sum(work) / work[-1] < 1 / (1 - 1.4**-2) + 0.01 < 2.06
    assert all(min(size) >= 32 for size in sizes)
    assert octave_sizes(20, 90, 4, 1.4) == [(20, 90)]


@given(st.integers(1, 900), st.integers(32, 300), st.integers(-400, 400), st.sampled_from([1, 4]))
def test_windows_cover_an_axis_once(length: int, side: int, shift: int, grain: int) -> None:
    found = spans(length, side, shift, grain)
    assert [0, *(each.last for each in found)] == [*(each.first for each in found), length]
    for each in found:
        assert 0 <= each.start <= each.first < each.last <= each.stop <= length
        assert each.start % grain == 0
        assert min(side, length) - grain < each.stop - each.start <= side
        # What is near the rim of a window, and not of the picture, is not used.
        assert each.start == 0 or each.first - each.start >= side // 8 - 1
        assert each.stop == length or each.stop - each.last >= side // 8 - 1


@pytest.mark.parametrize("shift", [(0, 0), (13, 40), (-7, 95)])
@pytest.mark.parametrize("layer", ["relu2", "pool"])
def test_window_by_window_is_the_gradient_of_the_whole(shift: tuple[int, int], layer: str) -> None:
    torch.manual_seed(1)
    picture, objective = torch.rand(1, 3, 150, 202), _layer_objective(layer)
    whole, value = gradient(objective, picture, 202)
    parts, about = gradient(objective, picture, 64, shift)
    # The margin holds all that two convolutions look at, and windows begin at even pixels.
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-9)
    assert about == pytest.approx(value, rel=0.1)


@pytest.mark.shared
def test_no_seams_with_a_real_network(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(shared / "weights"))
    picture = to_tensor(open_picture(shared / "data" / "content" / "tubingen.jpg").image)[:, :, :288, :448]
    objective = Dreamer(DreamConfig(network="squeezenet1_0", layers="fire6")).objective(picture)
    whole = _jumps(gradient(objective, picture, 448)[0])
    cuts: list[float] = []
    for shift in (10, 50, 90, 130):
        slope = _jumps(gradient(objective, picture, 256, (shift, shift))[0])
        cuts += [float(slope[each.first - 1] / whole[each.first - 1]) for each in spans(448, 256, shift, 32)[1:]]
    assert len(cuts) >= 8
    assert 0.75 < np.mean(cuts) < 1.33
    # Without margins cuts would show: a network sees less at a rim.
    bare = _jumps(torch.cat([gradient(objective, part.contiguous(), 448)[0] for part in picture.split(112, 3)], 3) / 4)
    assert np.mean([float(bare[cut] / whole[cut]) for cut in (111, 223, 335)]) < 0.5


def _jumps(slope: Tensor) -> Tensor:
    """Return the mean difference between each column and the next."""
    return slope.diff(dim=3).abs().mean((0, 1, 2))


def test_jitter_is_undone_exactly() -> None:
    picture = torch.rand(1, 3, 17, 23)
    objective = _Plain(lambda moved: moved.square().sum() / 2)  # its gradient is the picture
    for shift in ((0, 0), (5, -9), (-40, 3)):
        slope, _ = jittered(lambda moved: gradient(objective, moved, 64), picture, shift)
        assert torch.equal(slope, picture)


def test_each_place_follows_the_most_similar_place_of_the_guide() -> None:
    torch.manual_seed(0)
    target = Target("relu2")
    guide = torch.rand(6, 9, dtype=torch.float64)
    maps = torch.rand(1, 6, 4, 5, dtype=torch.float64, requires_grad=True)
    places = maps[0].flatten(1).T
    wanted = torch.stack([max(place @ other for other in guide.T) for place in places]).mean()
    value = Guide({target: guide})(target, maps)
    torch.testing.assert_close(value, wanted)
    (slope,) = torch.autograd.grad(value * 20, maps)
    best = (places @ guide).argmax(1)
    torch.testing.assert_close(slope[0].flatten(1), guide[:, best])  # as in the original
    cosine = Guide({target: guide}, cosine=True)(target, maps)
    places = places.detach()
    norms = [max(float(place @ other / place.norm() / other.norm()) for other in guide.T) for place in places]
    torch.testing.assert_close(cosine.item(), float(np.mean(norms)))


def test_a_guide_is_the_features_of_its_picture() -> None:
    looker = Looker(tiny_subject(), ["relu2"])
    picture = torch.rand(1, 3, 20, 30)
    target = Target("relu2", (1, 4))
    found = guide_of(looker, [target], picture, cosine=False)
    assert torch.equal(found.features[target], looker.maps(picture)["relu2"][0, [1, 4]].flatten(1))


def test_weights_mean_the_same_for_every_layer() -> None:
    looker = Looker(tiny_subject(), ["relu1", "relu2"])
    targets = (Target("relu1"), Target("relu2", (), 3.0))
    picture = torch.rand(1, 3, 32, 32)
    scaled = LayerObjective(looker, targets, energy).scaled_by(picture)
    assert scaled(picture).item() == pytest.approx(1 + 3)
    single = LayerObjective(looker, targets[:1], energy)
    assert single.scaled_by(picture) is single


def test_channels_alone_grow(photo: Path) -> None:
    subject = tiny_subject()
    result = dream(photo, replace(RELU2, layers="relu2:2"), subject=subject)
    looker = Looker(subject, ["relu2"])
    before, after = (
        looker.maps(each)["relu2"].mean((0, 2, 3)) for each in (to_tensor(Image.open(photo)), result.image)
    )
    assert (after - before).argmax() == 2


def test_the_same_seed_gives_the_same_bytes(photo: Path, tmp_path: Path) -> None:
    def bytes_of(**changes: object) -> bytes:
        path = dream(photo, replace(RELU2, **changes), subject=tiny_subject()).save(tmp_path / "out.png")  # type: ignore[arg-type]
        return Path(path).read_bytes()

    first = bytes_of()
    assert bytes_of() == first
    assert bytes_of(seed=1) != first
    assert bytes_of(tile=48) == bytes_of(tile=48)


def test_noise_without_a_photo() -> None:
    config = replace(RELU2, size=64)
    first, again, other = (
        dream(None, each, subject=tiny_subject()) for each in (config, config, replace(config, seed=3))
    )
    assert first.image.shape == (1, 3, 64, 64)
    assert torch.equal(first.image, again.image)
    assert not torch.equal(first.image, other.image)
    assert first.provenance["photo"] is None


def test_an_interruption_keeps_what_was_dreamed(photo: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == 5:
            raise KeyboardInterrupt

    whole = dream(photo, RELU2, subject=tiny_subject())
    result = dream(photo, RELU2, subject=tiny_subject(), on_progress=stop)
    assert (result.interrupted, whole.interrupted) == (True, False)
    assert result.provenance["steps_done"] == len(result.trace) == 5
    assert result.image.shape == whole.image.shape
    start = to_tensor(Image.open(photo))
    assert not torch.equal(result.image, start)
    assert (result.image - start).abs().mean() < (whole.image - start).abs().mean()


def test_alpha_and_provenance_are_saved(tmp_path: Path, photo: Path) -> None:
    image = Image.open(photo).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(tmp_path / "clear.png")
    result = dream(tmp_path / "clear.png", replace(RELU2, size=48), guide=photo, subject=tiny_subject())
    path = result.save(tmp_path / "out.png")
    with Image.open(path) as saved:
        assert (saved.mode, saved.size) == ("RGBA", (48, 36))
    record = provenance(path)
    assert record is not None
    assert record["photo"]["name"] == "clear.png"
    assert record["guide"]["sha256"] == open_picture(photo).sha256
    assert record["config"]["size"] == 48
    assert record["network"] == {"model": "tiny"}


def test_the_network_is_given_back(photo: Path) -> None:
    network = Tiny()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    dream(photo, RELU2, subject=tiny_subject(network))
    assert not any(module._forward_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_channel_that_is_off_is_woken_through_its_relu(photo: Path) -> None:
    network = Tiny()
    with torch.no_grad():
        most = Looker(tiny_subject(network), ["conv2"]).maps(to_tensor(Image.open(photo)))["conv2"][0, 3].max()
        network.conv2.bias[3] -= most + 0.05  # never on for this photo
    subject = tiny_subject(network)
    start = to_tensor(Image.open(photo))
    assert not Looker(subject, ["relu2"]).maps(start)["relu2"][:, 3].any()
    config = DreamConfig(layers="relu2:3", objective="mean", steps=40, octaves=1, step_size=0.02)
    result = dream(photo, config, subject=subject)
    assert Looker(subject, ["relu2"]).maps(result.image)["relu2"][:, 3].max() > 0


def test_a_network_of_one_size_dreams_in_windows(photo: Path) -> None:
    subject = tiny_subject(Fixed())
    looker = Looker(subject)
    assert looker.fixed
    assert not Looker(subject, ["conv"]).fixed
    result = dream(photo, DreamConfig(class_name="c", steps=2, octaves=6), subject=subject)
    assert result.image.shape[2:] == (72, 96)
    assert min(each["height"] for each in result.trace) >= 32
    value = ClassObjective(looker, 2)(torch.full((1, 3, 32, 32), 0.5))
    torch.testing.assert_close(value, subject(torch.full((1, 3, 32, 32), 0.5))[0, 2])


def test_the_window_is_as_large_as_memory_allows() -> None:
    objective = _layer_objective()
    assert choose_tile(objective, 300, 500, room=2**34) == 500
    small = choose_tile(objective, 2000, 2000, room=2**30)
    assert small % 32 == 0
    assert 128 <= small < choose_tile(objective, 2000, 2000, room=2**30 + 2**28) < 2000
    with pytest.raises(ResourceError, match="2000x2000"):
        choose_tile(objective, 2000, 2000, room=2**29)


def test_maps_of_oblong_pictures_keep_their_layout() -> None:
    # 8 channels of 8 rows: by its shape alone, this may be channels last.
    looker = Looker(tiny_subject(), ["relu1"])
    assert looker.maps(torch.rand(1, 3, 8, 20))["relu1"].shape == (1, 8, 8, 20)


def test_zoom_enlarges_the_middle() -> None:
    picture = Image.new("RGB", (40, 30))
    picture.paste((255, 0, 0), (10, 8, 30, 22))
    red = [enlarged(picture, zoom)[0, 0].mean().item() for zoom in (1.0, 1.2, 1.5)]
    assert red[0] == pytest.approx(20 * 14 / 1200, abs=1e-6)
    assert red[1] == pytest.approx(red[0] * 1.44, rel=0.02)
    assert enlarged(picture, 1.5).shape == (1, 3, 30, 40)


def test_a_zoom_is_a_gif_and_goes_on_where_it_stopped(photo: Path, tmp_path: Path) -> None:
    picture, settings = open_picture(photo), ZoomConfig(frames=4, rate=10, steps=1)

    def dreamer() -> Dreamer:
        return Dreamer(RELU2, tiny_subject())

    def stop(progress: Progress) -> None:
        if progress.stage == "zoom" and progress.step == 2:
            raise KeyboardInterrupt

    whole = dream_zoom(dreamer(), picture, tmp_path / "whole.gif", settings)
    assert (whole.frames, whole.dreamed, whole.interrupted) == (4, 4, False)
    assert not (tmp_path / "whole.gif.frames").exists()
    with Image.open(whole.path) as clip:
        assert (clip.n_frames, clip.info["duration"]) == (4, 100)
    part = dream_zoom(dreamer(), picture, tmp_path / "part.gif", settings, stop)
    assert (part.frames, part.interrupted) == (2, True)
    with Image.open(part.path) as clip:
        assert clip.n_frames == 2
    seen: list[Progress] = []
    rest = dream_zoom(dreamer(), picture, tmp_path / "part.gif", settings, seen.append)
    assert [each.step for each in seen if each.stage == "zoom"] == [2, 3, 4]
    assert (rest.frames, rest.dreamed) == (4, 2)
    assert (tmp_path / "part.gif").read_bytes() == (tmp_path / "whole.gif").read_bytes()


def test_a_zoom_into_a_folder_keeps_its_frames(photo: Path, tmp_path: Path) -> None:
    folder, settings = tmp_path / "frames", ZoomConfig(frames=2, steps=1)
    dream_zoom(Dreamer(RELU2, tiny_subject()), open_picture(photo), folder, settings)
    more = dream_zoom(Dreamer(RELU2, tiny_subject()), open_picture(photo), folder, replace(settings, frames=3))
    assert (more.frames, more.dreamed) == (3, 1)
    assert sorted(path.name for path in folder.glob("*.png")) == ["000000.png", "000001.png", "000002.png"]
    whole = (folder / "000002.png").read_bytes()
    (folder / "000002.png").write_bytes(whole[:50])
    with pytest.raises(RunError, match=r"000002.png is damaged"):
        dream_zoom(Dreamer(RELU2, tiny_subject()), open_picture(photo), folder, replace(settings, frames=4))
    (folder / "000002.png").unlink()
    dream_zoom(Dreamer(RELU2, tiny_subject()), open_picture(photo), folder, replace(settings, frames=3))
    assert (folder / "000002.png").read_bytes() == whole
    with pytest.raises(RunError, match="config"):
        dream_zoom(Dreamer(replace(RELU2, seed=5), tiny_subject()), open_picture(photo), folder, settings)
    with pytest.raises(UsageError, match="png"):
        dream_zoom(Dreamer(RELU2, tiny_subject()), None, tmp_path / "a.png", settings)


def test_a_zoom_is_a_video(photo: Path, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    dream_zoom(Dreamer(RELU2, tiny_subject()), open_picture(photo), tmp_path / "a.mp4", ZoomConfig(3, steps=1))
    with av.open(str(tmp_path / "a.mp4")) as clip:
        assert sum(1 for _ in clip.decode(video=0)) == 3


def test_channels_and_layers_are_read() -> None:
    assert parse_channels("7, 3,0-2") == (0, 1, 2, 3, 7)
    assert parse_targets("fire6:12,40=0.5+a.b.c") == (Target("fire6", (12, 40), 0.5), Target("a.b.c"))
    for text in ("", "fire6:", "fire6:x", "fire6=0", "fire6=much", "fire6+", "fire6:5-2"):
        with pytest.raises(UsageError):
            parse_targets(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": "beauty"},
        {"octave_ratio": 1.0},
        {"step_size": float("nan")},
        {"size": 8},
        {"tile": 8},
        {"class_name": "a", "layers": "relu2"},
        {"objective": "guide"},
        {"layers": "relu2:99"},
        {"layers": "relu9"},
        {"layers": "head"},
        {"class_name": "zebra"},
    ],
)
def test_what_cannot_be_is_said_before_the_start(changes: dict[str, object], photo: Path) -> None:
    with pytest.raises(UsageError):
        dream(photo, subject=tiny_subject(), **changes)


def test_names_and_small_photos_are_refused(photo: Path) -> None:
    with pytest.raises(UnknownNameError, match="steps"):
        dream(photo, step=3)
    with pytest.raises(PictureSizeError, match="48x36"):
        dream(photo, subject=tiny_subject(Fixed(), size=40), class_name="a", size=48)
    with pytest.raises(UsageError, match="guide"):
        dream(photo, subject=tiny_subject(), layers="relu2", objective="mean", guide=photo)
    Image.new("RGB", (1, 1)).save(photo.with_name("dot.png"))
    with pytest.raises(PictureSizeError, match=r"the guide .*dot.png: .*too small .*Choose a larger guide"):
        dream(photo, network="squeezenet1_1", weights="random", layers="fire2", guide=photo.with_name("dot.png"))
    with pytest.raises(UsageError, match="beside"):
        dream(photo, RELU2, steps=3)


def test_a_layer_is_chosen_where_none_is_named() -> None:
    assert usual_layer(tiny_subject()) in ("conv2", "relu2")


def test_mean_and_energy_are_what_they_say() -> None:
    maps = torch.tensor([[[[1.0, 3.0]], [[0.0, -2.0]]]])
    assert mean(Target("x"), maps) == 0.5
    assert energy(Target("x"), maps) == 3.5


def test_the_command(program: Program, photo: Path) -> None:
    network = ["--network", "squeezenet1_1", "--weights", "random"]
    few = ["--size", 64, "--octaves", 2, "--steps", 2]
    outcome = program("dream", photo, "-o", "out.jpg", *network, "--layer", "fire3", "--channel", "1-3", *few)
    assert (outcome.code, outcome.out) == (0, "out.jpg\n")
    record = provenance(Path("out.jpg"))
    assert record is not None
    assert record["layers"] == "fire3:1,2,3"
    outcome = program("dream", *network, "--layer", "fire2+fire3=2", *few, "--json")
    answer = json.loads(outcome.out)
    assert (answer["output"], answer["steps_done"], len(answer["trace"])) == ("noise--dream.png", 4, 4)
    assert Path("noise--dream.png").exists()
    outcome = program("dream", photo, *network, "--layer", "fire3", "--zoom", 2, *few, "-q")
    assert (outcome.code, outcome.out) == (0, "photo--dream.gif\n")
    with Image.open("photo--dream.gif") as clip:
        assert clip.n_frames == 2


def test_the_command_refuses_before_it_dreams(program: Program, photo: Path) -> None:
    for arguments, words in (
        (["-o", "out.gif"], "--zoom"),
        (["-o", f"{photo}/out.png"], "is no folder"),
        (["--layer", "fire6", "--channel", "0-99999999"], "not understood"),  # their list would fill the memory
        (["--channel", "3"], "--layer"),
        (["--tile", "many"], "--tile"),
        (["--class", "goldfish"], "no classes"),
        (["--layer", "fire99"], "fire9"),
        (["--zoom", "3", "-o", "out.png"], ".gif"),
        (["--objective", "guide"], "--guide"),
    ):
        outcome = program("dream", photo, "--size", 64, *arguments)
        assert outcome.code == 2, outcome
        assert words in outcome.err
    assert program("dream", "absent.jpg").code == 1


@pytest.mark.shared
def test_a_dream_of_goldfish_is_one_to_the_network(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(shared / "weights"))
    config = DreamConfig(network="torchvision:squeezenet1_0", class_name="goldfish", size=224, octaves=2, steps=6)
    dreamer = Dreamer(config)
    lion = open_picture(shared / "data" / "content" / "lion.jpg")
    result: DreamResult = dreamer.dream(lion)
    subject = dreamer.subject
    assert subject.classes[int(subject(dreamer.start(lion)).argmax())] != "goldfish"
    assert subject.classes[int(subject(result.image).argmax())] == "goldfish"
