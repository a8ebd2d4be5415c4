"""Whole files or none: every file impasto writes goes through here."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from impasto.errors import ResourceError, UsageError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it takes its name, on any failure it is removed.

    A reader never sees half a file, also after SIGKILL or on a full disk. Missing parent folders are made.

    Raises:
        ResourceError: the disk, the quota or the file size limit is exhausted.
        UsageError: ``path`` is a place where no file can be written.
    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".partial-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    temporary = Path(name)
    try:
        with _room_for(path):  # other errors of the body may be about other files: they pass unchanged
            yield temporary
        with _explained(path):
            _publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_place(path: Path) -> None:
    """Refuse, before work is done for it, a path where no file can be written; nothing is made.

    Raises:
        UsageError: a folder has its name, or what should be its folder is a file or may not be changed.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder.", "Choose another output path.")
    parent = next(place for place in path.absolute().parents if os.path.lexists(place))
    if not parent.is_dir():
        raise UsageError(f"{parent} is no folder.", "Choose another output path.")
    if not os.access(parent, os.W_OK):
        raise UsageError(f"{parent} cannot be written to.", "Choose another output path.")


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write a whole file or nothing."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file or nothing.

    Bytes of a file name that are no UTF-8 become ``\\udcff`` and the like, from which JSON reads the same name back.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digests(paths: Sequence[Path]) -> list[str]:
    """Return the SHA-256 of each file, "" for one that cannot be opened; files are read side by side."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(_digest_or_nothing, paths))


def _digest_or_nothing(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError:
        return ""


def _publish(temporary: Path, path: Path) -> None:
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.chmod(0o666 & ~_umask())
    temporary.replace(path)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


@contextlib.contextmanager
def _room_for(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise ResourceError(
            f"the disk is full: {path} could not be written.", "Free some space and run the command again."
        ) from error


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        with _room_for(path):
            yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(f"{path} could not be written: {reason}.", "Choose another output path.") from error
