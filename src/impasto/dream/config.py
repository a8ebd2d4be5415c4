"""What a dream is made of: one frozen record."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

from impasto.dream.targets import parse_targets
from impasto.encoders import DEFAULT_ENCODER
from impasto.errors import UnknownNameError, UsageError
from impasto.runtime import Precision

OBJECTIVES = ("energy", "mean", "guide", "guide-cosine")
Objectives = Literal["energy", "mean", "guide", "guide-cosine"]
# Of the longer side, in pixels, where there is no photo and no size is given.
NOISE_SIZE = 512
# A photo is not dreamed larger than this unless it is asked for: the time grows with the pixels.
USUAL_SIZE = 768


@dataclass(frozen=True)
class DreamConfig:
    """Everything that determines a dream besides the pictures themselves.

    Attributes:
        network: what ``impasto.subjects.load_subject`` takes: an encoder, a model folder, ``torchvision:<name>`` ...
        weights: its file, or "random".
        layers: ``fire6``, some channels ``fire6:12,40``, several ``fire5+fire8=0.5`` with weights; empty for the
            network's usual one.
        objective: "energy", "mean", or towards a guide's features: "guide" by dot product as the original,
            "guide-cosine" by direction alone. "energy" with a guide given is "guide".
        class_name: dream of a class's logit in place of layers.
        size: longer side of the result in pixels; None keeps a photo's, 768 at most.
        octaves, octave_ratio: sizes that are dreamed at, and the ratio of one to the next.
        steps: at each octave.
        step_size: mean change of a value in one step, in units of the picture's range 0..1.
        jitter: pixels by which the picture is moved at most before each step, and back after it.
        tile: side in pixels of the windows in which the gradient is computed; None takes all of the picture where
            memory allows.
        precision, device, seed: see ``runtime``.
    """

    network: str = DEFAULT_ENCODER
    weights: str | None = None
    layers: str = ""
    objective: Objectives = "energy"
    class_name: str = ""
    size: int | None = None
    octaves: int = 4
    octave_ratio: float = 1.4
    steps: int = 10
    step_size: float = 0.01
    jitter: int = 32
    tile: int | None = None
    precision: Precision = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.layers:
            parse_targets(self.layers)
        if self.objective not in OBJECTIVES:
            raise UnknownNameError("objective", self.objective, OBJECTIVES)
        if self.class_name and (self.layers or self.objective != "energy"):
            raise UsageError("a class is dreamed of by its logit, without layers or another objective.")
        _require(self.size is None or 32 <= self.size <= 16384, "size", self.size, "32 .. 16384 pixels")
        _require(1 <= self.octaves <= 32, "octaves", self.octaves, "1 .. 32")
        _require(1 < self.octave_ratio <= 4, "octave ratio", self.octave_ratio, "above 1, at most 4")
        _require(1 <= self.steps <= 10_000, "steps", self.steps, "1 .. 10000 at each octave")
        _require(0 < self.step_size < math.inf, "step size", self.step_size, "above 0, such as 0.01")
        _require(0 <= self.jitter <= 1024, "jitter", self.jitter, "0 .. 1024 pixels")
        _require(self.tile is None or 32 <= self.tile <= 16384, "tile", self.tile, "32 .. 16384 pixels")


def dream_config_from(options: dict[str, Any]) -> DreamConfig:
    """Build a configuration from keyword arguments.

    Raises:
        UnknownNameError: a keyword that is none of its fields; the nearest are offered.
    """
    known = [field.name for field in fields(DreamConfig)]
    for name in options:
        if name not in known:
            raise UnknownNameError("option", name, known)
    return DreamConfig(**options)


def _require(holds: bool, name: str, value: Any, allowed: str) -> None:
    if not holds:
        raise UsageError(f"{name} {value!r} is not allowed.", f"Allowed: {allowed}.")
