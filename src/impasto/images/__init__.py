"""Pictures in and out: open anything upright and in sRGB, to tensors and back, save with provenance."""

from impasto.images.colour import match_colours
from impasto.images.pixels import centre_crop, resize_long, resize_short, to_image, to_tensor
from impasto.images.reading import MAX_PIXELS, PICTURE_SUFFIXES, Picture, find_pictures, inspect_picture, open_picture
from impasto.images.writing import check_picture_path, provenance, save_picture

__all__ = [
    "MAX_PIXELS",
    "PICTURE_SUFFIXES",
    "Picture",
    "centre_crop",
    "check_picture_path",
    "find_pictures",
    "inspect_picture",
    "match_colours",
    "open_picture",
    "provenance",
    "resize_long",
    "resize_short",
    "save_picture",
    "to_image",
    "to_tensor",
]
