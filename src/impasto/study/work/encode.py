"""Features of a few pictures, and reading them back."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from impasto.classify.features import Extractor
from impasto.data.load.augmentations import Augmentation
from impasto.data.load.picture_set import read_pictures
from impasto.data.load.pictures import Preprocessing
from impasto.encoders import AnyEncoder, Encoder, load_encoder
from impasto.errors import DataError, UsageError
from impasto.files import write_bytes
from impasto.runs import write_json
from impasto.runtime import choose_device, deterministic
from impasto.study.work.bench import Bench
from impasto.study.work.units import Encoding, Way

_LOST = "a picture could not be painted or read."


def encode(bench: Bench, unit: Encoding) -> None:
    """Compute V x N x D features of N pictures; those of pictures that cannot be read are NaN.

    Where there are such, the file that says why a unit failed lies beside the features: both are made anew next time.

    Raises:
        DataError: not one can be read.
    """
    way = unit.way
    paths = [bench.file_of(shown) for shown in unit.pictures]
    extract = extractor(way, bench.device)
    with deterministic(strict=False):
        if way.augment == "none":
            found = extract(paths, [""] * len(paths))
            kept, values = found.kept, found.values[None]
        else:
            pictures = read_pictures(paths, [""] * len(paths), extract.preprocessing)
            kept = pictures.kept
            keys = [unit.hashes[place] for place in kept]
            augmentation = Augmentation(way.augment)
            values = extract.views(pictures, keys, augmentation, seed=unit.seed, count=way.views)
    if not len(kept):
        raise DataError(_LOST)
    rows = torch.full((values.shape[0], len(paths), values.shape[2]), torch.nan)
    rows[:, kept] = values
    write_bytes(bench.path(unit), save({"features": rows}))
    if len(kept) < len(paths):
        write_json(bench.failure(unit), {"error": _LOST})
    read_features.cache_clear()


def extractor(way: Way, device: str) -> Extractor:
    """Return what computes the features of a way; encoders are loaded once in each process."""
    encoder = lent_encoder(way.encoder, device, way.normalise)
    size = way.image_size or encoder.input_size
    return Extractor(encoder, Preprocessing(size), choose_device(device), None, 16, way.grid)


@lru_cache(maxsize=2)
def lent_encoder(name: str, device: str, normalise: bool) -> AnyEncoder:
    """Return a frozen encoder on a device, or what it is without its own preprocessing."""
    encoder = load_encoder(name).to(choose_device(device))
    return encoder if normalise else cast(AnyEncoder, _AsIfScaled(encoder))


@lru_cache(maxsize=8)
def read_features(bench: Bench, way: Way) -> tuple[dict[str, int], Tensor]:
    """Return the row of each picture, by its hash, and V x N x D features of all; NaN where there are none.

    Raises:
        DataError: no picture has any.
    """
    rows: dict[str, int] = {}
    parts = []
    for unit in (unit for unit in _units(bench)[way] if bench.is_done(unit)):
        rows |= {name: len(rows) + place for place, name in enumerate(unit.hashes)}
        parts.append(load_file(bench.path(unit))["features"])
    if not parts:
        raise DataError(_LOST)
    lost = [name for unit in _units(bench)[way] for name in unit.hashes if name not in rows]
    parts.append(torch.full((parts[0].shape[0], len(lost), parts[0].shape[2]), torch.nan))
    return rows | {name: len(rows) + place for place, name in enumerate(lost)}, torch.cat(parts, 1)


@lru_cache(maxsize=4)
def _units(bench: Bench) -> dict[Way, list[Encoding]]:
    found: dict[Way, list[Encoding]] = {}
    for unit in bench.encodings():
        found.setdefault(unit.way, []).append(unit)
    return found


class _AsIfScaled:
    """Recipe R2's mistake: an encoder that wants 0..255 less the mean gets x / 255, and sees next to nothing."""

    def __init__(self, encoder: AnyEncoder) -> None:
        if not isinstance(encoder, Encoder):
            raise UsageError(f"{encoder.name} is a composition; normalise = false wants one network.")
        self.encoder, self.name, self.input_size = encoder, encoder.name, encoder.input_size

    def features(self, x: Tensor, grid: int = 1) -> Tensor:
        """Return what the encoder makes of pictures that are far too dark."""
        return self.encoder.features(self.encoder.mean + x / 255, grid)

    def identity(self) -> dict[str, Any]:
        """Return what tells it from others."""
        return {**self.encoder.identity(), "input": "x / 255"}
