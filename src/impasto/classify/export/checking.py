"""An exported model against the classifier it came from, on pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from impasto.classify.classifier import Classifier
from impasto.classify.ensemble import is_ensemble
from impasto.errors import NumericalError, UnreadablePictureError, UsageError
from impasto.images import open_picture
from impasto.runtime import OnProgress, Progress, ignore_progress
from impasto.samples.photos import sample_photos

TOLERANCE = 1e-3
Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Check:
    """How far an exported model is from its classifier.

    Attributes:
        pictures: how many both have seen.
        largest_difference: of any probability on any of them.
        changed_labels: how many are named otherwise.
    """

    pictures: int
    largest_difference: float
    changed_labels: int

    @classmethod
    def of(cls, expected: Probabilities, found: Probabilities) -> Check:
        """Compare two tables N x C of probabilities."""
        changed = expected.argmax(1) != found.argmax(1)
        return cls(len(expected), float(np.abs(expected - found).max()), int(changed.sum()))


def exportable(run: str | Path | Classifier, weights: str | Path | None) -> Classifier:
    """Return the classifier to export, on the processor if it is a folder.

    Raises:
        UsageError: the folder holds an ensemble.
    """
    if isinstance(run, Classifier):
        return run
    if is_ensemble(Path(run)):
        raise UsageError(f"{run} is an ensemble, which is several networks.", "Export its members one by one.")
    return Classifier.load(run, device="cpu", weights=weights)


def answers(classifier: Classifier, paths: Sequence[Path], on_progress: OnProgress = ignore_progress) -> Probabilities:
    """Return N x C probabilities of the classifier.

    Raises:
        UnreadablePictureError: one of the pictures cannot be read.
    """
    predictions = classifier.predict(paths, on_progress=on_progress)
    for item in predictions:
        if item.error:
            raise UnreadablePictureError(f"{item.path} {item.error}")
    return np.array([[item.probabilities[name] for name in classifier.classes] for item in predictions])


def onnx_answers(data: bytes, paths: Sequence[Path], on_progress: OnProgress = ignore_progress) -> Probabilities:
    """Return N x C probabilities of a serialised model, one picture after the other on the processor."""
    session = open_session(data)
    rows = []
    for step, path in enumerate(paths, 1):
        pixels = np.asarray(open_picture(path).image)
        rows.append(session.run(["probabilities"], {"image": pixels})[0])
        on_progress(Progress("checking", step, len(paths)))
    return np.array(rows, dtype=np.float64)


def open_session(data: bytes, threads: int = 0) -> Any:
    """Return an ``onnxruntime.InferenceSession`` of a serialised model on the processor; 0 threads: its own choice."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def refuse_difference(check: Check, tolerance: float) -> None:
    """Refuse a model that says something else than its classifier.

    Raises:
        NumericalError: a probability differs by more than ``tolerance``, or is NaN.
    """
    if not check.largest_difference <= tolerance:
        raise NumericalError(
            f"the exported model's probabilities differ from the classifier's by up to {check.largest_difference:.2g}, "
            f"more than {tolerance:g}; nothing was written.",
            "Other versions of torch, onnx or onnxruntime may agree; or raise --tolerance.",
        )


def check_pictures(folder: Path, pictures: Sequence[Path]) -> list[Path]:
    """Return the pictures to compare on: the one of the self-test, and ``pictures`` or else the sample photos.

    Args:
        folder: an empty folder for those that are made.
        pictures: files.
    """
    test = folder / "self-test.png"
    test.write_bytes(self_test_picture())
    return [test, *(pictures or sample_photos(folder / "photos"))]


def self_test_picture() -> bytes:
    """Return a small PNG that goes into the metadata: slopes and ripples, 48 x 36 pixels, different on each side."""
    y, x = np.mgrid[0:36, 0:48]
    ripples = 127.5 + 127.5 * np.sin(x * y / 40)
    pixels = np.stack([x * 255 / 47, y * 255 / 35, ripples], axis=2)
    file = io.BytesIO()
    Image.fromarray(pixels.round().astype(np.uint8)).save(file, "PNG", optimize=True)
    return file.getvalue()


def self_test(probabilities: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Return the record by which anybody can see whether a program feeds the model rightly."""
    picture = base64.b64encode(self_test_picture()).decode()
    return {"png_base64": picture, "probabilities": [round(value, 9) for value in probabilities.tolist()]}
