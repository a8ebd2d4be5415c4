"""From downloaded folders and archives to one labelled data set: each picture once, and nothing that is none."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any

from impasto.data.dataset import TABLE_NAME, read_dataset
from impasto.data.importing.draw import Draw
from impasto.data.importing.entries import Entry
from impasto.data.importing.labels import (
    Columns,
    Marked,
    from_folders,
    from_names,
    from_rows,
    from_table,
    named_classes,
    renamed,
)
from impasto.data.importing.records import ImportConfig, ImportedRow, ImportResult, Rejected
from impasto.data.importing.sources import list_entries
from impasto.data.importing.verdicts import Journal, Verdict, judge, problem_of
from impasto.errors import DataError, ResourceError, UsageError
from impasto.files import file_digest, write_bytes
from impasto.runs import MANIFEST_NAME, REJECTED_NAME, RunFolder, digest, read_json, write_csv
from impasto.runtime import OnProgress, Progress, Stopwatch, free_disk, human_bytes, ignore_progress

_SEEN_NAME = "seen.jsonl"
_SUFFIX = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif", "BMP": ".bmp", "GIF": ".gif"}


@dataclass(frozen=True)
class Origin:
    """What a public source adds to an import.

    Attributes:
        facts: for the manifest.
        mend: classes to rename where they are there.
        classes: those that should be there; a remark names one that is not.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    mend: tuple[tuple[str, str], ...] = ()
    classes: tuple[str, ...] = ()


def import_dataset(
    sources: Sequence[Path],
    output: Path,
    config: ImportConfig | None = None,
    *,
    origin: Origin | None = None,
    on_progress: OnProgress = ignore_progress,
) -> ImportResult:
    """Copy the pictures of folders, archives and Parquet files into one data set, ``<class>/`` or ``<split>/<class>/``.

    Files keep their bytes. Of files with equal bytes the first is kept; what is damaged, too small, unsafe, no picture
    or without a label is named in ``rejected.csv`` with the reason. Nothing in the sources is changed. A finished
    import is left as it is, a killed one goes on.

    Raises:
        DataError: no such source, a damaged or dishonest archive, a table that cannot serve, or no picture at all.
        UnknownNameError: a class or a column that nothing has.
        RunError: ``output`` belongs to an import of other sources or another configuration.
        ResourceError: the disk is too small.
    """
    settings, origin = config or ImportConfig(), origin or Origin()
    for source in sources:
        if output.resolve().is_relative_to(source.resolve()):
            raise UsageError(f"{output} lies in {source}, which is to be read.", "Choose another output folder.")
    watch = Stopwatch()
    with ExitStack() as stack:
        entries = list_entries(list(sources), stack)
        marks, missing = _labels(entries, settings)
        chosen, settings = _chosen(entries, marks, settings, origin)
        facts = {
            "config": {name: value for name, value in asdict(settings).items() if name != "table"},
            "table": settings.table and file_digest(settings.table),
            "sources": digest([(entry.source, entry.name, entry.size, entry.mark) for entry in entries]),
        }
        run = RunFolder(output, facts, "dataset import")
        if run.finished:
            return read_import(output)
        files = [(entry, mark) for entry, mark in zip(entries, chosen, strict=True) if mark is not None]
        work = _Import(run, settings, files, on_progress)
        work.run_all([Rejected(name, "missing", "the table names it, no source has it") for name in missing], origin)
    return replace(read_import(output), decoded=work.decoded, seconds=watch.seconds)


def read_import(folder: Path) -> ImportResult:
    """Return the finished import in a folder, as one that had nothing left to do."""
    with (folder / REJECTED_NAME).open(newline="", encoding="utf-8") as file:
        rejected = tuple(Rejected(**row) for row in csv.DictReader(file))
    remarks = tuple(read_json(folder / MANIFEST_NAME).get("remarks", ()))
    return ImportResult(folder, read_dataset(folder), rejected, remarks, 0, 0.0)


def _labels(entries: Sequence[Entry], config: ImportConfig) -> tuple[list[Marked], list[str]]:
    if config.table is not None:
        return from_table(entries, config.table, config.columns)
    if config.label_regex:
        return from_names(entries, config.label_regex), []
    rows = [entry for entry in entries if entry.columns is not None]
    if config.columns.path or (config.columns != Columns() and not rows):
        raise UsageError("a column was named and no table given.", "Give --table.")
    marked = iter(from_rows(rows, config.columns) if rows else [])
    foldered = iter(from_folders([entry for entry in entries if entry.columns is None]))
    return [next(foldered if entry.columns is None else marked) for entry in entries], []


def _chosen(
    entries: Sequence[Entry], marks: Sequence[Marked], config: ImportConfig, origin: Origin
) -> tuple[list[Marked | None], ImportConfig]:
    """Rename classes; return None for files of those that were not asked for, and the names of those that were."""
    there = {mark.label for mark in marks}
    mapping = dict(config.rename) | {old: new for old, new in origin.mend if old in there}
    marks = renamed(marks, mapping)
    known = {mark.label for entry, mark in zip(entries, marks, strict=True) if problem_of(entry, mark) is None}
    classes = named_classes(config.classes, known)
    kept = [mark if not classes or mark.problem or mark.label in classes else None for mark in marks]
    return kept, replace(config, classes=classes, seed=0 if config.per_class is None else config.seed)


class _Import:
    """One import on its way: files are read in order, decoded on all cores, and decided upon in order."""

    def __init__(
        self, run: RunFolder, config: ImportConfig, files: list[tuple[Entry, Marked]], on_progress: OnProgress
    ) -> None:
        self.run, self.config, self.files, self.on_progress = run, config, files, on_progress
        self.decoded = 0
        self._rejected: dict[int, Rejected] = {}
        self._rows: dict[int, ImportedRow] = {}
        self._problems = [problem_of(entry, mark) for entry, mark in files]
        self._first: dict[str, tuple[str, str]] = {}  # digest: where it was met first, and its label
        self._useless: dict[str, str] = {}  # digest: of what kind the reason is for which the first was set aside
        self._names: set[str] = set()
        self._folders: dict[str, str] = {}
        self._seen = Journal(run.path / _SEEN_NAME)

    def run_all(self, missing: list[Rejected], origin: Origin) -> None:
        """Import everything, write the tables and the manifest."""
        with self._seen:
            count = self.config.per_class
            remarks = self._import_all() if count is None else self._import_drawn(count, origin.classes)
        rejected = missing + [self._rejected[place] for place in sorted(self._rejected)]
        write_csv(
            self.run.path / REJECTED_NAME, [asdict(each) for each in rejected], [each.name for each in fields(Rejected)]
        )
        if not self._rows:
            self._refuse_nothing(rejected)
        table = self.run.path / TABLE_NAME
        rows = [asdict(self._rows[place]) for place in sorted(self._rows)]
        write_csv(table, rows, [each.name for each in fields(ImportedRow)])
        self._seen.path.unlink(missing_ok=True)
        facts = {"pictures": len(rows), "rejected": len(rejected), "remarks": remarks, "table": file_digest(table)}
        self.run.finish(**facts, **({"origin": origin.facts} if origin.facts else {}))

    def _import_all(self) -> list[str]:
        self._import(range(len(self.files)), len(self.files))
        return []

    def _import_drawn(self, count: int, expected: Sequence[str]) -> list[str]:
        """Import so many pictures of each class; what is no use is replaced by others as long as there are any."""
        pairs = zip(self.files, self._problems, strict=True)
        names = [None if problem else (entry.name, mark.label) for (entry, mark), problem in pairs]
        self._import([place for place, name in enumerate(names) if name is None], len(self.files))
        draw, total = Draw(names, count, self.config.seed), len(self._rejected)
        while drawn := draw.next_round(self._kept()):
            total += len(drawn)
            self._import(drawn, total)
        return draw.shortages(self._kept(), expected)

    def _kept(self) -> Counter[str]:
        return Counter(row.label for row in self._rows.values())

    def _import(self, places: Sequence[int], total: int) -> None:
        _require_disk(self.run.path, sum(self.files[place][0].size for place in places if not self._problems[place]))
        for place, data, verdict in self._judged(places):
            entry, mark = self.files[place]
            if verdict.reason:
                self._rejected[place] = Rejected(f"{entry.source}/{entry.name}", verdict.kind, verdict.reason)
            else:
                self._rows[place] = self._keep(entry, mark, data, verdict)
            done = len(self._rejected) + len(self._rows)
            self.on_progress(Progress("importing", done, total, {}, entry.name))

    def _judged(self, places: Sequence[int]) -> Iterator[tuple[int, bytes, Verdict]]:
        """Yield files with their bytes and verdicts, in order, while others are decoded."""
        cores = os.cpu_count() or 1
        with ThreadPoolExecutor(cores) as pool:
            waiting: deque[tuple[int, bytes, str, Future[Verdict] | Verdict | None]] = deque()
            for place in places:
                waiting.append((place, *self._submitted(place, pool)))
                if len(waiting) > 2 * cores:
                    yield self._decided(*waiting.popleft())
            while waiting:
                yield self._decided(*waiting.popleft())

    def _submitted(self, place: int, pool: ThreadPoolExecutor) -> tuple[bytes, str, Future[Verdict] | Verdict | None]:
        """Return a file's bytes and digest, and its verdict: to come, there already, or None for a copy."""
        entry, mark = self.files[place]
        if problem := self._problems[place]:
            return b"", "", problem
        try:
            data = entry.read()
        except Exception as error:  # zipfile, tarfile, zlib and lzma raise nearly every built-in error on damaged bytes
            reason = f"it cannot be read: {error or type(error).__name__}"
            return b"", "", Verdict("", kind="damaged", reason=reason)
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in self._first:
            return b"", sha256, None
        self._first[sha256] = (f"{entry.source}/{entry.name}", mark.label)
        known = self._seen.get(sha256)
        return data, sha256, known or pool.submit(judge, data, entry.name, self.config.smallest, sha256)

    def _decided(
        self, place: int, data: bytes, sha256: str, verdict: Future[Verdict] | Verdict | None
    ) -> tuple[int, bytes, Verdict]:
        if verdict is None:
            return place, data, self._copy(sha256, self.files[place][1])
        if isinstance(verdict, Future):
            verdict = verdict.result()
            self._seen.add(verdict)
            self.decoded += 1
        if verdict.reason and sha256:
            self._useless[sha256] = verdict.kind
        return place, data, verdict

    def _copy(self, sha256: str, mark: Marked) -> Verdict:
        """Return why a copy is set aside; the file that it is a copy of came before it and has been decided upon."""
        place, label = self._first[sha256]
        if kind := self._useless.get(sha256):
            return Verdict("", kind=kind, reason=f"it is a copy of {place}, which was set aside: {kind}")
        if label != mark.label:
            reason = f"it is a copy of {place}, which is labelled {label}, not {mark.label}"
            return Verdict("", kind="conflict", reason=reason)
        return Verdict("", kind="copy", reason=f"it is a copy of {place}")

    def _keep(self, entry: Entry, mark: Marked, data: bytes, verdict: Verdict) -> ImportedRow:
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
        size = (verdict.width, verdict.height)
        return ImportedRow(output, mark.label, mark.split, mark.group, verdict.sha256, *size, source)

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

    def _refuse_nothing(self, rejected: Sequence[Rejected]) -> None:
        kinds = Counter(each.kind for each in rejected).most_common()
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds)
        raise DataError(
            "the sources hold no picture that can be used.",
            f"Set aside: {counts}; see {self.run.path / REJECTED_NAME}." if kinds else "They hold no files at all.",
        )


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
