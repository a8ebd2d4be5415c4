"""Every photo in every style: a labelled data set of repaints, made to survive being killed."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Literal

from impasto.data.dataset import TABLE_NAME, Dataset, Sample
from impasto.data.splits import grouped_split
from impasto.encoders import AnyEncoder
from impasto.errors import DataError, PictureError, ResourceError, UsageError
from impasto.files import file_digest
from impasto.images import Picture, find_pictures, open_picture, resize_long, save_picture
from impasto.runs import RunFolder, digest, to_plain, write_csv
from impasto.runtime import (
    OnProgress,
    Progress,
    Stopwatch,
    derive_seed,
    free_disk,
    human_bytes,
    human_time,
    ignore_progress,
)
from impasto.style.config import StylizeConfig
from impasto.style.optimize import Painter

REJECTED_NAME = "rejected.csv"
# Bytes a pixel of a painted PNG: seen between 1.9 and 2.6, strokes compress badly.
_PNG_BYTES_PER_PIXEL = 2.7


@dataclass(frozen=True)
class RepaintConfig:
    """What determines a repainted data set besides the pictures.

    Attributes:
        stylize: how each repaint is made; its seed is the data set's.
        label: "style": the class is the style picture's name; "content": the class is the photo's own folder.
        originals: whether the untouched photos are included, as class ``original`` or as their own class.
        fractions: shares of train, validation and test, by number of photos; splits never divide a photo.
        strengths: one repaint for each; empty for the one of ``stylize``.
    """

    stylize: StylizeConfig = field(default_factory=lambda: StylizeConfig(size=256))
    label: Literal["style", "content"] = "style"
    originals: bool = False
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15)
    strengths: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.label not in ("style", "content"):
            raise UsageError(f"label {self.label!r} is neither style nor content.")
        if len(self.fractions) != 3 or min(self.fractions) < 0 or abs(sum(self.fractions) - 1) > 1e-6:
            raise UsageError(f"the fractions {self.fractions} are not three shares that sum to 1.")


@dataclass(frozen=True)
class Row:
    """One line of ``manifest.csv``: a picture of the data set and where it came from. Paths are relative."""

    output: str
    output_sha256: str
    label: str
    split: str
    group: str
    content: str
    content_sha256: str
    style: str
    style_sha256: str
    strength: str
    seed: str
    method: str
    config: str
    kind: str


COLUMNS = [field.name for field in fields(Row)]


@dataclass(frozen=True)
class Estimate:
    """What repainting a folder will cost: pictures still to be made, seconds, bytes on disk, bytes of memory."""

    pictures: int
    seconds: float
    disk: int
    memory: int

    def __str__(self) -> str:
        return (
            f"{self.pictures} pictures to make: about {human_time(self.seconds)}, {human_bytes(self.disk)} on disk, "
            f"{human_bytes(self.memory)} of memory"
        )


@dataclass(frozen=True)
class RepaintResult:
    """A finished folder: the data set in it, how many pictures were made now, and what was set aside."""

    folder: Path
    dataset: Dataset
    painted: int
    reused: int
    rejected: tuple[tuple[str, str], ...]
    seconds: float


@dataclass(frozen=True)
class _Source:
    """A usable input picture: its name relative to its folder, and the SHA-256 of its bytes."""

    path: Path
    name: str
    sha256: str
    label: str


@dataclass(frozen=True)
class _Job:
    """One output picture; ``style`` is None for an untouched original."""

    content: _Source
    style: _Source | None
    strength: float
    split: str
    output: str
    label: str
    seed: int


class FolderPainter:
    """Repaints the photos below one folder in the style of the pictures below another.

    ``group_of`` names, for a photo's file name, what must stay on one side of a split (several views of one scene).
    The steps are separate so that a front end can show the estimate before anything is painted:
    ``FolderPainter(...).estimate()``, then ``paint()``.

    Raises:
        DataError: no usable photo or style, or two files that would get the same name.
        RunError: ``output`` belongs to a run with other settings or other pictures.
    """

    def __init__(
        self,
        content: Path,
        styles: Path,
        output: Path,
        config: RepaintConfig,
        *,
        encoder: AnyEncoder | None = None,
        group_of: Callable[[str], str] | None = None,
        on_progress: OnProgress = ignore_progress,
    ) -> None:
        self.config, self.on_progress = config, on_progress
        self._group_of = group_of
        self._rejected: list[tuple[str, str]] = []
        self._photos = self._usable(content, "reading photos")
        self._styles = self._usable(styles, "reading styles")
        if config.label == "content" and any(not photo.label for photo in self._photos):
            raise DataError(
                f"{content} has photos outside of class folders.", "Use <class>/photo.jpg, or --label style."
            )
        self._painter = Painter(config.stylize, encoder)
        self._jobs = self._plan_jobs()
        inputs = [(source.name, source.sha256) for source in (*self._photos, *self._styles)]
        splits = [(job.output, job.split) for job in self._jobs]
        facts = {
            "config": to_plain(config),
            "inputs": digest(inputs),
            "splits": digest(splits),
            "encoder": self._painter.network.identity(),
        }
        self.run = RunFolder(output, facts, "dataset stylize")
        self._done = self._finished_rows()

    def estimate(self) -> Estimate:
        """Return what is still to be spent.

        Raises:
            ResourceError: the disk is too small.
        """
        todo = [job for job in self._jobs if job.output not in self._done]
        painted = [job for job in todo if job.style]
        size = self.config.stylize.size
        disk = int(len(todo) * size * size * 0.8 * _PNG_BYTES_PER_PIXEL)
        room = free_disk(self.run.path)
        if disk > room:
            raise ResourceError(
                f"{len(todo)} pictures need about {human_bytes(disk)}, {self.run.path} has {human_bytes(room)} free.",
                f"A --size of {int(size * (room / disk) ** 0.5 * 0.95)} would fit, or choose another disk.",
            )
        if not painted:
            return Estimate(len(todo), 0.1 * len(todo), disk, 0)
        first = painted[0]
        plan = self._painter.plan(open_picture(first.content.path), [self._style_of(first)])
        return Estimate(len(todo), plan.seconds * len(painted), disk, plan.memory)

    def paint(self) -> RepaintResult:
        """Make what is missing, write the table and the manifest.

        Ctrl-C and SIGKILL leave whole files; the same call goes on where it stopped, to the same bytes.
        """
        self.estimate()
        watch = Stopwatch()
        rows = dict(self._done)
        self.on_progress(Progress("repainting", len(rows), len(self._jobs)))
        for job, row in self._make_missing():
            rows[job.output] = row
            name = job.style.path.stem if job.style else "original"
            self.on_progress(
                Progress("repainting", len(rows), len(self._jobs), {}, f"{job.content.path.stem} · {name}")
            )
        ordered = [rows[job.output] for job in self._jobs]
        write_csv(self.run.path / TABLE_NAME, [asdict(row) for row in ordered], COLUMNS)
        self._write_rejected()
        painted = len(ordered) - len(self._done)
        self.run.finish(
            pictures=len(ordered), rejected=len(self._rejected), table=file_digest(self.run.path / TABLE_NAME)
        )
        dataset = Dataset(self.run.path, tuple(_sample(self.run.path, row) for row in ordered))
        return RepaintResult(self.run.path, dataset, painted, len(self._done), tuple(self._rejected), watch.seconds)

    def _make_missing(self) -> Iterator[tuple[_Job, Row]]:
        todo = (job for job in self._jobs if job.output not in self._done)
        for photo, jobs in groupby(todo, key=lambda job: job.content):
            content = open_picture(photo.path)
            for job in jobs:
                yield job, self._make(job, content)

    def _make(self, job: _Job, content: Picture) -> Row:
        path = self.run.path / job.output
        if job.style is None:
            provenance = {"procedure": "copy", "content": {"name": job.content.name, "sha256": job.content.sha256}}
            save_picture(resize_long(content.image, self.config.stylize.size), path, provenance=provenance)
        else:
            config = replace(self.config.stylize, seed=job.seed, strength=job.strength)
            painter = replace(self._painter, config=config, encoder=self._painter.network)
            result = painter.paint(content, [self._style_of(job)])
            if result.interrupted:
                raise KeyboardInterrupt  # a half-painted picture is no member of a data set
            result.save(path)
        return self._row(job, file_digest(path))

    def _style_of(self, job: _Job) -> Picture:
        assert job.style is not None
        if job.style.name not in self._opened_styles:
            self._opened_styles[job.style.name] = open_picture(job.style.path)
        return self._opened_styles[job.style.name]

    _opened_styles: dict[str, Picture]

    def _usable(self, folder: Path, stage: str) -> list[_Source]:
        self._opened_styles = {}
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder.")
        sources = []
        paths = find_pictures(folder)
        for index, path in enumerate(paths, 1):
            name = path.relative_to(folder).as_posix()
            try:
                picture = open_picture(path)
            except PictureError as error:
                self._rejected.append((name, error.message))
            else:
                parent = PurePosixPath(name).parent.name
                sources.append(_Source(path, name, picture.sha256, parent))
            self.on_progress(Progress(stage, index, len(paths), {}, name))
        if not sources:
            raise DataError(f"{folder} holds no usable picture.", "Expected JPEG, PNG, WebP, TIFF, BMP or GIF files.")
        return sources

    def _plan_jobs(self) -> list[_Job]:
        splits = self._splits()
        strengths = self.config.strengths or (self.config.stylize.strength,)
        jobs = []
        for photo in self._photos:
            split = splits[photo.path]
            if self.config.originals:
                label = photo.label if self.config.label == "content" else "original"
                jobs.append(self._job(photo, None, 0.0, split, label, ""))
            for style in self._styles:
                label = photo.label if self.config.label == "content" else style.path.stem
                for strength in strengths:
                    suffix = f"--{style.path.stem}" + (f"--{strength:g}" if len(strengths) > 1 else "")
                    jobs.append(self._job(photo, style, strength, split, label, suffix))
        _require_distinct(jobs)
        return jobs

    def _job(self, photo: _Source, style: _Source | None, strength: float, split: str, label: str, suffix: str) -> _Job:
        stem = PurePosixPath(photo.name).with_suffix("").as_posix().replace("/", "-")
        # Not from the position: adding a photo must not change the others.
        seed = derive_seed(self.config.stylize.seed, photo.sha256, style.sha256 if style else "", f"{strength:g}")
        return _Job(photo, style, strength, split, f"{split}/{label}/{stem}{suffix}.png", label, seed)

    def _splits(self) -> dict[Path, str]:
        # Photos that are byte for byte the same count as one.
        samples = tuple(
            Sample(photo.path, photo.label, group=self._group(photo), sha256=photo.sha256) for photo in self._photos
        )
        divided = grouped_split(Dataset(Path(), samples), self.config.fractions, seed=self.config.stylize.seed)
        return {sample.path: sample.split for sample in divided.samples}

    def _group(self, photo: _Source) -> str:
        """Return what must stay on one side of a split: by default the photo itself, known by its bytes."""
        return self._group_of(photo.name) if self._group_of else photo.sha256[:16]

    def _finished_rows(self) -> dict[str, Row]:
        """Outputs that are there already. Files are whole or absent, so that presence is enough."""
        present = [job for job in self._jobs if (self.run.path / job.output).is_file()]
        return {job.output: self._row(job, file_digest(self.run.path / job.output)) for job in present}

    def _row(self, job: _Job, output_sha256: str) -> Row:
        style = job.style
        config = replace(self.config.stylize, seed=job.seed, strength=job.strength) if style else None
        return Row(
            output=job.output,
            output_sha256=output_sha256,
            label=job.label,
            split=job.split,
            group=self._group(job.content),
            content=job.content.name,
            content_sha256=job.content.sha256,
            style=style.name if style else "",
            style_sha256=style.sha256 if style else "",
            strength=f"{job.strength:g}" if style else "",
            seed=str(job.seed) if style else "",
            method="optimize" if style else "copy",
            config=digest(config)[:16] if config else "",
            kind="repaint" if style else "original",
        )

    def _write_rejected(self) -> None:
        rows = [{"path": path, "reason": reason} for path, reason in self._rejected]
        write_csv(self.run.path / REJECTED_NAME, rows, ["path", "reason"])


def _require_distinct(jobs: Sequence[_Job]) -> None:
    seen: dict[str, _Job] = {}
    for job in jobs:
        # Without the split, which a later run may deal otherwise; case folded, because some file systems do.
        name = job.output.removeprefix(f"{job.split}/")
        if former := seen.get(name.casefold()):
            raise DataError(
                f"{former.content.name} and {job.content.name} would both become {name}.",
                "Rename one of the pictures, or one of the styles.",
            )
        seen[name.casefold()] = job


def _sample(root: Path, row: Row) -> Sample:
    return Sample(root / row.output, row.label, row.split, row.group, row.output_sha256)


def read_rows(folder: Path) -> list[Row]:
    """Return the lines of a repainted folder's ``manifest.csv``."""
    with (folder / TABLE_NAME).open(newline="", encoding="utf-8") as file:
        return [Row(**row) for row in csv.DictReader(file)]


def repaint_folder(
    content: str | Path,
    styles: str | Path,
    output: str | Path,
    config: RepaintConfig | None = None,
    *,
    encoder: AnyEncoder | None = None,
    group_of: Callable[[str], str] | None = None,
    on_progress: OnProgress = ignore_progress,
) -> RepaintResult:
    """Repaint every photo below ``content`` in the style of every picture below ``styles``; see ``FolderPainter``.

    Raises:
        DataError, RunError, ResourceError: nothing usable, a foreign folder, too small a disk.
    """
    settings = config or RepaintConfig()
    painter = FolderPainter(
        Path(content), Path(styles), Path(output), settings, encoder=encoder, on_progress=on_progress
    )
    return painter.paint()
