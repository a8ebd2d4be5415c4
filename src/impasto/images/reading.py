"""Open pictures of any common kind as upright 8-bit sRGB, and nothing that is no picture."""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import ExifTags, Image, ImageChops, ImageCms, ImageOps, TiffImagePlugin, UnidentifiedImageError

from impasto.errors import DataError, PictureSizeError, ResourceError, UnreadablePictureError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")
MAX_PIXELS = 100_000_000

# A closed list: Pillow would also hand EPS files to Ghostscript.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
_PILLOW_LIMIT = threading.Lock()
_SIZE_HINT = "Use a smaller copy of it, or raise max_pixels if the file is trusted."


class _Quiet:
    """Keeps Pillow's warnings back while anybody reads: Python's warning filters are shared by all threads."""

    def __init__(self) -> None:
        self._lock, self._readers, self._kept = threading.Lock(), 0, contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._kept.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._readers += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._kept.close()


_QUIET = _Quiet()


@dataclass(frozen=True)
class Picture:
    """A picture as it is meant to be seen, and where it came from.

    Attributes:
        image: 8-bit RGB in sRGB, upright; transparent parts lie on white.
        alpha: 8-bit opacity of the same size, or None where every pixel is opaque.
        path: the file.
        sha256: digest of the file's bytes.
        notes: what could not be honoured, such as a damaged colour profile.
    """

    image: Image.Image
    alpha: Image.Image | None
    path: Path
    sha256: str
    notes: tuple[str, ...] = ()


def find_pictures(folder: Path) -> list[Path]:
    """Return the picture files below ``folder``, by extension, sorted; hidden files and folders are skipped.

    Raises:
        DataError: ``folder`` is no folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder.")
    found = {path.relative_to(folder): path for path in folder.rglob("*") if _is_candidate(path)}
    visible = [part for part in found if not any(name.startswith(".") for name in part.parts)]
    return [found[part] for part in sorted(visible, key=lambda part: part.as_posix())]


def _is_candidate(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()


def open_picture(path: Path, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Open a JPEG, PNG, WebP, TIFF, BMP or GIF (first frame) file, whatever its extension says.

    EXIF rotation is applied. Colours are converted to sRGB by the embedded profile. A profile that is damaged
    or made for other pixels is ignored, as viewers do, and ``notes`` says so. CMYK, grey, palette and 16-bit
    pixels become 8-bit RGB. The size is checked before anything is decoded.

    Raises:
        UnreadablePictureError: absent, no regular file, not readable, no such format, or damaged.
        PictureSizeError: more than ``max_pixels`` pixels.
        ResourceError: too little memory for it.
    """
    with reading(path) as file:
        image = open_header(file, path, max_pixels)
        colour, alpha, notes = _normalised(image)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Picture(colour, alpha, path, digest, notes)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[io.BufferedReader]:
    """Open a regular file and turn whatever goes wrong with it into an error that names it."""
    with _named(path):
        if not path.is_file():  # asked before open(), which would wait for ever on a FIFO
            raise FileNotFoundError("it is no regular file" if path.exists() else "it does not exist")
        with path.open("rb") as file:
            yield file


def inspect_picture(data: bytes, path: Path, *, max_pixels: int = MAX_PIXELS) -> tuple[str, tuple[int, int]]:
    """Decode a picture in memory, all of it; return its format ("JPEG") and its width and height, upright.

    Args:
        data: the bytes of a file.
        path: what errors call it.

    Raises:
        UnreadablePictureError, PictureSizeError, ResourceError: as ``open_picture``.
    """
    with _named(path):
        image = open_header(io.BytesIO(data), path, max_pixels)
        kind = image.format or ""
        return kind, _normalised(image)[0].size


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with a picture into an error that names it."""
    try:
        with _QUIET:
            yield
    except PictureSizeError:
        raise
    except MemoryError as error:
        raise ResourceError(f"{path} does not fit into memory.", "Use a smaller picture.") from error
    except Exception as error:  # Pillow's decoders raise nearly every built-in error on damaged files
        raise UnreadablePictureError(f"{path} cannot be read as a picture: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"it is empty, damaged or none of {', '.join(_FORMATS)}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rstrip(".") or type(error).__name__


def open_header(file: IO[bytes], path: Path, max_pixels: int) -> Image.Image:
    """Read what comes before the pixels, and check the size claimed there."""
    with _pillow_limit(max_pixels):
        try:
            image = Image.open(file, formats=_FORMATS)
        except Image.DecompressionBombError as error:
            raise PictureSizeError(f"{path} has more than {max_pixels:,} pixels.", _SIZE_HINT) from error
    if image.width * image.height > max_pixels:
        size = f"{image.width} x {image.height}"
        raise PictureSizeError(f"{path} has {size}, more than {max_pixels:,} pixels.", _SIZE_HINT)
    return image


@contextlib.contextmanager
def _pillow_limit(max_pixels: int) -> Iterator[None]:
    """Lend Pillow our limit: some of its decoders make room for the pixels as soon as they see the header."""
    with _PILLOW_LIMIT:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _normalised(image: Image.Image) -> tuple[Image.Image, Image.Image | None, tuple[str, ...]]:
    """Decode, and return 8-bit sRGB on white, the opacity, and notes."""
    _refuse_misread(image)
    image.load()
    profile, is_inverted = image.info.get("icc_profile"), _is_inverted_cmyk(image)
    ImageOps.exif_transpose(image, in_place=True)
    if is_inverted:
        image = ImageChops.invert(image)
    colour, alpha = _split_alpha(_to_8_bit(image))
    colour, notes = _to_srgb(colour, profile)
    if alpha is not None:
        colour = Image.composite(colour, Image.new("RGB", colour.size, "white"), alpha)
    return colour, alpha, notes


def _refuse_misread(image: Image.Image) -> None:
    """Pillow takes each byte of uncompressed 16-bit planes for a pixel."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = (ExifTags.Base.Compression, ExifTags.Base.PlanarConfiguration, ExifTags.Base.BitsPerSample)
        compression, planar, bits = (image.tag_v2.get(tag) for tag in tags)
        if compression == 1 and planar == 2 and max(bits or (1,)) > 8:
            raise ValueError("uncompressed 16-bit TIFF in separate planes is not supported")


def _is_inverted_cmyk(image: Image.Image) -> bool:
    """Whether Pillow inverted what was upright: it takes every CMYK JPEG for one of Adobe's."""
    return image.format == "JPEG" and image.mode == "CMYK" and "adobe" not in image.info


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale integer grey (I;16, I) from 0..65535 and float grey (F) from 0..1; leave the rest."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    top = 1 if image.mode == "F" else 65535
    if not (values.min() >= 0 and values.max() <= top):  # NaN included
        raise ValueError(f"its {image.mode} pixels are not all in 0..{top}, so white is unknown")
    return Image.fromarray((values * (255 / top)).round().astype(np.uint8))


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return colours without opacity, grey as grey because a profile may be made for it, and the opacity."""
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if not image.has_transparency_data:
        return image if image.mode in (mode, "CMYK", "LAB") else image.convert(mode), None
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    return image.convert("RGB").convert(mode), None if alpha.getextrema() == (255, 255) else alpha


def _to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, tuple[str, ...]]:
    if not profile:  # convert() would copy a picture that is RGB already, and a large one would be there twice
        return image if image.mode == "RGB" else image.convert("RGB"), ()
    if image.mode == "L" and profile[16:20] == b"RGB ":  # the header's field "data colour space"
        image = image.convert("RGB")
    try:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, target, image.mode, "RGB")
        return transform.apply(image), ()
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        return image.convert("RGB"), (f"colour profile ignored: {error}",)
