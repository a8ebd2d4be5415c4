"""DeepDream: a picture in which a network sees more of what it sees (Mordvintsev, Olah and Tyka 2015)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from impasto._version import __version__
from impasto.dream.choices import class_number, convolution_dtype, usual_layer
from impasto.dream.config import NOISE_SIZE, USUAL_SIZE, DreamConfig, dream_config_from
from impasto.dream.fourier import noise_spectrum, picture_of
from impasto.dream.gradient import choose_tile
from impasto.dream.looking import Looker
from impasto.dream.objectives import (
    ClassObjective,
    LayerObjective,
    Objective,
    Rule,
    check_channels,
    energy,
    guide_of,
    mean,
)
from impasto.dream.octaves import Ascent, Kept, climb
from impasto.dream.targets import Target, parse_targets
from impasto.errors import PictureSizeError, UsageError
from impasto.images import Picture, open_picture, resize_long, to_tensor
from impasto.runs import to_plain
from impasto.runtime import (
    OnProgress,
    Progress,
    Stopwatch,
    deterministic,
    generator,
    held_memory,
    ignore_progress,
)
from impasto.style.result import Repaint
from impasto.subjects import Subject, load_subject

PictureLike = str | Path | Picture

# Longer side in pixels at which a guide is looked at, and a photo for the scales of several targets.
_LOOK_SIZE = 256
# Contrast of the noise that stands for a photo, against a photo's.
_NOISE = 0.3
_SMALLEST = 32


@dataclass(frozen=True)
class DreamResult(Repaint):
    """A dream.

    Attributes:
        trace: one record a step: octave, its height and width, the objective before the step, seconds.
        interrupted: whether Ctrl-C ended it early; the image is what was dreamed until then.
    """

    trace: tuple[dict[str, float], ...]
    interrupted: bool = False


class Dreamer:
    """A network with what one configuration fixes, ready for any number of pictures.

    Args:
        config: what to do.
        subject: use this network in place of loading the configuration's.
        guide: a picture whose features are followed.

    Raises:
        UsageError, UnknownNameError, WeightsError: a configuration that cannot be.
    """

    def __init__(self, config: DreamConfig, subject: Subject | None = None, guide: Picture | None = None) -> None:
        self.config, self.guide = config, guide
        guided = config.objective.startswith("guide")
        if guided and guide is None:
            raise UsageError(f"objective {config.objective} needs a guide.", "Give --guide PICTURE.")
        if guide is not None and (config.class_name or config.objective == "mean"):
            raise UsageError("a guide was given, which the objective does not look at.", "Leave one of them out.")
        self.subject = subject or load_subject(
            config.network, device=config.device, weights=config.weights, seed=config.seed
        )
        self.layers = "" if config.class_name else config.layers or usual_layer(self.subject)
        self.targets: tuple[Target, ...] = parse_targets(self.layers) if self.layers else ()
        dtype = convolution_dtype(self.subject, config.network, config.precision)
        self.looker = Looker(self.subject, dict.fromkeys(each.layer for each in self.targets), dtype)
        check_channels(self.looker, self.targets)
        self.class_number = class_number(self.subject, config.class_name) if config.class_name else -1

    def dream(self, photo: Picture | None = None, on_progress: OnProgress = ignore_progress) -> DreamResult:
        """Dream over a photo, or from noise.

        Raises:
            PictureSizeError: the photo is too small. ResourceError: too little memory.
            NumericalError: the objective is no number any more.
        """
        watch = Stopwatch()
        start = self.start(photo)
        kept: list[Kept] = []
        trace: list[dict[str, float]] = []
        interrupted = False
        try:
            with quiet_machine():
                self.run(start, *self.prepare(start), kept, trace, on_progress)
        except KeyboardInterrupt:
            interrupted = True
        image = kept[-1].over(start) if kept else start
        alpha = photo.alpha.resize((image.shape[3], image.shape[2])) if photo and photo.alpha else None
        record = {**self.provenance(photo), "steps_done": len(trace), "interrupted": interrupted}
        return DreamResult(image.cpu(), alpha, record, watch.seconds, tuple(trace), interrupted)

    def prepare(self, start: Tensor) -> tuple[Objective, Ascent]:
        """Return what grows over 1 x 3 x H x W in 0..1, and how one climbs."""
        config, objective = self.config, self.objective(start)
        tile = self.subject.size if self.looker.fixed else config.tile or choose_tile(objective, *start.shape[2:])
        ascent = Ascent(
            config.octaves, config.octave_ratio, config.steps, config.step_size, config.jitter, tile, self.least
        )
        return objective, ascent

    def run(
        self,
        start: Tensor,
        objective: Objective,
        ascent: Ascent,
        kept: list[Kept],
        trace: list[dict[str, float]],
        on_progress: OnProgress = ignore_progress,
        stream: int = 0,
    ) -> None:
        """Dream over 1 x 3 x H x W, leaving the newest in ``kept`` and a record a step in ``trace``.

        ``stream`` numbers the random draws of one seed.
        """
        total = ascent.steps * len(ascent.sizes(start))
        on_progress(Progress("dream", 0, total))
        for record in climb(start, objective, ascent, generator(self.config.seed, "dream", stream), kept):
            trace.append(record)
            note = f"{record['width']:.0f}x{record['height']:.0f} pixels"
            on_progress(Progress("dream", len(trace), total, {"objective": record["objective"]}, note))

    @property
    def least(self) -> int:
        """Pixels that the shorter side of an octave has at least."""
        return self.subject.size if self.looker.fixed else _SMALLEST

    def start(self, photo: Picture | None) -> Tensor:
        """Return what is dreamed over: 1 x 3 x H x W in 0..1."""
        size = self.config.size
        if photo is None:
            side = size or NOISE_SIZE
            noise = noise_spectrum(side, side, generator(self.config.seed, "noise"))
            return picture_of(_NOISE * noise, side).to(self.subject.device)
        image = resize_long(photo.image, size or min(USUAL_SIZE, max(photo.image.size)))
        if min(image.size) < self.least:
            raise PictureSizeError(
                f"{photo.path} would be dreamed at {image.width}x{image.height} pixels, too small for "
                f"{self.subject.name}.",
                f"Choose a larger --size, so that the shorter side has {self.least} pixels.",
            )
        return to_tensor(image).to(self.subject.device)

    def objective(self, start: Tensor) -> Objective:
        """Return what grows over ``start``."""
        if self.config.class_name:
            return ClassObjective(self.looker, self.class_number)
        rules: dict[str, Rule] = {"energy": energy, "mean": mean}
        rule = self._guide() if self.guide is not None else rules[self.config.objective]
        small = torch.nn.functional.interpolate(start, (self.subject.size,) * 2, mode="area")
        return LayerObjective(self.looker, self.targets, rule).scaled_by(small)

    def _guide(self) -> Rule:
        assert self.guide is not None
        image = self.guide.image
        fixed = (self.subject.size,) * 2
        image = (
            image.resize(fixed, Image.Resampling.LANCZOS)
            if self.looker.fixed
            else resize_long(image, min(_LOOK_SIZE, max(image.size)))
        )
        cosine = self.config.objective == "guide-cosine"
        try:
            return guide_of(self.looker, self.targets, to_tensor(image).to(self.subject.device), cosine=cosine)
        except PictureSizeError as error:
            raise PictureSizeError(f"the guide {self.guide.path}: {error.message}", "Choose a larger guide.") from error

    def provenance(self, photo: Picture | None) -> dict[str, Any]:
        """Return what determines a dream, as a file says it of itself."""
        return {
            "made_by": f"impasto {__version__}",
            "procedure": "dream",
            "photo": _named(photo),
            "guide": _named(self.guide),
            "config": to_plain(self.config),
            "network": dict(self.subject.identity),
            "layers": self.layers,
            "computed_in": str(self.looker.dtype).removeprefix("torch."),
            "torch": torch.__version__,
        }


@contextmanager
def quiet_machine() -> Iterator[None]:
    """The same bytes for the same seed, and memory that is kept from step to step."""
    # Not strict: on GPUs some networks have layers without such an algorithm.
    with deterministic(strict=False), held_memory():
        yield


def dream(
    photo: PictureLike | None = None,
    config: DreamConfig | None = None,
    *,
    guide: PictureLike | None = None,
    on_progress: OnProgress = ignore_progress,
    subject: Subject | None = None,
    **options: Any,
) -> DreamResult:
    """Dream over a picture, or from noise.

    Args:
        photo: path, or an opened picture; None begins with noise that has a photo's spectrum and colours.
        config: what to do; or give its fields as keywords.
        guide: path of a picture whose features are followed.
        on_progress: receives a record after each step.
        subject: use this network in place of loading the configuration's.

    >>> dream("photo.jpg", network="squeezenet1_0", layers="fire6:12,40").save("out.png")  # doctest: +SKIP
    PosixPath('out.png')

    Raises:
        UsageError: a value that cannot be, or ``config`` beside keywords.
        PictureError, WeightsError, ResourceError, NumericalError: see ``impasto.errors``.
    """
    if config is not None and options:
        raise UsageError(f"a config was given beside {', '.join(options)}.", "Use dataclasses.replace on the config.")
    followed = None if guide is None else _opened(guide)
    dreamer = Dreamer(config or dream_config_from(options), subject, followed)
    return dreamer.dream(None if photo is None else _opened(photo), on_progress)


def _opened(picture: PictureLike) -> Picture:
    return picture if isinstance(picture, Picture) else open_picture(Path(picture))


def _named(picture: Picture | None) -> dict[str, str] | None:
    return None if picture is None else {"name": picture.path.name, "sha256": picture.sha256}
