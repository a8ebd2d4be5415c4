"""Which format a file of weights has, by what is in it: extensions of style networks say little."""

from __future__ import annotations

from pathlib import Path

from impasto.errors import MissingWeightsError, WrongWeightsError
from impasto.style.foreign import deeplearnjs, ncnn, sstable, tensorflow
from impasto.style.foreign.source import AGAIN, reading

KNOWN = "safetensors, PyTorch (.pth, .pt, .model), TensorFlow checkpoints, deeplearn.js folders, ncnn and ONNX"


def recognise(path: Path) -> tuple[str, Path]:
    """Return a format's name and the file, or folder, to read.

    TensorFlow's checkpoints of version 2 may be named as TensorFlow does, without ``.index``, or by their data file;
    ncnn's by the ``.param``.

    Raises:
        MissingWeightsError: there is nothing at ``path``.
        WrongWeightsError: of none of the known formats.
    """
    path = _main_file(path)
    if path.is_dir():
        if (path / deeplearnjs.MANIFEST).is_file():
            return "deeplearn.js", path
        raise WrongWeightsError(
            f"the folder {path} holds no {deeplearnjs.MANIFEST}.", "Give the file that holds the weights."
        )
    if not path.is_file():
        raise MissingWeightsError(f"{path} does not exist.", f"Give a file of one of these: {KNOWN}.")
    with reading(path, "file of weights"):
        head, tail = _ends(path)
    if found := _of_binary(head, tail) or _of_weak(head, path):
        return found, path
    raise WrongWeightsError(f"{path} is of no known format: it begins with {head[:12]!r}.", f"Known: {KNOWN}. {AGAIN}")


def _main_file(path: Path) -> Path:
    index = path.parent / (path.name.removesuffix(tensorflow.DATA_SUFFIX) + ".index")
    if index.is_file() and (path.name.endswith(tensorflow.DATA_SUFFIX) or not path.exists()):
        return index
    return path.with_suffix(".bin") if path.suffix == ".param" else path


def _ends(path: Path) -> tuple[bytes, bytes]:
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(max(0, path.stat().st_size - len(sstable.MAGIC)))
        return head, file.read(len(sstable.MAGIC))


def _of_binary(head: bytes, tail: bytes) -> str:
    """Formats that say what they are."""
    if tail == sstable.MAGIC:
        return "TensorFlow"
    if head.startswith(b"PK\x03\x04") or (head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")):
        return "PyTorch"
    return "safetensors" if head[8:9] == b"{" else ""


def _of_weak(head: bytes, path: Path) -> str:
    """Formats without a signature: ncnn begins with the flag of its first layer, ONNX with field 1, a number."""
    flag = int.from_bytes(head[:4], "little")
    if path.suffix == ".bin" or (len(head) == 16 and flag in (ncnn.FLOAT32, ncnn.FLOAT16)):
        return "ncnn"
    return "ONNX" if path.suffix == ".onnx" or head[:1] == b"\x08" else ""
