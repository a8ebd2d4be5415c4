"""A file in a source, and how much a source may claim before it is not believed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from impasto.errors import DataError
from impasto.runtime import human_bytes

# No picture that anybody wants to learn from has more bytes.
MOST_FILE_BYTES = 512 * 2**20
MOST_FILES = 2_000_000
# Pictures hardly compress. An archive that claims to hold so many times its own size, and more than the second number,
# is damaged or a bomb.
MOST_EXPANSION, HARMLESS_BYTES = 100, 2**30
_DRIVE = re.compile(r"^[A-Za-z]:")


@dataclass(frozen=True)
class Entry:
    """A file in a source, or a row of a Parquet file with pictures.

    Attributes:
        source: the file name of the folder or archive it lies in; for an archive in an archive the path of both.
        name: its path there, with forward slashes.
        size: in bytes; of a row the average in its file.
        mark: what changes when the file does: a checksum, or the time of its last change.
        read: returns its bytes; entries of an archive are best read in the order in which they were listed.
        problem: why it is not to be read, "" if it may be.
        columns: what else a row says, by the names of the columns; None for files.
    """

    source: str
    name: str
    size: int
    mark: str
    read: Callable[[], bytes]
    problem: str = ""
    columns: Mapping[str, str] | None = None


def require_honest(shown: str, size: int, files: int, total: int) -> None:
    """Refuse a source of ``size`` bytes that claims to hold too many files, or ``total`` bytes where that is too much.

    Raises:
        DataError: naming the source as ``shown``.
    """
    if files > MOST_FILES:
        raise DataError(f"{shown} claims to hold more than {MOST_FILES:,} files.", "Import a part of it.")
    if total > max(HARMLESS_BYTES, MOST_EXPANSION * size):
        raise DataError(
            f"{shown} has {human_bytes(size)} and claims to hold {human_bytes(total)}: no pictures compress so well.",
            "If you trust it, unpack it yourself and import the folder.",
        )


def unsafe(name: str) -> str:
    """Return why a path in an archive is not to be trusted, or ""."""
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or _DRIVE.match(name) or ".." in parts or "\0" in name:
        return "its path leads out of the archive"
    return ""


def too_large(size: int) -> str:
    """Return why a file of ``size`` bytes is not read, or ""."""
    return f"it has {human_bytes(size)}, more than {human_bytes(MOST_FILE_BYTES)}" if size > MOST_FILE_BYTES else ""
