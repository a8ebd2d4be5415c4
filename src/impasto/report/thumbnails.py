"""Small pictures inside the page: square data URIs within a budget of bytes."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from impasto.errors import PictureError
from impasto.images import centre_crop, open_picture, resize_short

_QUALITIES = (82, 70, 55, 40, 25)


@dataclass
class Thumbnails:
    """Makes thumbnails of the pictures below one folder, each at most ``limit`` bytes, and keeps a tally.

    ``missing`` and ``changed`` list, by name, files that cannot be read and files that are not (any more)
    the ones the data set's table describes; neither is shown.
    """

    side: int
    limit: int
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    def data_uri(self, path: Path, sha256: str = "") -> str | None:
        """Return the middle square of ``path`` as a ``data:`` URI, or None if it cannot be shown."""
        try:
            picture = open_picture(path)
        except (PictureError, OSError):
            self.missing.append(path.name)
            return None
        if sha256 and picture.sha256 != sha256:
            self.changed.append(path.name)
            return None
        small = centre_crop(resize_short(picture.image, self.side), self.side, self.side)
        return "data:image/webp;base64," + base64.b64encode(self._encoded(small)).decode()

    def _encoded(self, image: Image.Image) -> bytes:
        data = b""
        for quality in _QUALITIES:
            file = io.BytesIO()
            image.save(file, "WEBP", quality=quality, method=4)
            data = file.getvalue()
            if len(data) <= self.limit:
                break
        return data
