"""A classifier as a folder that users of torchvision and timm can read: weights, configuration, a card with code."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from impasto._version import __version__
from impasto.classify.classifier import MODEL_NAME, Classifier
from impasto.classify.export.checking import (
    TOLERANCE,
    Check,
    Probabilities,
    answers,
    check_pictures,
    exportable,
    refuse_difference,
)
from impasto.classify.export.folder_card import folder_card
from impasto.classify.export.layouts import Layout, Library, layout_of
from impasto.data.load.pictures import read_picture, scaled
from impasto.errors import UsageError
from impasto.files import write_bytes, write_text
from impasto.runs import CONFIG_NAME, digest, write_json
from impasto.runtime import OnProgress, ignore_progress

CARD_NAME = "README.md"
_OWN = {CARD_NAME, CONFIG_NAME, MODEL_NAME}


@dataclass(frozen=True)
class FolderExport:
    """What was written.

    Attributes:
        folder: holds ``model.safetensors``, ``config.json`` and ``README.md``.
        library: whose keys the weights have: torchvision, timm, or torch for a sequence of layers.
        architecture: the library's name of the network.
        size: bytes of the weights.
        check: the network of that library against the classifier.
    """

    folder: Path
    library: Library
    architecture: str
    size: int
    check: Check


def export_folder(
    run: str | Path | Classifier,
    folder: str | Path,
    *,
    pictures: Sequence[Path] = (),
    tolerance: float = TOLERANCE,
    weights: str | Path | None = None,
    on_progress: OnProgress = ignore_progress,
) -> FolderExport:
    """Write a classifier, its encoder included, as a folder that needs nothing of impasto.

    Weights have the keys of torchvision or timm where the network is one of theirs, else those of a sequence of
    torch's layers, which the card spells out. ``config.json`` is laid out as timm's hub has it.

    Args:
        run: a folder that ``impasto train`` wrote, or a classifier on the processor.
        folder: a new or empty one, or that of an earlier export.
        pictures: what the two are compared on; the sample photos where none are given.
        tolerance: how far apart any probability may be.
        weights: a file with the weights of a frozen encoder, see :meth:`Classifier.load`.
        on_progress: told of the comparison.

    Raises:
        UsageError: ``folder`` holds other files, or the network cannot be told in this way.
        NumericalError: the two disagree; nothing is written.
    """
    target = Path(folder)
    _refuse_others(target)
    classifier = exportable(run, weights)
    layout = layout_of(classifier)
    with tempfile.TemporaryDirectory() as place:
        files = check_pictures(Path(place), pictures)
        check = Check.of(answers(classifier, files, on_progress), _layout_answers(layout, classifier, files))
    refuse_difference(check, tolerance)
    record = _config(layout, classifier)
    state = {name: value.contiguous() for name, value in layout.network.state_dict().items()}
    data = save(state, {"format": "pt"})
    write_text(target / CARD_NAME, folder_card(layout, record, check))
    write_json(target / CONFIG_NAME, record)
    write_bytes(target / MODEL_NAME, data)
    return FolderExport(target, layout.library, layout.architecture, len(data), check)


def _refuse_others(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file.", "Choose another output folder.")
    if folder.is_dir() and {item.name for item in folder.iterdir()} - _OWN:
        raise UsageError(f"{folder} holds other files.", "Choose a new output folder.")


def _layout_answers(layout: Layout, classifier: Classifier, paths: Sequence[Path]) -> Probabilities:
    rows = []
    for path in paths:
        pixels, _ = read_picture(path, classifier.preprocessing)
        with torch.no_grad():
            logits = layout(scaled([pixels])).double()
        rows.append((logits / classifier.temperature).softmax(1)[0].numpy())
    return np.array(rows)


def _config(layout: Layout, classifier: Classifier) -> dict[str, Any]:
    """Return ``config.json`` as timm's hub lays it out, with what is impasto's at its end."""
    size, classes = classifier.preprocessing.size, len(classifier.classes)
    return {
        "architecture": layout.architecture,
        "num_classes": classes,
        "label_names": list(classifier.classes),
        "pretrained_cfg": {
            "input_size": [3, size, size],
            "fixed_input_size": False,
            "interpolation": "lanczos",
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "mean": list(layout.mean),
            "std": list(layout.std),
            "num_classes": classes,
        },
        "library": layout.library,
        "temperature": classifier.temperature,
        "impasto": {
            "version": __version__,
            "model": classifier.config["model"],
            "config_sha256": digest(classifier.config),
        },
    }
