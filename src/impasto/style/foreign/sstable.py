"""Sorted string tables as LevelDB and TensorFlow write them.

A file is blocks, each followed by a compression byte and a masked CRC-32C; the last 48 bytes say where the index
block is, whose values say where the others are. Keys in a block share prefixes with the key before.
"""

from __future__ import annotations

from collections.abc import Iterator

from impasto.style.foreign.checksum import crc32c, masked
from impasto.style.foreign.wire import varint

MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_FOOTER, _TRAILER = 48, 5
_COMPRESSIONS = {1: "Snappy", 2: "Zstandard"}

# Keys are tensor names. A key may repeat all of the one before for three bytes, so the sum is not bounded by the file.
_LONGEST_KEY = 4096
_MOST_RECORDS = 100_000


def records(table: memoryview) -> dict[bytes, memoryview]:
    """Return a table's values by key, in its order; the values are views of ``table``.

    Raises:
        ValueError: it is no such table, compressed, or its checksums say that it is damaged.
    """
    if len(table) < _FOOTER or table[-8:] != MAGIC:
        raise ValueError("it is no table of records, its last bytes are others")
    footer = table[-_FOOTER:]
    _, _, at = _handle(footer, 0)  # the block of statistics, which is empty
    handles = [_handle(value, 0)[:2] for _, value in _entries(_block(table, *_handle(footer, at)[:2]))]
    if sum(size for _, size in handles) > len(table):
        raise ValueError("its blocks overlap")
    found: dict[bytes, memoryview] = {}
    for handle in handles:
        found.update(_entries(_block(table, *handle)))
    return found


def _handle(data: memoryview, at: int) -> tuple[int, int, int]:
    """Return a block's place and size, and the place behind the two numbers."""
    place, at = varint(data, at)
    size, at = varint(data, at)
    return place, size, at


def _block(table: memoryview, place: int, size: int) -> memoryview:
    if place + size + _TRAILER > len(table) - _FOOTER:
        raise ValueError("a block lies behind the end of the file")
    if compression := table[place + size]:
        name = _COMPRESSIONS.get(compression, f"number {compression}")
        raise ValueError(f"it is compressed ({name}), and only uncompressed tables can be read")
    stored = int.from_bytes(table[place + size + 1 : place + size + _TRAILER], "little")
    if stored != masked(crc32c(table[place : place + size + 1])):
        raise ValueError("a block's checksum does not fit: the file is damaged")
    return table[place : place + size]


def _entries(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    # Behind the entries lie the places where no prefix is shared (for searching), and their number.
    end = len(block) - 4 - 4 * int.from_bytes(block[-4:], "little")
    if end < 0:
        raise ValueError("a block is shorter than it says")
    key, at, count = b"", 0, 0
    while at < end:
        if (count := count + 1) > _MOST_RECORDS:
            raise ValueError(f"a block has more than {_MOST_RECORDS} records")
        shared, at = varint(block, at)
        fresh, at = varint(block, at)
        size, at = varint(block, at)
        if shared > len(key) or shared + fresh > _LONGEST_KEY or at + fresh + size > end:
            raise ValueError("a record runs past its block")
        key = key[:shared] + bytes(block[at : at + fresh])
        yield key, block[at + fresh : at + fresh + size]
        at += fresh + size
