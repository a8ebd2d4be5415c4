"""Run folders: the effective configuration first, whole files only, the manifest last.

A folder with ``config.json`` and no ``manifest.json`` is a run that was interrupted: the same configuration goes
on where it stopped, another one is refused. A folder with ``manifest.json`` is finished.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from impasto._version import __version__
from impasto.errors import RunError
from impasto.files import atomic_path, file_digest, write_bytes, write_text

CONFIG_NAME = "config.json"
MANIFEST_NAME = "manifest.json"
REJECTED_NAME = "rejected.csv"  # files that were set aside, with the reason

__all__ = [
    "CONFIG_NAME",
    "MANIFEST_NAME",
    "REJECTED_NAME",
    "RunFolder",
    "atomic_path",
    "digest",
    "file_digest",
    "read_json",
    "to_plain",
    "write_bytes",
    "write_csv",
    "write_json",
    "write_text",
]


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON; dataclasses and paths are understood."""
    write_text(path, json.dumps(to_plain(value), indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        RunError: the file is absent or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunError(f"{path} does not exist.") from error
    except (ValueError, OSError) as error:
        raise RunError(f"{path} is damaged: {error}.", "Remove it and run the command again.") from error


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: list[str]) -> None:
    """Write rows as a CSV table with a header, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="raise")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def to_plain(value: Any) -> Any:
    """Turn dataclasses, paths, tuples and mappings into what JSON can hold, keys in a stable order."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(to_plain(item) for item in value)
    return str(value) if isinstance(value, Path) else value


def digest(value: Any) -> str:
    """Return the SHA-256 of ``value`` as canonical JSON: equal configurations have equal digests.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    text = json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()


class RunFolder:
    """One folder of one procedure, which resumes after being killed.

    Args:
        path: the folder; made if absent.
        config: what determines the result. Written to ``config.json`` at once.
        procedure: a short name, for the manifest.

    Raises:
        RunError: the folder holds a run of another configuration, or files that are no run's.
    """

    def __init__(self, path: Path, config: Any, procedure: str) -> None:
        self.path = path
        self.procedure = procedure
        self.config = {"procedure": procedure, "version": __version__, **to_plain(config)}
        self._open()

    @property
    def finished(self) -> bool:
        """Whether the manifest, which is written last, is there."""
        return (self.path / MANIFEST_NAME).is_file()

    def finish(self, **facts: Any) -> None:
        """Write the manifest: the run is complete."""
        manifest = {
            "procedure": self.procedure,
            "version": __version__,
            "config": digest(self.config),
            **facts,
        }
        write_json(self.path / MANIFEST_NAME, manifest)

    def _open(self) -> None:
        config_path = self.path / CONFIG_NAME
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file.", "Choose another output folder.")
        if config_path.exists():
            self._check_same(read_json(config_path))
        elif self.path.is_dir() and any(not item.name.startswith(".partial-") for item in self.path.iterdir()):
            raise RunError(f"{self.path} is not empty and holds no run.", "Choose another output folder.")
        else:
            write_json(config_path, self.config)
        for leftover in self.path.rglob(".partial-*"):
            leftover.unlink(missing_ok=True)

    def _check_same(self, former: Any) -> None:
        if not isinstance(former, dict):
            raise RunError(f"{self.path / CONFIG_NAME} is no run configuration.", "Choose another output folder.")
        keys = sorted(key for key in former.keys() | self.config.keys() if former.get(key) != self.config.get(key))
        if keys:
            raise RunError(
                f"{self.path} holds a run that differs in {', '.join(keys)}.",
                "Choose another output folder, or remove this one to start anew.",
            )
