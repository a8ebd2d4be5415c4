"""What a data set is imported from: folders, zip and tar archives, listed safely and read one file at a time.

Nothing is unpacked: the bytes of one file at a time are read into memory, and no name from an archive is ever a path on
this machine. What an archive says of itself is checked before it is believed.
"""

from __future__ import annotations

import re
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from impasto.errors import DataError
from impasto.runtime import human_bytes

# No picture that anybody wants to learn from has more bytes.
MOST_FILE_BYTES = 512 * 2**20
MOST_FILES = 2_000_000
# Pictures hardly compress. An archive that claims to hold so many times its own size, and more than the second number,
# is damaged or a bomb.
MOST_EXPANSION, HARMLESS_BYTES = 100, 2**30
_TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_DRIVE = re.compile(r"^[A-Za-z]:")


@dataclass(frozen=True)
class Entry:
    """A file in a source.

    Attributes:
        source: the file name of the folder or archive it lies in.
        name: its path there, with forward slashes.
        size: in bytes.
        mark: what changes when the file does: a checksum, or the time of its last change.
        read: returns its bytes; entries of an archive are best read in the order in which they were listed.
        problem: why it is not to be read, "" if it may be.
    """

    source: str
    name: str
    size: int
    mark: str
    read: Callable[[], bytes]
    problem: str = ""


def list_entries(sources: list[Path], stack: ExitStack) -> list[Entry]:
    """Return all files of folders and archives, without hidden ones; archives stay open until ``stack`` is closed.

    Raises:
        DataError: a source that is absent, no folder and no archive, damaged, or larger than anything honest.
    """
    clashes = Counter(source.name for source in sources)
    entries: list[Entry] = []
    for source in sources:
        title = source.name if clashes[source.name] == 1 else source.as_posix()
        entries += (replace(entry, source=title) for entry in _entries(source, stack) if not _is_dropping(entry.name))
    return entries


def _entries(source: Path, stack: ExitStack) -> Iterator[Entry]:
    if source.is_dir():
        return _in_folder(source)
    if not source.exists():
        raise DataError(f"{source} does not exist.")
    if source.name.lower().endswith(_TAR_SUFFIXES):
        return _in_tar(source, stack)
    if source.is_file() and zipfile.is_zipfile(source):
        return _in_zip(source, stack)
    kinds = f"zip, {', '.join(kind[1:] for kind in _TAR_SUFFIXES)}"
    raise DataError(f"{source} is no folder and no archive that can be read.", f"Archives may be {kinds}.")


def _is_dropping(name: str) -> bool:
    """Whether a file is hidden, or one that systems leave everywhere."""
    parts = name.split("/")
    return (
        any(part.startswith(".") and part != ".." for part in parts)
        or parts[0] == "__MACOSX"
        or parts[-1] == "Thumbs.db"
    )


def _in_folder(folder: Path) -> Iterator[Entry]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            yield Entry(folder.name, name, 0, "", path.read_bytes, "it is a link to a place outside of its folder")
        elif path.is_file():
            facts = path.stat()
            yield Entry(
                folder.name, name, facts.st_size, str(facts.st_mtime_ns), path.read_bytes, _too_large(facts.st_size)
            )


def _in_zip(path: Path, stack: ExitStack) -> Iterator[Entry]:
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{path} is a damaged archive: {error}.", "Download it again.") from error
    members = [member for member in archive.infolist() if not member.is_dir()]
    _require_honest(path, len(members), sum(member.file_size for member in members))
    for member in members:
        problem = _unsafe(member.filename) or _too_large(member.file_size)
        if stat.S_ISLNK(member.external_attr >> 16):
            problem = "it is a link"
        elif member.flag_bits & 1:
            problem = "it is encrypted"
        read = partial(archive.read, member)
        yield Entry(path.name, member.filename, member.file_size, f"{member.CRC:08x}", read, problem)


def _in_tar(path: Path, stack: ExitStack) -> Iterator[Entry]:
    members, total = [], 0
    try:
        archive = stack.enter_context(tarfile.open(path))  # noqa: SIM115 - closed with the stack
        for member in archive:  # asked at each, because the next one is found behind all of its bytes
            if not member.isdir():
                members.append(member)
                total += member.size
                _require_honest(path, len(members), total)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} is a damaged archive: {error}.", "Download it again.") from error
    changed = str(path.stat().st_mtime_ns)
    for member in members:
        problem = _unsafe(member.name) or _too_large(member.size)
        if not member.isreg():
            problem = "it is a link" if member.issym() or member.islnk() else "it is a device, not a file"
        name = member.name.removeprefix("./")
        yield Entry(path.name, name, member.size, changed, partial(_read_member, archive, member), problem)


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None  # a regular file, as was asked
    return file.read()


def _require_honest(path: Path, files: int, total: int) -> None:
    if files > MOST_FILES:
        raise DataError(f"{path} claims to hold more than {MOST_FILES:,} files.", "Import a part of it.")
    size = path.stat().st_size
    if total > max(HARMLESS_BYTES, MOST_EXPANSION * size):
        raise DataError(
            f"{path} has {human_bytes(size)} and claims to hold {human_bytes(total)}: no pictures compress so well.",
            "If you trust it, unpack it yourself and import the folder.",
        )


def _unsafe(name: str) -> str:
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or _DRIVE.match(name) or ".." in parts or "\0" in name:
        return "its path leads out of the archive"
    return ""


def _too_large(size: int) -> str:
    return f"it has {human_bytes(size)}, more than {human_bytes(MOST_FILE_BYTES)}" if size > MOST_FILE_BYTES else ""
