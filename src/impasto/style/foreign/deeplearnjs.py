"""Checkpoints as deeplearn.js loads them: a folder with ``manifest.json`` and one raw file a variable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto.style.foreign.source import contents, reading, to_tensor

MANIFEST = "manifest.json"
_LARGEST_MANIFEST = 1 << 20  # bytes; published ones have 5 kB


def read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a folder under their names in the manifest; all are float32.

    Raises:
        MissingWeightsError: the manifest, or a file that it names, does not exist.
        WrongWeightsError: damaged, or the manifest names files outside the folder.
    """
    with reading(path, "deeplearn.js checkpoint"):
        return {name: to_tensor(contents(file), shape) for name, (file, shape) in _manifest(path).items()}


def files(path: Path) -> list[Path]:
    """Return every file that belongs to a checkpoint, the manifest first; raises as ``read`` does."""
    with reading(path, "deeplearn.js checkpoint"):
        return [path / MANIFEST, *(file for file, _ in _manifest(path).values())]


def _manifest(folder: Path) -> dict[str, tuple[Path, list[int]]]:
    try:
        manifest = json.loads(contents(folder / MANIFEST, _LARGEST_MANIFEST))
    except RecursionError as error:
        raise ValueError(f"{MANIFEST} is nested too deeply") from error
    if not isinstance(manifest, dict):
        raise ValueError(f"{MANIFEST} does not name tensors")
    entries = {name: (_inside(folder, name, entry), _shape(name, entry)) for name, entry in manifest.items()}
    # One file under a thousand names, or links to it, would need a thousand times its memory.
    if len({file.resolve() for file, _ in entries.values()}) < len(entries):
        raise ValueError(f"{MANIFEST} names a file twice")
    return entries


def _inside(folder: Path, name: str, entry: Any) -> Path:
    filename = entry.get("filename") if isinstance(entry, dict) else None
    if not isinstance(filename, str) or not filename:
        raise ValueError(f"{MANIFEST} gives no file for {name[:80]!r}")
    if filename in (".", "..") or any(character in filename for character in "/\\:\0"):
        raise ValueError(f"{MANIFEST} names the file {filename[:80]!r}, which is not in the folder")
    return folder / filename


def _shape(name: str, entry: dict[str, Any]) -> list[int]:
    shape = entry.get("shape")
    if not isinstance(shape, list) or not all(type(side) is int for side in shape):
        raise ValueError(f"{MANIFEST} gives no shape for {name[:80]!r}")
    return shape
