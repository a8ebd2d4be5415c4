"""Save pictures whole or not at all, with their provenance inside the file, and read it back."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
import torch
from PIL import ExifTags, Image, JpegImagePlugin, PngImagePlugin

from impasto.errors import PictureSizeError, UsageError
from impasto.files import atomic_path, check_place, write_bytes
from impasto.images.pixels import to_array
from impasto.images.reading import open_header, reading

_KEY = "impasto"
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
_JPEG_SEGMENT = 65_533  # a segment's length is a 16-bit number that counts itself
_Pixels = npt.NDArray[np.unsignedinteger]


def save_picture(
    picture: torch.Tensor | Image.Image,
    path: Path,
    *,
    provenance: Mapping[str, Any] | None = None,
    alpha: Image.Image | None = None,
    depth: int = 8,
    quality: int = 95,
) -> None:
    """Write a picture as PNG, JPEG (4:4:4), WebP or TIFF, by the extension of ``path``; whole or not at all.

    Args:
        picture: a tensor of shape 1x3xHxW or 3xHxW in 0..1 (clipped), or an image.
        path: its folder is made if absent.
        provenance: what made the picture, as JSON values; :func:`provenance` reads it back.
        alpha: opacity, resized to the picture; JPEG holds none and drops it.
        depth: bits of each channel, 8, or 16 for TIFF.
        quality: 1..100, of JPEG and WebP.

    Raises:
        UsageError: an extension, depth or quality that cannot be.
        PictureSizeError: more pixels than the format holds.
        NumericalError: NaN or infinity in the tensor.
        ResourceError: the disk is full; no file is left behind.
    """
    kind = _checked_format(path, depth, quality)
    pixels = _pixels(picture, depth)
    opacity = None if alpha is None or kind == "JPEG" else _opacity(alpha, pixels)
    if opacity is not None:
        pixels = np.concatenate([pixels, opacity], axis=2)
    note = "" if provenance is None else json.dumps({_KEY: provenance}, default=str)
    if kind == "TIFF":
        _write_tiff(path, pixels, note)
        return
    try:
        data = _encoded(pixels, kind, note, quality)
    except (ValueError, OSError) as error:
        size = f"{pixels.shape[1]} x {pixels.shape[0]} pixels"
        raise PictureSizeError(f"{path}: {size} cannot be written as {kind}: {error}.") from error
    write_bytes(path, data)


def check_picture_path(path: Path, depth: int = 8) -> None:
    """Refuse, before a picture is made, a path under which :func:`save_picture` could not write it.

    Raises:
        UsageError: an extension or depth that cannot be, or a place where no file can be written.
    """
    _checked_format(path, depth, quality=95)
    check_place(path)


def provenance(path: Path) -> dict[str, Any] | None:
    """Return what :func:`save_picture` wrote into the file about its making, or None where there is nothing.

    Raises:
        UnreadablePictureError: no picture.
    """
    with reading(path) as file:
        image = open_header(file, path, max_pixels=2**62)
        note = _note(image)
    try:
        record = json.loads(note).get(_KEY)
    except (ValueError, AttributeError, RecursionError):  # metadata of other programs
        return None
    return record if isinstance(record, dict) else None


def _checked_format(path: Path, depth: int, quality: int) -> str:
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        known = ", ".join(_FORMATS)
        raise UsageError(f"{path}: pictures are not written as {path.suffix!r}.", f"Use one of {known}.")
    if depth not in (8, 16):
        raise UsageError(f"a picture has 8 or 16 bits a channel, not {depth}.")
    if depth == 16 and kind != "TIFF":
        raise UsageError(f"{path}: 16 bits a channel cannot be written as {kind}.", "Use .tif, or 8 bits.")
    if not 1 <= quality <= 100:
        raise UsageError(f"quality {quality} is outside 1 .. 100.")
    return kind


def _pixels(picture: torch.Tensor | Image.Image, depth: int) -> _Pixels:
    if isinstance(picture, torch.Tensor):
        return to_array(picture, depth)
    return _widened(np.asarray(picture.convert("RGB")), depth)


def _opacity(alpha: Image.Image, pixels: _Pixels) -> _Pixels:
    height, width = pixels.shape[:2]
    fitted = alpha.convert("L").resize((width, height), Image.Resampling.LANCZOS)
    return _widened(np.asarray(fitted)[:, :, np.newaxis], pixels.itemsize * 8)


def _widened(values: npt.NDArray[np.uint8], depth: int) -> _Pixels:
    return values.astype(np.uint16) * 257 if depth == 16 else values


def _write_tiff(path: Path, pixels: _Pixels, note: str) -> None:
    """Write strip by strip into the file: this is the format of large pictures, which are not to exist once more."""
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary,
            pixels,
            photometric="rgb",
            extrasamples=["unassalpha"] if pixels.shape[2] == 4 else None,
            compression="zlib",
            predictor=True,
            description=note or None,
            metadata=None,  # else tifffile adds a description of its own
            software=_KEY,
        )


def _encoded(pixels: _Pixels, kind: str, note: str, quality: int) -> memoryview:
    options: dict[str, dict[str, Any]] = {
        "PNG": {"pnginfo": _text_chunk(note)},
        "JPEG": {"quality": quality, "subsampling": "4:4:4", "extra": _comments(note.encode())},
        "WEBP": {"quality": quality, "exif": _exif(note)},
    }
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, kind, **options[kind])
    return data.getbuffer()  # not a copy: it may be as large as the picture


def _text_chunk(note: str) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    if note:
        chunks.add_itxt(_KEY, note)
    return chunks


def _comments(note: bytes) -> bytes:
    """Return JPEG comment segments: EXIF ends at 64 kB, comments may follow one another."""
    parts = [note[start : start + _JPEG_SEGMENT] for start in range(0, len(note), _JPEG_SEGMENT)]
    return b"".join(b"\xff\xfe" + (len(part) + 2).to_bytes(2, "big") + part for part in parts)


def _exif(note: str) -> Image.Exif:
    exif = Image.Exif()
    if note:
        exif[ExifTags.Base.ImageDescription] = note
    return exif


def _note(image: Image.Image) -> str:
    if image.format == "PNG":
        return str(image.info.get(_KEY, ""))
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        text = b"".join(part for name, part in image.applist if name == "COM").decode("ascii", "replace")
        return text[text.find(f'{{"{_KEY}"') :]  # other programs may have put a comment before
    return str(image.getexif().get(ExifTags.Base.ImageDescription, ""))
