"""What a repaint is made of: one frozen record, and the presets that fill it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from impasto.encoders import DEFAULT_ENCODER
from impasto.errors import UnknownNameError, UsageError
from impasto.runtime import Precision
from impasto.style.dream import parse_dream

# The network for any style that comes with impasto.
DEFAULT_NETWORK = "impasto-any"
# Pixels of the shorter side below which the deeper layers of the encoders have nothing left to see.
SMALLEST_SIDE = 32
# Photos may be enlarged, but a dot or a line holds nothing that could be repainted.
SMALLEST_PHOTO = 8

# Share of style and content that a dream weighs at most, at strength 1.
DREAM_AT_ONE = 0.2


@dataclass(frozen=True)
class StylizeConfig:
    """Everything that determines a repaint besides the pictures themselves.

    Attributes:
        preset: "default", or "gatys2015" for R1's equations.
        encoder: name for ``load_encoder``; ``weights`` its file, or "random".
        size: longer side of the result in pixels.
        steps: optimisation steps in all; None takes the preset's.
        strength: 0 .. 1 exclusive; 0.5 is the usual balance, above it more style, below it more photo. Losses are
            shares of their targets, so a strength means the same for every picture, style, size and encoder.
        ratio: alpha / beta of gatys2015: 1e9 light, 1e8 medium, 1e7 heavy.
        style_weights: one number a style picture; empty for equal shares.
        style_size: longer side of the style pictures as a share of ``size``; smaller makes finer strokes.
        keep_colour: paint with the photo's colours (Gatys et al. 2017, colour matching).
        init: "content", "noise", "fast" (what the any-style network paints), or the path of a picture.
        content_layers, style_layers: empty for the encoder's own.
        dream: what is amplified beside (DeepDream): ``fire6``, some channels ``fire6:12,40``, several joined by ``+``,
            or "auto" for channels that matter least to style and content; empty for none. The scales that a run of the
            default preset goes through, from 128 pixels on, are DeepDream's octaves.
        dream_strength: 1 lets style and content end near to what they are without a dream; more dreams more.
        pooling, padding, precision, device, seed: see ``load_encoder`` and ``runtime``.
    """

    preset: str = "default"
    encoder: str = DEFAULT_ENCODER
    weights: str | None = None
    size: int = 512
    steps: int | None = None
    strength: float = 0.5
    ratio: float = 1e8
    style_weights: tuple[float, ...] = ()
    style_size: float = 1.0
    keep_colour: bool = False
    init: str = "content"
    content_layers: tuple[str, ...] = ()
    style_layers: tuple[str, ...] = ()
    dream: str = ""
    dream_strength: float = 1.0
    pooling: Literal["max", "average"] = "max"
    padding: Literal["zeros", "replicate", "reflect"] = "zeros"
    precision: Precision = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        preset_of(self)
        _require(32 <= self.size <= 16384, "size", self.size, "32 .. 16384 pixels")
        _require(self.steps is None or 1 <= self.steps <= 100_000, "steps", self.steps, "1 .. 100000")
        _require(0 < self.strength < 1, "strength", self.strength, "between 0 and 1, both excluded")
        _require(0 < self.ratio < float("inf"), "ratio", self.ratio, "a positive number such as 1e8")
        _require(0.1 <= self.style_size <= 4, "style size", self.style_size, "0.1 .. 4")
        _require_weights(self.style_weights)
        parse_dream(self.dream)
        _require(0 < self.dream_strength <= 1000, "dream strength", self.dream_strength, "above 0, at most 1000")


def _require_weights(weights: tuple[float, ...]) -> None:
    _require(all(weight >= 0 for weight in weights), "style weights", weights, "not negative")
    _require(not weights or sum(weights) > 0, "style weights", weights, "not all 0")


def _require(holds: bool, name: str, value: Any, allowed: str) -> None:
    if not holds:
        raise UsageError(f"{name} {value!r} is not allowed.", f"Allowed: {allowed}.")


@dataclass(frozen=True)
class FastConfig:
    """What determines a repaint by a network besides the pictures.

    Attributes:
        network: a name of ``impasto network list``, or a file of any known format.
        size: longer side of the result in pixels; None keeps the photo's.
        strength: 0 the photo, 1 all of the style.
        style_weights: one number a style; empty for equal shares.
        style_size: longer side of the style pictures as a share of the result's; smaller makes finer strokes.
        keep_colour: paint with the photo's colours (Gatys et al. 2017, colour matching).
        memory: bytes; a picture that would need more is painted layer by layer through temporary files, more slowly and
            to the same values but for rounding. None takes half of what is free.
        precision: "auto" is bf16 for networks of ours where the processor multiplies it. Foreign ones compute in
            float32, because they are to give their published pictures.
        device: see ``runtime``.
        seed: networks draw nothing at random; the splits of a data set do.
    """

    network: str = DEFAULT_NETWORK
    size: int | None = None
    strength: float = 1.0
    style_weights: tuple[float, ...] = ()
    style_size: float = 1.0
    keep_colour: bool = False
    memory: int | None = None
    precision: Precision = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        _require(self.size is None or 1 <= self.size <= 16384, "size", self.size, "1 .. 16384 pixels")
        _require(0 <= self.strength <= 1, "strength", self.strength, "0 (the photo) .. 1 (all of the style)")
        _require(0.1 <= self.style_size <= 4, "style size", self.style_size, "0.1 .. 4")
        _require_weights(self.style_weights)
        _require(self.memory is None or self.memory > 0, "memory", self.memory, "more than 0; 2 for 2 GB")


@dataclass(frozen=True)
class Preset:
    """How a preset optimises: its objective, optimiser, scales and number of steps.

    ``first_scale`` is the longer side in pixels at which a multi-scale run begins (0: one scale only);
    ``step_size`` is of Adam, in units of the picture's range 0..1; ``fast_precision`` lets ``precision="auto"`` choose
    a faster type than float32.
    """

    objective: Literal["normalised", "gatys2015"]
    optimizer: Literal["lbfgs", "adam"]
    steps: int
    first_scale: int
    step_size: float
    fast_precision: bool
    content_layers: tuple[str, ...] = ()


PRESETS = {
    "default": Preset("normalised", "lbfgs", 150, 128, 1.0, fast_precision=True),
    # R1: VGG19, content block5_conv2, Adam, 1000 steps. The step size is not given there; 0.02 of the range 0..1 (5 of
    # 255) is what other implementations use.
    "gatys2015": Preset("gatys2015", "adam", 1000, 0, 0.02, fast_precision=False, content_layers=("relu5_2",)),
}


def preset_of(config: StylizeConfig) -> Preset:
    """Return the preset of a configuration, with its own number of steps where it names one."""
    if config.preset not in PRESETS:
        raise UnknownNameError("preset", config.preset, PRESETS)
    preset = PRESETS[config.preset]
    return preset if config.steps is None else replace(preset, steps=config.steps)


def config_from(options: dict[str, Any]) -> StylizeConfig:
    """Build a configuration from keyword arguments.

    Raises:
        UnknownNameError: a keyword that is none of its fields; the nearest are offered.
    """
    _require_fields(options, StylizeConfig)
    if isinstance(options.get("weights"), Path):
        options["weights"] = str(options["weights"])
    return StylizeConfig(**options)


def fast_config_from(options: dict[str, Any]) -> FastConfig:
    """Build a configuration of one pass from keyword arguments.

    Raises:
        UnknownNameError: a keyword that is none of its fields; the nearest are offered.
    """
    _require_fields(options, FastConfig)
    return FastConfig(**options)


def _require_fields(options: dict[str, Any], kind: type[StylizeConfig | FastConfig]) -> None:
    known = [field.name for field in fields(kind)]
    for name in options:
        if name not in known:
            raise UnknownNameError("option", name, known)
