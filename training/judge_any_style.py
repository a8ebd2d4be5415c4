"""Judge the any-style network on pictures that it never saw, against optimisation.

    python training/judge_any_style.py --data ../shared/data --weights ../shared/weights -o judged

Fifty pairs: the ten pictures of ``content`` and fifteen of the five kept-out Caltech classes, each with two of the six
kept-out styles. The loss is the default preset's under SqueezeNet 1.1 at 256 px, for the network and for Adam after 60
and 300 steps (``--steps``); the style distance under the real VGG-19 (blocks 1 to 3), which neither optimised, stands
beside it. Writes judged.json and a sheet: photo, style, network, 60 steps, 300 steps.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save

from impasto.encoders import AnyEncoder, load_encoder
from impasto.files import write_bytes
from impasto.images import Picture, open_picture, resize_long, to_image, to_tensor
from impasto.runs import write_json
from impasto.runtime import Stopwatch
from impasto.style.apply import FastPainter
from impasto.style.config import DEFAULT_NETWORK, FastConfig, StylizeConfig
from impasto.style.engine import optimise
from impasto.style.objective import Objective
from impasto.style.optimize import Painter
from judge_encoder import judged, sheet

from train_any_style import KEPT_OUT_CLASSES, KEPT_OUT_STYLES  # isort: skip

SIZE = 256
RATE = 0.02  # of the step sizes .01, .02 and .05 the one with the lowest loss after 60 steps
SHOWN = 20


def pairs(data: Path) -> list[tuple[Path, Path]]:
    """Return photos and styles that the training never opened."""
    photos = sorted((data / "content").glob("*.jpg"))
    for name in sorted(KEPT_OUT_CLASSES):
        files = sorted((data / "caltech101" / name).glob("*.jpg"))
        photos += [files[len(files) * part // 4] for part in (1, 2, 3)]
    styles = [data / "styles" / f"{name}.jpg" for name in sorted(KEPT_OUT_STYLES)]
    return [(photo, styles[(2 * index + part) % len(styles)]) for index, photo in enumerate(photos) for part in (0, 1)]


def loss_of(objective: Objective, image: torch.Tensor) -> float:
    """Return the default preset's loss of a finished picture."""
    with torch.no_grad():
        return float(sum(objective.terms(image.clamp(0, 1)).values()))


def optimised(painter: Painter, objective: Objective, photo: torch.Tensor, steps: int) -> torch.Tensor:
    """Return what Adam has after ``steps``, started from the photo."""
    states: list[torch.Tensor] = [photo]
    preset = replace(painter.preset, optimizer="adam", step_size=RATE)
    for _ in optimise(photo, objective, preset, steps + 1, states.append):
        del states[:-1]
    return states[-1]


@dataclass
class Judge:
    """What one network is judged with: the loss that optimisation lowers, an encoder apart, and known results."""

    painter: Painter
    fast: FastPainter
    apart: AnyEncoder
    steps: list[int]
    known: Path

    def pair(self, photo: Picture, style: Picture) -> tuple[dict[str, list[float]], list[Image.Image]]:
        """Return losses, distances, seconds and pictures of one pair: the network's, then those of optimisation."""
        content, painting = (to_tensor(resize_long(each.image, SIZE)) for each in (photo, style))
        objective = self.painter.objective(content, [painting])
        self.fast.paint(photo, [style])  # the first call warms up
        watch = Stopwatch()
        images, seconds = [self.fast.paint(photo, [style]).image], [watch.seconds]
        for steps in self.steps:
            image, spent = self._slow(photo, style, content, objective, steps)
            images.append(image)
            seconds.append(spent)
        numbers = {"loss": [loss_of(objective, image) for image in images], "seconds": seconds}
        numbers["photo"] = [loss_of(objective, content)]
        numbers["vgg"] = [judged(self.apart, image.clamp(0, 1), content, painting)["style"] for image in images]
        shown = [to_image(image.clamp(0, 1)) for image in images]
        return numbers, [to_image(content), resize_long(style.image, SIZE), *shown]

    def _slow(
        self, photo: Picture, style: Picture, content: torch.Tensor, objective: Objective, steps: int
    ) -> tuple[torch.Tensor, float]:
        """Optimise, or take what an earlier run of this script kept: it does not depend on the network."""
        path = self.known / f"{photo.sha256[:12]}-{style.sha256[:12]}-{steps}.safetensors"
        if not path.exists():
            watch = Stopwatch()
            image = optimised(self.painter, objective, content, steps)
            write_bytes(path, save({"image": image.contiguous(), "seconds": torch.tensor(watch.seconds)}))
        kept = load_file(path)
        return kept["image"], kept["seconds"].item()


def main() -> None:
    """Judge all pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--network", help="network to judge; default: the embedded one")
    parser.add_argument("--steps", type=int, nargs="*", default=[60, 300])
    parser.add_argument("--pairs", type=int, default=50)
    options = parser.parse_args()
    os.environ["IMPASTO_WEIGHTS"] = str(options.weights)
    options.output.mkdir(parents=True, exist_ok=True)
    judge = Judge(
        Painter(StylizeConfig(encoder="squeezenet1_1", size=SIZE)),
        FastPainter(FastConfig(options.network or DEFAULT_NETWORK, size=SIZE)),
        load_encoder("vgg19-blocks1-3"),
        options.steps,
        options.output / "optimised",
    )
    (options.output / "optimised").mkdir(exist_ok=True)
    results: dict[str, dict[str, list[float]]] = {}
    rows = []
    for photo, style in pairs(options.data)[: options.pairs]:
        numbers, row = judge.pair(open_picture(photo), open_picture(style))
        results[f"{photo.parent.name}/{photo.stem}+{style.stem}"] = numbers
        rows.append(row)
        print(f"{photo.stem}+{style.stem}: loss {' '.join(f'{each:.3f}' for each in numbers['loss'])}", flush=True)
    means = {name: np.mean([each[name] for each in results.values()], 0).round(4).tolist() for name in numbers}
    print("means", means)
    write_json(options.output / "judged.json", {"means": means, "pairs": results})
    _columns(sheet(rows[:SHOWN], SIZE)).save(options.output / "pairs.jpg", quality=90)


def _columns(image: Image.Image) -> Image.Image:
    """Lay a long sheet out in two columns."""
    half = image.height // SIZE // 2 * SIZE
    both = Image.new("RGB", (2 * image.width, max(half, image.height - half)), "white")
    both.paste(image.crop((0, 0, image.width, half)), (0, 0))
    both.paste(image.crop((0, half, image.width, image.height)), (image.width, 0))
    return both


if __name__ == "__main__":
    main()
