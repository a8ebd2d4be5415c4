"""Protocol Buffers' wire format: enough to take a message apart whose field numbers one knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

_VARINT, _LENGTH = 0, 2
_FIXED = {1: 8, 5: 4}  # wire type: bytes

_MOST_NUMBERS = 100_000

Value: TypeAlias = int | memoryview


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the number that begins at byte ``at``, and the place behind it.

    Raises:
        ValueError: it does not end within ten bytes, or within ``data``.

    >>> varint(memoryview(bytes([0xAC, 0x02, 0xFF])), 0)
    (300, 2)
    """
    value = 0
    for count, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at + count + 1
    raise ValueError("a number does not end")


class Message:
    """One message. Nothing is kept but the view of its bytes: a field of two bytes costs no Python object.

    Every method raises ValueError where the bytes are no message, or a value is of another type.
    """

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def __contains__(self, field: int) -> bool:
        return any(True for _ in self._values(field))

    def number(self, field: int) -> int:
        """Return an integer, unsigned; absent is 0."""
        result = 0
        for value in self._values(field):
            if not isinstance(value, int):
                raise ValueError(f"field {field} is no number")
            result = value
        return result

    def numbers(self, field: int) -> list[int]:
        """Return a repeated integer, packed or not, unsigned; absent is empty."""
        result: list[int] = []
        for value in self._values(field):
            result += [value] if isinstance(value, int) else _packed(value)
            if len(result) > _MOST_NUMBERS:
                raise ValueError(f"field {field} has more than {_MOST_NUMBERS} numbers")
        return result

    def chunks(self, field: int) -> Iterator[memoryview]:
        """Return every occurrence of a field of bytes (also of fixed size: four or eight bytes each)."""
        for value in self._values(field):
            if isinstance(value, int):
                raise ValueError(f"field {field} is a number where bytes must be")
            yield value

    def joined(self, field: int) -> bytearray:
        """Return the bytes of a field; of a repeated field of fixed size all of them, packed or not."""
        result = bytearray()
        for chunk in self.chunks(field):
            result += chunk
        return result

    def text(self, field: int) -> str:
        """Return a string; absent is empty."""
        return self.joined(field).decode()

    def messages(self, field: int) -> Iterator[Message]:
        """Return every occurrence of a message."""
        return map(Message, self.chunks(field))

    def message(self, field: int) -> Message:
        """Return a message that must be there."""
        for message in self.messages(field):
            return message
        raise ValueError(f"field {field} is missing")

    def _values(self, field: int) -> Iterator[Value]:
        return (value for number, value in _fields(self._data) if number == field)


def _packed(data: memoryview) -> Iterator[int]:
    at = 0
    for _ in range(_MOST_NUMBERS + 1):
        if at == len(data):
            return
        value, at = varint(data, at)
        yield value


def _fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = varint(data, at)
            yield number, value
            continue
        size, at = varint(data, at) if kind == _LENGTH else (_fixed(kind), at)
        if size > len(data) - at:
            raise ValueError(f"field {number} runs past the end")
        yield number, data[at : at + size]
        at += size


def _fixed(kind: int) -> int:
    if kind not in _FIXED:
        raise ValueError(f"there is no wire type {kind}")
    return _FIXED[kind]
