"""Judge networks of one style side by side, by an encoder that trained none of them.

    python training/judge_networks.py --weights ../shared/weights --style ../shared/data/styles/wave.jpg \\
        --photos ../shared/data/content --networks ours.safetensors wave.safetensors impasto-any -o judged

Style and content distances are under the real VGG-19 (blocks 1 to 3); the loss is the default preset's under
SqueezeNet 1.1. Networks that read pictures are given the style. Writes a sheet: photo, then one column a network.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from impasto.encoders import load_encoder
from impasto.images import open_picture, resize_long, to_image, to_tensor
from impasto.style.apply import FastPainter
from impasto.style.config import FastConfig, StylizeConfig
from impasto.style.optimize import Painter
from judge_any_style import loss_of
from judge_encoder import judged, sheet

SIZE = 512
SHOWN = 6


def main() -> None:
    """Paint every photo with every network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    os.environ["IMPASTO_WEIGHTS"] = str(options.weights)
    options.output.mkdir(parents=True, exist_ok=True)
    apart, optimiser = load_encoder("vgg19-blocks1-3"), Painter(StylizeConfig(encoder="squeezenet1_1", size=SIZE))
    painters = {name: FastPainter(FastConfig(name, size=SIZE)) for name in options.networks}
    style = open_picture(options.style)
    painting = to_tensor(resize_long(style.image, SIZE))
    numbers: dict[str, list[list[float]]] = {name: [] for name in ["the photo", *painters]}
    rows: list[list[Image.Image]] = []
    for path in sorted(options.photos.glob("*.jpg")):
        photo = open_picture(path)
        content = to_tensor(resize_long(photo.image, SIZE))
        images = {"the photo": content}
        for name, painter in painters.items():
            images[name] = painter.paint(photo, [style] if painter.brush.reads_pictures else []).image
        objective = optimiser.objective(content, [painting])
        for name, image in images.items():
            with torch.no_grad():
                found = judged(apart, image, content, painting)
            numbers[name].append([found["style"], found["content"], loss_of(objective, image)])
        rows.append([to_image(image) for image in images.values()])
    for name, values in numbers.items():
        means = " ".join(f"{value:.4f}" for value in np.mean(values, 0))
        print(f"{Path(name).stem}: style, content (VGG-19), loss (SqueezeNet 1.1): {means}")
    sheet(rows[:SHOWN], SIZE).save(options.output / "networks.jpg", quality=90)


if __name__ == "__main__":
    main()
