"""Repainting by optimisation, from the library and from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from impasto.encoders import load_encoder
from impasto.errors import (
    NumericalError,
    PictureSizeError,
    ResourceError,
    UnknownNameError,
    UnreadablePictureError,
    UsageError,
)
from impasto.images import match_colours, open_picture, provenance, to_tensor
from impasto.runtime import Progress
from impasto.style import plan as plan_module
from impasto.style.apply import repaint_fast
from impasto.style.config import PRESETS, StylizeConfig
from impasto.style.engine import optimise, plan_scales
from impasto.style.losses import gram, style_distance
from impasto.style.optimize import Painter, stylize
from style_fixtures import photo_and_stripes

TINY = {"encoder": "squeezenet1_1", "weights": "random", "size": 64, "steps": 6}


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    """A smooth photo and a striped style."""
    return photo_and_stripes(tmp_path)


def run_command(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "impasto", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def test_a_repaint_comes_closer_to_the_style(pictures: tuple[Path, Path]) -> None:
    photo, style = pictures
    encoder = load_encoder("squeezenet1_1", weights="random")
    result = stylize(photo, style, **{**TINY, "steps": 40}, network=encoder)
    wanted = gram(encoder(to_tensor(open_picture(style).image.resize((64, 48))), ["fire2"])["fire2"])

    def distance(image: torch.Tensor) -> float:
        return style_distance(gram(encoder(image, ["fire2"])["fire2"]), wanted).item()

    assert distance(result.image) < 0.3 * distance(to_tensor(open_picture(photo).image.resize((64, 48))))
    assert result.image.shape == (1, 3, 48, 64)
    assert 0 <= result.image.min() <= result.image.max() <= 1
    assert (
        result.trace[-1]["loss"] < 0.5 * result.trace[-12]["loss"] or result.trace[-1]["loss"] < result.trace[0]["loss"]
    )


def test_same_seed_same_bytes(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    files = []
    for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        files.append(stylize(*pictures, **TINY, init="noise", seed=seed).save(tmp_path / name))
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].read_bytes() != files[2].read_bytes()


def test_the_strongest_repaint_is_farthest_from_the_photo(pictures: tuple[Path, Path]) -> None:
    photo = to_tensor(open_picture(pictures[0]).image.resize((64, 48)))
    options = {**TINY, "steps": 30}
    moved = [(stylize(*pictures, **options, strength=s).image - photo).abs().mean().item() for s in (0.02, 0.5, 0.98)]
    assert moved[0] < 0.8 * moved[1]
    assert moved[0] < 0.8 * moved[2]


def test_weights_of_several_styles(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    photo, stripes = pictures
    Image.new("RGB", (64, 64), (250, 240, 30)).save(tmp_path / "yellow.png")
    both = [stripes, tmp_path / "yellow.png"]
    only_first = stylize(photo, stripes, **TINY)
    first_of_two = stylize(photo, both, **TINY, style_weights=(1.0, 0.0))
    torch.testing.assert_close(first_of_two.image, only_first.image, atol=2e-2, rtol=0)
    mostly_yellow = stylize(photo, both, **{**TINY, "steps": 30}, style_weights=(0.02, 0.98)).image
    mostly_stripes = stylize(photo, both, **{**TINY, "steps": 30}, style_weights=(0.98, 0.02)).image
    assert mostly_yellow[0, 1].mean() > mostly_stripes[0, 1].mean()
    with pytest.raises(UsageError, match="3 style weights were given for 2"):
        stylize(photo, both, **TINY, style_weights=(1, 1, 1))
    with pytest.raises(UsageError, match="no style picture"):
        stylize(photo, [], **TINY)


def test_init_from_content_noise_or_picture(pictures: tuple[Path, Path]) -> None:
    one_step = {**TINY, "steps": 1}
    photo = to_tensor(open_picture(pictures[0]).image.resize((64, 48), Image.Resampling.LANCZOS))
    from_content = stylize(*pictures, **one_step)
    torch.testing.assert_close(from_content.image, photo, atol=0.02, rtol=0)
    from_noise = stylize(*pictures, **one_step, init="noise").image
    assert abs(from_noise.mean().item() - 0.5) < 0.05
    from_picture = stylize(*pictures, **one_step, init=str(pictures[1])).image
    stripes = to_tensor(open_picture(pictures[1]).image)
    assert (from_picture - torch.nn.functional.interpolate(stripes, (48, 64))).abs().mean() < 0.15


def test_init_from_what_the_network_for_any_style_paints(pictures: tuple[Path, Path]) -> None:
    started = stylize(*pictures, **{**TINY, "steps": 1}, init="fast").image
    painted = repaint_fast(*pictures, size=64).image
    assert (started - painted).abs().mean() < 0.05


def test_colours_are_kept_on_wish(pictures: tuple[Path, Path]) -> None:
    """What is aimed at is the style picture with the mean colour of the photo."""
    photo, stripes = (to_tensor(open_picture(path).image) for path in pictures)
    painter = Painter(StylizeConfig(**TINY, keep_colour=True))
    kept, usual = (
        replace(painter, config=replace(painter.config, keep_colour=each)).objective(photo, [stripes])
        for each in (True, False)
    )
    aimed = match_colours(stripes, photo).clamp(0, 1)
    expected = replace(painter, config=replace(painter.config, keep_colour=False)).objective(photo, [aimed])
    name = painter.style_layers[0]
    assert torch.allclose(kept.targets.style[name], expected.targets.style[name])
    assert not torch.allclose(kept.targets.style[name], usual.targets.style[name], rtol=0.05)


def test_progress_tells_every_step_with_its_terms(pictures: tuple[Path, Path]) -> None:
    seen: list[Progress] = []
    result = stylize(*pictures, **TINY, on_progress=seen.append)
    assert [progress.step for progress in seen] == list(range(7))
    assert all(progress.total == 6 for progress in seen)
    assert {"style", "content", "smoothness", "range", "loss", "scale"} == result.trace[0].keys()
    terms = result.trace[-1]
    assert terms["loss"] == pytest.approx(sum(terms[n] for n in ("style", "content", "smoothness", "range")), rel=1e-4)


def test_an_interruption_keeps_the_best_until_then(pictures: tuple[Path, Path]) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == 4:
            raise KeyboardInterrupt

    result = stylize(*pictures, **TINY, on_progress=stop)
    assert result.interrupted
    assert result.provenance["interrupted"]
    assert result.provenance["steps_done"] == len(result.trace) == 4
    assert result.image.shape == (1, 3, 48, 64)


def test_the_best_picture_is_kept_not_the_last() -> None:
    class Worsening:
        """A loss that falls for three steps and rises ever after, whatever the picture is."""

        def __init__(self) -> None:
            self.calls = 0

        def terms(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            self.calls += 1
            return {"loss": image.mean() * 0 + abs(self.calls - 3)}

    kept: list[torch.Tensor] = []
    list(optimise(torch.rand(1, 3, 4, 4), Worsening(), PRESETS["gatys2015"], 6, kept.append))  # type: ignore[arg-type]
    assert len(kept) == 3


def test_a_loss_that_is_no_number_stops_with_advice() -> None:
    class Broken:
        def terms(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"loss": image.mean() * float("nan")}

    with pytest.raises(NumericalError, match="fp32"):
        list(optimise(torch.rand(1, 3, 4, 4), Broken(), PRESETS["default"], 2, lambda _: None))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [32, 64, 128, 320, 512, 2048])
@pytest.mark.parametrize("steps", [1, 3, 150])
def test_scales_grow_to_the_size_and_share_all_steps(size: int, steps: int) -> None:
    from dataclasses import replace

    scales = plan_scales(size, replace(PRESETS["default"], steps=steps))
    assert scales[-1].size == size
    assert sum(scale.steps for scale in scales) == steps
    assert all(scale.steps > 0 for scale in scales)
    sizes = [scale.size for scale in scales]
    assert sizes == sorted(set(sizes))
    assert plan_scales(size, PRESETS["gatys2015"])[0].size == size


def test_gatys2015_uses_the_layers_and_steps_of_r1() -> None:
    painter = Painter(StylizeConfig(preset="gatys2015", encoder="vgg19", weights="random"))
    assert painter.content_layers == ("relu5_2",)
    assert painter.style_layers == ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    assert (painter.preset.steps, painter.preset.optimizer, painter.dtype) == (1000, "adam", torch.float32)


def test_the_result_says_how_it_was_made(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    result = stylize(*pictures, **TINY)
    for name in ("a.png", "a.jpg", "a.webp", "a.tif"):
        made = provenance(result.save(tmp_path / name))
        assert made is not None
        assert made["content"] == {"name": "photo.png", "sha256": open_picture(pictures[0]).sha256}
        assert made["config"]["seed"] == 0
        assert made["made_by"] == f"impasto {impasto.__version__}"


def test_transparency_survives(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    photo = Image.open(pictures[0]).convert("RGBA")
    photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    photo.save(tmp_path / "clear.png")
    saved = Image.open(stylize(tmp_path / "clear.png", pictures[1], **TINY).save(tmp_path / "out.png"))
    assert saved.mode == "RGBA"
    alpha = np.asarray(saved.getchannel("A")).astype(int)
    assert alpha[-1].mean() > alpha[0].mean() + 200


def test_sixteen_bits(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    import tifffile

    path = stylize(*pictures, **TINY).save(tmp_path / "deep.tif", depth=16)
    array = tifffile.imread(path)
    assert array.dtype == np.uint16
    assert len(np.unique(array)) > 1000


def test_a_plan_that_does_not_fit_names_what_would(
    pictures: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "available_memory", lambda: 600 * 2**20)
    with pytest.raises(ResourceError, match=r"--size \d+ would fit") as caught:
        stylize(*pictures, **{**TINY, "size": 8192})
    import re

    found = re.search(r"--size (\d+)", str(caught.value).capitalize().replace("--Size", "--size"))
    assert found
    assert 256 < int(found[1]) < 8192


def test_the_plan_grows_with_pixels_and_steps(pictures: tuple[Path, Path]) -> None:
    def plan(size: int, steps: int) -> plan_module.Plan:
        config = StylizeConfig(preset="gatys2015", encoder="squeezenet1_1", weights="random", size=size, steps=steps)
        painter = Painter(config, encoder, paces)
        return painter.plan(open_picture(pictures[0]), [open_picture(pictures[1])])

    encoder, paces = load_encoder("squeezenet1_1", weights="random"), {}
    small, long, large = plan(256, 20), plan(256, 40), plan(512, 20)
    assert (small.width, small.height, small.steps) == (256, 192, 20)
    assert long.seconds == pytest.approx(2 * small.seconds)
    assert large.seconds == pytest.approx(4 * small.seconds)
    assert large.memory > small.memory + 100 * 2**20
    assert "256x192 pixels, 20 steps" in str(small)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 3}, "size 3 is not allowed"),
        ({"strength": 0.0}, "strength 0.0"),
        ({"steps": 0}, "steps 0"),
        ({"preset": "gatys2016"}, "gatys2015"),
        ({"encoder": "vgg-19"}, "vgg19"),
        ({"stile": 1}, "style"),
        ({"device": "cuda:77"}, "cuda:77"),
        ({"precision": "fp8"}, "fp8"),
        ({"style_layers": ("relu9_9",)}, "relu9_9"),
    ],
)
def test_values_that_cannot_be_are_refused(
    pictures: tuple[Path, Path], options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        stylize(*pictures, **{**TINY, **options})  # type: ignore[arg-type]


def test_pictures_that_cannot_be_are_named(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(UnreadablePictureError, match=r"text\.jpg"):
        stylize(tmp_path / "text.jpg", pictures[1], **TINY)
    with pytest.raises(UnreadablePictureError, match=r"absent\.jpg"):
        stylize(pictures[0], tmp_path / "absent.jpg", **TINY)


def test_one_pixel_and_thin_pictures_have_an_outcome(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (200, 10, 10)).save(tmp_path / "dot.png")
    with pytest.raises(PictureSizeError, match="nothing to repaint"):
        stylize(tmp_path / "dot.png", pictures[1], **TINY)
    with pytest.raises(PictureSizeError, match=r"dot\.png"):
        stylize(pictures[0], tmp_path / "dot.png", **TINY)
    Image.new("RGB", (400, 60)).save(tmp_path / "wide.png")
    assert stylize(tmp_path / "wide.png", pictures[1], **{**TINY, "size": 256}).image.shape == (1, 3, 38, 256)
    assert stylize(pictures[0], tmp_path / "wide.png", **TINY).image.shape == (1, 3, 48, 64)
    Image.new("RGB", (400, 3)).save(tmp_path / "thin.png")
    with pytest.raises(PictureSizeError, match=r"thin\.png"):
        stylize(tmp_path / "thin.png", pictures[1], **TINY)


def test_config_and_keywords_exclude_each_other(pictures: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="beside size"):
        stylize(*pictures, StylizeConfig(), size=64)
    with pytest.raises(UnknownNameError):
        StylizeConfig(preset="nope")


def test_the_command_prints_the_path_and_the_facts(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    options = ["--size", "64", "--steps", "2", "--encoder", "squeezenet1_1", "--weights", "random"]
    done = run_command("stylize", "photo.png", "-s", "stripes.png", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "photo--stripes.png"
    assert "2 steps" in done.stderr
    done = run_command("stylize", "photo.png", "-s", "stripes.png:2", *options, "--json", "-o", "o.webp", cwd=tmp_path)
    assert json.loads(done.stdout)["output"] == "o.webp"
    assert done.stderr == ""
    again = stylize(*pictures, encoder="squeezenet1_1", weights="random", size=64, steps=2).save(tmp_path / "again.png")
    assert again.read_bytes() == (tmp_path / "photo--stripes.png").read_bytes(), "command and library are one thing"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["stylize", "photo.png", "-s", "nope.png"], 1, "nope.png"),
        (["stylize", "photo.png", "-s", "stripes.png:x"], 2, "no number"),
        (["stylize", "photo.png", "-s", "stripes.png", "--strength", "7"], 2, "strength 7"),
        (["stylize", "photo.png"], 2, "--style"),
        (["stylise"], 2, "stylize"),
        (["stylize", "photo.png", "-s", "stripes.png", "-o", "a.gif"], 2, "not written as '.gif'"),
        (["stylize", "photo.png", "-s", "stripes.png", "--depth", "16"], 2, "16 bits"),
        (["stylize", "photo.png", "-s", "stripes.png", "-o", "photo.png/a.png"], 2, "is no folder"),
    ],
)
def test_errors_are_one_line_a_hint_and_a_status(
    pictures: tuple[Path, Path], tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    done = run_command(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "steps" not in done.stderr  # said before anything is painted


def test_ctrl_c_saves_the_best_and_exits_130(pictures: tuple[Path, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "impasto", "stylize", "photo.png", "-s", "stripes.png", "-o", "cut.png"]
    options = ["--size", "96", "--steps", "100000", "--encoder", "squeezenet1_1", "--weights", "random"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*command, *options],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # Where tests run in the background, a shell has them ignore Ctrl-C, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    process.stderr.readline()  # the plan: the painting begins
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    made = provenance(tmp_path / "cut.png")
    assert made is not None
    assert made["interrupted"]
    assert made["steps_done"] > 0


def test_the_help_and_the_import_load_no_torch(tmp_path: Path) -> None:
    code = "import sys, impasto, impasto.cli.main; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0


def test_public_names_are_all_there() -> None:
    for name in impasto.__all__:
        assert getattr(impasto, name) is not None
    assert set(dir(impasto)) == set(impasto.__all__)
    with pytest.raises(AttributeError):
        impasto.stylise  # noqa: B018


def test_auto_precision_is_fast_only_where_the_encoder_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.runtime._has_fast_bf16", lambda *_: True)
    dtypes = {
        name: Painter(StylizeConfig(encoder=name, weights="random")).dtype
        for name in ("squeezenet1_1", "vgg19-16x", "squeezenet1_1+vgg19-16x")
    }
    assert list(dtypes.values()) == [torch.float32, torch.bfloat16, torch.bfloat16]
    asked = StylizeConfig(encoder="squeezenet1_1", weights="random", precision="bf16")
    assert Painter(asked).dtype == torch.bfloat16
    paper = StylizeConfig(preset="gatys2015", encoder="vgg19-16x", weights="random")
    assert Painter(paper).dtype == torch.float32
