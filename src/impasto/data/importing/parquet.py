"""Parquet files with pictures inside, as Hugging Face's ``datasets`` writes them: a row a picture, labels beside it.

Rows are listed without their pictures; those are read a few at a time as they are asked for.
"""

from __future__ import annotations

import contextlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property, partial
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from impasto.data.importing.entries import Entry, require_honest, too_large
from impasto.errors import DataError
from impasto.files import atomic_path

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET_SUFFIX = ".parquet"
# Where repositories written before 2022 keep the names of classes, which the files themselves then lack.
INFOS_NAME = "dataset_infos.json"
# Rows that are in memory at a time when reading, and when writing; a picture of a museum can have 50 MB.
_BATCH, _GROUP = 8, 100


class Shard:
    """A Parquet file with pictures: what its rows say, and their pictures.

    Args:
        path: the file; it stays open until ``stack`` is closed.
        stack: closes it.

    Raises:
        DataError: damaged, larger than anything honest, without a column of pictures, or no reader is installed.
    """

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        self._parquet = _reader(path)
        with self._readable():
            # Else pyarrow reads all pictures of a row group before it gives the first.
            self._file = stack.enter_context(self._parquet.ParquetFile(path, buffer_size=2**20, pre_buffer=False))
        facts = self._file.metadata
        groups = [facts.row_group(index) for index in range(facts.num_row_groups)]
        self.bytes = sum(group.total_byte_size for group in groups)
        require_honest(str(path), path.stat().st_size, facts.num_rows, self.bytes)
        self._ends = list(accumulate(group.num_rows for group in groups))
        self._image = self._image_column()
        self._names = _class_names(self._file.schema_arrow.metadata or {}) or _names_beside(path)
        self._group, self._next = -1, 0  # where reading stands: a row group, and the row that comes next
        self._rows: Iterator[bytes | None] = iter(())

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that can be labels: text and numbers."""
        types = self._types
        plain = (types.is_string, types.is_large_string, types.is_integer, types.is_boolean, types.is_dictionary)
        return tuple(field.name for field in self._file.schema_arrow if any(is_it(field.type) for is_it in plain))

    def names(self, column: str) -> tuple[str, ...]:
        """Return the classes that a column of numbers stands for; empty where that is not known."""
        return self._names.get(column, ())

    def texts(self, column: str) -> list[str]:
        """Return a column as text, numbers of classes as their names, "" where there is nothing."""
        with self._readable():
            values = self._file.read(columns=[column]).column(column).to_pylist()
        names = self.names(column)
        if names and all(value is None or isinstance(value, int) for value in values):
            values = [names[value] if value is not None and 0 <= value < len(names) else None for value in values]
        return ["" if value is None else str(value) for value in values]

    @cached_property
    def titles(self) -> list[str]:
        """A file name for each row: its own, or the name of the file and the number of the row."""
        stem, paths = self.path.stem, [""] * len(self)
        if "path" in [field.name for field in self._file.schema_arrow.field(self._image).type]:
            with self._readable():
                column = self._file.read(columns=[f"{self._image}.path"]).column(self._image)
            paths = [(value or {}).get("path") or "" for value in column.to_pylist()]
        return [PurePosixPath(path).name or f"{stem}-{row:06d}" for row, path in enumerate(paths)]

    def picture(self, row: int) -> bytes:
        """Return the bytes of a picture; rows are best asked for in order.

        Raises:
            ValueError: the row holds none, or cannot be read.
        """
        group = bisect_right(self._ends, row)
        if group != self._group or row < self._next:
            self._group, self._next = group, self._ends[group - 1] if group else 0
            self._rows = self._pictures(group)
        data = None
        while self._next <= row:
            data = self._advance()
        if data is None:
            raise ValueError("the row holds no picture")
        return data

    def _advance(self) -> bytes | None:
        import pyarrow as pa

        try:
            data = next(self._rows)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(str(error)) from error
        except StopIteration as error:  # what raised before has ended
            raise ValueError("a row before it cannot be read") from error
        self._next += 1
        return data

    def _pictures(self, group: int) -> Iterator[bytes | None]:
        wanted = [f"{self._image}.bytes"]
        for batch in self._file.iter_batches(_BATCH, row_groups=[group], columns=wanted, use_threads=False):
            for value in batch.column(0).to_pylist():
                yield (value or {}).get("bytes")

    def _image_column(self) -> str:
        """Return the first column that is a struct with bytes."""
        for field in self._file.schema_arrow:
            if self._types.is_struct(field.type) and "bytes" in [each.name for each in field.type]:
                return str(field.name)
        raise DataError(
            f"{self.path} has no column of pictures: {', '.join(self._file.schema_arrow.names)}.",
            "A table of paths and labels is given with --table.",
        )

    @property
    def _types(self) -> Any:
        import pyarrow.types

        return pyarrow.types

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"{self.path} is a damaged Parquet file: {reason}.", "Download it again.") from error


def _reader(path: Path) -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(
            f"{path} needs a package that is not installed.", "pip install 'impasto[sources]', or pip install pyarrow."
        ) from error
    return pyarrow.parquet


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """Return the names of classes by column, from the schema's metadata; empty where there are none."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return _labels(features)
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _labels(features: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    kinds = {name: kind for name, kind in features.items() if kind.get("_type") == "ClassLabel"}
    return {name: tuple(map(str, kind["names"])) for name, kind in kinds.items() if kind.get("names")}


def _names_beside(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the names from the repository's own table, which lies beside the files or above their folder."""
    for folder in (path.parent, path.parent.parent):
        if (folder / INFOS_NAME).is_file():
            return read_names(folder / INFOS_NAME)
    return {}


def read_names(infos: Path) -> dict[str, tuple[str, ...]]:
    """Return the names of classes by column from a repository's ``dataset_infos.json``.

    Raises:
        DataError: it is none.
    """
    try:
        record = next(iter(json.loads(infos.read_text(encoding="utf-8")).values()))
        return _labels(record["features"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise DataError(f"{infos} does not describe a data set.", "Remove it, or download it again.") from error


class _Row(Mapping[str, str]):
    """What one row says, column by column; a column is read when it is first asked for."""

    def __init__(self, columns: Mapping[str, list[str]], row: int) -> None:
        self._columns, self._row = columns, row

    def __getitem__(self, name: str) -> str:
        return self._columns[name][self._row]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


class _Columns(Mapping[str, list[str]]):
    """The columns of a shard as text, each read once."""

    def __init__(self, shard: Shard) -> None:
        self._shard, self._names, self._read = shard, shard.columns, dict[str, list[str]]()

    def __getitem__(self, name: str) -> list[str]:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._read:
            self._read[name] = self._shard.texts(name)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def list_rows(path: Path, title: str, stack: ExitStack) -> Iterator[Entry]:
    """Yield an entry for each row of a Parquet file with pictures, called ``title``; none is read yet.

    Raises:
        DataError: as ``Shard``.
    """
    shard = Shard(path, stack)
    columns, changed = _Columns(shard), str(path.stat().st_mtime_ns)
    size = shard.bytes // max(1, len(shard))
    for row, name in enumerate(shard.titles):
        read = partial(_read, shard, row)
        yield Entry(title, name, size, f"{changed}:{row}", read, columns=_Row(columns, row))


def _read(shard: Shard, row: int) -> bytes:
    data = shard.picture(row)
    if problem := too_large(len(data)):
        raise ValueError(problem)
    return data


def copy_rows(shard: Shard, rows: Sequence[int], labels: Mapping[str, Sequence[str]], target: Path) -> None:
    """Write some rows into a Parquet file of its own: their pictures, with their names, and columns of labels.

    Args:
        shard: where the pictures are.
        rows: their numbers, in order.
        labels: columns, each with a text for every row of ``shard``.
        target: the new file, whole or not at all.
    """
    import pyarrow as pa

    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    schema = pa.schema({"image": image} | dict.fromkeys(labels, pa.string()))
    with (
        atomic_path(target) as temporary,
        shard._parquet.ParquetWriter(temporary, schema, use_dictionary=False, compression="none") as writer,
    ):
        for start in range(0, len(rows), _GROUP):
            writer.write_table(_table(shard, rows[start : start + _GROUP], labels, schema))


def _table(shard: Shard, rows: Sequence[int], labels: Mapping[str, Sequence[str]], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    pictures = [{"bytes": _bytes(shard, row), "path": shard.titles[row]} for row in rows]
    columns = {name: [texts[row] for row in rows] for name, texts in labels.items()}
    return pa.table({"image": pictures} | columns, schema=schema)


def _bytes(shard: Shard, row: int) -> bytes | None:
    with contextlib.suppress(ValueError):  # whoever imports the copy says that the row holds no picture
        return shard.picture(row)
    return None
