"""Repainting in one forward pass with a feed-forward network."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from impasto._version import __version__
from impasto.errors import PictureSizeError, UsageError
from impasto.images import Picture, match_colours, open_picture, resize_long, to_tensor
from impasto.runs import to_plain
from impasto.runtime import Stopwatch, available_memory, choose_device, choose_dtype, deterministic
from impasto.style.brush import Brush, Mixture, brush_of
from impasto.style.checkpoints import StyleNetwork, fingerprint
from impasto.style.config import DEFAULT_NETWORK, SMALLEST_PHOTO, SMALLEST_SIDE, FastConfig, fast_config_from
from impasto.style.library import open_network
from impasto.style.networks import Stage
from impasto.style.plan import BASE_MEMORY, PROBE_SIZE, Plan
from impasto.style.result import Repaint
from impasto.style.streaming import Rows, require_disk, stream

# Bytes a pixel that the usual networks of 32 channels were seen to take at their peak, in one piece.
WHOLE_BYTES = 900
# Bytes a pixel of a strip: input and output of the widest layer, and what the convolution needs for itself.
STRIP_BYTES = 2000
LEAST_STRIP = 2
# Longer side in pixels of the photo from which its colours and its own style are taken.
PREVIEW = 256
# Rows of a finished picture that are changed at a time.
_STRIP = 256


class Network(Protocol):
    """A network of one style, which can also be computed stage by stage.

    ``frame`` and ``multiple`` are told in ``networks``.
    """

    frame: int
    multiple: int

    def __call__(self, x: Tensor) -> Tensor:
        """Repaint B x 3 x H x W."""

    def enter(self, x: Tensor) -> Tensor:
        """Bring RGB in 0..1 to what the first stage takes."""

    def leave(self, x: Tensor) -> Tensor:
        """Bring what the last stage gives to RGB in 0..1."""

    def stages(self) -> list[Stage]:
        """Return the computation between the two."""


class FastPainter:
    """A network, ready for any number of pictures.

    Args:
        config: what to do.
        network: use this one in place of opening the configuration's.

    Raises:
        UnknownNameError, WeightsError: no such network, or a file that is none.
    """

    def __init__(self, config: FastConfig, network: StyleNetwork | None = None) -> None:
        self.config = config
        self.device = choose_device(config.device)
        self.network = network or open_network(config.network)
        self._fingerprint = fingerprint(self.network)
        self._views: dict[tuple[str, int], Tensor] = {}
        self.brush: Brush = brush_of(self.network, self.device)
        if config.precision == "bf16" and not self.brush.may_lower:
            raise UsageError(f"{config.network} computes in float32 alone.", "Leave --precision out.")
        self.dtype = choose_dtype(config.precision, self.device) if self.brush.may_lower else torch.float32

    def with_config(self, config: FastConfig) -> FastPainter:
        """Return a painter with another configuration and the same network."""
        painter = copy.copy(self)
        painter.config = config
        return painter

    def identity(self) -> dict[str, Any]:
        """Return plain values that tell this network from any other."""
        return {"network": self.network.facts["name"], "sha256": self._fingerprint}

    def check_content(self, picture: Picture) -> None:
        """Raise PictureSizeError for a photo with nothing in it that could be repainted."""
        if min(picture.image.size) < SMALLEST_PHOTO:
            raise PictureSizeError(
                f"{picture.path} is {picture.image.width}x{picture.image.height} pixels: nothing to repaint.",
                f"A photo needs {SMALLEST_PHOTO} pixels a side.",
            )

    def check_style(self, picture: Picture) -> None:
        """Raise PictureSizeError for a picture too small to have a style."""
        if min(picture.image.size) < SMALLEST_SIDE:
            raise PictureSizeError(
                f"{picture.path} is {picture.image.width}x{picture.image.height} pixels, too small for a style.",
                f"A style picture needs {SMALLEST_SIDE} pixels a side.",
            )

    def plan(self, content: Picture, styles: Sequence[Picture]) -> Plan:
        """Return the estimated cost of one repaint; a small one is painted for it."""
        size = self.config.size or max(content.image.size)
        width, height = resize_long(content.image, size).size
        probe = self.with_config(replace(self.config, size=min(size, PROBE_SIZE)))
        probe.paint(content, styles)
        seconds = probe.paint(content, styles).seconds * (size / min(size, PROBE_SIZE)) ** 2
        memory = min(width * height * WHOLE_BYTES, self._memory()) + BASE_MEMORY
        return Plan(width, height, 1, seconds, memory)

    def paint(self, content: Picture, styles: Sequence[Picture | str] = ()) -> Repaint:
        """Repaint one picture; its size is the photo's, or the configuration's.

        Args:
            content: the photo.
            styles: pictures for the any-style network, names for one of several styles, nothing for one of one style.

        Raises:
            UsageError: styles that the network has no use for, or none where it needs some.
            PictureSizeError: a style picture too small to have a style.
        """
        watch = Stopwatch()
        config = self.config
        image = content.image if config.size is None else resize_long(content.image, config.size)
        painted = self.paint_image(image, styles)
        alpha = content.alpha.resize(image.size) if content.alpha else None
        return Repaint(painted, alpha, self._provenance(content, styles), watch.seconds)

    def style(self, style: str | Path | Picture) -> Picture | str:
        """Return what ``paint`` takes: an opened picture for a network that reads pictures, else a name."""
        if isinstance(style, Picture):
            return style
        return open_picture(Path(style)) if self.brush.reads_pictures else str(style)

    def paint_image(self, image: Image.Image, styles: Sequence[Picture | str] = ()) -> Tensor:
        """Return an RGB image repainted in its own size, 1 x 3 x H x W in 0..1."""
        with deterministic(), torch.no_grad():
            return self._painted(image, styles)

    def _painted(self, image: Image.Image, styles: Sequence[Picture | str]) -> Tensor:
        strength = self.config.strength
        chosen = [self._style(each, image) for each in styles]
        dtype = torch.float32 if self._must_stream(image) else self.dtype
        mixture = Mixture(self.config.style_weights, strength, lambda: to_tensor(_small(image)), dtype)
        plan = self.brush.networks(chosen, mixture)
        painted = self._apply(plan.network, image)
        if strength == 1 and not self._recolours:
            return painted
        if strength < 1:
            _take_back(painted, painted if plan.own is None else self._apply(plan.own, image), image, 1 - strength)
        return match_colours(painted, to_tensor(image)).clamp_(0, 1) if self._recolours else painted

    @property
    def _recolours(self) -> bool:
        # The any-style network reads a style picture in the photo's colours; of others the result is recoloured.
        return self.config.keep_colour and not self.brush.reads_pictures

    def _style(self, style: Picture | str, image: Image.Image) -> Tensor | str:
        if isinstance(style, str):
            return style
        self.check_style(style)
        size = round(max(image.size) * self.config.style_size)
        if self.config.keep_colour:
            view = to_tensor(self.brush.style_view(style.image, size))
            return match_colours(view, to_tensor(_small(image))).clamp_(0, 1)
        key = (style.sha256, size)  # the same tensor again, which the brush knows
        if key not in self._views:
            self._views[key] = to_tensor(self.brush.style_view(style.image, size))
        return self._views[key]

    def _apply(self, network: Network, image: Image.Image) -> Tensor:
        if self._must_stream(image):
            return apply_streamed(network, image, self._memory() // 4)
        return apply_network(network, to_tensor(image).to(self.device)).clamp_(0, 1).cpu()

    def _must_stream(self, image: Image.Image) -> bool:
        return self.device.type == "cpu" and image.width * image.height * WHOLE_BYTES > self._memory()

    def _memory(self) -> int:
        return self.config.memory or available_memory() // 2

    def _provenance(self, content: Picture, styles: Sequence[Picture | str]) -> dict[str, Any]:
        described = [
            {"name": each} if isinstance(each, str) else {"name": each.path.name, "sha256": each.sha256}
            for each in styles
        ]
        return {
            "made_by": f"impasto {__version__}",
            "procedure": "stylize in one pass",
            "content": {"name": content.path.name, "sha256": content.sha256},
            **({"styles": described} if described else {}),
            "network": {
                "architecture": self.network.architecture,
                **self.network.facts,
                "sha256": self._fingerprint,
            },
            "config": to_plain(self.config),
            "computed_in": str(self.dtype).removeprefix("torch."),
            "torch": torch.__version__,
        }


@torch.no_grad()
def apply_network(network: Network, image: Tensor) -> Tensor:
    """Repaint B x 3 x H x W in 0..1, any H and W, to the same shape; values may lie outside 0..1.

    The picture is mirrored at its border as far as the network needs it, and cut back; where it is too small to be
    mirrored its outermost pixels are repeated.
    """
    height, width = image.shape[2:]
    frame = network.frame
    rows, columns = (torch.from_numpy(_mirrored(side, network)).to(image.device) for side in (height, width))
    framed = image[:, :, rows][:, :, :, columns]
    painted: Tensor = network(framed.contiguous(memory_format=torch.channels_last))
    return painted[:, :, frame : frame + height, frame : frame + width].contiguous()


@torch.no_grad()
def apply_streamed(network: Network, image: Image.Image, memory: int) -> Tensor:
    """Do what ``apply_network`` does with a picture of any size, layer by layer through temporary files.

    Args:
        network: one that can tell its stages.
        image: RGB.
        memory: bytes that the strips may take, besides the result (1 x 3 x H x W, float32, in 0..1) and the picture.

    Raises:
        ResourceError: the disk has no room for the temporary files.
    """
    width, height = image.size
    frame, stages = network.frame, network.stages()
    rows, columns = _mirrored(height, network), _mirrored(width, network)

    def read(first: int, last: int) -> Tensor:
        wanted = rows[first:last]
        low = int(wanted.min())
        part = np.asarray(image.crop((0, low, width, int(wanted.max()) + 1)))[wanted - low][:, columns]
        return network.enter(torch.from_numpy(part).permute(2, 0, 1).unsqueeze(0).float() / 255)

    source = Rows(3, len(rows), len(columns), read)
    require_disk(stages, source)
    strip = max(LEAST_STRIP, memory // (STRIP_BYTES * len(columns)))
    result = torch.empty(1, 3, height, width)
    for first, painted in stream(stages, source, strip):
        low, high = max(first, frame), min(first + painted.shape[2], frame + height)
        if low < high:
            inner = painted[:, :, low - first : high - first, frame : frame + width]
            result[:, :, low - frame : high - frame] = network.leave(inner).clamp_(0, 1)
    return result


def _take_back(painted: Tensor, own: Tensor, image: Image.Image, share: float) -> None:
    """Take a share of what a network cannot help changing in a photo out of what it painted, in place.

    That is what it makes of the photo in its own style, against the photo: with all of it taken back the photo itself
    is left. In strips: a large picture would exist three times more.
    """
    for top in range(0, image.height, _STRIP):
        rows = slice(top, min(top + _STRIP, image.height))
        photo = to_tensor(image.crop((0, rows.start, image.width, rows.stop)))
        painted[:, :, rows] = (painted[:, :, rows] + share * (photo - own[:, :, rows])).clamp_(0, 1)


def _mirrored(side: int, network: Network) -> npt.NDArray[np.intp]:
    """Return, for a side of the framed picture, which pixel of the bare one stands at each place.

    A side is filled up to the network's multiple, and to what reflection padding at an eighth of the size needs.
    """
    frame, multiple = network.frame, network.multiple
    least = 2 * multiple
    places = np.arange(-frame, max(side + frame + -side % multiple, least - frame))
    before = np.minimum(-places, side - 1)
    after = np.maximum(2 * (side - 1) - places, 0)
    return np.where(places < 0, before, np.where(places >= side, after, places))


def _small(image: Image.Image) -> Image.Image:
    """Return an image as large as its colours and its style need."""
    return resize_long(image, min(max(image.size), PREVIEW))


def repaint_fast(
    content: str | Path | Picture,
    style: str | Path | Picture | Sequence[str | Path | Picture] = (),
    *,
    network: str | Path | StyleNetwork = DEFAULT_NETWORK,
    **options: Any,
) -> Repaint:
    """Repaint a picture in one pass.

    Args:
        content: path of the photo, or an opened picture.
        style: path of the style picture, or several, for the any-style network; names of styles for a network of
            several; nothing for a network of one.
        network: a name of ``impasto network list``, a file of any known format, or an opened network.
        options: the other fields of ``FastConfig``.

    >>> repaint_fast("photo.jpg", "starry.jpg", strength=0.8).save("out.png")  # doctest: +SKIP
    PosixPath('out.png')
    >>> repaint_fast("photo.jpg", network="udnie.ckpt").save("out.png")  # doctest: +SKIP
    PosixPath('out.png')
    """
    opened = network if isinstance(network, StyleNetwork) else None
    name = network.facts["name"] if isinstance(network, StyleNetwork) else str(network)
    painter = FastPainter(fast_config_from({"network": name, **options}), opened)
    many = [style] if isinstance(style, str | Path | Picture) else list(style)
    return painter.paint(_opened(content), [painter.style(each) for each in many])


def _opened(picture: str | Path | Picture) -> Picture:
    return picture if isinstance(picture, Picture) else open_picture(Path(picture))
