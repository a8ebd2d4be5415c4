"""The pictures of a study: which take part, which are set aside and why."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from impasto.data.check.duplicates import near_pairs
from impasto.data.check.looks import sign
from impasto.data.dataset import read_dataset
from impasto.data.grouping import connected
from impasto.errors import DataError, PictureError, UnknownNameError
from impasto.images import find_pictures, open_picture
from impasto.runtime import OnProgress, Progress, derive_seed, ignore_progress
from impasto.study.spec import Study
from impasto.style.config import SMALLEST_SIDE


@dataclass(frozen=True)
class Photo:
    """A photo that takes part: where it is, its path below the data, the SHA-256 of its bytes, its class and split."""

    path: Path
    name: str
    sha256: str
    label: str
    split: str = ""


@dataclass(frozen=True)
class StylePicture:
    """A style picture; its class is its folder, or its own name where there are no folders."""

    path: Path
    name: str
    sha256: str
    label: str


@dataclass(frozen=True)
class Pool:
    """All pictures that take part.

    Attributes:
        root: the folder of photos.
        photos: in a fixed order; numbers of items are places in it.
        styles: in the order of their names, or of the study file.
        classes: what a classifier is to tell apart.
        aside: pictures that do not take part, with reasons.
    """

    root: Path
    photos: tuple[Photo, ...]
    styles: tuple[StylePicture, ...]
    classes: tuple[str, ...]
    aside: tuple[tuple[str, str], ...] = ()

    def record(self) -> dict[str, Any]:
        """Return what identifies the pictures: names, classes and hashes, and no folder of anybody's machine."""
        return {
            "photos": [[photo.name, photo.label, photo.split, photo.sha256] for photo in self.photos],
            "styles": [[style.name, style.label, style.sha256] for style in self.styles],
        }


def read_pool(study: Study, data: Path, styles: Path | None = None, on_progress: OnProgress = ignore_progress) -> Pool:
    """Find, open and compare the pictures that a study names.

    Args:
        study: says which.
        data: a labelled folder, see :func:`impasto.data.dataset.read_dataset`; any folder of photos where the study is
            not about their classes.
        styles: a folder of style pictures, with folders for classes or without; None where nothing is repainted.
        on_progress: told while pictures are opened and compared.

    Raises:
        DataError: no such folder, or too few pictures. UnknownNameError: a class or a style that is not there.
    """
    aside: list[tuple[str, str]] = []
    photos = _chosen(study, _photos(study, data), data)
    photos = _usable(photos, aside, "opening photos", 1, on_progress)
    if study.data.near_copies == "aside":
        photos = _without_copies(photos, aside, on_progress)
    photos = _capped(study, photos)
    pictures = _styles(study, styles, aside, on_progress)
    lost = sorted(set(study.data.classes) - {photo.label for photo in photos})
    if photos and lost:
        raise DataError(f"no picture of {', '.join(lost)} is left: {aside[0][0]} {aside[0][1]}.", "Replace the files.")
    if not photos:
        raise DataError(f"{data} holds no usable picture.", "Give a folder of JPEG, PNG or WebP pictures by --data.")
    labels = [style.label for style in pictures] if study.task == "styles" else [photo.label for photo in photos]
    named = study.data.classes if study.task == "classes" else ()
    classes = named or tuple(sorted(set(labels)))
    if study.task != "repaints" and len(classes) < 2:
        raise DataError(f"there is one class, {classes[0]}.", "A classifier needs two or more.")
    return Pool(data, tuple(photos), tuple(pictures), classes, tuple(aside))


def _photos(study: Study, data: Path) -> list[Photo]:
    if study.task == "classes":
        dataset = read_dataset(data)
        return [Photo(item.path, dataset.relative(item), "", item.label, item.split) for item in dataset.samples]
    if not data.is_dir():
        raise DataError(f"{data} is not a folder.", "Give a folder of photos by --data.")
    names = [(path, path.relative_to(data).as_posix()) for path in find_pictures(data)]
    return [Photo(path, name, "", name.rpartition("/")[0]) for path, name in names]


def _chosen(study: Study, photos: list[Photo], data: Path) -> list[Photo]:
    there = {photo.label for photo in photos}
    for name in study.data.classes:
        if name not in there:
            hint = f"{data} has {', '.join(sorted(there)[:20])}. Choose by --set 'data.classes=[\"...\"]'."
            raise UnknownNameError("class", name, sorted(there), hint)
    wanted = set(study.data.classes) or there
    return [photo for photo in photos if photo.label in wanted]


def _usable(
    photos: Sequence[Photo], aside: list[tuple[str, str]], stage: str, least: int, on_progress: OnProgress
) -> list[Photo]:
    """Open every picture once; set aside what cannot be read or is too small, and all but one of equal bytes."""

    def look(photo: Photo) -> Photo | str:
        try:
            picture = open_picture(photo.path)
        except PictureError as error:
            return error.message.removeprefix(f"{photo.path} ")
        small = min(picture.image.size) < least
        return f"has fewer than {least} pixels a side" if small else replace(photo, sha256=picture.sha256)

    good: dict[str, Photo] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for step, (photo, found) in enumerate(zip(photos, pool.map(look, photos), strict=True), 1):
            if isinstance(found, str):
                aside.append((photo.name, found))
            elif found.sha256 in good:
                aside.append((photo.name, f"is the same file as {good[found.sha256].name}"))
            else:
                good[found.sha256] = found
            on_progress(Progress(stage, step, len(photos)))
    return list(good.values())


def _without_copies(photos: list[Photo], aside: list[tuple[str, str]], on_progress: OnProgress) -> list[Photo]:
    """Keep the first of pictures that are nearly the same: on two sides of a split they would be a leak."""
    signatures = sign(
        [photo.path for photo in photos], digests=[photo.sha256 for photo in photos], on_progress=on_progress
    )
    pairs = near_pairs(signatures)
    sets = connected([(pair.first, pair.second) for pair in pairs], len(photos))
    first: dict[int, Photo] = {}
    kept = []
    for number, photo in zip(sets.tolist(), photos, strict=True):
        if number in first:
            aside.append((photo.name, f"is nearly the same picture as {first[number].name}"))
        else:
            first[number] = photo
            kept.append(photo)
    return kept


def _capped(study: Study, photos: list[Photo]) -> list[Photo]:
    """Draw at most so many of each class."""
    most = study.data.photos
    if not most:
        return photos
    by_class: dict[str, list[int]] = {}
    for index, photo in enumerate(photos):
        by_class.setdefault(photo.label if study.task == "classes" else "", []).append(index)
    kept: set[int] = set()
    for label, rows in by_class.items():
        rng = np.random.default_rng(derive_seed(study.seed, "photos", label))
        kept |= set(rng.permutation(rows)[:most].tolist())
    return [photo for index, photo in enumerate(photos) if index in kept]


def _styles(
    study: Study, folder: Path | None, aside: list[tuple[str, str]], on_progress: OnProgress
) -> list[StylePicture]:
    if folder is None:
        return []
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.", "Give a folder of style pictures by --styles.")
    names = [(path, path.relative_to(folder).as_posix()) for path in find_pictures(folder)]
    found = {name: Photo(path, name, "", path.parent.name if "/" in name else path.stem) for path, name in names}
    chosen = [_named(name, found) for name in study.data.styles] if study.data.styles else list(found.values())
    usable = _usable(chosen, aside, "opening styles", SMALLEST_SIDE, on_progress)
    if not usable:
        raise DataError(f"{folder} holds no usable style picture.", "Give another folder by --styles.")
    return [StylePicture(item.path, item.name, item.sha256, item.label) for item in usable]


def _named(wanted: str, found: dict[str, Photo]) -> Photo:
    for name, photo in found.items():
        if wanted in names_of(name):
            return photo
    raise UnknownNameError("style picture", wanted, [names_of(name)[1] for name in found])


def names_of(name: str) -> tuple[str, str]:
    """Return what a study file may call a style picture: its path below the folder, with its ending and without."""
    return name, name.rpartition(".")[0]
