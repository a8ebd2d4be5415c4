"""Which pictures go into a repainted data set, and which come out."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from impasto.data.dataset import Dataset, Sample
from impasto.data.repaint.records import RepaintConfig, Row
from impasto.data.split.splits import grouped_split
from impasto.errors import DataError, PictureError
from impasto.images import Picture, find_pictures, open_picture
from impasto.runs import digest
from impasto.runtime import OnProgress, Progress, derive_seed
from impasto.style.config import FastConfig, StylizeConfig

Rejected = list[tuple[str, str]]


@dataclass(frozen=True)
class Source:
    """A usable input picture: its path below its folder, its SHA-256, and the folder it lies in as a label."""

    path: Path
    name: str
    sha256: str
    label: str


@dataclass(frozen=True)
class Job:
    """One output picture; ``style`` is None for an untouched original. ``output`` is relative to the data set."""

    content: Source
    style: Source | None
    config: StylizeConfig | FastConfig
    label: str
    split: str
    group: str
    output: str

    def row(self, output_sha256: str) -> Row:
        """Return the line of ``manifest.csv``."""
        style = self.style
        return Row(
            output=self.output,
            output_sha256=output_sha256,
            label=self.label,
            split=self.split,
            group=self.group,
            content=self.content.name,
            content_sha256=self.content.sha256,
            style=style.name if style else "",
            style_sha256=style.sha256 if style else "",
            strength=f"{self.config.strength:g}" if style else "",
            seed=str(self.config.seed) if style else "",
            method=_method(self.config) if style else "copy",
            config=digest(self.config)[:16] if style else "",
            kind="repaint" if style else "original",
        )


def _method(config: StylizeConfig | FastConfig) -> str:
    return "optimize" if isinstance(config, StylizeConfig) else f"network {Path(config.network).name}"


def read_sources(
    folder: Path,
    check: Callable[[Picture], None],
    rejected: Rejected,
    stage: str,
    on_progress: OnProgress,
    only: Collection[str] | None = None,
) -> list[Source]:
    """Open every picture below ``folder`` once; name the unusable ones, and empty class folders, in ``rejected``.

    Args:
        check: raises a ``PictureError`` for a picture that can be read and still not be used.
        only: paths below ``folder``, of the pictures that are wanted; None for all.

    Raises:
        DataError: no such folder, or nothing usable in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.")
    sources = []
    paths = [path for path in find_pictures(folder) if only is None or path.relative_to(folder).as_posix() in only]

    def read(path: Path) -> Source | str:
        name = path.relative_to(folder).as_posix()
        try:
            picture = open_picture(path)
            check(picture)
        except PictureError as error:
            return error.message
        return Source(path, name, picture.sha256, PurePosixPath(name).parent.name)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for index, (path, source) in enumerate(zip(paths, pool.map(read, paths), strict=True), 1):
            name = path.relative_to(folder).as_posix()
            if isinstance(source, Source):
                sources.append(source)
            else:
                rejected.append((name, source))
            on_progress(Progress(stage, index, len(paths), {}, name))
    if not sources:
        raise DataError(f"{folder} holds no usable picture.", "Expected JPEG, PNG, WebP, TIFF, BMP or GIF files.")
    if only is None:
        rejected += _empty_folders(folder)
    return sources


def _empty_folders(folder: Path) -> Rejected:
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [(each.name, f"the folder {each} holds no picture") for each in inside if not find_pictures(each)]


def plan_jobs(
    photos: Sequence[Source],
    styles: Sequence[Source],
    config: RepaintConfig,
    group_of: Callable[[Source], str],
    pairs: Collection[tuple[str, str]] | None = None,
) -> list[Job]:
    """Return every picture of the data set, photo by photo.

    Args:
        pairs: names of the photos and of the styles that they get, for a data set without splits; None deals the
            photos to splits, and each gets every style.

    Raises:
        DataError: two pictures would get one name, or the photos are too few for the splits.
    """
    splits = _splits(photos, config, group_of) if pairs is None else {}
    wanted = None if pairs is None else set(pairs)
    strengths = config.strengths or (config.stylize.strength,)
    by_content = config.label == "content"
    jobs = []
    for photo in photos:
        common = (splits.get(photo.path, ""), group_of(photo))
        if config.originals:
            jobs.append(_job(photo, None, config.stylize, photo.label if by_content else "original", *common))
        for style in styles:
            if wanted is not None and (photo.name, style.name) not in wanted:
                continue
            # Styles of a folder have names of their own; those of pairs are photos, which may be called alike.
            painted = f"--{style.path.stem if wanted is None else _flat(style)}"
            for strength in strengths:
                stylize = at_strength(config.stylize, photo, style, strength)
                suffix = f"--{strength:g}" if len(strengths) > 1 else ""
                label = photo.label if by_content else style.path.stem
                jobs.append(_job(photo, style, stylize, label, *common, painted + suffix))
    _require_distinct(jobs)
    return jobs


def at_strength(
    stylize: StylizeConfig | FastConfig, photo: Source, style: Source, strength: float
) -> StylizeConfig | FastConfig:
    """Return how one photo is painted in one style; ``stylize`` has the data set's seed."""
    # Not from the position: adding a photo must not change the others.
    seed = derive_seed(stylize.seed, photo.sha256, style.sha256, f"{strength:g}")
    return replace(stylize, strength=strength, seed=seed)


def _flat(source: Source) -> str:
    """Return a path below its folder as one name."""
    return PurePosixPath(source.name).with_suffix("").as_posix().replace("/", "-")


def _job(
    photo: Source,
    style: Source | None,
    config: StylizeConfig | FastConfig,
    label: str,
    split: str,
    group: str,
    suffix: str = "",
) -> Job:
    place = f"{split}/{label}" if split else label
    return Job(photo, style, config, label, split, group, f"{place}/{_flat(photo)}{suffix}.png")


def _splits(photos: Sequence[Source], config: RepaintConfig, group_of: Callable[[Source], str]) -> dict[Path, str]:
    samples = tuple(Sample(photo.path, photo.label, group=group_of(photo), sha256=photo.sha256) for photo in photos)
    divided = grouped_split(Dataset(Path(), samples), config.fractions, seed=config.stylize.seed)
    return {sample.path: sample.split for sample in divided.samples}


def _require_distinct(jobs: Sequence[Job]) -> None:
    seen: dict[str, Job] = {}
    for job in jobs:
        # Without the split, which a later run may deal otherwise; case folded, because some file systems do.
        name = job.output.removeprefix(f"{job.split}/")
        if former := seen.get(name.casefold()):
            raise DataError(
                f"{former.content.name} and {job.content.name} would both become {name}.",
                "Rename one of the pictures, or one of the styles.",
            )
        seen[name.casefold()] = job
