"""What a data set is imported from: folders, zip and tar archives, Parquet files; listed safely, read a file at a time.

Nothing is unpacked: the bytes of one file at a time are read into memory, and no name from an archive is ever a path on
this machine. An archive inside a folder or an archive is a source of its own, one level deep; from an archive it is
copied to a temporary file without a name. What an archive says of itself is checked before it is believed.
"""

from __future__ import annotations

import contextlib
import lzma
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from impasto.data.importing.entries import Entry, require_honest, too_large, unsafe
from impasto.data.importing.parquet import PARQUET_SUFFIX, list_rows
from impasto.errors import DataError, ResourceError
from impasto.images import PICTURE_SUFFIXES
from impasto.runtime import free_disk, human_bytes

_TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
ARCHIVE_SUFFIXES = (".zip", *_TAR_SUFFIXES)
_COPIED = 2**20


def list_entries(sources: list[Path], stack: ExitStack) -> list[Entry]:
    """Return all files of the sources, without hidden ones; archives stay open until ``stack`` is closed.

    Raises:
        DataError: a source that is absent, of no known kind, damaged, or larger than anything honest.
        ResourceError: no room for the copy of an archive inside an archive.
    """
    clashes = Counter(source.name for source in sources)
    entries: list[Entry] = []
    for source in sources:
        title = source.name if clashes[source.name] == 1 else source.as_posix()
        entries += (entry for entry in _entries(source, title, stack) if not _is_dropping(entry.name))
    return entries


def _entries(source: Path, title: str, stack: ExitStack) -> Iterator[Entry]:
    if source.is_dir():
        return _in_folder(source, title, stack)
    if not source.exists():
        raise DataError(f"{source} does not exist.")
    name = source.name.lower()
    if name.endswith(PARQUET_SUFFIX):
        return list_rows(source, title, stack)
    if name.endswith(_TAR_SUFFIXES) or (source.is_file() and zipfile.is_zipfile(source)):
        return _in_archive(_Archive(title, str(source), source, source.stat().st_size), stack)
    kinds = ", ".join(kind[1:] for kind in ARCHIVE_SUFFIXES)
    raise DataError(f"{source} is no folder and no archive that can be read.", f"Archives may be {kinds}; or parquet.")


def _is_dropping(name: str) -> bool:
    """Whether a file is hidden, or one that systems leave everywhere."""
    parts = name.split("/")
    return (
        any(part.startswith(".") and part != ".." for part in parts)
        or parts[0] == "__MACOSX"
        or parts[-1] == "Thumbs.db"
    )


def _in_folder(folder: Path, title: str, stack: ExitStack) -> Iterator[Entry]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            yield Entry(title, name, 0, "", path.read_bytes, "it is a link to a place outside of its folder")
        elif path.is_file():
            facts = path.stat()
            changed = str(facts.st_mtime_ns)
            entry = Entry(title, name, facts.st_size, changed, path.read_bytes, too_large(facts.st_size))
            if _is_archive(name) and not _is_dropping(name):
                inner = _Archive(f"{title}/{name}", str(path), path, facts.st_size, changed, inner=True)
                yield from _inside(entry, inner, stack)
            else:
                yield entry


@dataclass(frozen=True)
class _Archive:
    """An archive to be listed: what its entries and what errors call it, its bytes, and its mark if others know it."""

    title: str
    shown: str
    file: Path | IO[bytes]
    size: int
    mark: str = ""
    inner: bool = False


def _is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def _in_archive(archive: _Archive, stack: ExitStack) -> Iterator[Entry]:
    return (_in_tar if archive.title.lower().endswith(_TAR_SUFFIXES) else _in_zip)(archive, stack)


def _inside(entry: Entry, archive: _Archive, stack: ExitStack) -> Iterator[Entry]:
    """Yield the files of an archive in a source, or itself as one file where it holds no picture (annotations)."""
    entries = list(_in_archive(archive, stack))
    pictures = any(PurePosixPath(each.name).suffix.lower() in PICTURE_SUFFIXES for each in entries)
    yield from entries if pictures else [replace(entry, problem="")]


def _member(outer: _Archive, entry: Entry, opened: Callable[[], IO[bytes]], stack: ExitStack) -> Iterator[Entry]:
    """Yield a member of an archive, or what is in it where it is one itself."""
    if not _is_archive(entry.name) or entry.problem or _is_dropping(entry.name):
        yield replace(entry, problem=entry.problem or too_large(entry.size))
    elif outer.inner:
        yield replace(entry, problem="it is an archive in an archive in another source")
    else:
        shown = f"{outer.shown}/{entry.name}"
        copy = _copy(opened, entry.size, shown, stack)
        inner = _Archive(f"{entry.source}/{entry.name}", shown, copy, entry.size, entry.mark, inner=True)
        yield from _inside(entry, inner, stack)


def _copy(opened: Callable[[], IO[bytes]], size: int, shown: str, stack: ExitStack) -> IO[bytes]:
    """Return a temporary file, which vanishes when it is closed, with the bytes of an archive inside an archive."""
    place = Path(tempfile.gettempdir())
    if size > free_disk(place):
        raise ResourceError(
            f"{shown} needs {human_bytes(size)}, {place} has {human_bytes(free_disk(place))} free.",
            "Choose another place for temporary files with the variable TMPDIR.",
        )
    copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - closed with the stack
    with _readable(shown), opened() as file:
        while data := file.read(_COPIED):
            copy.write(data)
            if copy.tell() > size:
                raise DataError(f"{shown} is longer than it claims to be.", "Download it again.")
    copy.seek(0)
    return copy


@contextlib.contextmanager
def _readable(shown: str) -> Iterator[None]:
    """Turn what the readers of archives raise on damaged bytes into an error that names the file."""
    damage = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)
    try:
        yield
    except (*damage, NotImplementedError) as error:
        raise DataError(f"{shown} is a damaged archive: {error}.", "Download it again.") from error


def _in_zip(archive: _Archive, stack: ExitStack) -> Iterator[Entry]:
    with _readable(archive.shown):
        file = stack.enter_context(zipfile.ZipFile(archive.file))
    members = [member for member in file.infolist() if not member.is_dir()]
    require_honest(archive.shown, archive.size, len(members), sum(member.file_size for member in members))
    for member in members:
        problem = unsafe(member.filename)
        if stat.S_ISLNK(member.external_attr >> 16):
            problem = "it is a link"
        elif member.flag_bits & 1:
            problem = "it is encrypted"
        mark, read = f"{member.CRC:08x}", partial(file.read, member)
        entry = Entry(archive.title, member.filename, member.file_size, mark, read, problem)
        yield from _member(archive, entry, partial(file.open, member), stack)


def _in_tar(archive: _Archive, stack: ExitStack) -> Iterator[Entry]:
    members, total = [], 0
    with _readable(archive.shown):
        where = {"name": archive.file} if isinstance(archive.file, Path) else {"fileobj": archive.file}
        file = stack.enter_context(tarfile.open(**where))  # noqa: SIM115 - closed with the stack
        for member in file:  # asked at each, because the next one is found behind all of its bytes
            if not member.isdir():
                members.append(member)
                total += member.size
                require_honest(archive.shown, archive.size, len(members), total)
    mark = archive.mark or (str(archive.file.stat().st_mtime_ns) if isinstance(archive.file, Path) else "")
    for member in members:
        problem = unsafe(member.name)
        if not member.isreg():
            problem = "it is a link" if member.issym() or member.islnk() else "it is a device, not a file"
        name, read = member.name.removeprefix("./"), partial(_read_member, file, member)
        entry = Entry(archive.title, name, member.size, mark, read, problem)
        yield from _member(archive, entry, partial(_opened, file, member), stack)


def _opened(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(member)
    assert file is not None  # a regular file, as was asked
    return file


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    return _opened(archive, member).read()
