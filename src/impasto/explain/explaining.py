"""Maps of many pictures, and whether they can be believed: one configuration, one function, one result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from impasto._version import __version__
from impasto.data.dataset import Sample
from impasto.errors import DataError, PictureError
from impasto.explain.attribution import attribute, facts, method_of
from impasto.explain.config import ExplainConfig
from impasto.explain.drawing import draw_sheet, overlay, to_png, what_is_shown
from impasto.explain.folder import check_folder, remove_former, short_stem
from impasto.explain.reading import Look, as_samples, read_looks, require_classes
from impasto.explain.shortcuts import Shortcut, find_shortcuts
from impasto.explain.targets import LABEL, PREDICTED, Target, parse_target
from impasto.explain.verdict import Case, Verdict, judge
from impasto.files import write_bytes
from impasto.images import open_picture, resize_long, save_picture
from impasto.runs import MANIFEST_NAME, to_plain, write_json
from impasto.runtime import OnProgress, Progress, held_memory, ignore_progress
from impasto.subjects import Subject

MAPS_NAME, SHEET_NAME, PICTURES = "maps.safetensors", "maps.png", "pictures"
# Written by ``impasto.report.explanation``.
PAGE_NAME = "explanation.html"
# Longer side of the pictures that are written, and how many are on the sheet.
_SIDE, _ON_SHEET = 512, 24


@dataclass(frozen=True)
class Explained:
    """One picture and its map.

    Attributes:
        sample: file and label ("" for none).
        sha256: of the file.
        answer, probability: the network's, calibrated where it is.
        value: of the target.
        values: h x w map with its signs.
    """

    sample: Sample
    sha256: str
    answer: str
    probability: float
    value: float
    values: Tensor

    @property
    def remark(self) -> str:
        """Why there is nothing to see, "" where there is."""
        return what_is_shown(self.values)

    def record(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "path": str(self.sample.path),
            "sha256": self.sha256,
            "label": self.sample.label,
            "answer": self.answer,
            "probability": self.probability,
            "target": self.value,
            **facts(self.values),
        }


@dataclass(frozen=True)
class Explanation:
    """Maps of pictures with a verdict.

    Attributes:
        subject: the network's name; ``identity`` tells its weights.
        layer: whose places the maps show, "" for pixels.
        config: how they were made.
        items: the pictures that could be read.
        skipped: paths and reasons of the others.
        verdict: None where none was asked for.
        shortcuts: places that decide for a class wherever they are put.
    """

    subject: str
    identity: dict[str, Any]
    layer: str
    config: ExplainConfig
    items: tuple[Explained, ...]
    skipped: tuple[tuple[str, str], ...]
    verdict: Verdict | None
    shortcuts: tuple[Shortcut, ...] = ()

    def picture(self, item: Explained, side: int = _SIDE) -> Image.Image:
        """Return the picture with its map over it.

        Raises:
            PictureError: the file cannot be read any more.
        """
        return overlay(resize_long(open_picture(item.sample.path).image, side), item.values, signed=self.config.signed)

    def record(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "made_by": f"impasto {__version__}",
            "procedure": "explain",
            "network": self.subject,
            "identity": to_plain(self.identity),
            "layer": self.layer,
            "config": to_plain(self.config),
            "verdict": self.verdict and self.verdict.record(),
            "shortcuts": [{**vars(item), "words": item.words} for item in self.shortcuts],
            "pictures": [item.record() for item in self.items],
            "skipped": [{"path": path, "reason": reason} for path, reason in self.skipped],
        }

    def save(self, folder: Path) -> None:
        """Write ``pictures/``, ``maps.png``, ``maps.safetensors`` (N x h x w) and, last, ``manifest.json``.

        Nothing of a former explanation in this folder stays.
        """
        remove_former(folder, (PAGE_NAME, MAPS_NAME, SHEET_NAME, *_former_pictures(folder)))
        cells: list[tuple[Image.Image, str]] = []
        step = max(1, len(self.items) // _ON_SHEET)
        for number, item in enumerate(self.items):
            try:
                image = self.picture(item)
            except PictureError:  # removed or changed since it was read: the arrays still have its map
                continue
            about = {"procedure": "explain", **item.record(), "config": to_plain(self.config), "layer": self.layer}
            name = f"{number:04d}-{short_stem(item.sample.path)}.png"
            save_picture(image, folder / PICTURES / name, provenance=about)
            if number % step == 0 and len(cells) < _ON_SHEET:
                image.thumbnail((240, 240))
                cells.append((image, caption(item)))
        write_bytes(
            folder / SHEET_NAME, to_png(draw_sheet(cells, self.title, self.verdict.words if self.verdict else ""))
        )
        write_bytes(folder / MAPS_NAME, save({"maps": torch.stack([item.values for item in self.items]).contiguous()}))
        write_json(folder / MANIFEST_NAME, self.record())

    @property
    def title(self) -> str:
        """What is shown, in a line."""
        where = f" at {self.layer}" if self.layer else ""
        return f"{method_of(self.config.method).title} of {self.config.target!r}{where}, {self.name}"

    @property
    def name(self) -> str:
        """The network's name, of a folder the last part."""
        return Path(self.subject).name


def _former_pictures(folder: Path) -> list[str]:
    return [f"{PICTURES}/{path.name}" for path in (folder / PICTURES).glob("[0-9]*-*.png")]


def caption(item: Explained) -> str:
    """Return what stands below a map: the answer, the truth where it is another, and what is not to be seen."""
    said = f"{item.answer} {100 * item.probability:.0f} %"
    truth = f"\n(is {item.sample.label})" if item.sample.label and item.sample.label != item.answer else ""
    return f"{said}{truth}" + (f"\n{item.remark}" if item.remark else "")


def explain(
    subject: Subject,
    pictures: Sequence[str | Path | Sample],
    config: ExplainConfig | None = None,
    *,
    target: Target | None = None,
    output: Path | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Explanation:
    """Show where in pictures a network finds what it answers, and check whether that can be believed.

    Args:
        subject: a network with classes, see :func:`impasto.subjects.load_subject`.
        pictures: files, or samples with labels.
        config: how.
        target: in place of the configuration's, any function of the logits
            (:func:`impasto.explain.targets.custom_target`).
        output: a folder for pictures, arrays and ``manifest.json``; None writes nothing.
        on_progress: told after every batch.

    >>> explain(load_subject("run"), ["monet.jpg"]).verdict.words              # doctest: +SKIP
    'These maps can be believed as far as these checks go.'

    Raises:
        UsageError: a network without classes, a layer without places, or a folder that holds something else.
        UnknownNameError: no such class or layer.
        DataError: no picture can be read, or one has a label that the network does not know.
    """
    config = config or ExplainConfig()
    require_classes(subject)
    if output is not None:
        check_folder(output, (PICTURES, PAGE_NAME, MAPS_NAME, SHEET_NAME))
    target = target or parse_target(config.target, subject.classes)
    of_layer = method_of(config.method).of_layer
    layer = subject.name_of(subject.path_of(config.layer or subject.last_layer)) if of_layer else ""
    run = _Run(subject, config, target, layer, as_samples(pictures), on_progress)
    with held_memory():
        for look in read_looks(subject, run.samples, config.batch_size):
            run.add(look)
        if not run.items:
            raise DataError("none of the pictures can be read.", "; ".join(map(" ".join, run.skipped[:3])))
        verdict, shortcuts = run.checked()
    result = Explanation(
        subject.name, dict(subject.identity), layer, config, tuple(run.items), tuple(run.skipped), verdict, shortcuts
    )
    if output is not None:
        result.save(output)
    return result


@dataclass
class _Run:
    """What one call gathers."""

    subject: Subject
    config: ExplainConfig
    target: Target
    layer: str
    samples: list[Sample]
    on_progress: OnProgress
    items: list[Explained] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    done: int = 0

    def add(self, look: Look) -> None:
        """Make the maps of a batch."""
        self.skipped += [(str(path), reason) for path, reason in look.failures]
        self.items += list(self._explained(look)) if look.samples else []
        self.done += len(look.samples) + len(look.failures)
        self.on_progress(Progress("maps", self.done, len(self.samples)))

    def _explained(self, look: Look) -> Iterator[Explained]:
        logits = self.subject(look.pictures).detach()
        goal = self.target.bind(logits, look.labels)
        maps = attribute(self.subject, look.pictures, goal, self.config.method, self.layer)
        best = (logits.double() / self.subject.temperature).softmax(1).max(1)
        rows = zip(look.samples, look.hashes, best.indices.tolist(), best.values.tolist(), strict=True)
        for (sample, sha256, answer, share), value, values in zip(rows, goal(logits).tolist(), maps, strict=True):
            yield Explained(sample, sha256, self.subject.classes[answer], share, value, values)

    def checked(self) -> tuple[Verdict | None, tuple[Shortcut, ...]]:
        """Make the verdict from some of the pictures, and look for shortcuts where there are labels."""
        count = min(self.config.check, len(self.items))
        if not count:
            return None, ()
        chosen = [self.items[index * len(self.items) // count].sample for index in range(count)]
        looks = list(read_looks(self.subject, chosen, count))
        look = looks[0]
        case = Case(self.subject, look.pictures, look.labels, self.target, self.config.method, self.layer)
        verdict = judge(case, seed=self.config.seed, on_progress=self.on_progress)
        # Maps of what speaks for the answer say where to look; those of other questions do not.
        plain = self.config.target in (PREDICTED, LABEL)
        labelled = [item for item in self.items if item.sample.label and plain]
        return verdict, find_shortcuts(self.subject, labelled, on_progress=self.on_progress)
