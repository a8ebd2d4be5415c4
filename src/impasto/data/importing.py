"""From downloaded folders and archives to one labelled data set: each picture once, and nothing that is none."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, astuple, dataclass, field, fields
from pathlib import Path, PurePosixPath

from impasto.data.dataset import TABLE_NAME, Dataset, read_dataset
from impasto.data.labels import Columns, Marked, from_folders, from_names, from_table, renamed
from impasto.data.sources import Entry, list_entries
from impasto.errors import DataError, PictureError, ResourceError, UsageError
from impasto.files import file_digest, write_bytes
from impasto.images import PICTURE_SUFFIXES, inspect_picture
from impasto.runs import RunFolder, digest, write_csv
from impasto.runtime import OnProgress, Progress, Stopwatch, free_disk, human_bytes, ignore_progress

REJECTED_NAME = "rejected.csv"
_SEEN_NAME = "seen.jsonl"
_SUFFIX = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif", "BMP": ".bmp", "GIF": ".gif"}


@dataclass(frozen=True)
class ImportConfig:
    """What determines an imported data set besides the files.

    Attributes:
        table: CSV, TSV or Parquet with paths and labels; ``columns`` names its columns where they are unusual.
        label_regex: searched in each path; the group ``label``, or the first, is the label. Without it and without a
            table the class folder is the label.
        rename: pairs of an old and a new class; an empty new one leaves the class out.
        smallest: pixels that a picture's shorter side must have.
    """

    table: Path | None = None
    columns: Columns = field(default_factory=Columns)
    label_regex: str = ""
    rename: tuple[tuple[str, str], ...] = ()
    smallest: int = 16

    def __post_init__(self) -> None:
        if self.table is not None and self.label_regex:
            raise UsageError("a table and a label regex were given.", "Labels come from one of them.")
        if self.table is None and self.columns != Columns():
            raise UsageError("a column was named and no table given.", "Give --table.")
        if self.smallest < 1:
            raise UsageError(f"a smallest side of {self.smallest} pixels is not allowed.", "Allowed: 1 or more.")


@dataclass(frozen=True)
class Rejected:
    """A file that was set aside: where it lies, of what kind the reason is, and the reason."""

    path: str
    kind: str
    reason: str


@dataclass(frozen=True)
class ImportedRow:
    """One line of ``manifest.csv``: a picture, and the file that it was."""

    output: str
    label: str
    split: str
    group: str
    output_sha256: str
    width: int
    height: int
    source: str


@dataclass(frozen=True)
class ImportResult:
    """A finished import: the data set, what was set aside, and how many pictures were decoded now."""

    folder: Path
    dataset: Dataset
    rejected: tuple[Rejected, ...]
    decoded: int
    seconds: float

    def kinds(self) -> dict[str, int]:
        """Return the number of files set aside for each kind of reason, most first."""
        return dict(Counter(each.kind for each in self.rejected).most_common())


@dataclass(frozen=True)
class _Verdict:
    """What decoding a file told; ``reason`` is "" for a picture. Lines of a journal, so that none is decoded twice."""

    sha256: str
    format: str = ""
    width: int = 0
    height: int = 0
    kind: str = ""
    reason: str = ""


def import_dataset(
    sources: Sequence[Path],
    output: Path,
    config: ImportConfig | None = None,
    *,
    on_progress: OnProgress = ignore_progress,
) -> ImportResult:
    """Copy the pictures of folders and archives into one data set, ``<class>/`` or ``<split>/<class>/``.

    Files keep their bytes. Of files with equal bytes the first is kept; what is damaged, too small, unsafe, no picture
    or without a label is named in ``rejected.csv`` with the reason. Nothing in the sources is changed. A finished
    import is left as it is, a killed one goes on.

    Raises:
        DataError: no such source, a damaged or dishonest archive, a table that cannot serve, or no picture at all.
        RunError: ``output`` belongs to an import of other sources or another configuration.
        ResourceError: the disk is too small.
    """
    settings = config or ImportConfig()
    for source in sources:
        if output.resolve().is_relative_to(source.resolve()):
            raise UsageError(f"{output} lies in {source}, which is to be read.", "Choose another output folder.")
    watch = Stopwatch()
    with ExitStack() as stack:
        entries = list_entries(list(sources), stack)
        marks, missing = _labels(entries, settings)
        marks = renamed(marks, dict(settings.rename))
        facts = {
            "config": {name: value for name, value in asdict(settings).items() if name != "table"},
            "table": settings.table and file_digest(settings.table),
            "sources": digest([(entry.source, entry.name, entry.size, entry.mark) for entry in entries]),
        }
        run = RunFolder(output, facts, "dataset import")
        if run.finished:
            return ImportResult(output, read_dataset(output), _read_rejected(output), 0, watch.seconds)
        work = _Import(run, settings, list(zip(entries, marks, strict=True)), on_progress)
        work.rejected += [Rejected(name, "missing", "the table names it, no source has it") for name in missing]
        work.run_all()
    return ImportResult(output, read_dataset(output), tuple(work.rejected), work.decoded, watch.seconds)


def _labels(entries: Sequence[Entry], config: ImportConfig) -> tuple[list[Marked], list[str]]:
    if config.table is not None:
        return from_table(entries, config.table, config.columns)
    if config.label_regex:
        return from_names(entries, config.label_regex), []
    return from_folders(entries), []


class _Import:
    """One import on its way: files are read in order, decoded on all cores, and decided upon in order."""

    def __init__(
        self, run: RunFolder, config: ImportConfig, files: list[tuple[Entry, Marked]], on_progress: OnProgress
    ) -> None:
        self.run, self.config, self.files, self.on_progress = run, config, files, on_progress
        self.rejected: list[Rejected] = []
        self.rows: list[ImportedRow] = []
        self.decoded = 0
        self._first: dict[str, tuple[str, str]] = {}  # digest: where it was met first, and its label
        self._names: set[str] = set()
        self._folders: dict[str, str] = {}
        self._seen = _Journal(run.path / _SEEN_NAME)

    def run_all(self) -> None:
        """Import everything, write the tables and the manifest."""
        _require_disk(self.run.path, sum(entry.size for entry, mark in self.files if _problem(entry, mark) is None))
        with self._seen:
            for index, (entry, mark, data, verdict) in enumerate(self._judged(), 1):
                if verdict.reason:
                    self._reject(entry, verdict.kind, verdict.reason)
                else:
                    self._keep(entry, mark, data, verdict)
                self.on_progress(Progress("importing", index, len(self.files), {}, entry.name))
        if not self.rows:
            self._refuse_nothing()
        table = self.run.path / TABLE_NAME
        write_csv(table, [asdict(row) for row in self.rows], [each.name for each in fields(ImportedRow)])
        self._write_rejected()
        self._seen.path.unlink(missing_ok=True)
        self.run.finish(pictures=len(self.rows), rejected=len(self.rejected), table=file_digest(table))

    def _refuse_nothing(self) -> None:
        kinds = Counter(each.kind for each in self.rejected).most_common()
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds)
        raise DataError(
            "the sources hold no picture that can be used.",
            f"Set aside: {counts}; see {self._write_rejected()}." if kinds else "They hold no files at all.",
        )

    def _judged(self) -> Iterator[tuple[Entry, Marked, bytes, _Verdict]]:
        """Yield every file with its bytes and its verdict, in order, while others are decoded."""
        cores = os.cpu_count() or 1
        with ThreadPoolExecutor(cores) as pool:
            waiting: deque[tuple[Entry, Marked, bytes, Future[_Verdict] | _Verdict]] = deque()
            for entry, mark in self.files:
                waiting.append((entry, mark, *self._submitted(entry, mark, pool)))
                if len(waiting) > 2 * cores:
                    yield self._judge(*waiting.popleft())
            while waiting:
                yield self._judge(*waiting.popleft())

    def _submitted(
        self, entry: Entry, mark: Marked, pool: ThreadPoolExecutor
    ) -> tuple[bytes, Future[_Verdict] | _Verdict]:
        problem = _problem(entry, mark)
        if problem is not None:
            return b"", problem
        try:
            data = entry.read()
        except Exception as error:  # zipfile, tarfile, zlib and lzma raise nearly every built-in error on damaged bytes
            return b"", _Verdict("", kind="damaged", reason=f"it cannot be read: {error or type(error).__name__}")
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in self._first:
            return b"", self._copy(sha256, mark)
        self._first[sha256] = (f"{entry.source}/{entry.name}", mark.label)
        known = self._seen.get(sha256)
        return data, known or pool.submit(_decode, data, sha256, entry.name, self.config.smallest)

    def _copy(self, sha256: str, mark: Marked) -> _Verdict:
        place, label = self._first[sha256]
        if label != mark.label:
            return _Verdict(
                "", kind="conflict", reason=f"it is a copy of {place}, which is labelled {label}, not {mark.label}"
            )
        return _Verdict("", kind="copy", reason=f"it is a copy of {place}")

    def _judge(
        self, entry: Entry, mark: Marked, data: bytes, verdict: Future[_Verdict] | _Verdict
    ) -> tuple[Entry, Marked, bytes, _Verdict]:
        if isinstance(verdict, _Verdict):
            return entry, mark, data, verdict
        found = verdict.result()
        self._seen.add(found)
        self.decoded += 1
        return entry, mark, data, found

    def _reject(self, entry: Entry, kind: str, reason: str) -> None:
        self.rejected.append(Rejected(f"{entry.source}/{entry.name}", kind, reason))

    def _keep(self, entry: Entry, mark: Marked, data: bytes, verdict: _Verdict) -> None:
        folder = "/".join(part for part in (mark.split, self._folder(mark.label)) if part)
        stem = _plain(PurePosixPath(entry.name).stem)
        output = f"{folder}/{stem}{_SUFFIX[verdict.format]}"
        number = 2
        while output.casefold() in self._names:
            output, number = f"{folder}/{stem}-{number}{_SUFFIX[verdict.format]}", number + 1
        self._names.add(output.casefold())
        if not (self.run.path / output).is_file():  # files are whole or absent
            write_bytes(self.run.path / output, data)
        source = f"{entry.source}/{entry.name}"
        row = ImportedRow(
            output, mark.label, mark.split, mark.group, verdict.sha256, verdict.width, verdict.height, source
        )
        self.rows.append(row)

    def _folder(self, label: str) -> str:
        """Return the folder of a class; labels come from strangers."""
        folder = _plain(label)
        former = self._folders.setdefault(folder.casefold(), label)
        if former != label:
            raise DataError(
                f"the classes {former!r} and {label!r} would share the folder {folder}.",
                "Rename one: --rename OLD=NEW.",
            )
        return folder

    def _write_rejected(self) -> Path:
        path = self.run.path / REJECTED_NAME
        write_csv(path, [asdict(each) for each in self.rejected], [each.name for each in fields(Rejected)])
        return path


def _problem(entry: Entry, mark: Marked) -> _Verdict | None:
    """Return why a file is not even read, or None."""
    if entry.problem:
        return _Verdict("", kind="unsafe", reason=entry.problem)
    suffix = PurePosixPath(entry.name).suffix.lower()
    if suffix and suffix not in PICTURE_SUFFIXES:
        return _Verdict("", kind="no picture", reason=f"{suffix} is no picture")
    if mark.problem:
        return _Verdict("", kind="no label", reason=mark.problem)
    return None


def _decode(data: bytes, sha256: str, name: str, smallest: int) -> _Verdict:
    try:
        kind, (width, height) = inspect_picture(data, Path(name))
    except PictureError as error:
        return _Verdict(sha256, kind="damaged", reason=error.message)
    if min(width, height) < smallest:
        reason = f"it has {width}x{height} pixels, fewer than {smallest} a side"
        return _Verdict(sha256, kind="too small", reason=reason)
    return _Verdict(sha256, kind, width, height)


def _plain(name: str) -> str:
    """Return a name that every file system takes, and that leads nowhere."""
    return re.sub(r"[^\w\-. +()&,']", "_", name).strip(". ")[:120] or "_"


def _require_disk(folder: Path, needed: int) -> None:
    room = free_disk(folder)
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if needed > room + there:  # what is there is from this import, before it was killed
        raise ResourceError(
            f"the sources have {human_bytes(needed)}, {folder} has {human_bytes(room)} free.", "Choose another disk."
        )


class _Journal:
    """Verdicts, one JSON line each, appended as they fall; a line that a kill cut short is left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, _Verdict] = {}

    def __enter__(self) -> _Journal:
        if self.path.is_file():
            for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, TypeError):
                    verdict = _Verdict(*json.loads(line))
                    self._known[verdict.sha256] = verdict
        self._file = self.path.open("a", encoding="utf-8")
        self._file.write("\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def get(self, sha256: str) -> _Verdict | None:
        """Return what an earlier run found."""
        return self._known.get(sha256)

    def add(self, verdict: _Verdict) -> None:
        """Keep a verdict."""
        self._file.write(json.dumps(astuple(verdict)) + "\n")
        self._file.flush()


def _read_rejected(folder: Path) -> tuple[Rejected, ...]:
    with (folder / REJECTED_NAME).open(newline="", encoding="utf-8") as file:
        return tuple(Rejected(**row) for row in csv.DictReader(file))
