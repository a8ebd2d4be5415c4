"""Seeing neurons: the picture that a channel, neuron, class or direction answers to most (Olah et al. 2017)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto._version import __version__
from impasto.dream.choices import convolution_dtype, usual_layer
from impasto.dream.dreaming import quiet_machine
from impasto.dream.fourier import noise_spectrum, picture_of
from impasto.dream.leak import LEAK, leaking
from impasto.dream.looking import Looker
from impasto.dream.questions import Question, answers, channel_questions, class_question, direction_question
from impasto.dream.records import Answer, NeuronsConfig, NeuronsResult, Status
from impasto.dream.robustness import draw_movements, moved
from impasto.errors import NumericalError
from impasto.images import centre_crop, open_picture, resize_short, to_tensor
from impasto.runs import to_plain
from impasto.runtime import OnProgress, Progress, Stopwatch, generator, ignore_progress
from impasto.samples.photos import sample_photos
from impasto.subjects import Subject, load_subject

# Where neither channels nor anything else is named.
_USUAL_CHANNELS = "0-15"
# Pixels a side, as in Olah et al. 2017: several times what units of middle layers see.
_USUAL_SIZE = 128
# Of the start against a photo's contrast: visible to the network, and next to nothing in the end.
_START = 0.1
# Steps in which gradients pass units that are off: 16 in Olah et al. 2017.
_LEAKY_STEPS = 16
_NOISES = 4
# Of the layer's largest value: less of a difference between places and pictures is rounding.
_NOTHING = 1e-6


def see_neurons(
    config: NeuronsConfig, *, on_progress: OnProgress = ignore_progress, subject: Subject | None = None
) -> NeuronsResult:
    """Return pictures that channels, neurons, directions or classes answer to most.

    Args:
        config: what to ask.
        on_progress: receives a record after each step of a batch.
        subject: use this network in place of loading the configuration's.

    Raises:
        UsageError, UnknownNameError, WeightsError: a configuration that cannot be.
        NumericalError: values are no numbers any more.
    """
    watch = Stopwatch()
    subject = subject or load_subject(config.network, device=config.device, weights=config.weights, seed=config.seed)
    layer = "" if config.classes else config.layer or usual_layer(subject)
    dtype = convolution_dtype(subject, config.network, config.precision)
    looker = Looker(subject, [layer] if layer else [], dtype)
    studio = _Studio(config, looker, _questions(config, looker, layer))
    found: list[tuple[Tensor, Answer]] = []
    interrupted = False
    try:
        with quiet_machine():
            for batch in studio.batches(on_progress):
                found += batch
    except KeyboardInterrupt:
        if not found:
            raise
        interrupted = True
    record = {
        "made_by": f"impasto {__version__}",
        "procedure": "neurons",
        "config": to_plain(config),
        "network": dict(subject.identity),
        "layer": layer,
        "size": studio.side,
        "computed_in": str(dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "interrupted": interrupted,
    }
    pictures = torch.stack([picture for picture, _ in found])
    return NeuronsResult(pictures, tuple(answer for _, answer in found), record, watch.seconds, interrupted)


def _questions(config: NeuronsConfig, looker: Looker, layer: str) -> list[Question]:
    if config.classes:
        return [class_question(looker, name) for name in config.classes]
    count = looker.channels[layer]
    directions = [direction_question(layer, text, count) for text in config.directions]
    channels = config.channels or ("" if directions else _few(count))
    return [*(channel_questions(layer, channels, count) if channels else []), *directions]


def _few(count: int) -> str:
    return _USUAL_CHANNELS if count >= 16 else "all"


@dataclass(frozen=True)
class _Known:
    """What photos and noises say of a question: whether they differ, and the photo with the largest value."""

    is_silent: bool
    photos: float
    photo: str


class _Studio:
    """Photos and noises for comparison, and the ascent."""

    def __init__(self, config: NeuronsConfig, looker: Looker, questions: Sequence[Question]) -> None:
        self.config, self.looker, self.questions = config, looker, list(questions)
        self.side = looker.subject.size if looker.fixed else config.size or _USUAL_SIZE
        self.device = looker.subject.device

    def batches(self, on_progress: OnProgress) -> Iterator[list[tuple[Tensor, Answer]]]:
        """Yield pictures 3 x S x S and answers, batch by batch, in the order of the questions."""
        known = self._known()
        size = self.config.batch
        total = -(-len(self.questions) // size) * self.config.steps
        on_progress(Progress("neurons", 0, total))
        for number, first in enumerate(range(0, len(self.questions), size)):

            def tell(step: int, before: int = number * self.config.steps) -> None:
                on_progress(Progress("neurons", before + step, total))

            asked = slice(first, first + size)
            yield self._batch(self.questions[asked], known[asked], tell)

    def _batch(self, questions: list[Question], known: list[_Known], tell: Any) -> list[tuple[Tensor, Answer]]:
        pictures = self._climb(questions, tell)
        with torch.no_grad():
            maps = answers(self.looker, questions, pictures)
        values = self._values(maps)
        if not bool(values.isfinite().all()):
            raise NumericalError("the values of neurons are no numbers any more.", "Try --precision fp32.")
        wakes = _spread(maps.flatten(1)) > _NOTHING * maps.abs().max()
        found = []
        for row, (question, facts) in enumerate(zip(questions, known, strict=True)):
            # A logit is one place, and differs between pictures alone: the photos have told.
            awake = bool(wakes[row]) or (maps.shape[1:].numel() == 1 and not facts.is_silent)
            status: Status = "alive" if not facts.is_silent else "silent" if awake else "dead"
            answer = Answer(question.name, status, values[row].item(), facts.photos, facts.photo)
            found.append((pictures[row].cpu(), answer))
        return found

    def _climb(self, questions: list[Question], tell: Any) -> Tensor:
        """Return B x 3 x S x S; each picture has its own random numbers, so its neighbours do not matter."""
        config, side = self.config, self.side
        randoms = [generator(config.seed, "neuron", each.name) for each in questions]
        start = torch.cat([_START * noise_spectrum(side, side, random) for random in randoms])
        movements = torch.stack([draw_movements(config.steps, random) for random in randoms], 1)
        spectrum = start.to(self.device).requires_grad_()
        adam = torch.optim.Adam([spectrum], lr=config.step_size)
        asleep = [False] * len(questions)
        for step in range(config.steps):
            pictures = moved(picture_of(spectrum, side), movements[step].to(self.device))
            leaks = [LEAK if step < _LEAKY_STEPS or silent else 0.0 for silent in asleep]
            with leaking(leaks):
                maps = answers(self.looker, questions, pictures)
            adam.zero_grad()
            torch.autograd.backward(-self._wanted(maps, asleep).sum())
            adam.step()
            asleep = (_spread(maps.detach().flatten(1)) == 0).tolist() if maps[0].numel() > 1 else [False] * len(maps)
            tell(step + 1)
        return picture_of(spectrum.detach(), side)

    def _wanted(self, maps: Tensor, asleep: list[bool]) -> Tensor:
        """Return what grows: the values, but of what sleeps the place in the middle.

        While all units of a channel are off, its mean is nearly linear in the picture, and grows by no pattern.
        """
        middle = maps[:, maps.shape[1] // 2, maps.shape[2] // 2]
        return torch.where(torch.tensor(asleep, device=maps.device), middle, self._values(maps))

    def _values(self, maps: Tensor) -> Tensor:
        """Return what is made large, B numbers: the mean over the places, or the one in the middle."""
        if self.config.place == "centre":
            return maps[:, maps.shape[1] // 2, maps.shape[2] // 2]
        return maps.mean((1, 2))

    @torch.no_grad()
    def _known(self) -> list[_Known]:
        photos = self._photos()
        noises = [("", picture) for picture in self._noises()]
        seen = [answers(self.looker, self.questions, picture).flatten(1).cpu() for _, picture in [*photos, *noises]]
        together = torch.cat(seen, 1)
        silent = _spread(together) <= _NOTHING * together.abs().max()
        of_photos = seen[: len(photos)]
        each = [maps.amax(1) if self.config.place == "centre" else maps.mean(1) for maps in of_photos]
        best = torch.stack(each).max(0)
        names = [name for name, _ in photos]
        return [
            _Known(bool(silent[row]), best.values[row].item(), names[int(best.indices[row])])
            for row in range(len(self.questions))
        ]

    def _photos(self) -> list[tuple[str, Tensor]]:
        """Return the sample photos' middle squares, 1 x 3 x S x S, with their names."""
        with tempfile.TemporaryDirectory() as folder:
            paths = sample_photos(Path(folder))
            squares = [
                centre_crop(resize_short(open_picture(path).image, self.side), self.side, self.side) for path in paths
            ]
            return [(path.stem, to_tensor(square)) for path, square in zip(paths, squares, strict=True)]

    def _noises(self) -> list[Tensor]:
        """Return noises of all frequencies alike, and with the spectrum and the colours of photos."""
        random = generator(self.config.seed, "noises")
        white = [torch.rand(1, 3, self.side, self.side, generator=random) for _ in range(_NOISES)]
        return [*white, *(picture_of(noise_spectrum(self.side, self.side, random), self.side) for _ in range(_NOISES))]


def _spread(values: Tensor) -> Tensor:
    """Return the difference between the largest and the smallest of each row."""
    return values.amax(1) - values.amin(1)
