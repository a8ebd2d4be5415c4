"""The folder of a result: nobody else's files are in it, and none of a former result stays."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from impasto.errors import UsageError
from impasto.files import check_place
from impasto.runs import MANIFEST_NAME

# Bytes of a picture's name that the file about it is named by: file systems take 255 in all.
_LONGEST = 120


def check_folder(folder: Path, names: Collection[str]) -> None:
    """Refuse, before anything is computed, a folder where a result cannot go.

    Args:
        folder: absent, empty, or with files of a former result only.
        names: what files of such a result are called, besides ``manifest.json``.

    Raises:
        UsageError: it is a file, cannot be written to, or holds something else, such as a model or the pictures.
    """
    check_place(folder / MANIFEST_NAME)
    there = sorted(item.name for item in folder.iterdir()) if folder.is_dir() else []
    strange = [name for name in there if name not in (*names, MANIFEST_NAME) and not name.startswith(".")]
    if strange:
        raise UsageError(f"{folder} holds something else: {strange[0]}.", "Choose another output folder.")


def remove_former(folder: Path, names: Collection[str]) -> None:
    """Remove a former result's files of these names, its manifest first: what is half there says so."""
    for name in (MANIFEST_NAME, *names):
        (folder / name).unlink(missing_ok=True)


def short_stem(path: Path) -> str:
    """Return a file's name without its suffix, not too long for a file system and in UTF-8.

    >>> len(short_stem(Path("x" * 250 + ".jpg")))
    120
    """
    return os.fsencode(path.stem)[:_LONGEST].decode(errors="ignore")
