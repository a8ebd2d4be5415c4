"""What a repaint is made of: one frozen record, and the presets that fill it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from impasto.encoders import DEFAULT_ENCODER
from impasto.errors import UnknownNameError, UsageError
from impasto.runtime import Precision


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
        init: "content", "noise", or the path of a picture.
        content_layers, style_layers: empty for the encoder's own.
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
    init: str = "content"
    content_layers: tuple[str, ...] = ()
    style_layers: tuple[str, ...] = ()
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
        _require(
            all(weight >= 0 for weight in self.style_weights),
            "style weights",
            self.style_weights,
            "not negative",
        )
        _require(
            not self.style_weights or sum(self.style_weights) > 0,
            "style weights",
            self.style_weights,
            "not all 0",
        )


def _require(holds: bool, name: str, value: Any, allowed: str) -> None:
    if not holds:
        raise UsageError(f"{name} {value!r} is not allowed.", f"Allowed: {allowed}.")


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
    known = [field.name for field in fields(StylizeConfig)]
    for name in options:
        if name not in known:
            raise UnknownNameError("option", name, known)
    if isinstance(options.get("weights"), Path):
        options["weights"] = str(options["weights"])
    return StylizeConfig(**options)
