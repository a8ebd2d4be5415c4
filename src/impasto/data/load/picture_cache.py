"""Decoded pictures on disk, so that a file is decoded and scaled once and not once in every epoch.

They lie in packs, files of up to 64 MB that are written whole and never changed. A pack belongs to one preprocessing
and one version of impasto; inside, a picture is found by the SHA-256 of its file. So two splits, two seeds and two data
sets share what they have in common, a renamed picture is found again, and a killed run loses one pack at worst.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor

from impasto._version import __version__
from impasto.data.load.pictures import Preprocessing
from impasto.errors import ImpastoError
from impasto.files import atomic_path
from impasto.runs import digest
from impasto.runtime import free_disk

# All packs together take no more than this, nor more than half of the disk that is free without them.
LIMIT = 16 << 30
PACK_BYTES = 64 << 20


class Place(NamedTuple):
    """Where a decoded picture lies: which pack, which row of it."""

    pack: Path
    row: int


class PictureCache:
    """The decoded pictures of one preprocessing.

    Args:
        folder: of the packs of all preprocessings; made when something is kept.
        preprocessing: how pictures are cut and scaled.
    """

    def __init__(self, folder: Path, preprocessing: Preprocessing) -> None:
        key = {"version": __version__, "preprocessing": preprocessing.record()}
        self._key = json.dumps(key, sort_keys=True)
        self._root = folder
        self.folder = folder / digest(key)[:16]
        self.pack_size = max(1, PACK_BYTES // (3 * preprocessing.size**2))
        self._in_use: set[Path] = set()

    def find(self, wanted: Collection[str]) -> dict[str, Place]:
        """Return the places of those pictures, by the SHA-256 of their files, that are here and sound.

        Every pack that holds one is read and checked. One that is damaged, or of another key, counts as absent and
        is removed.
        """
        packs = sorted(self.folder.glob("[!.]*.safetensors"))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            contents = pool.map(lambda pack: self._check(pack, wanted), packs)
            return {
                sha256: Place(pack, row)
                for pack, hashes in zip(packs, contents, strict=True)
                for row, sha256 in enumerate(hashes)
                if sha256 in wanted
            }

    def add(self, hashes: Sequence[str], pictures: Sequence[Tensor]) -> Path | None:
        """Keep pictures (uint8 of 3 x size x size) under the SHA-256 of their files; row i is the i-th of them.

        Returns:
            The new pack; None where the disk has no room for it or refuses it, which costs time and stops nobody.
        """
        path = self.folder / f"{digest(list(hashes))[:32]}.safetensors"
        codes = b"".join(map(bytes.fromhex, hashes))
        header = self._header(codes, pictures)
        with contextlib.suppress(OSError, ImpastoError):
            if self._make_room(len(header) + len(codes) + sum(picture.numel() for picture in pictures)):
                with atomic_path(path) as temporary, temporary.open("wb") as file:
                    file.write(header + codes)
                    for picture in pictures:
                        file.write(picture.numpy().data)
                self._in_use.add(path)
                return path
        return None

    def _header(self, codes: bytes, pictures: Sequence[Tensor]) -> bytes:
        """Return the head of a safetensors file: its own ``save`` would copy every pixel three times."""
        shape = [len(pictures), *pictures[0].shape]
        facts = {
            "__metadata__": {"key": self._key, "check": _digest(shape, codes, pictures)},
            "sha256": {"dtype": "U8", "shape": [len(pictures), 32], "data_offsets": [0, len(codes)]},
            "pixels": {"dtype": "U8", "shape": shape, "data_offsets": [len(codes), len(codes) + math.prod(shape)]},
        }
        text = json.dumps(facts).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text

    def _check(self, pack: Path, wanted: Collection[str]) -> list[str]:
        """Return the hashes in a pack, none if it is of no use."""
        try:
            with safe_open(pack, framework="pt") as file:
                note = file.metadata() or {}
                codes = file.get_tensor("sha256")
                hashes = [bytes(code).hex() for code in codes.tolist()]
                if note.get("key") == self._key and not any(sha256 in wanted for sha256 in hashes):
                    return []
                pixels = file.get_tensor("pixels")
                check = _digest(pixels.shape, codes.numpy().tobytes(), [pixels])
                is_sound = note == {"key": self._key, "check": check}
        except (OSError, SafetensorError, ValueError, TypeError):
            is_sound = False
        with contextlib.suppress(OSError):
            if is_sound:
                os.utime(pack)  # the pack that nobody asked for longest goes first
            else:
                pack.unlink()
        self._in_use.add(pack)
        return hashes if is_sound else []

    def _make_room(self, size: int) -> bool:
        """Remove packs that this run does not use, oldest first, until ``size`` bytes more are allowed."""
        packs = sorted((_age_and_size(path), path) for path in self._root.rglob("*.safetensors"))
        held = sum(bytes_ for (_, bytes_), _ in packs)
        allowed = min(LIMIT, (free_disk(self._root) + held) // 2)
        for (_, bytes_), path in packs:
            if held + size > allowed and path not in self._in_use:
                path.unlink(missing_ok=True)
                held -= bytes_
        return held + size <= allowed


def open_pack(pack: Path) -> Tensor | None:
    """Map the pixels of a pack, uint8 of N x 3 x size x size, into memory without reading them.

    None where it has been removed since: by another run that needed the room.
    """
    try:
        with safe_open(pack, framework="pt") as file:
            pixels: Tensor = file.get_tensor("pixels")
            return pixels
    except (OSError, SafetensorError):
        return None


def _digest(shape: Sequence[int], codes: bytes, pixels: Iterable[Tensor]) -> str:
    state = hashlib.sha256(f"{list(shape)}".encode() + codes)
    for part in pixels:
        state.update(part.numpy().data)
    return state.hexdigest()


def _age_and_size(path: Path) -> tuple[float, int]:
    try:
        facts = path.stat()
    except FileNotFoundError:  # removed by another run since it was listed
        return 0.0, 0
    return facts.st_mtime, facts.st_size
