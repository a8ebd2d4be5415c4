"""What is asked about neurons, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from impasto.dream.sheet import contact_sheet
from impasto.encoders import DEFAULT_ENCODER
from impasto.errors import RunError, UsageError
from impasto.images import save_picture, to_image
from impasto.runs import read_json, to_plain, write_json
from impasto.runtime import Precision

RECORD_NAME, SHEET_NAME = "neurons.json", "sheet.png"
# Letters of a picture's name that come from a class' name: file systems take 255 bytes.
_LONGEST = 60
Status = Literal["alive", "silent", "dead"]


@dataclass(frozen=True)
class NeuronsConfig:
    """Everything that determines pictures of neurons.

    Attributes:
        network: what ``impasto.subjects.load_subject`` takes.
        weights: its file, or "random".
        layer: its name; empty for the network's usual one.
        channels: ``0-15``, ``3,7`` or ``all``; empty for 0-15 where nothing else is asked.
        place: "all" for the mean of a channel's map, "centre" for the neuron in its middle.
        directions: sums of channels, ``12-40``.
        classes: names; their logits are shown.
        size: side of the pictures in pixels; None is 128, or what the network takes.
        steps: of Adam, whose ``step_size`` is in units of a photo's waves.
        batch: pictures that are computed at once; does not change them but for rounding.
        precision, device, seed: see ``runtime``.
    """

    network: str = DEFAULT_ENCODER
    weights: str | None = None
    layer: str = ""
    channels: str = ""
    place: Literal["all", "centre"] = "all"
    directions: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    size: int | None = None
    steps: int = 160
    step_size: float = 0.05
    batch: int = 8
    precision: Precision = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.place not in ("all", "centre"):
            raise UsageError(f"place {self.place!r} is neither all nor centre.")
        if self.classes and (self.channels or self.directions or self.layer or self.place != "all"):
            raise UsageError("classes have no layer: they are asked for alone.", "Run it twice.")
        for name, value, most in (("size", self.size or 64, 2048), ("steps", self.steps, 100_000)):
            if not 1 <= value <= most:
                raise UsageError(f"{name} {value} is not allowed.", f"Allowed: 1 .. {most}.")
        if self.batch < 1 or not 0 < self.step_size < float("inf"):
            raise UsageError(f"batch {self.batch} or step size {self.step_size} is not allowed.")


@dataclass(frozen=True)
class Answer:
    """What a channel, class or direction answers to.

    Attributes:
        name: what was asked.
        status: "alive"; "silent": it answers to none of the photos and noises, but to its own picture; "dead": to
            none of them, and ascent did not wake it either, with gradients that pass units which are off.
        reached: its value for its own picture: the mean of its map, the value in the middle, or the logit.
        photos: the largest such value among the sample photos (in the middle's place: at any place).
        photo: which that is.
    """

    name: str
    status: Status
    reached: float
    photos: float
    photo: str


@dataclass(frozen=True)
class NeuronsResult:
    """Pictures of neurons.

    Attributes:
        pictures: N x 3 x S x S in 0..1; of the dead it is what was tried last.
        answers: one for each.
        provenance: what determines them.
        seconds: wall time.
        interrupted: whether Ctrl-C ended it early; the answers are those that were finished.
    """

    pictures: Tensor
    answers: tuple[Answer, ...]
    provenance: dict[str, Any]
    seconds: float
    interrupted: bool = False

    @property
    def dead(self) -> tuple[str, ...]:
        """The names of what answers to nothing."""
        return tuple(each.name for each in self.answers if each.status == "dead")

    def save(self, path: str | Path) -> Path:
        """Write a contact sheet to a ``.png``, or a folder with it, a PNG for each that is alive, and a JSON file.

        Pictures of a former result in this folder are removed.
        """
        path = Path(path)
        record = {**self.provenance, "answers": to_plain(self.answers)}
        single = path.suffix.lower() == ".png"
        if not single:
            _remove_former(path)
        images = [to_image(picture) for picture in self.pictures]
        captions = [caption(each) for each in self.answers]
        sheet = contact_sheet(images, captions, [each.status == "dead" for each in self.answers])
        save_picture(sheet, path if single else path / SHEET_NAME, provenance=record)
        if not single:
            names = _file_names([each.name for each in self.answers])
            for image, each, name in zip(images, self.answers, names, strict=True):
                if each.status != "dead":
                    save_picture(image, path / name, provenance={**self.provenance, "answer": to_plain(each)})
            write_json(path / RECORD_NAME, {**record, "dead": self.dead, "seconds": self.seconds})
        return path


def caption(answer: Answer) -> tuple[str, str, str]:
    """Return the three lines below a picture."""
    if answer.status == "dead":
        return answer.name, "answers to nothing:", "no photo, no noise, no ascent"
    if answer.status == "silent":
        return answer.name, f"reached {answer.reached:.4g}", "no photo or noise wakes it"
    return answer.name, f"reached {answer.reached:.4g}", f"photos {answer.photos:.4g} ({answer.photo})"


def _file_names(names: Sequence[str]) -> list[str]:
    """Return a file name for each; those that would be equal ("still life", "still-life") are numbered."""
    found = [SHEET_NAME]
    for name in names:
        stem = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in name)[:_LONGEST]
        tried = chain([stem], (f"{stem}-{number}" for number in count(2)))
        taken = {each.casefold() for each in found}
        found.append(next(f"{each}.png" for each in tried if f"{each}.png".casefold() not in taken))
    return found[1:]


def _remove_former(folder: Path) -> None:
    try:
        names = [str(each["name"]) for each in read_json(folder / RECORD_NAME)["answers"]]
    except (RunError, KeyError, TypeError):  # none, or damaged
        return
    for name in (RECORD_NAME, SHEET_NAME, *_file_names(names)):
        (folder / name).unlink(missing_ok=True)
