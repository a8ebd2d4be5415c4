"""What every way of repainting returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from impasto.images import save_picture


@dataclass(frozen=True)
class Repaint:
    """A repaint and how it was made.

    Attributes:
        image: 1 x 3 x H x W in 0..1.
        alpha: transparency of the content picture at the result's size, or None.
        provenance: what ``save`` writes into the file: inputs with hashes, configuration, versions.
        seconds: wall time.
    """

    image: Tensor
    alpha: Image.Image | None
    provenance: dict[str, Any]
    seconds: float

    def save(self, path: str | Path, *, depth: int = 8, quality: int = 95) -> Path:
        """Write PNG, JPEG, WebP or TIFF with the provenance inside; ``depth`` 16 needs TIFF."""
        path = Path(path)
        save_picture(self.image, path, provenance=self.provenance, alpha=self.alpha, depth=depth, quality=quality)
        return path
