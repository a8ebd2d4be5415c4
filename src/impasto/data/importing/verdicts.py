"""What is found out about a file that is to be imported, and the journal that keeps it over a kill."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import astuple, dataclass
from pathlib import Path, PurePosixPath

from impasto.data.importing.entries import Entry
from impasto.data.importing.labels import Marked
from impasto.errors import PictureError
from impasto.images import PICTURE_SUFFIXES, inspect_picture


@dataclass(frozen=True)
class Verdict:
    """What decoding a file told; ``reason`` is "" for a picture."""

    sha256: str
    format: str = ""
    width: int = 0
    height: int = 0
    kind: str = ""
    reason: str = ""


def problem_of(entry: Entry, mark: Marked) -> Verdict | None:
    """Return why a file is not even read, or None."""
    if entry.problem:
        return Verdict("", kind="unsafe", reason=entry.problem)
    suffix = PurePosixPath(entry.name).suffix.lower()
    if suffix and suffix not in PICTURE_SUFFIXES:
        return Verdict("", kind="no picture", reason=f"{suffix} is no picture")
    if mark.problem:
        return Verdict("", kind="no label", reason=mark.problem)
    return None


def judge(data: bytes, name: str, smallest: int, sha256: str = "") -> Verdict:
    """Decode the bytes of a file and say what it is.

    Args:
        data: all of them.
        name: what the reason calls it.
        smallest: pixels that its shorter side must have.
        sha256: their digest, if it is known.
    """
    sha256 = sha256 or hashlib.sha256(data).hexdigest()
    try:
        kind, (width, height) = inspect_picture(data, Path(name))
    except PictureError as error:
        return Verdict(sha256, kind="damaged", reason=error.message)
    if min(width, height) < smallest:
        reason = f"it has {width}x{height} pixels, fewer than {smallest} a side"
        return Verdict(sha256, kind="too small", reason=reason)
    return Verdict(sha256, kind, width, height)


class Journal:
    """Verdicts, one JSON line each, appended as they fall; a line that a kill cut short is left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, Verdict] = {}

    def __enter__(self) -> Journal:
        if self.path.is_file():
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, TypeError):
                    verdict = Verdict(*json.loads(line))
                    self._known[verdict.sha256] = verdict
        self._file = self.path.open("a", encoding="utf-8")
        self._file.write("\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def get(self, sha256: str) -> Verdict | None:
        """Return what an earlier run found."""
        return self._known.get(sha256)

    def add(self, verdict: Verdict) -> None:
        """Keep a verdict."""
        self._file.write(json.dumps(astuple(verdict)) + "\n")
        self._file.flush()
