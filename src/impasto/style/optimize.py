"""Repainting by optimisation (Gatys, Ecker and Bethge 2015, 2016)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from impasto._version import __version__
from impasto.encoders import AnyEncoder, default_layers, gains_from_bf16, load_encoder
from impasto.errors import PictureSizeError, UsageError
from impasto.images import Picture, match_colours, open_picture, resize_long, to_tensor
from impasto.runtime import (
    OnProgress,
    Progress,
    Stopwatch,
    choose_device,
    choose_dtype,
    deterministic,
    ignore_progress,
)
from impasto.style.config import (
    DREAM_AT_ONE,
    SMALLEST_PHOTO,
    SMALLEST_SIDE,
    Preset,
    StylizeConfig,
    config_from,
    preset_of,
)
from impasto.style.dream import AUTO, Dream, DreamLayer, check_dream, look_size, parse_dream
from impasto.style.dream_channels import choose_channels
from impasto.style.engine import Scale, optimise, plan_scales, resize
from impasto.style.objective import Gatys2015Objective, NormalisedObjective, Objective
from impasto.style.plan import PROBE_SIZE, Pace, Plan, make_plan, measure_pace, require_memory
from impasto.style.record import painting_facts, picture_facts
from impasto.style.result import Repaint
from impasto.style.start import first_picture

PictureLike = str | Path | Picture


@dataclass(frozen=True)
class StylizeResult(Repaint):
    """A repaint by optimisation.

    Attributes:
        trace: one record a step: scale, and the loss with its terms.
        plan: the estimate made before the start.
        interrupted: whether Ctrl-C ended it early; the image is the best until then.
    """

    trace: tuple[dict[str, float], ...]
    plan: Plan
    interrupted: bool = False


@dataclass
class Painter:
    """An encoder with what one configuration fixes, ready for any number of pictures.

    Args:
        config: what to do.
        encoder: use this one in place of loading the configuration's.

    Raises:
        UsageError, WeightsError: a configuration that cannot be.
    """

    config: StylizeConfig
    encoder: AnyEncoder | None = None
    _paces: dict[int, Pace] = field(default_factory=dict)
    _dreams: dict[tuple[str, ...], Dream] = field(default_factory=dict)

    def __post_init__(self) -> None:
        config = self.config
        self.preset: Preset = preset_of(config)
        self.device = choose_device(config.device)
        fast = self.preset.fast_precision and gains_from_bf16(config.encoder)
        self.dtype = choose_dtype("fp32" if config.precision == "auto" and not fast else config.precision, self.device)
        if self.encoder is None:
            self.encoder = load_encoder(
                config.encoder,
                weights=config.weights,
                seed=config.seed,
                pooling=config.pooling,
                padding=config.padding,
            )
        self.network: AnyEncoder = self.encoder.to(self.device).to(memory_format=torch.channels_last)
        content, style = default_layers(config.encoder)
        if self.preset.content_layers and all(map(self.network.has_layer, self.preset.content_layers)):
            content = self.preset.content_layers
        self.content_layers = config.content_layers or content
        self.style_layers = config.style_layers or style

    def with_config(self, config: StylizeConfig) -> Painter:
        """Return a painter with another configuration and the same encoder, paces included."""
        return replace(self, config=config, encoder=self.network, _dreams={})

    def identity(self) -> dict[str, Any]:
        """Return plain values that tell this encoder from any other."""
        return self.network.identity()

    def dream(self, content: Picture, styles: Sequence[Picture]) -> Dream:
        """Return what the configuration dreams of; "auto" looks at the pictures, once for each photo and styles.

        Raises:
            UsageError: layers or channels that are not there, are in use as a whole, or are all silent.
        """
        if not self.config.dream:
            return Dream()
        key = (content.sha256, *(picture.sha256 for picture in styles))
        if key not in self._dreams:
            with deterministic():
                self._dreams[key] = self._find_dream(content, styles)
        return self._dreams[key]

    def _find_dream(self, content: Picture, styles: Sequence[Picture]) -> Dream:
        size = look_size(content.image.size, self.config.size)
        photo = self._tensor(resize_long(content.image, size))
        if self.config.dream == AUTO:
            plain = self.objective(photo, [self.style_at(picture, size) for picture in styles])
            return choose_channels(plain, photo, self.preset)
        layers = parse_dream(self.config.dream)
        return check_dream(layers, self.network, photo, self.content_layers, self.style_layers)

    def plan(self, content: Picture, styles: Sequence[Picture]) -> Plan:
        """Return the estimated cost of one repaint; the first call tries two small steps."""
        width, height = resize_long(content.image, self.config.size).size
        scales = self._scales(width, height)
        dream = self.dream(content, styles).layers
        if len(styles) not in self._paces:
            small = [self.style_at(picture, PROBE_SIZE) for picture in styles]
            probe = self._tensor(content.image.resize((PROBE_SIZE, PROBE_SIZE)))
            self._paces[len(styles)] = measure_pace(lambda image: self.objective(image, small, dream), probe)
        return make_plan(width, height, scales, self.preset, self._paces[len(styles)])

    def paint(
        self, content: Picture, styles: Sequence[Picture], on_progress: OnProgress = ignore_progress
    ) -> StylizeResult:
        """Repaint one picture.

        Raises:
            ResourceError: the plan does not fit into memory.
            NumericalError: the optimisation diverged.
        """
        self._check(content, styles)
        plan = self.plan(content, styles)
        require_memory(plan, self.device)
        watch = Stopwatch()
        trace: list[dict[str, float]] = []
        best: list[Tensor] = []
        interrupted = False
        photo = self._tensor(resize_long(content.image, self.config.size))
        try:
            with deterministic():
                self._paint_scales(photo, content, styles, best, trace, plan, on_progress)
        except KeyboardInterrupt:
            interrupted = True
        image = resize(best[-1], *photo.shape[2:]) if best else photo
        alpha = content.alpha.resize((plan.width, plan.height)) if content.alpha else None
        provenance = self._provenance(content, styles, len(trace), interrupted)
        return StylizeResult(image.clamp(0, 1).cpu(), alpha, provenance, watch.seconds, tuple(trace), plan, interrupted)

    def _paint_scales(
        self,
        photo: Tensor,
        content: Picture,
        styles: Sequence[Picture],
        best: list[Tensor],
        trace: list[dict[str, float]],
        plan: Plan,
        on_progress: OnProgress,
    ) -> None:
        on_progress(Progress("repaint", 0, plan.steps))
        for scale in self._scales(plan.width, plan.height):
            share = scale.size / self.config.size
            target = resize(photo, *(max(1, round(side * share)) for side in photo.shape[2:]))
            pictures = [self.style_at(picture, scale.size) for picture in styles]
            objective = self.objective(target, pictures, self.dream(content, styles).layers)
            start = resize(best[-1], *target.shape[2:]) if best else first_picture(self.config, target, content, styles)
            best[:] = [start]
            for terms in optimise(start, objective, self.preset, scale.steps, lambda image: best.append(image)):
                del best[:-1]
                trace.append({"scale": scale.size, **terms})
                on_progress(Progress("repaint", len(trace), plan.steps, {"loss": terms["loss"]}, f"{scale.size} px"))

    def _scales(self, width: int, height: int) -> list[Scale]:
        # Starting from a picture means going on with it: its fine strokes would not survive a small scale.
        from_picture = self.config.init not in ("content", "noise")
        return (
            [Scale(self.config.size, self.preset.steps)] if from_picture else plan_scales(self.config.size, self.preset)
        )

    def style_at(self, picture: Picture, size: int) -> Tensor:
        """Return a style picture, 1 x 3 x h x w, for painting at ``size`` pixels."""
        sides = sorted(picture.image.size)
        # At least as large as the encoder needs, and never enlarged: there would be no strokes to learn from.
        least = math.ceil(SMALLEST_SIDE * sides[1] / sides[0])
        return self._tensor(resize_long(picture.image, min(sides[1], max(least, round(size * self.config.style_size)))))

    def objective(self, content: Tensor, styles: Sequence[Tensor], dream: Sequence[DreamLayer] = ()) -> Objective:
        """Return what a picture of the size of ``content`` (1 x 3 x H x W) is optimised for."""
        weights = self.config.style_weights or (1.0,) * len(styles)
        if self.config.keep_colour:
            styles = [match_colours(each, content).clamp(0, 1) for each in styles]
        common = (self.network, content, styles, weights, self.content_layers, self.style_layers, self.dtype)
        dreaming = {"dream": dream, "dream_weight": DREAM_AT_ONE * self.config.dream_strength}
        if self.preset.objective == "gatys2015":
            return Gatys2015Objective(*common, ratio=self.config.ratio, **dreaming)
        return NormalisedObjective(*common, strength=self.config.strength, **dreaming)

    def _tensor(self, image: Image.Image) -> Tensor:
        return to_tensor(image).to(self.device)

    def check_style(self, picture: Picture) -> None:
        """Raise PictureSizeError for a picture too small to have a style."""
        if min(picture.image.size) < SMALLEST_SIDE:
            raise PictureSizeError(
                f"{picture.path} is {picture.image.width}x{picture.image.height} pixels, too small for a style.",
                f"A style picture needs {SMALLEST_SIDE} pixels a side.",
            )

    def check_content(self, picture: Picture) -> None:
        """Raise PictureSizeError for a photo that is too small, or would be at the configuration's size."""
        if min(picture.image.size) < SMALLEST_PHOTO:
            raise PictureSizeError(
                f"{picture.path} is {picture.image.width}x{picture.image.height} pixels: nothing to repaint.",
                f"A photo needs {SMALLEST_PHOTO} pixels a side.",
            )
        width, height = resize_long(picture.image, self.config.size).size
        if min(width, height) < SMALLEST_SIDE:
            raise PictureSizeError(
                f"{picture.path} would be painted at {width}x{height} pixels, too small for {self.network.name}.",
                f"Choose a larger --size, so that the shorter side has {SMALLEST_SIDE} pixels.",
            )

    def _check(self, content: Picture, styles: Sequence[Picture]) -> None:
        if not styles:
            raise UsageError("no style picture was given.")
        given = len(self.config.style_weights)
        if given not in (0, len(styles)):
            raise UsageError(f"{given} style weights were given for {len(styles)} style pictures.")
        self.check_content(content)
        for picture in styles:
            self.check_style(picture)

    def _provenance(self, content: Picture, styles: Sequence[Picture], steps: int, interrupted: bool) -> dict[str, Any]:
        layers = {"content": list(self.content_layers), "style": list(self.style_layers)}
        return {
            "made_by": f"impasto {__version__}",
            "procedure": "stylize",
            **picture_facts(content, styles),
            **painting_facts(self.config, self.network, layers, self.dtype, self.dream(content, styles)),
            "steps_done": steps,
            "interrupted": interrupted,
        }


def stylize(
    content: PictureLike,
    style: PictureLike | Sequence[PictureLike],
    config: StylizeConfig | None = None,
    *,
    on_progress: OnProgress = ignore_progress,
    network: AnyEncoder | None = None,
    **options: Any,
) -> StylizeResult:
    """Repaint a picture in the style of another, or of several.

    Args:
        content: path of the photo, or an opened picture.
        style: path of the style picture, or several of them.
        config: what to do; or give its fields as keywords.
        on_progress: receives a record after each step.
        network: use this encoder in place of loading the configuration's.

    >>> stylize("photo.jpg", "starry.jpg", size=768).save("out.png")  # doctest: +SKIP
    PosixPath('out.png')

    Raises:
        UsageError: a value that cannot be, or ``config`` beside keywords.
        PictureError, WeightsError, ResourceError, NumericalError: see ``impasto.errors``.
    """
    if config is not None and options:
        raise UsageError(f"a config was given beside {', '.join(options)}.", "Use dataclasses.replace on the config.")
    painter = Painter(config or config_from(options), network)
    many = list(style) if isinstance(style, Sequence) and not isinstance(style, str) else [style]
    return painter.paint(_opened(content), [_opened(each) for each in many], on_progress)


def _opened(picture: PictureLike) -> Picture:
    return picture if isinstance(picture, Picture) else open_picture(Path(picture))
