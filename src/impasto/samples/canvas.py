"""What the sample painters share: seeded noise, colour ramps, light on relief, paper grain.

Arrays are float64, H x W or H x W x 3, colours sRGB in 0..1, unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from impasto.runtime import derive_seed

Array = npt.NDArray[np.float64]


def random_of(painter: str, seed: int) -> np.random.Generator:
    """Return the generator of one painter for a seed."""
    return np.random.default_rng(derive_seed(seed, "samples", painter))


def noise(random: np.random.Generator, size: int, cell: float, octaves: int = 4) -> Array:
    """Return fractal noise ``size`` x ``size`` with mean 0 and deviation 1, its largest blots ``cell`` pixels wide."""
    total = np.zeros((size, size))
    for octave in range(octaves):
        count = max(2, round(size / cell * 2**octave)) + 3
        grid = random.standard_normal((count, count))
        rows = np.linspace(1, count - 2, size)
        total += ndimage.map_coordinates(grid, np.meshgrid(rows, rows, indexing="ij"), order=3) / 2**octave
    return stretched(total)


def ramp(values: Array, colours: Sequence[str]) -> Array:
    """Map values 0..1 to colours ``#rrggbb`` at even distances: H x W -> H x W x 3."""
    table = np.array([hex_colour(colour) for colour in colours])
    places = np.linspace(0, 1, len(table))
    return np.stack([np.interp(values, places, table[:, channel]) for channel in range(3)], -1)


def hex_colour(text: str) -> Array:
    """Return ``#rrggbb`` as three numbers in 0..1."""
    return np.array([int(text[place : place + 2], 16) for place in (1, 3, 5)]) / 255


def lit(relief: Array, height: float, angle: float = 225.0) -> Array:
    """Return the light (around 1) that falls on a relief H x W from ``angle`` degrees, ``height`` its steepness."""
    down, across = np.gradient(relief)
    direction = np.deg2rad(angle)
    light: Array = 1 + height * (across * np.cos(direction) + down * np.sin(direction))
    return light


def to_picture(array: Array) -> Image.Image:
    """Return H x W x 3 in 0..1 as an 8-bit RGB picture."""
    return Image.fromarray((array.clip(0, 1) * 255 + 0.5).astype(np.uint8))


def plane(size: int) -> tuple[Array, Array]:
    """Return the coordinates x (to the right) and y (down) of the pixels' centres, 0..1, each H x W."""
    side = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid(side, side)
    return x, y


def flow_along(texture: Array, angle: Array, length: int) -> Array:
    """Smear a texture H x W along a field of directions (radians): line integral convolution.

    Cabral and Leedom 1993. ``length`` is in pixels, to either side.
    """
    size = len(texture)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float64)
    total, weight = texture.copy(), 1.0
    for sign in (1.0, -1.0):
        y, x = rows.copy(), columns.copy()
        for step in range(length):
            here = ndimage.map_coordinates(angle, (y, x), order=0, mode="nearest")
            x += sign * np.cos(here)
            y += sign * np.sin(here)
            fade = 1 - step / length
            total += fade * ndimage.map_coordinates(texture, (y, x), order=1, mode="nearest")
            weight += fade
    return total / weight


def stretched(values: Array) -> Array:
    """Bring values to mean 0 and deviation 1."""
    result: Array = (values - values.mean()) / values.std()
    return result
