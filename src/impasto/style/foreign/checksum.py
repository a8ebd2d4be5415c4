"""CRC-32C (Castagnoli) of many megabytes in numpy, as TensorFlow's files carry it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LANES = 1024
_POLYNOMIAL = 0x82F63B78  # reflected


def _table() -> NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table


_TABLE = _table()
_ENTRIES: list[int] = _TABLE.tolist()


def crc32c(data: bytes | memoryview) -> int:
    """Return the checksum, 32 bits.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    length = len(data) // _LANES
    split = length * _LANES
    register = 0xFFFF_FFFF
    if length:
        register = _lanes(np.frombuffer(data[:split], np.uint8).reshape(_LANES, length), register)
    for byte in data[split:]:
        register = _ENTRIES[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register ^ 0xFFFF_FFFF


def masked(checksum: int) -> int:
    """Return a checksum as it is stored: a CRC over data that holds CRCs would be weak, so it is turned and shifted."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFF_FFFF


def _lanes(rows: NDArray[np.uint8], register: int) -> int:
    """Run ``rows`` side by side and chain the results: the register is linear over GF(2) in itself and in the data.

    32 more rows of zeros, one for each bit of the register, give what a row's length of zeros does to it.
    """
    both = np.concatenate([rows, np.zeros((32, rows.shape[1]), np.uint8)])
    states = np.concatenate([np.zeros(_LANES, np.uint32), np.uint32(1) << np.arange(32, dtype=np.uint32)])
    for column in np.ascontiguousarray(both.T):
        states = _TABLE[(states ^ column) & 0xFF] ^ (states >> 8)
    images: list[int] = states[_LANES:].tolist()
    for lane in states[:_LANES].tolist():
        register = _advance(register, images) ^ lane
    return register


def _advance(register: int, images: list[int]) -> int:
    result = 0
    for bit, image in enumerate(images):
        if register >> bit & 1:
            result ^= image
    return result
