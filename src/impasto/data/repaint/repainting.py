"""Every photo in every style: a labelled data set of repaints, made to survive being killed."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from impasto.data.dataset import TABLE_NAME, Dataset
from impasto.data.repaint.choosing import CHOSEN_KEY, Choice, Chooser, check_chosen, write_choices
from impasto.data.repaint.jobs import Job, Rejected, Source, at_strength, plan_jobs, read_sources
from impasto.data.repaint.records import COLUMNS, Estimate, RepaintConfig, RepaintResult, Row, sample_of
from impasto.encoders import AnyEncoder
from impasto.errors import DataError, ResourceError
from impasto.files import file_digest
from impasto.images import Picture, open_picture, provenance, resize_long, save_picture
from impasto.runs import REJECTED_NAME, RunFolder, digest, write_csv
from impasto.runtime import (
    OnProgress,
    Progress,
    Stopwatch,
    deterministic,
    free_disk,
    human_bytes,
    ignore_progress,
    one_core,
)
from impasto.style.apply import FastPainter
from impasto.style.config import FastConfig
from impasto.style.optimize import Painter
from impasto.style.result import Repaint

# Bytes a pixel of a painted PNG: seen between 1.9 and 2.6, strokes compress badly.
_PNG_BYTES_PER_PIXEL = 2.7
# Photos are seldom square: pixels of a picture as a share of its longer side squared.
_USUAL_ASPECT = 0.8
# Finished pictures that may wait for the disk.
_WAITING = 4
# Longer side in pixels up to which a network paints as many pictures at a time as there are cores, each on one: two
# cores share a small picture badly. Larger ones would take too much memory at a time.
_SIDE_BY_SIDE = 768
Made = tuple[Image.Image | Tensor, dict[str, Any], Image.Image | None]


class FolderPainter:
    """Repaints the photos below one folder in the style of the pictures below another.

    The steps are separate so that a front end can show the estimate before anything is painted:
    ``FolderPainter(...).estimate()``, then ``paint()``.

    Args:
        content, styles: folders of photos and of style pictures; subfolders count.
        output: a new folder, or that of the same run.
        config: what to do.
        encoder: of an optimisation: use this one in place of loading the configuration's.
        group_of: names, for a photo's path below ``content``, what must stay on one side of a split (several views of
            one scene); by default each photo, known by its bytes, is its own group.
        chooser: takes the strength of each repaint, in place of the configuration's.
        pairs: paths below ``content`` and ``styles`` of what is to be painted with what, for a data set without
            splits; by default every photo gets every style.

    Raises:
        DataError: no usable photo or style, or two files that would get the same name.
        UsageError: a chooser together with strengths, or with classes that are styles.
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
        chooser: Chooser | None = None,
        pairs: Collection[tuple[str, str]] | None = None,
        on_progress: OnProgress = ignore_progress,
    ) -> None:
        self.config, self.on_progress, self._chooser = config, on_progress, chooser
        self._keeps_styles = pairs is None
        self._painter = _painter(config, encoder)
        self._rejected: Rejected = []
        self._pictures: dict[Path, Picture] = {}
        self._choices: dict[str, Choice] = {}
        only = ({photo for photo, _ in pairs}, {style for _, style in pairs}) if pairs is not None else (None, None)
        check, found = self._painter, self._rejected
        photos = read_sources(content, check.check_content, found, "reading photos", on_progress, only[0])
        paintings = read_sources(styles, check.check_style, found, "reading styles", on_progress, only[1])
        if config.label == "content" and any(not photo.label for photo in photos):
            raise DataError(
                f"{content} has photos outside of class folders.", "Use <class>/photo.jpg, or --label style."
            )
        check_chosen(chooser, config, {photo.label for photo in photos})
        grouping = (lambda photo: group_of(photo.name)) if group_of else _by_bytes
        self._jobs = plan_jobs(photos, paintings, config, grouping, pairs)
        facts = {
            "config": config,
            "inputs": digest([(source.name, source.sha256) for source in (*photos, *paintings)]),
            "splits": digest([job.output for job in self._jobs]),
            "encoder": self._painter.identity(),
            **({"chooser": chooser.identity()} if chooser else {}),
        }
        judge = {"judge": chooser.folder} if chooser and chooser.folder else {}
        self._folders = {"content": content, "styles": styles, **judge}
        self.run = RunFolder(output, facts, "dataset stylize")
        self._done = self._finished_rows()

    def estimate(self) -> Estimate:
        """Return what is still to be spent.

        Raises:
            ResourceError: the disk is too small.
        """
        todo = [job for job in self._jobs if job.output not in self._done]
        painted = [job for job in todo if job.style]
        size = self.config.size
        disk = int(len(todo) * size * size * _USUAL_ASPECT * _PNG_BYTES_PER_PIXEL)
        room = free_disk(self.run.path)
        if disk > room:
            raise ResourceError(
                f"{len(todo)} pictures need about {human_bytes(disk)}, {self.run.path} has {human_bytes(room)} free.",
                f"A --size of {int(size * (room / disk) ** 0.5 * 0.95)} would fit, or choose another disk.",
            )
        if not painted:
            return Estimate(len(todo), 0.1 * len(todo), disk, 0)
        plan = self._painter.plan(open_picture(painted[0].content.path), [self._style_of(painted[0])])
        paintings = len(painted) * (self._chooser.paintings if self._chooser else 1)
        return Estimate(len(todo), plan.seconds * paintings, disk, plan.memory)

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
            self.on_progress(Progress("repainting", len(rows), len(self._jobs), {}, Path(job.output).stem))
        ordered = [rows[job.output] for job in self._jobs]
        self._write_tables(ordered)
        dataset = Dataset(self.run.path, tuple(sample_of(self.run.path, row) for row in ordered))
        painted = len(ordered) - len(self._done)
        choices = tuple(self._choices[row.output] for row in ordered if row.output in self._choices)
        rejected = tuple(self._rejected)
        return RepaintResult(self.run.path, dataset, painted, len(self._done), rejected, watch.seconds, choices)

    def _make_missing(self) -> Iterator[tuple[Job, Row]]:
        """Paint, while the next photo is opened and the last pictures are written."""
        todo = [job for job in self._jobs if job.output not in self._done]
        photos = [(photo, list(jobs)) for photo, jobs in groupby(todo, key=lambda job: job.content)]
        painters = self._painters()
        with deterministic(), _threads(painters) as pool:
            opened = [pool.submit(open_picture, photo.path) for photo, _ in photos[:1]]
            written: deque[tuple[Job, Future[Row]]] = deque()
            for number, (_, jobs) in enumerate(photos):
                content = opened.pop().result()
                opened = [pool.submit(open_picture, photo.path) for photo, _ in photos[number + 1 : number + 2]]
                for job in jobs:
                    if painters > 1:
                        row = pool.submit(self._paint_and_write, job, content)
                    else:
                        row = pool.submit(self._write, job, self._make(job, content))
                    written.append((job, row))
                    if len(written) > _WAITING + painters:
                        first, row = written.popleft()
                        yield first, row.result()
            for job, row in written:
                yield job, row.result()

    def _painters(self) -> int:
        """Return how many pictures are painted at a time."""
        fast = isinstance(self._painter, FastPainter) and self._painter.device.type == "cpu"
        return torch.get_num_threads() if fast and self.config.size <= _SIDE_BY_SIDE else 1

    def _paint_and_write(self, job: Job, content: Picture) -> Row:
        return self._write(job, self._make(job, content))

    def _make(self, job: Job, content: Picture) -> Made:
        """Return the picture and what it says of itself."""
        if job.style is None:
            about = {"procedure": "copy", "content": {"name": job.content.name, "sha256": job.content.sha256}}
            return resize_long(content.image, self.config.size), about, None
        if self._chooser is None:
            result = self._paint(job, content)
            return result.image, result.provenance, result.alpha
        size, label = self.config.size, job.content.label
        choice, result = self._chooser.choose(content, label, size, lambda s: self._paint(self._at(job, s), content))
        return result.image, {**result.provenance, CHOSEN_KEY: choice.record()}, result.alpha

    def _paint(self, job: Job, content: Picture) -> Repaint:
        result = self._painter.with_config(job.config).paint(content, [self._style_of(job)])  # type: ignore[arg-type]
        if getattr(result, "interrupted", False):
            raise KeyboardInterrupt  # a half-painted picture is no member of a data set
        return result

    def _at(self, job: Job, strength: float) -> Job:
        assert job.style is not None
        return replace(job, config=at_strength(self.config.stylize, job.content, job.style, strength))

    def _write(self, job: Job, made: Made) -> Row:
        path = self.run.path / job.output
        image, about, alpha = made
        save_picture(image, path, provenance=about, alpha=alpha)
        return self._row(job, about)

    def _row(self, job: Job, about: Mapping[str, Any] | None) -> Row:
        """Return the line of a picture that is there; ``about`` is what it says of itself."""
        if self._chooser and job.style:
            self._choices[job.output] = choice = Choice(**(about or {})[CHOSEN_KEY])
            job = self._at(job, choice.strength)
        return job.row(file_digest(self.run.path / job.output))

    def _style_of(self, job: Job) -> Picture:
        """Return the opened style picture; where each is used for every photo they are few, and stay open."""
        assert job.style is not None
        path = job.style.path
        picture = self._pictures.get(path) or open_picture(path)
        if self._keeps_styles:
            self._pictures[path] = picture
        return picture

    def _finished_rows(self) -> dict[str, Row]:
        """Return outputs that are there already. Files are whole or absent, so that presence is enough."""
        present = [job for job in self._jobs if (self.run.path / job.output).is_file()]
        told = provenance if self._chooser else lambda _: None
        return {job.output: self._row(job, told(self.run.path / job.output)) for job in present}

    def _write_tables(self, rows: list[Row]) -> None:
        folder = self.run.path
        write_csv(folder / TABLE_NAME, [asdict(row) for row in rows], COLUMNS)
        rejected = [{"path": path, "reason": reason} for path, reason in self._rejected]
        write_csv(folder / REJECTED_NAME, rejected, ["path", "reason"])
        table = file_digest(folder / TABLE_NAME)
        chosen = write_choices(folder, rows, self._choices) if self._chooser else {}
        # Relative, so that photos, styles and data set may move together, and published tables name no home folder.
        folders = {name: os.path.relpath(path, folder) for name, path in self._folders.items()}
        self.run.finish(folders=folders, pictures=len(rows), rejected=len(rejected), table=table, **chosen)


@contextmanager
def _threads(painters: int) -> Iterator[ThreadPoolExecutor]:
    """Threads for opening and writing, and for ``painters`` at a time, each of which computes on a core of its own."""
    if painters == 1:
        with ThreadPoolExecutor(2) as pool:
            yield pool
        return
    with (
        one_core(),  # in this thread, too: it goes on with what was set after the others have set theirs
        ThreadPoolExecutor(painters + 1, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        yield pool


def _painter(config: RepaintConfig, encoder: AnyEncoder | None) -> Painter | FastPainter:
    if isinstance(config.stylize, FastConfig):
        return FastPainter(config.stylize)
    return Painter(config.stylize, encoder)


def _by_bytes(photo: Source) -> str:
    return photo.sha256[:16]


def repaint_folder(
    content: str | Path,
    styles: str | Path,
    output: str | Path,
    config: RepaintConfig | None = None,
    *,
    encoder: AnyEncoder | None = None,
    group_of: Callable[[str], str] | None = None,
    chooser: Chooser | None = None,
    on_progress: OnProgress = ignore_progress,
) -> RepaintResult:
    """Repaint every photo below ``content`` in the style of every picture below ``styles``; see ``FolderPainter``.

    Raises:
        DataError, RunError, ResourceError: nothing usable, a foreign folder, too small a disk.
    """
    settings = config or RepaintConfig()
    paths = (Path(content), Path(styles), Path(output))
    return FolderPainter(
        *paths, settings, encoder=encoder, group_of=group_of, chooser=chooser, on_progress=on_progress
    ).paint()
