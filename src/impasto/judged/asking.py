"""Asking a judge about many files, each at the size at which it is to be compared."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from impasto.errors import PictureError
from impasto.images import open_picture, resize_long
from impasto.judged.judges import Judge, Shares
from impasto.runtime import OnProgress, Progress, held_memory


@dataclass(frozen=True)
class Ask:
    """A file, the longer side in pixels at which it is looked at (0 for its own) and its SHA-256 ("" for any)."""

    path: Path
    size: int = 0
    sha256: str = ""


@dataclass(frozen=True)
class Answer:
    """What a judge says of one picture: the most probable class, its probability, and all of them; or why not."""

    label: str = ""
    probability: float = 0.0
    shares: Shares | None = None
    error: str = ""


def answer_of(judge: Judge, shares: Shares) -> Answer:
    """Return probabilities as an answer."""
    best = int(shares.argmax())
    return Answer(judge.classes[best], float(shares[best]), shares)


def ask_all(
    judge: Judge, asks: Iterable[Ask], *, batch_size: int, stage: str, on_progress: OnProgress
) -> dict[Ask, Answer]:
    """Return an answer for each file, each asked once; one that cannot be read does not stop the others."""
    todo = list(dict.fromkeys(asks))
    found: dict[Ask, Answer] = {}
    with held_memory(), ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(todo), batch_size):
            some = todo[start : start + batch_size]
            found.update(_batch(judge, some, list(pool.map(_read, some))))
            on_progress(Progress(stage, len(found), len(todo)))
    return found


def _batch(judge: Judge, asks: Sequence[Ask], read: Sequence[Image.Image | str]) -> Iterator[tuple[Ask, Answer]]:
    images = [image for image in read if not isinstance(image, str)]
    rows = iter(judge.shares(images) if images else ())
    for ask, image in zip(asks, read, strict=True):
        yield ask, Answer(error=image) if isinstance(image, str) else answer_of(judge, next(rows))


def _read(ask: Ask) -> Image.Image | str:
    try:
        picture = open_picture(ask.path)
    except PictureError as error:
        return error.message
    if ask.sha256 and picture.sha256 != ask.sha256:
        return f"{ask.path} has changed since it was repainted."
    return resize_long(picture.image, ask.size) if ask.size else picture.image
