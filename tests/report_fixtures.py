"""A repainted data set and classifier runs, made up: colours for pictures, dice for scores."""

from __future__ import annotations

import csv
import hashlib
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image
from scipy.stats import binomtest

STYLES = ("great-wave", "la-muse", "night", "scream")
PHOTOS = tuple(f"photo-{number:02}" for number in range(8))
COLUMNS = [
    "output",
    "output_sha256",
    "label",
    "split",
    "group",
    "content",
    "content_sha256",
    "style",
    "style_sha256",
    "strength",
    "seed",
    "method",
    "config",
    "kind",
]

Painter = Callable[[Path, Path], Image.Image]


def paint_colour(path: Path, key: str, size: tuple[int, int] = (48, 40)) -> None:
    """Save a two-colour gradient that ``key`` determines."""
    dice = random.Random(key)
    ends = [tuple(dice.randrange(256) for _ in range(3)) for _ in range(2)]
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = Image.linear_gradient("L").resize(size)
    Image.composite(Image.new("RGB", size, ends[0]), Image.new("RGB", size, ends[1]), ramp).save(path)


def blend(photo: Path, style: Path) -> Image.Image:
    """Return something between a photo and a style picture."""
    with Image.open(photo) as first, Image.open(style) as second:
        return Image.blend(first.convert("RGB"), second.convert("RGB").resize(first.size), 0.6)


def make_sources(
    root: Path, photos: Sequence[str] = PHOTOS, styles: Sequence[str] = STYLES
) -> tuple[list[Path], list[Path]]:
    """Write coloured photos and style pictures and return their paths."""
    photo_paths = [root / "photos" / f"{name}.png" for name in photos]
    style_paths = [root / "styles" / f"{name}.png" for name in styles]
    for path in (*photo_paths, *style_paths):
        paint_colour(path, path.stem)
    return photo_paths, style_paths


def make_dataset(root: Path, photos: Sequence[Path], styles: Sequence[Path], painter: Painter = blend) -> Path:
    """Write the folder that ``impasto dataset stylize`` would write: 1/2 train, 1/4 validation, 1/4 test."""
    rows = []
    for index, photo in enumerate(photos):
        split = ("train", "train", "validation", "test")[index % 4]
        for style in styles:
            output = Path(split, style.stem, f"{photo.stem}--{style.stem}.png")
            (root / output).parent.mkdir(parents=True, exist_ok=True)
            painter(photo, style).save(root / output)
            rows.append(_row(root, output, photo, style, split))
    write_rows(root / "manifest.csv", rows)
    write_rows(root / "rejected.csv", [{"path": "broken.jpg", "reason": "the file is truncated"}])
    stylize = {"preset": "default", "encoder": "impasto-vgg", "size": 256, "strength": 0.5, "seed": 7}
    settings = {
        "stylize": stylize,
        "label": "style",
        "originals": False,
        "fractions": [0.5, 0.25, 0.25],
        "strengths": [],
    }
    write_object(root / "config.json", {"procedure": "dataset stylize", "version": "0.1.0", "config": settings})
    write_object(root / "manifest.json", {"procedure": "dataset stylize", "pictures": len(rows)})
    return root


def make_run(
    folder: Path,
    dataset: Path,
    *,
    model: str = "r0-cnn",
    skill: float = 0.75,
    seed: int = 0,
    epochs: int = 12,
    split: str = "test",
) -> Path:
    """Write the folder that ``impasto train`` and ``evaluate`` would write; ``skill`` is the share to get right."""
    dice = random.Random(f"{model} {seed}")
    rows = read_rows(dataset / "manifest.csv")
    classes = sorted({row["label"] for row in rows})
    scored = [row for row in rows if row["split"] == split]
    predictions = [_predict(row, classes, dice, skill) for row in scored]
    config = {
        "procedure": "train",
        "version": "0.1.0",
        "model": model,
        "classes": classes,
        "preprocessing": {"size": 128, "mean": [0.485, 0.456, 0.406]},
        "encoder": {"name": "impasto-vgg", "pooling": "max"} if model.startswith("frozen") else None,
        "seed": seed,
    }
    write_object(folder / "config.json", config)
    if epochs:
        write_rows(folder / "curves.csv", _curves(epochs, dice, is_head=model.startswith("frozen")))
    write_rows(folder / "predictions.csv", predictions)
    write_object(folder / "evaluation.json", evaluate(predictions, classes, split, config))
    write_object(folder / "manifest.json", {"procedure": "train", "best_epoch": 2 * epochs // 3, "device": "cpu"})
    return folder


def evaluate(predictions: list[dict], classes: list[str], split: str, config: dict) -> dict:
    """Return what ``evaluation.json`` holds for these predictions."""
    confusion = [
        [sum((row["label"], row["predicted"]) == (truth, said) for row in predictions) for said in classes]
        for truth in classes
    ]
    per_class = []
    for index, name in enumerate(classes):
        hits, support = confusion[index][index], sum(confusion[index])
        named = sum(row[index] for row in confusion)
        per_class.append(
            {
                "class": name,
                "support": support,
                "precision": hits / named if named else 0.0,
                "recall": hits / support if support else 0.0,
                "f1": 2 * hits / (named + support) if named + support else 0.0,
            }
        )
    n, correct = len(predictions), sum(row["label"] == row["predicted"] for row in predictions)
    interval = binomtest(correct, n).proportion_ci(method="wilson")
    return {
        "split": split,
        "n_evaluated": n,
        "n_available": n,
        "correct": correct,
        "accuracy": correct / n,
        "wilson95": [interval.low, interval.high],
        "balanced_accuracy": sum(item["recall"] for item in per_class) / len(classes),
        "macro_f1": sum(item["f1"] for item in per_class) / len(classes),
        "classes": classes,
        "per_class": per_class,
        "confusion": confusion,
        "model": config,
        "skipped": [],
    }


def write_object(path: Path, value: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False), encoding="utf-8")


def write_rows(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _row(root: Path, output: Path, photo: Path, style: Path, split: str) -> dict[str, str]:
    values = (
        *(output.as_posix(), _sha256(root / output), style.stem, split, photo.stem),
        *(photo.name, _sha256(photo), style.name, _sha256(style)),
        *("0.8", "7", "network", "0" * 64, "repaint"),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _predict(row: dict[str, str], classes: list[str], dice: random.Random, skill: float) -> dict:
    others = [name for name in classes if name != row["label"]]
    predicted = row["label"] if dice.random() < skill else dice.choice(others)
    top = dice.uniform(0.4, 0.999)
    rest = (1 - top) / len(others)
    return {
        "path": row["output"],
        "label": row["label"],
        "predicted": predicted,
        "correct": predicted == row["label"],
        "probability": top,
        **{f"p:{name}": top if name == predicted else rest for name in classes},
    }


def _curves(epochs: int, dice: random.Random, *, is_head: bool) -> list[dict]:
    """Training loss falls for ever, validation loss rises again after two thirds of the epochs."""
    turn = max(1, 2 * epochs // 3)
    return [
        {
            "epoch": epoch,
            "train_loss": 2.1 * 0.8**epoch + 0.03 * dice.random(),
            "train_accuracy": 1 - 0.85 * 0.82**epoch,
            "validation_loss": 2.1 * 0.86**epoch + 0.02 * max(0, epoch - turn) + 0.06 * dice.random() + 0.2,
            "validation_accuracy": min(1.0, 0.9 - 0.7 * 0.85**epoch + 0.04 * dice.random()),
            "learning_rate": "" if is_head else 0.001,
            "c": 1e-4 * 3**epoch if is_head else "",
        }
        for epoch in range(1, epochs + 1)
    ]
