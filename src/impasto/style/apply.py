"""Repainting in one forward pass with a feed-forward network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto._version import __version__
from impasto.errors import UsageError
from impasto.images import Picture, open_picture, resize_long, to_tensor
from impasto.runs import to_plain
from impasto.runtime import Stopwatch, choose_device, deterministic
from impasto.style.checkpoints import StyleNetwork
from impasto.style.library import open_network
from impasto.style.result import Repaint

# Pixels of mirrored picture around the picture, cut off again: networks with zero padding paint a coloured frame of
# about 20 pixels, and 32 take all of it away (64 and 128 look the same).
FRAME = 32
# Networks halve the size twice; a picture whose sides are multiples of this comes back in its own size.
MULTIPLE = 4


@dataclass(frozen=True)
class FastConfig:
    """What determines a repaint by a network besides the picture.

    Attributes:
        network: a name of ``impasto network list``, or a file of any known format.
        size: longer side of the result in pixels; None keeps the photo's.
        device: see ``runtime``.
    """

    network: str
    size: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.size is not None and not 1 <= self.size <= 16384:
            raise UsageError(f"size {self.size} is not allowed.", "Allowed: 1 .. 16384 pixels.")


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
            painted = apply_network(self.module, to_tensor(image).to(self.device)).clamp(0, 1).cpu()
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


@torch.no_grad()
def apply_network(network: nn.Module, image: Tensor) -> Tensor:
    """Repaint B x 3 x H x W in 0..1, any H and W, to the same shape; values may lie outside 0..1.

    The picture is mirrored at its border, so that what a network paints at the rim is cut off; where it is too small
    to be mirrored its outermost pixels are repeated.
    """
    height, width = image.shape[2:]
    framed = _framed(_framed(image, width, dim=3), height, dim=2)
    painted: Tensor = network(framed.contiguous(memory_format=torch.channels_last))
    return painted[:, :, FRAME : FRAME + height, FRAME : FRAME + width]


def _framed(image: Tensor, side: int, dim: int) -> Tensor:
    """Add ``FRAME`` pixels before one axis and as many after it, and what is missing to a multiple of 4."""
    before, after = FRAME, FRAME + -side % MULTIPLE
    mirrored = min(before, side - 1), min(after, side - 1)
    rest = before - mirrored[0], after - mirrored[1]

    def both(amounts: tuple[int, int]) -> tuple[int, int, int, int]:
        return (*amounts, 0, 0) if dim == 3 else (0, 0, *amounts)

    return F.pad(F.pad(image, both(mirrored), mode="reflect"), both(rest), mode="replicate")


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
