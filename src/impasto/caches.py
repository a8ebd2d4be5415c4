"""Numbers that pictures were turned into, kept on disk and found by the SHA-256 of the picture's file.

Renaming a picture keeps its numbers, changing a pixel does not. What else determines them (a network's weights, a
preprocessing, the version of impasto) is the cache's key.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.files import write_bytes
from impasto.runs import digest, to_plain

_CHECK_BYTES = 8


def cache_folder(kind: str) -> Path:
    """Where numbers of one kind are kept: ``$IMPASTO_CACHE/<kind>``, else in the user's cache folder."""
    root = os.environ.get("IMPASTO_CACHE")
    return (Path(root) if root else user_cache_path("impasto")) / kind


class RowCache:
    """Rows of one length and type for one ``key``.

    Every ``add`` writes a file of its own, whole or not at all, so that a killed run keeps what it did and processes
    that write at the same time do not disturb each other. Files are mapped into memory, and only rows asked for are
    read, each against its own checksum: a file that is damaged or of another key counts as absent.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        self._key = json.dumps(to_plain(key), sort_keys=True)
        self.path = folder / digest(key)

    def read(self, wanted: Iterable[str]) -> dict[str, Tensor]:
        """Return the rows there are of the files with these digests (64 hexadecimal digits)."""
        missing = set(wanted)
        found: dict[str, Tensor] = {}
        for file in sorted(self.path.glob("*.safetensors")) if missing else ():
            with contextlib.suppress(OSError, SafetensorError, KeyError, ValueError):
                found |= self._rows(file, missing)
                missing -= found.keys()
        return found

    def add(self, new: Mapping[str, Tensor]) -> None:
        """Keep more rows. A cache that cannot be written costs time later and does not stop the run."""
        if not new:
            return
        hashes = torch.tensor([list(bytes.fromhex(name)) for name in new], dtype=torch.uint8)
        rows = torch.stack(list(new.values()))
        checks = torch.tensor([list(check) for check in map(_check, new, rows)], dtype=torch.uint8)
        data = save({"rows": rows, "sha256": hashes, "checks": checks}, metadata={"key": self._key})
        with contextlib.suppress(OSError, ImpastoError):
            write_bytes(self.path / f"{hashlib.sha256(data).hexdigest()[:32]}.safetensors", data)

    def _rows(self, path: Path, wanted: set[str]) -> dict[str, Tensor]:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("key") != self._key:
                return {}
            names = [bytes(row).hex() for row in file.get_tensor("sha256").tolist()]
            checks = [bytes(row) for row in file.get_tensor("checks").tolist()]
            found = [index for index, name in enumerate(names) if name in wanted]
            pairs = zip(found, self._take(file, found, len(names)), strict=True)
            return {names[index]: row for index, row in pairs if _check(names[index], row) == checks[index]}

    @staticmethod
    def _take(file: Any, found: list[int], total: int) -> Iterator[Tensor]:
        if len(found) > total // 4:  # one large read is faster than many small ones
            yield from file.get_tensor("rows")[found]
        else:
            part = file.get_slice("rows")
            yield from (part[index : index + 1][0] for index in found)


def _check(name: str, row: Tensor) -> bytes:
    return hashlib.sha256(name.encode() + str(row.dtype).encode() + row.numpy().tobytes()).digest()[:_CHECK_BYTES]
