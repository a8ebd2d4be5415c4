"""The folder of downloads: files come into it over HTTP, or by hand, and are verified either way."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from impasto.caches import cache_folder
from impasto.data.fetch.remote import Download, RemoteFile, verified
from impasto.data.fetch.transfer import ANOTHER_FOLDER, Transfer
from impasto.errors import RunError, UsageError
from impasto.runtime import OnProgress, ignore_progress


def downloads_folder(name: str) -> Path:
    """Where the downloads of a source lie: ``$IMPASTO_CACHE/downloads/NAME``, else below the user's cache folder."""
    return cache_folder("downloads") / name


def make_folder(folder: Path) -> None:
    """Make a folder for downloads.

    Raises:
        UsageError: it cannot be made there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} could not be made: {error.strerror}.", ANOTHER_FOLDER) from error


def obtain(file: RemoteFile, folder: Path, *, hint: str = "", on_progress: OnProgress = ignore_progress) -> Download:
    """Return a file of ``folder``, downloading it if it is not there; either way it is verified.

    A file that is there is used without any network. A download that broke off goes on where it stopped.

    Args:
        file: what is wanted.
        folder: where it is kept.
        hint: what a user can do when it cannot be fetched.
        on_progress: told in megabytes.

    Raises:
        DataError: it cannot be fetched, or it is not the published file.
        ResourceError: the disk is too small.
        RunError: another process is fetching it.
    """
    path = folder / file.name
    if path.is_file():
        return verified(file, path, f"Remove it and run the command again. {hint}".strip())
    part = folder / f"{file.name}.part"
    make_folder(folder)
    with _alone(part):
        if path.is_file():  # by another process, meanwhile
            return verified(file, path, hint)
        return Transfer(file, part, hint, on_progress).run(path)


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Keep other processes away: two that append to one file spoil it."""
    from filelock import FileLock, Timeout  # comes with torch

    try:
        with FileLock(part.with_name(f".{part.name}.lock"), timeout=0):
            yield
    except Timeout as error:
        raise RunError(f"another process is fetching {part.stem}.", "Wait until it has ended.") from error
