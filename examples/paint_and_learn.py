"""From Python: paint sample styles, repaint sample photos, teach a classifier the styles, ask it about one picture.

python examples/paint_and_learn.py [--folder example] [--size 160]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import impasto
from impasto.classify import TrainConfig
from impasto.data.repaint.records import RepaintConfig
from impasto.samples.photos import sample_photos
from impasto.samples.styles import paint_styles
from impasto.style.config import FastConfig

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--folder", type=Path, default=Path("example"))
parser.add_argument("--size", type=int, default=160, help="longer side of the repaints in pixels")
options = parser.parse_args()

photos, styles = options.folder / "photos", options.folder / "styles"
sample_photos(photos)
paint_styles(styles, names=["woodcut-waves", "dots-at-sunset", "mosaic-sun"])

# Every photo in every style; all repaints of a photo are in one split.
settings = RepaintConfig(FastConfig(size=options.size))
repaints = impasto.repaint_folder(photos, styles, options.folder / "repaints", settings)
print(f"{len(repaints.dataset)} pictures, {repaints.dataset.counts()}")

# A frozen encoder with a trained head; the score is of photos that the head never saw.
impasto.train(TrainConfig(repaints.folder), options.folder / "model")
print(impasto.evaluate(options.folder / "model", repaints.folder).accuracy)

# The saved model carries its class names and its preprocessing.
classifier = impasto.Classifier.load(options.folder / "model")
for prediction in classifier.predict([styles / "mosaic-sun.png"]):
    print(prediction.path.name, "looks like", prediction.top(2))
