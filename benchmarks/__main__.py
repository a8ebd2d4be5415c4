"""``python -m benchmarks [NAME ..]``: print ratios of things measured in one run; --help lists the names.

Absolute times depend on the machine and its other work; the ratios are what to compare. Real weights are found where
impasto finds them ($IMPASTO_WEIGHTS); what is absent is left out and said.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.artefacts import artefacts
from benchmarks.attribution import attribution
from benchmarks.cached_heads import cached_heads
from benchmarks.dream import dream
from benchmarks.dream_repaint import dream_repaint
from benchmarks.duplicates import duplicates
from benchmarks.export import export
from benchmarks.few_shot import few_shot
from benchmarks.importing import importing
from benchmarks.loaders import loaders
from benchmarks.networks import networks
from benchmarks.planted import planted
from benchmarks.training_speed import training_speed
from impasto.encoders import ENCODERS, AnyEncoder, load_encoder
from impasto.images import Picture, open_picture, resize_long, to_tensor
from impasto.runtime import Stopwatch
from impasto.samples.photos import sample_photos
from impasto.samples.styles import paint_styles
from impasto.style.config import DEFAULT_NETWORK, PRESETS, Preset, StylizeConfig
from impasto.style.engine import optimise, plan_scales, resize
from impasto.style.optimize import Painter

BENCHMARKS = (
    "precision",
    "presets",
    "dream-repaint",
    "artefacts",
    "networks",
    "loaders",
    "duplicates",
    "importing",
    "export",
    "few-shot",
    "cached-heads",
    "training-speed",
    "dream",
    "attribution",
    "planted",
)
# L-BFGS gives up reaching Adam's loss after so many steps at full size.
MOST_STEPS = 1000


def precision(size: int = 512) -> None:
    """Forward and backward pass of each encoder: fp32 against bf16 in turns, both channels-last."""
    print(f"precision: one forward and backward pass at {size} px, seconds, best of 8")
    for name, spec in ENCODERS.items():
        encoder = load_encoder(name, weights="random").to(memory_format=torch.channels_last)
        image = torch.rand(1, 3, size * 2 // 3, size).contiguous(memory_format=torch.channels_last)
        dtypes = (torch.float32, torch.bfloat16)
        rounds = [[_pass_time(encoder, image, spec.style_layers, dtype) for dtype in dtypes] for _ in range(8)]
        exact, fast = (min(column) for column in zip(*rounds, strict=True))
        print(f"  {name:16s} fp32 {exact:6.3f}  bf16 {fast:6.3f}  ratio {exact / fast:4.1f}")


def _pass_time(encoder: AnyEncoder, image: torch.Tensor, layers: tuple[str, ...], dtype: torch.dtype) -> float:
    def step() -> None:
        candidate = image.clone().requires_grad_()
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            maps = encoder(candidate, layers)
        torch.stack([value.float().square().mean() for value in maps.values()]).sum().backward()

    watch = Stopwatch()
    step()
    return watch.seconds


def presets(content: Path, style: Path, encoder: str, size: int, adam_steps: int) -> None:
    """Seconds to a loss: Adam in fp32 at one scale, against L-BFGS over scales in the machine's best precision.

    Both minimise the normalised objective: R1's own is next to nothing at the photo itself with any encoder but
    VGG-19, and a start that is the goal is no race. The goal is the loss at which Adam ends; it is checked in fp32 for
    both, and the checks are not counted.
    """
    pictures = open_picture(content), open_picture(style)
    print(f"presets: {encoder} at {size} px, {content.name} in the style of {style.name}, {adam_steps} Adam steps")
    plain = replace(PRESETS["gatys2015"], objective="normalised", steps=adam_steps)
    goal, slow, _ = _race(StylizeConfig(encoder=encoder, size=size, precision="fp32"), plain, *pictures, goal=0.0)
    print(f"  gatys2015's machinery, Adam in fp32, ends at {goal:.5g} after {slow:.1f} s")
    quick = PRESETS["default"]
    reached, fast, steps = _race(StylizeConfig(encoder=encoder, size=size), quick, *pictures, goal=goal)
    there = f"is there after {fast:.1f} s and {steps} steps: ratio {slow / fast:.1f}"
    print(f"  default's machinery {there if reached <= goal else f'is at {reached:.5g} after {fast:.1f} s'}")


def _race(
    config: StylizeConfig, preset: Preset, photo: Picture, painting: Picture, goal: float
) -> tuple[float, float, int]:
    """Return the lowest fp32 loss at full size, the seconds, and the steps until then or until ``goal``."""
    painter = Painter(config)
    painter.preset = preset
    width, height = resize_long(photo.image, config.size).size
    target = to_tensor(resize_long(photo.image, config.size))
    exact = Painter(replace(config, precision="fp32"), painter.network)
    exact.preset = preset
    judge = exact.objective(target, [exact.style_at(painting, config.size)])
    image, best, seconds, done = target, float("inf"), 0.0, 0
    for scale in plan_scales(config.size, preset):
        share = scale.size / config.size
        small = resize(target, round(height * share), round(width * share))
        last = scale.size == config.size
        watch, unpaid = Stopwatch(), 0.0
        objective = painter.objective(small, [painter.style_at(painting, scale.size)])
        kept = [resize(image, *small.shape[2:])]
        for _ in optimise(kept[0], objective, preset, MOST_STEPS if last and goal else scale.steps, kept.append):
            del kept[:-1]
            done += 1
            if last and (goal or done == preset.steps):
                check = Stopwatch()
                with torch.no_grad():
                    best = min(best, sum(term.item() for term in judge.terms(kept[-1]).values()))
                unpaid += check.seconds
                if best <= goal:
                    break
        seconds += watch.seconds - unpaid
        image = kept[-1]
    return best, seconds, done


def main() -> None:
    """Run the benchmarks named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", choices=[*BENCHMARKS, []], default=list(BENCHMARKS))
    parser.add_argument("--content", type=Path, help="photo; by default a sample photo")
    parser.add_argument("--style", type=Path, help="style picture; by default a sample style")
    parser.add_argument("--networks", nargs="*", default=[DEFAULT_NETWORK], help="names or files, for artefacts")
    parser.add_argument(
        "--folder",
        type=Path,
        help="<class>/ folders, for loaders and what comes after it; left out without",
    )
    parser.add_argument("--pictures", type=int, help="so many of them, evenly chosen; by default all")
    parser.add_argument("--keras", metavar="PYTHON", help="of an environment with Keras 3, for training-speed")
    parser.add_argument("--encoder", default="impasto-vgg")
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--steps", type=int, default=1000, help="of Adam")
    options = parser.parse_args()
    if "precision" in options.which:
        precision()
    if "loaders" in options.which and options.folder:
        loaders(options.folder, options.pictures)
    if "importing" in options.which and options.folder:
        importing(options.folder)
    if "export" in options.which and options.folder:
        export(options.folder)
    if "few-shot" in options.which and options.folder:
        few_shot(options.folder)
    if "cached-heads" in options.which and options.folder:
        cached_heads(options.folder)
    if "training-speed" in options.which and options.folder:
        training_speed(options.folder, options.keras)
    if "attribution" in options.which and options.folder:
        attribution(options.folder)
    if "duplicates" in options.which:
        duplicates()
    if "planted" in options.which:
        planted()
    with tempfile.TemporaryDirectory() as folder:
        content = options.content or sample_photos(Path(folder))[0]
        style = options.style or paint_styles(Path(folder), names=["night-swirls"])[0]
        if "presets" in options.which:
            presets(content, style, options.encoder, options.size, options.steps)
        if "dream-repaint" in options.which:
            dream_repaint(content, style, options.size)
        if "dream" in options.which:
            dream(content, options.encoder)
        if "artefacts" in options.which:
            artefacts(options.networks, content, style)
        if "networks" in options.which:
            networks(style)


if __name__ == "__main__":
    main()
