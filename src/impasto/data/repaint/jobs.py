"""Which pictures go into a repainted data set, and which come out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
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
    folder: Path, check: Callable[[Picture], None], rejected: Rejected, stage: str, on_progress: OnProgress
) -> list[Source]:
    """Open every picture below ``folder`` once; name the unusable ones, and empty class folders, in ``rejected``.

    Args:
        check: raises a ``PictureError`` for a picture that can be read and still not be used.

    Raises:
        DataError: no such folder, or nothing usable in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.")
    sources = []
    paths = find_pictures(folder)

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
    for each in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if not find_pictures(each):
            rejected.append((each.name, f"the folder {each} holds no picture"))
    return sources


def plan_jobs(
    photos: Sequence[Source], styles: Sequence[Source], config: RepaintConfig, group_of: Callable[[Source], str]
) -> list[Job]:
    """Return every picture of the data set, photo by photo.

    Raises:
        DataError: two pictures would get one name, or the photos are too few for the splits.
    """
    splits = _splits(photos, config, group_of)
    strengths = config.strengths or (config.stylize.strength,)
    by_content = config.label == "content"
    jobs = []
    for photo in photos:
        common = (splits[photo.path], group_of(photo))
        if config.originals:
            jobs.append(_job(photo, None, config.stylize, photo.label if by_content else "original", *common))
        for style in styles:
            for strength in strengths:
                # Not from the position: adding a photo must not change the others.
                seed = derive_seed(config.stylize.seed, photo.sha256, style.sha256, f"{strength:g}")
                stylize = replace(config.stylize, strength=strength, seed=seed)
                suffix = f"--{strength:g}" if len(strengths) > 1 else ""
                label = photo.label if by_content else style.path.stem
                jobs.append(_job(photo, style, stylize, label, *common, suffix))
    _require_distinct(jobs)
    return jobs


def _job(
    photo: Source,
    style: Source | None,
    config: StylizeConfig | FastConfig,
    label: str,
    split: str,
    group: str,
    suffix: str = "",
) -> Job:
    stem = PurePosixPath(photo.name).with_suffix("").as_posix().replace("/", "-")
    painted = f"--{style.path.stem}" if style else ""
    return Job(photo, style, config, label, split, group, f"{split}/{label}/{stem}{painted}{suffix}.png")


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
