"""Judge encoders as this project uses them: linear probes for recognition, repaints for style.

    python training/judge_encoder.py --data ../shared/data --weights ../shared/weights -o judged

Probes: 10 pictures a class of the five Caltech-101 classes that the embedded encoder never saw (mean per-class accuracy
over paired random splits), and louvre (950 to learn from, 200 to test on). Repaints: the default preset with each
encoder; each picture is judged by the real VGG-19's blocks 1 to 3, which none of them optimised.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from impasto.encoders import AnyEncoder, load_encoder
from impasto.images import centre_crop, open_picture, resize_long, resize_short, to_image, to_tensor
from impasto.runs import write_json
from impasto.style.config import StylizeConfig
from impasto.style.losses import content_distance, gram, style_distance
from impasto.style.optimize import Painter

PROBED = ("impasto-vgg", "squeezenet1_0", "squeezenet1_1", "vgg19-16x", "random")
PAINTED = ("impasto-vgg", "vgg19-16x", "squeezenet1_1", "vgg19-blocks1-3+vgg19-16x")
KEPT_OUT = ("butterfly", "crab", "crayfish", "lobster", "scorpion")
JUDGE_LAYERS = ("relu1_1", "relu2_1", "relu3_1")
PAIRS = (("chicago", "wave"), ("tubingen", "starry-night"), ("golden_gate", "the_scream"), ("lion", "kandinsky"))


def encoder_of(name: str) -> AnyEncoder:
    """Return an encoder; "random" is the embedded one's shape without training."""
    return load_encoder("impasto-vgg", weights="random") if name == "random" else load_encoder(name)


def features(encoder: AnyEncoder, paths: list[Path], batch: int = 32) -> np.ndarray:
    """Return N x D features of pictures, each scaled and cut to the encoder's input size."""
    size = encoder.input_size
    found = []
    for start in range(0, len(paths), batch):
        pictures = (open_picture(path).image for path in paths[start : start + batch])
        tensors = [to_tensor(centre_crop(resize_short(picture, size), size, size)) for picture in pictures]
        with torch.autocast("cpu", torch.bfloat16):
            found.append(encoder.features(torch.cat(tensors)))
    return torch.cat(found).numpy()


def labelled(folder: Path, classes: list[str]) -> tuple[list[Path], np.ndarray]:
    """Return the pictures of some class folders and the number of each one's class."""
    pairs = [(path, index) for index, name in enumerate(classes) for path in sorted((folder / name).iterdir())]
    return [path for path, _ in pairs], np.array([index for _, index in pairs])


def probe(x: np.ndarray, y: np.ndarray, splits: int, shots: int = 10, penalty: float = 0.01) -> np.ndarray:
    """Return the mean per-class accuracy of each split: ``shots`` pictures a class to learn from, the rest to test."""
    scores = []
    for seed in range(splits):
        random = np.random.default_rng(seed)
        train = np.concatenate([random.permutation(np.flatnonzero(y == label))[:shots] for label in np.unique(y)])
        test = np.setdiff1d(np.arange(len(y)), train)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=1000)).fit(x[train], y[train])
        guess = model.predict(x[test])
        scores.append(np.mean([(guess[y[test] == label] == label).mean() for label in np.unique(y)]))
    return np.array(scores)


def probe_all(data: Path, splits: int) -> dict[str, dict[str, float]]:
    """Print and return the probes of all encoders on the same splits."""
    caltech, kinds = labelled(data / "caltech101", list(KEPT_OUT))
    genres = sorted(path.name for path in (data / "louvre/train").iterdir())
    (train, train_y), (test, test_y) = (labelled(data / "louvre" / split, genres) for split in ("train", "validation"))
    results = {}
    for name in PROBED:
        encoder = encoder_of(name)
        shots = probe(features(encoder, caltech), kinds, splits)
        x, test_x = features(encoder, train), features(encoder, test)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000)).fit(x, train_y)
        right = int((model.predict(test_x) == test_y).sum())
        results[name] = {"caltech5": shots.mean(), "deviation": shots.std(), "louvre": right, "louvre_of": len(test_y)}
        print(
            f"{name:16s} caltech-5, 10 shots {shots.mean():6.1%} (sd {shots.std():.1%})  louvre {right}/{len(test_y)}"
        )
    return results


def paint_all(data: Path, output: Path, size: int) -> dict[str, dict[str, dict[str, float]]]:
    """Repaint the pairs with each encoder, print and return the judge's distances, and write a sheet."""
    judge = load_encoder("vgg19-blocks1-3")
    results: dict[str, dict[str, dict[str, float]]] = {}
    rows = []
    for content, style in PAIRS:
        photo, painting = (open_picture(data / f"{kind}.jpg") for kind in (f"content/{content}", f"styles/{style}"))
        row = [resize_long(photo.image, size), resize_long(painting.image, size)]
        for name in PAINTED:
            result = Painter(StylizeConfig(encoder=name, size=size)).paint(photo, [painting])
            scores = judged(judge, result.image, to_tensor(row[0]), to_tensor(row[1]))
            results.setdefault(name, {})[f"{content}+{style}"] = {**scores, "seconds": result.seconds}
            print(
                f"{content}+{style:16s} {name:28s} style {scores['style']:.4f} content {scores['content']:.2f}"
                f"  (photo itself {scores['photo']:.2f})  {result.seconds:.0f} s",
                flush=True,
            )
            row.append(to_image(result.image))
        rows.append(row)
    sheet(rows, size).save(output / "repaints.jpg", quality=90)
    return results


@torch.no_grad()
def judged(judge: AnyEncoder, image: torch.Tensor, photo: torch.Tensor, painting: torch.Tensor) -> dict[str, float]:
    """Return the normalised style and content distance of a repaint, and the photo's own style distance."""
    wanted = {name: gram(value) for name, value in judge(painting, JUDGE_LAYERS).items()}

    def style(picture: torch.Tensor) -> float:
        maps = judge(picture, JUDGE_LAYERS)
        return float(np.mean([style_distance(gram(maps[name]), wanted[name]).item() for name in JUDGE_LAYERS]))

    content = content_distance(judge(image, ["relu3_3"])["relu3_3"], judge(photo, ["relu3_3"])["relu3_3"])
    return {"style": style(image), "content": content.item(), "photo": style(photo)}


def sheet(rows: list[list[Image.Image]], size: int) -> Image.Image:
    """Return all pictures in a grid: photo, style, then one column an encoder."""
    canvas = Image.new("RGB", (size * len(rows[0]), size * len(rows)), "white")
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            canvas.paste(picture, (column * size, row * size))
    return canvas


def main() -> None:
    """Probe, paint, and write judged.json beside the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=50)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--only", choices=["probes", "repaints"])
    options = parser.parse_args()
    os.environ["IMPASTO_WEIGHTS"] = str(options.weights)
    options.output.mkdir(parents=True, exist_ok=True)
    results: dict[str, object] = {}
    if options.only != "repaints":
        results["probes"] = probe_all(options.data, options.splits)
    if options.only != "probes":
        results["repaints"] = paint_all(options.data, options.output, options.size)
    write_json(options.output / "judged.json", results)


if __name__ == "__main__":
    main()
