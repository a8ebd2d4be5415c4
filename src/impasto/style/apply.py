"""Repainting in one forward pass with a feed-forward network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from impasto._version import __version__
from impasto.errors import UsageError
from impasto.images import Picture, open_picture, resize_long, to_tensor
from impasto.runs import to_plain
from impasto.runtime import Stopwatch, available_memory, choose_device, deterministic
from impasto.style.checkpoints import StyleNetwork
from impasto.style.library import open_network
from impasto.style.networks import Stage
from impasto.style.result import Repaint
from impasto.style.streaming import Rows, stream

# Pixels of mirrored picture around the picture, cut off again: networks with zero padding paint a coloured frame of
# about 20 pixels, and 32 take all of it away (64 and 128 look the same).
FRAME = 32
# Networks halve the size twice; a picture whose sides are multiples of this comes back in its own size.
MULTIPLE = 4
# Bytes a pixel that the usual networks of 32 channels were seen to take at their peak, in one piece.
WHOLE_BYTES = 900
# Bytes a pixel of a strip: input and output of the widest layer, and what the convolution needs for itself.
STRIP_BYTES = 2000
LEAST_STRIP = 8


class StreamedNetwork(Protocol):
    """A network that can be computed stage by stage."""

    def enter(self, x: Tensor) -> Tensor:
        """Bring RGB in 0..1 to what the first stage takes."""

    def leave(self, x: Tensor) -> Tensor:
        """Bring what the last stage gives to RGB in 0..1."""

    def stages(self) -> list[Stage]:
        """Return the computation between the two."""


@dataclass(frozen=True)
class FastConfig:
    """What determines a repaint by a network besides the picture.

    Attributes:
        network: a name of ``impasto network list``, or a file of any known format.
        size: longer side of the result in pixels; None keeps the photo's.
        memory: bytes; a picture that would need more is painted layer by layer through temporary files, more slowly and
            to the same values but for rounding. None takes half of what is free.
        device: see ``runtime``.
    """

    network: str
    size: int | None = None
    memory: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.size is not None and not 1 <= self.size <= 16384:
            raise UsageError(f"size {self.size} is not allowed.", "Allowed: 1 .. 16384 pixels.")
        if self.memory is not None and self.memory <= 0:
            raise UsageError("no memory at all is too little.", "Give --memory as GB, 2 for instance.")


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
        self.module = self.network.module.to(self.device).to(memory_format=torch.channels_last)

    def paint(self, content: Picture) -> Repaint:
        """Repaint one picture; its size is the photo's, or the configuration's."""
        watch = Stopwatch()
        image = content.image if self.config.size is None else resize_long(content.image, self.config.size)
        with deterministic():
            painted = self._painted(image)
        alpha = content.alpha.resize(image.size) if content.alpha else None
        provenance = {
            "made_by": f"impasto {__version__}",
            "procedure": "stylize in one pass",
            "content": {"name": content.path.name, "sha256": content.sha256},
            "network": {"architecture": self.network.architecture, **self.network.facts},
            "config": to_plain(self.config),
            "torch": torch.__version__,
        }
        return Repaint(painted, alpha, provenance, watch.seconds)

    def _painted(self, image: Image.Image) -> Tensor:
        budget = self.config.memory or available_memory() // 2
        if self.device.type == "cpu" and image.width * image.height * WHOLE_BYTES > budget:
            return apply_streamed(cast(StreamedNetwork, self.module), image, budget // 4)
        return apply_network(self.module, to_tensor(image).to(self.device)).clamp(0, 1).cpu()


@torch.no_grad()
def apply_network(network: nn.Module, image: Tensor) -> Tensor:
    """Repaint B x 3 x H x W in 0..1, any H and W, to the same shape; values may lie outside 0..1.

    The picture is mirrored at its border, so that what a network paints at the rim is cut off; where it is too small
    to be mirrored its outermost pixels are repeated.
    """
    height, width = image.shape[2:]
    rows, columns = (torch.from_numpy(_mirrored(side)).to(image.device) for side in (height, width))
    framed = image[:, :, rows][:, :, :, columns]
    painted: Tensor = network(framed.contiguous(memory_format=torch.channels_last))
    return painted[:, :, FRAME : FRAME + height, FRAME : FRAME + width]


@torch.no_grad()
def apply_streamed(network: StreamedNetwork, image: Image.Image, memory: int) -> Tensor:
    """Do what ``apply_network`` does with a picture of any size, layer by layer through temporary files.

    Args:
        network: one that can tell its stages.
        image: RGB.
        memory: bytes that the strips may take, besides the result (1 x 3 x H x W, float32, in 0..1) and the picture.
    """
    pixels = np.asarray(image.convert("RGB"))
    height, width = pixels.shape[:2]
    rows, columns = _mirrored(height), _mirrored(width)

    def read(first: int, last: int) -> Tensor:
        part = torch.from_numpy(pixels[rows[first:last]][:, columns])
        return network.enter(part.permute(2, 0, 1).unsqueeze(0).float() / 255)

    strip = max(LEAST_STRIP, memory // (STRIP_BYTES * len(columns)))
    result = torch.empty(1, 3, height, width)
    for first, painted in stream(network.stages(), Rows(3, len(rows), len(columns), read), strip):
        low, high = max(first, FRAME), min(first + painted.shape[2], FRAME + height)
        if low < high:
            inner = painted[:, :, low - first : high - first, FRAME : FRAME + width]
            result[:, :, low - FRAME : high - FRAME] = network.leave(inner).clamp_(0, 1)
    return result


def _mirrored(side: int) -> npt.NDArray[np.intp]:
    """Return, for a side of the framed picture, which pixel of the bare one stands at each place.

    >>> _mirrored(100)[:3], _mirrored(100)[30:34], len(_mirrored(101))
    (array([32, 31, 30]), array([2, 1, 0, 1]), 168)
    """
    places = np.arange(-FRAME, side + FRAME + -side % MULTIPLE)
    before = np.minimum(-places, side - 1)
    after = np.maximum(2 * (side - 1) - places, 0)
    return np.where(places < 0, before, np.where(places >= side, after, places))


def repaint_fast(
    content: str | Path | Picture, network: str | Path | StyleNetwork, *, size: int | None = None
) -> Repaint:
    """Repaint a picture in one pass.

    Args:
        content: path of the photo, or an opened picture.
        network: a name of ``impasto network list``, a file of any known format, or an opened network.
        size: longer side of the result in pixels; None keeps the photo's.

    >>> repaint_fast("photo.jpg", "udnie.ckpt").save("out.png")  # doctest: +SKIP
    PosixPath('out.png')
    """
    opened = network if isinstance(network, StyleNetwork) else None
    name = network.facts["name"] if isinstance(network, StyleNetwork) else str(network)
    picture = content if isinstance(content, Picture) else open_picture(Path(content))
    return FastPainter(FastConfig(name, size), opened).paint(picture)
