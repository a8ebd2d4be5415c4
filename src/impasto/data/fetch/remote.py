"""Files that lie elsewhere, and what is known of those that were fetched."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from impasto.errors import DataError


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be downloaded.

    Attributes:
        name: what it is called here.
        url: where it is.
        size: in bytes, 0 where it is not published.
        md5, sha256: published checksums, "" where there is none.
    """

    name: str
    url: str = ""
    size: int = 0
    md5: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Download:
    """A file that is here: where, from where, its size and SHA-256, and which published checksum it was held against.

    ``checksum`` is "sha256" or "md5", or "" where none is published and the digest found is only recorded.
    """

    path: Path
    url: str
    size: int
    sha256: str
    checksum: str = ""


def verified(file: RemoteFile, path: Path, hint: str = "") -> Download:
    """Return a file that is here, after its size and checksums were held against what is published.

    Raises:
        DataError: it is another file.
    """
    size = path.stat().st_size
    if file.size and size != file.size:
        raise DataError(f"{path} has {size:,} bytes, the published file {file.size:,}.", hint)
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as opened:
        while data := opened.read(2**20):
            sha256.update(data)
            if file.md5:
                md5.update(data)
    for kind, found, published in (("SHA-256", sha256, file.sha256), ("MD5", md5, file.md5)):
        if published and found.hexdigest() != published:
            raise DataError(
                f"{path} is not the published file: its {kind} is {found.hexdigest()}, not {published}.", hint
            )
    return Download(path, file.url, size, sha256.hexdigest(), "sha256" if file.sha256 else "md5" if file.md5 else "")
