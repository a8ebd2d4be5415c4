"""Checkpoints of TensorFlow's Saver, version 1 (one file) and 2 (``.index`` and ``.data-00000-of-00001``).

Both are sorted string tables of protobufs whose first key is empty: its value is the table of contents (version 1)
or the header (version 2). The field numbers are those of ``saved_tensor_slice.proto`` and ``tensor_bundle.proto``.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from impasto.style.foreign import sstable
from impasto.style.foreign.checksum import crc32c, masked
from impasto.style.foreign.source import contents, reading, to_tensor
from impasto.style.foreign.wire import Message

DATA_SUFFIX = ".data-00000-of-00001"
_FLOAT = 1  # of TensorFlow's DataType
_FIRST_IS_MESSAGE = b"\x0a"  # how field 1 begins in version 1; in version 2 it is a number


def read(path: Path) -> dict[str, Tensor]:
    """Return the float32 tensors of a checkpoint under its own names; counters of other types are left out.

    Args:
        path: the file of version 1, or the ``.index`` of version 2 with its data file beside it.

    Raises:
        MissingWeightsError: one of the files does not exist.
        WrongWeightsError: damaged, compressed, partitioned, big-endian, or in several data files.
    """
    with reading(path, "TensorFlow checkpoint"):
        records = sstable.records(memoryview(contents(path)))
        first = records.pop(b"", memoryview(b""))
        if first[:1] == _FIRST_IS_MESSAGE:
            return _slices(Message(first).message(1), records)
        return _bundle(Message(first), records, data_file(path))


def data_file(path: Path) -> Path:
    """Return where the numbers to an ``.index`` file lie."""
    return path.with_name(path.name.removesuffix(".index") + DATA_SUFFIX)


def _slices(table: Message, records: dict[bytes, memoryview]) -> dict[str, Tensor]:
    shapes = {tensor.text(1): _shape(tensor) for tensor in table.messages(1) if tensor.number(3) == _FLOAT}
    result = {}
    for value in records.values():
        saved = Message(value).message(2)
        name = saved.text(1)
        if name in shapes:
            _refuse_parts(name, saved)
            result[name] = _named(name, saved.message(3).joined(5), shapes[name])
    return result


def _refuse_parts(name: str, saved: Message) -> None:
    # An extent without a length is all of its axis.
    if any(2 in extent for part in saved.messages(2) for extent in part.messages(1)):
        raise ValueError(f"{name} is stored in parts, which is not supported")


def _shape(tensor: Message) -> list[int]:
    return [side.number(1) for side in tensor.message(2).messages(2)]


def _named(name: str, data: bytearray | memoryview, shape: list[int]) -> Tensor:
    try:
        return to_tensor(data, shape)
    except ValueError as error:
        raise ValueError(f"{name[:80]}: {error}") from error


def _bundle(header: Message, records: dict[bytes, memoryview], path: Path) -> dict[str, Tensor]:
    if header.number(1) != 1:
        raise ValueError(f"it has {header.number(1)} data files, and only one is supported")
    if header.number(2):
        raise ValueError("it is big-endian")
    data = memoryview(contents(path))
    entries = {key.decode(): Message(value) for key, value in records.items()}
    wanted = {name: entry for name, entry in entries.items() if entry.number(1) == _FLOAT}
    if sum(entry.number(5) for entry in wanted.values()) > len(data):
        raise ValueError(f"its tensors are larger than {path.name}")
    return {name: _entry(name, entry, data) for name, entry in wanted.items()}


def _entry(name: str, entry: Message, data: memoryview) -> Tensor:
    if 7 in entry:
        raise ValueError(f"{name} is stored in parts, which is not supported")
    place, size = entry.number(4), entry.number(5)
    piece = data[place : place + size]
    if len(piece) != size:
        raise ValueError(f"{name} lies behind the end of its data file")
    tensor = _named(name, piece, _shape(entry))
    if int.from_bytes(entry.joined(6), "little") != masked(crc32c(piece)):
        raise ValueError(f"the checksum of {name} does not fit: the data file is damaged or another's")
    return tensor
