"""Small pictures inside the page: square data URIs within a budget of bytes."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageOps

from impasto.errors import PictureError
from impasto.images import open_picture, resize_long

_QUALITIES = (82, 70, 55, 40, 25)


@dataclass
class Thumbnails:
    """Makes thumbnails of the pictures below one folder, each at most ``limit`` bytes, and keeps a tally.

    ``missing`` and ``changed`` list, by name, files that cannot be read and files that are not (any more)
    the ones the data set's table describes; neither is shown. ``whole`` pictures keep their aspect, others are cut.
    """

    side: int
    limit: int
    whole: bool = False
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def data_uri(self, path: Path, sha256: str = "") -> str | None:
        """Return ``path``, or its middle square, as a ``data:`` URI, or None if it cannot be shown."""
        try:
            picture = open_picture(path)
        except (PictureError, OSError):
            self.missing.append(path.name)
            return None
        if sha256 and picture.sha256 != sha256:
            self.changed.append(path.name)
            return None
        return "data:image/webp;base64," + base64.b64encode(self._encoded(self._small(picture.image))).decode()

    def _small(self, image: Image.Image) -> Image.Image:
        if self.whole:
            return resize_long(image, self.side)
        # Cut before it is scaled: a strip of 3 x 5000 pixels would first become one of 72 million.
        return ImageOps.fit(image, (self.side, self.side), Image.Resampling.LANCZOS)

    def _encoded(self, image: Image.Image) -> bytes:
        data = b""
        for quality in _QUALITIES:
            file = io.BytesIO()
            image.save(file, "WEBP", quality=quality, method=4)
            data = file.getvalue()
            if len(data) <= self.limit:
                break
        return data


def data_uri(image: Image.Image, quality: int) -> str:
    """Return an image as a ``data:`` URI, as WebP of one quality."""
    file = io.BytesIO()
    image.save(file, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
