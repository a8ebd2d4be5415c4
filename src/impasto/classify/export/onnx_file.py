"""A classifier as one ONNX file that needs no Python, checked against the classifier before it is written."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.classify.classifier import Classifier
from impasto.classify.export.checking import (
    TOLERANCE,
    Check,
    Probabilities,
    answers,
    check_pictures,
    exportable,
    onnx_answers,
    refuse_difference,
    self_test,
)
from impasto.errors import UsageError
from impasto.files import write_bytes
from impasto.runtime import OnProgress, ignore_progress
from impasto.statistics import Proportion

if TYPE_CHECKING:
    import onnx

_NEEDED = ("onnx", "onnxruntime", "onnxscript")
# Protocol buffers hold no more.
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Labelled:
    """Pictures with their true labels, to count what rounding costs."""

    paths: tuple[Path, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Rounded:
    """What int8 weights cost.

    Attributes:
        size: bytes of the file with float32 weights; that of the written one is in the export.
        check: the int8 model against the classifier.
        accuracy: right answers of the classifier and of the int8 model on labelled pictures, None without any.
    """

    size: int
    check: Check
    accuracy: tuple[Proportion, Proportion] | None


@dataclass(frozen=True)
class OnnxExport:
    """What was written.

    Attributes:
        path: the file.
        size: its bytes.
        check: the model with float32 weights against the classifier.
        int8: what int8 weights cost, None where they are float32.
    """

    path: Path
    size: int
    check: Check
    int8: Rounded | None = None


def export_onnx(
    run: str | Path | Classifier,
    path: str | Path,
    *,
    int8: bool = False,
    pictures: Sequence[Path] = (),
    labelled: Labelled | None = None,
    tolerance: float = TOLERANCE,
    weights: str | Path | None = None,
    on_progress: OnProgress = ignore_progress,
) -> OnnxExport:
    """Write a classifier as one ONNX file, preprocessing included.

    Its input ``image`` is uint8 H x W x 3 of any size, upright sRGB; its outputs are ``probabilities`` (C float32) and
    ``classes`` (C strings). The metadata hold classes, preprocessing, the digest of the configuration, the outcome of
    the check, and a small picture with the probabilities that are expected of it.

    Before anything is written, onnxruntime has to give the classifier's probabilities.

    Args:
        run: a folder that ``impasto train`` wrote, or a classifier.
        path: the file to write.
        int8: store large weights as int8, a quarter of the size. The check is made before, its cost measured after.
        pictures: what the two are compared on; the sample photos where none are given.
        labelled: where ``int8`` is to be counted in right answers.
        tolerance: how far apart any probability may be.
        weights: a file with the weights of a frozen encoder, see :meth:`Classifier.load`.
        on_progress: told of the comparison.

    Raises:
        UsageError: the extra ``onnx`` is not installed, or the network does not fit into one file.
        NumericalError: the two disagree; no file is written.
    """
    require_onnx()
    from impasto.classify.export.graph import onnx_model, set_metadata
    from impasto.classify.export.int8 import with_int8_weights

    classifier = exportable(run, weights)
    model = onnx_model(classifier)
    with tempfile.TemporaryDirectory() as folder:
        files = check_pictures(Path(folder), pictures)
        expected = answers(classifier, files, on_progress)
        exact = _serialised(model)
        check = Check.of(expected, onnx_answers(exact, files, on_progress))
        refuse_difference(check, tolerance)
        set_metadata(model, {"self_test": self_test(expected[0]), "check": {**vars(check), "tolerance": tolerance}})
        if not int8:
            return _written(Path(path), _serialised(model), check)
        data = _serialised(with_int8_weights(model))
        loss = Check.of(expected, onnx_answers(data, files, on_progress))
        accuracy = _accuracies(classifier, data, labelled, on_progress) if labelled else None
    return _written(Path(path), data, check, Rounded(model.ByteSize(), loss, accuracy))


def require_onnx() -> None:
    """Refuse to go on without the extra ``onnx``.

    Raises:
        UsageError: a package is missing.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(f"exporting to ONNX needs {', '.join(missing)}.", "pip install 'impasto[onnx]'")


def _serialised(model: onnx.ModelProto) -> bytes:
    size = model.ByteSize()
    if size > _LARGEST:
        raise UsageError(f"the network has {size / 2**30:.1f} GiB; one ONNX file holds 2.", "Use --format safetensors.")
    return bytes(model.SerializeToString())


def _written(path: Path, data: bytes, check: Check, int8: Rounded | None = None) -> OnnxExport:
    write_bytes(path, data)
    return OnnxExport(path, len(data), check, int8)


def _accuracies(
    classifier: Classifier, data: bytes, labelled: Labelled, on_progress: OnProgress
) -> tuple[Proportion, Proportion]:
    """Return right answers of the classifier and of the exported model."""
    truth = [classifier.classes.index(label) for label in labelled.labels]
    tables = (
        answers(classifier, labelled.paths, on_progress),
        onnx_answers(data, labelled.paths, on_progress),
    )
    first, second = (Proportion(_right(table, truth), len(truth)) for table in tables)
    return first, second


def _right(table: Probabilities, truth: Sequence[int]) -> int:
    return int((table.argmax(1) == truth).sum())
