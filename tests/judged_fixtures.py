"""Judges whose answers are known beforehand, and folders of repaints that were painted by nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from impasto.classify import Classifier, Preprocessing
from impasto.classify.models import R0CNN
from impasto.data.dataset import TABLE_NAME
from impasto.data.repaint.records import COLUMNS
from impasto.files import file_digest
from impasto.judged.judges import Shares
from impasto.runs import write_csv, write_json


def flat(path: Path, grey: float | tuple[int, int, int], size: tuple[int, int] = (64, 48)) -> Path:
    """Write a picture of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = grey if isinstance(grey, tuple) else (round(grey),) * 3
    Image.new("RGB", size, colour).save(path)
    return path


@dataclass
class Brightness:
    """Says "dark" with probability 1 - mean brightness, "bright" with mean brightness; counts what it was shown."""

    classes: tuple[str, ...] = ("bright", "dark")
    taught: frozenset[str] = frozenset()
    name: str = "brightness"
    folder: Path | None = None
    shown: list[tuple[int, int]] = field(default_factory=list)

    def identity(self) -> dict[str, Any]:
        return {"sha256": "of brightness"}

    def shares(self, images: Sequence[Image.Image]) -> Shares:
        self.shown += [image.size for image in images]
        means = np.array([np.asarray(image).mean() / 255 for image in images])
        return np.stack([means, 1 - means], 1)


@dataclass
class Colours:
    """Names the reddest, greenest or bluest channel of a picture's mean."""

    classes: tuple[str, ...] = ("red", "green", "blue")
    taught: frozenset[str] = frozenset()
    name: str = "colours"
    folder: Path | None = None

    def identity(self) -> dict[str, Any]:
        return {"sha256": "of colours"}

    def shares(self, images: Sequence[Image.Image]) -> Shares:
        means = np.array([np.asarray(image.convert("RGB")).mean((0, 1)) + 1 for image in images])
        return means / means.sum(1, keepdims=True)


Painted = tuple[str, str, str, float | tuple[int, int, int]]


def repaint_by_hand(root: Path, pictures: Sequence[Painted], *, split: Callable[[str], str] = lambda _: "") -> Path:
    """Write the folder of `impasto dataset stylize`: (photo, style, strength, colour of the repaint) of each.

    Photos and styles must be below ``root/photos`` and ``root/styles``.
    """
    out = root / "repaints"
    rows = []
    for content, style, strength, colour in pictures:
        label = Path(content).parent.name
        stem, style_stem = content.replace("/", "-")[:-4], style.replace("/", "-")[:-4]
        output = f"{label}/{stem}--{style_stem}--{strength}.png"
        flat(out / output, colour)
        known = {
            "output": output,
            "output_sha256": file_digest(out / output),
            "label": label,
            "split": split(content),
            "content": content,
            "content_sha256": file_digest(root / "photos" / content),
            "style": style,
            "style_sha256": file_digest(root / "styles" / style),
            "strength": strength,
            "kind": "repaint",
        }
        rows.append({column: known.get(column, "") for column in COLUMNS})
    write_csv(out / TABLE_NAME, rows, COLUMNS)
    write_json(out / "config.json", {"procedure": "dataset stylize", "config": {"stylize": {"size": 64}}})
    folders = {"content": "../photos", "styles": "../styles"}
    write_json(out / "manifest.json", {"procedure": "dataset stylize", "folders": folders})
    return out


def untrained(folder: Path, classes: tuple[str, ...], seed: int = 3) -> Path:
    """Write a model folder with random weights."""
    config = {"model": "r0-cnn", "classes": classes, "preprocessing": Preprocessing(24).record(), "encoder": None}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        Classifier(config, R0CNN(len(classes), 24).requires_grad_(False)).save(folder)
    return folder
