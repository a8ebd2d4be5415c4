"""Pictures out of the Parquet files of a Hugging Face repository, one file at a time.

WikiArt has some 30 GB, and most want a few classes of it. A file is fetched, the rows that are wanted are copied out of
it, and it is removed; once every class has enough pictures, no further file is asked for. So there are never more on
the disk than one file and the pictures that were wanted. Files that somebody put into the downloads folder by hand are
used first, and stay.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from impasto.data.fetch.hub import Repository
from impasto.data.fetch.public_source import PublicSource
from impasto.data.fetch.remote import Download, RemoteFile, verified
from impasto.data.importing.labels import named_classes
from impasto.data.importing.parquet import INFOS_NAME, PARQUET_SUFFIX, Shard, copy_rows, read_names
from impasto.data.importing.records import ImportConfig
from impasto.data.importing.verdicts import Verdict, judge
from impasto.errors import DataError, ResourceError
from impasto.runs import read_json, write_json
from impasto.runtime import OnProgress, Progress, free_disk, human_bytes

_BATCH = 64


@dataclass(frozen=True)
class Rows:
    """What was copied out of a repository.

    Attributes:
        files: Parquet files with the rows that are wanted.
        downloads: the files that they are from.
        commit: the version of the repository, "" where all files were put here by hand.
        classes: the classes that were wanted; empty where that was not known.
    """

    files: tuple[Path, ...]
    downloads: tuple[Download, ...]
    commit: str
    classes: tuple[str, ...]


class RowPicker:
    """Takes the rows of some classes out of one file after another.

    Args:
        source: the repository.
        label: the column that is the label.
        config: which classes, and how many pictures of each.
        folder: where files lie that were put there by hand.
        scratch: where rows and the file at hand are kept.
        hint: what a user can do when a file cannot be fetched.
        on_progress: told in megabytes and in files.
    """

    def __init__(
        self,
        source: PublicSource,
        label: str,
        config: ImportConfig,
        folder: Path,
        scratch: Path,
        hint: str,
        on_progress: OnProgress,
    ) -> None:
        self.source, self.label, self.config = source, label, config
        self.folder, self.scratch, self.hint, self.on_progress = folder, scratch, hint, on_progress
        self._wanted: tuple[str, ...] = ()
        self._found: dict[str, set[str]] = {}  # class: digests of its sound pictures
        self._files: list[Path] = []
        self._downloads: list[Download] = []

    def pick(self) -> Rows:
        """Return the rows; a file that was gone through before a kill is not asked for again.

        Raises:
            DataError: a file cannot be fetched or is damaged, and those at hand do not suffice.
            UnknownNameError: no such class.
            ResourceError: the disk is too small.
        """
        local = sorted({*self.folder.glob(f"*{PARQUET_SUFFIX}"), *self.folder.glob(f"data/*{PARQUET_SUFFIX}")})
        if local and (self.folder / INFOS_NAME).is_file():
            self._choose(read_names(self.folder / INFOS_NAME).get(self.label, ()))
        for path in local:
            self._take(path, verified(RemoteFile(path.name), path))
        commit = "" if self._enough(local) else self._pick_remote({path.name for path in local})
        return Rows(tuple(self._files), tuple(self._downloads), commit, self._wanted)

    def _enough(self, local: Sequence[Path]) -> bool:
        """Whether the files put here by hand suffice: every class is full, or they are all that there are."""
        totals = {path.stem.rpartition("-of-")[2] for path in local}
        return self._full() or (len(totals) == 1 and next(iter(totals)).isdigit() and len(local) == int(*totals))

    def _pick_remote(self, known: set[str]) -> str:
        used = f"The {len(known)} file(s) that are here hold too few pictures. " if known else ""
        remote = Repository(self.source, self.scratch, used + self.hint)
        names = remote.names(self.label)  # asked for in any case: files without names look for them beside themselves
        if not self._wanted:
            self._choose(names)
        missing = [each for each in remote.files if Path(each.name).name not in known]
        if self.config.per_class is None and not self.config.classes:
            self._require_room(2 * sum(each.size for each in missing))  # the rows, and the data set made of them
        for number, each in enumerate(missing, len(known) + 1):
            if self._full():
                break
            if not self._recall(Path(each.name)):
                self._require_room(2 * each.size)
                path = remote.fetch(each, self.on_progress)
                self._take(path, verified(each, path, self.hint))
                path.unlink()
            self.on_progress(Progress("files", number, len(known) + len(missing), self._counts(), Path(each.name).name))
        return remote.commit

    def _choose(self, names: Sequence[str]) -> None:
        if names:
            everything = [name for name in names if name not in self.source.left_out]
            self._wanted = named_classes(self.config.classes, names) or tuple(sorted(everything))

    def _full(self) -> bool:
        count = self.config.per_class
        return count is not None and bool(self._wanted) and all(self._has(name) >= count for name in self._wanted)

    def _has(self, name: str) -> int:
        return len(self._found.get(name, ()))

    def _counts(self) -> dict[str, float]:
        return {"pictures": float(sum(map(len, self._found.values())))}

    def _take(self, path: Path, download: Download) -> None:
        """Copy the rows that are wanted out of a file; its record is written last."""
        if self._recall(path):
            return
        target = self._rows_of(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            shard = Shard(path, stack)
            if self.label not in shard.columns:
                raise DataError(f"{path} has no column {self.label}.", "Choose another with --label-column.")
            texts = shard.texts(self.label)
            if not self._wanted:
                self._choose(shard.names(self.label))
            rows = [row for row, text in enumerate(texts) if self._is_wanted(text)]
            copy_rows(shard, rows, {self.label: texts}, target)
        found = self._sound(target) if self.config.per_class is not None else {}
        facts = {"url": download.url, "size": download.size, "sha256": download.sha256, "checksum": download.checksum}
        write_json(target.with_suffix(".json"), {"name": path.name, **facts, "found": found})
        self._recall(path)

    def _is_wanted(self, text: str) -> bool:
        if self._wanted:
            return text in self._wanted
        asked = {name.strip() for value in self.config.classes for name in (value, *value.split(","))}
        return text in asked if asked else bool(text) and text not in self.source.left_out

    def _sound(self, rows: Path) -> dict[str, list[str]]:
        """Return the digests of the pictures that can be read, by class."""
        found: dict[str, list[str]] = {}
        with ExitStack() as stack, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            shard = Shard(rows, stack)
            texts = shard.texts(self.label)
            for start in range(0, len(shard), _BATCH):
                some = range(start, min(start + _BATCH, len(shard)))
                for row, verdict in zip(some, pool.map(self._judge, list(_pictures(shard, some))), strict=True):
                    if not verdict.reason:
                        found.setdefault(texts[row], []).append(verdict.sha256)
        return found

    def _judge(self, data: bytes) -> Verdict:
        return judge(data, "row", self.config.smallest)

    def _rows_of(self, path: Path) -> Path:
        return self.scratch / "rows" / path.name

    def _recall(self, path: Path) -> bool:
        """Take what is known of a file that was gone through before; return whether there is anything."""
        rows = self._rows_of(path)
        if not rows.with_suffix(".json").is_file():
            return False
        facts = read_json(rows.with_suffix(".json"))
        for name, digests in facts["found"].items():
            self._found.setdefault(name, set()).update(digests)
        self._files.append(rows)
        self._downloads.append(
            Download(Path(facts["name"]), facts["url"], facts["size"], facts["sha256"], facts["checksum"])
        )
        return True

    def _require_room(self, needed: int) -> None:
        room = free_disk(self.scratch)
        if needed > room:
            raise ResourceError(
                f"{self.source.name} needs {human_bytes(needed)} for this, {self.scratch.parent} has "
                f"{human_bytes(room)} free.",
                "Ask for some classes with --classes and for fewer pictures with --per-class, or name a folder on "
                "another disk in the variable IMPASTO_CACHE.",
            )


def _pictures(shard: Shard, rows: Sequence[int]) -> Iterator[bytes]:
    for row in rows:
        try:
            yield shard.picture(row)
        except ValueError:
            yield b""
