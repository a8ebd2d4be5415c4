"""Sample styles made of pieces: cubist facets, mosaic, stained glass."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import cKDTree

from impasto.samples.canvas import Array, hex_colour, lit, noise, plane, ramp, random_of, to_picture

Labels = npt.NDArray[np.intp]
_CUBIST = ("#2b2622", "#4a4038", "#6d6457", "#8c6f47", "#b08a4e", "#c9b183", "#8b9a94", "#4f6a70", "#a9552f")
_GOLD = ("#7a5312", "#b9821f", "#e0b040", "#f4d77a")
_RAYS = ("#a8371f", "#cf6a2a", "#e9a23b", "#f2d9a0")
_LAPIS = ("#0f2a5c", "#1c4b8f", "#2f7fb0", "#7cc0c4", "#e7e2cf")
_GLASS = ("#0e4d4a", "#14785c", "#56a33e", "#1d5f9e", "#4a3d97", "#2d8fb5", "#9fc24d")
_PETALS = ("#c2185b", "#e2572b", "#f0b429", "#8e3a9d")


def cubist_cells(size: int = 512, seed: int = 0) -> Image.Image:
    """Cubism: facets in ochre, umber and grey-green, shaded to one edge, brushed each its own way."""
    random = random_of("cubist_cells", seed)
    labels = _facets(random, size, 130)
    count = labels.max() + 1
    x, y = plane(size)
    distance = np.hypot(x - 0.5, y - 0.5)
    brightness = np.bincount(labels.ravel(), (1 - distance).ravel(), count) / np.bincount(
        labels.ravel(), minlength=count
    )
    palette = np.array([hex_colour(colour) for colour in _CUBIST])
    base = palette[random.integers(0, len(palette), count)] * (0.55 + 0.75 * brightness[:, None])
    angle = random.choice([0.4, 0.9, 1.4, 2.2, 2.8], count) + random.normal(0, 0.1, count)
    along = (x - 0.5) * np.cos(angle)[labels] + (y - 0.5) * np.sin(angle)[labels]
    across = -(x - 0.5) * np.sin(angle)[labels] + (y - 0.5) * np.cos(angle)[labels]
    low, high = (function(along, labels, np.arange(count)) for function in (ndimage.minimum, ndimage.maximum))
    shade = (along - low[labels]) / (high - low)[labels].clip(1e-3)
    grain = noise(random, size, size / 10, 5)
    brush = ndimage.map_coordinates(grain, ((across * 3.2 % 1) * (size - 1), (along * 0.35 % 1) * (size - 1)), order=1)
    colour = base[labels] * (0.72 + 0.5 * shade**1.4)[..., None] * (1 + 0.085 * brush[..., None])
    edges = ndimage.gaussian_filter(_borders(labels).astype(float), size / 620)
    arcs = np.minimum(*(np.abs(np.hypot(x - cx, y - cy) - r) for cx, cy, r in ((0.45, 0.6, 0.16), (0.52, 0.36, 0.11))))
    dark = (edges * 1.1 + 0.8 * np.exp(-((arcs * size / 1.6) ** 2))).clip(0, 0.9)
    return to_picture(colour * (1 - dark[..., None]) + hex_colour("#1d1815") * dark[..., None])


def _facets(random: np.random.Generator, size: int, count: int) -> Labels:
    """Cut the square into convex polygons by straight lines, the largest first."""
    pieces = [np.array([[0, 0], [size, 0], [size, size], [0, size]], float)]
    while len(pieces) < count:
        areas = [_area(piece) for piece in pieces]
        piece = pieces.pop(int(np.argmax(np.array(areas) * random.uniform(0.4, 1, len(areas)))))
        direction = random.choice([0.5, 1.1, 1.7, 2.3, 2.9]) + random.normal(0, 0.22)
        normal = np.array([np.cos(direction), np.sin(direction)])
        centre = piece.mean(0) + random.normal(0, 0.08, 2) * np.sqrt(_area(piece))
        halves = (_clipped(piece, normal, centre), _clipped(piece, -normal, centre))
        pieces += [half for half in halves if len(half) >= 3]
    canvas = Image.new("I", (size, size))
    draw = ImageDraw.Draw(canvas)
    for label, piece in enumerate(pieces):
        draw.polygon([tuple(point) for point in piece], fill=label)
    return np.unique(np.asarray(canvas), return_inverse=True)[1].reshape(size, size)


def _area(polygon: Array) -> float:
    x, y = polygon.T
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def _clipped(polygon: Array, normal: Array, point: Array) -> Array:
    """Return the part of a convex polygon on the side of a line that ``normal`` points to."""
    sides = (polygon - point) @ normal
    kept = []
    for index, (corner, side) in enumerate(zip(polygon, sides, strict=True)):
        if side >= 0:
            kept.append(corner)
        following, its_side = polygon[(index + 1) % len(polygon)], sides[(index + 1) % len(polygon)]
        if side * its_side < 0:
            kept.append(corner + (following - corner) * side / (side - its_side))
    return np.array(kept)


def _borders(labels: Labels) -> npt.NDArray[np.bool_]:
    changes: npt.NDArray[np.bool_] = (labels != np.roll(labels, 1, 0)) | (labels != np.roll(labels, 1, 1))
    return changes


def mosaic_sun(size: int = 512, seed: int = 0) -> Image.Image:
    """Byzantine mosaic: tesserae in rings around a golden sun, lapis waves below, each stone tilted its own way."""
    random = random_of("mosaic_sun", seed)
    x, y = plane(size)
    tile = 0.0235
    warp = 0.01 * noise(random, size, size / 3, 2)
    radius = np.hypot(x - 0.5, y - 0.4) + warp
    turn = np.arctan2(y - 0.4, x - 0.5)
    ring = np.floor(radius / tile)
    around = turn * (ring + 0.5) + 0.37 * ring
    height = (y + 0.05 * np.sin(7 * x + 0.5) + 0.5 * warp) / tile
    row = np.floor(height)
    along = x / tile + 0.43 * row
    sea = row > 0.7 / tile
    first = np.where(sea, 4000 + row, ring)
    second = np.where(sea, np.floor(along), np.floor(around))
    inside_first = np.where(sea, height % 1, radius / tile % 1)
    inside_second = np.where(sea, along % 1, around % 1)
    rays = 0.5 + 0.5 * np.sin(16 * turn + 0.6 * ring)
    stone = (np.sin(first * 127.1 + second * 311.7) * 43758.5453) % 1
    other = (np.sin(first * 269.5 + second * 183.3) * 24634.6345) % 1
    gold = ramp((0.35 + 0.5 * stone + 0.3 * (0.3 - radius)).clip(0, 1), _GOLD)
    flame = ramp((0.2 + 0.55 * rays + 0.25 * (stone - 0.5)).clip(0, 1), _RAYS)
    sky = ramp((0.25 + 0.5 * rays * (radius < 0.45) + 0.3 * (stone - 0.4)).clip(0, 1), _LAPIS)
    water = ramp((0.3 + 0.35 * np.sin(1.3 * row + 9 * x) + 0.35 * (stone - 0.5)).clip(0, 1), _LAPIS)
    colour = np.where((radius < 0.14)[..., None], gold, np.where((radius < 0.27)[..., None], flame, sky))
    colour = np.where((np.abs(radius - 0.43) < tile)[..., None], gold, colour)
    colour = np.where(sea[..., None], water, colour)
    gap = np.minimum(np.minimum(inside_first, 1 - inside_first), np.minimum(inside_second, 1 - inside_second))
    tilt = (
        1 + 0.45 * ((stone - 0.5) * (inside_second - 0.5) + (other - 0.5) * (inside_first - 0.5)) + 0.22 * (other - 0.5)
    )
    cover = ((gap - 0.07) * 14 + 0.2 * noise(random, size, size / 60, 2)).clip(0, 1)[..., None]
    rough = lit(noise(random, size, size / 45, 3), 0.05)[..., None]
    return to_picture((colour * tilt[..., None] * cover + hex_colour("#8d8373") * (1 - cover) * 0.8) * rough)


def stained_garden(size: int = 512, seed: int = 0) -> Image.Image:
    """Art-nouveau glass: petals and flowing leaves in lead, lit from behind."""
    random = random_of("stained_garden", seed)
    x, y = plane(size)
    bend_x = x + 0.05 * np.sin(5 * y + 1) + 0.02 * noise(random, size, size / 2, 2)
    bend_y = y + 0.06 * np.sin(4 * x + 2) + 0.02 * noise(random, size, size / 2, 2)
    seeds = random.uniform(-0.1, 1.1, (150, 2)) * (1.0, 0.45)
    near, which = cKDTree(seeds).query(np.stack([bend_x, bend_y * 0.45], -1), k=2)
    border = (near[..., 1] - near[..., 0]) / 0.009
    tint = random.uniform(0, 1, len(seeds))[which[..., 0]]
    colour = np.array([hex_colour(each) for each in _GLASS])[random.integers(0, len(_GLASS), len(seeds))][which[..., 0]]
    glow = (0.7 + 0.75 * np.exp(-((near[..., 0] / 0.055) ** 2)) + 0.2 * (tint - 0.5))[..., None]
    colour = colour * glow
    flowers = ((0.3, 0.3, 0.19), (0.74, 0.5, 0.16), (0.34, 0.78, 0.14), (0.83, 0.13, 0.1))
    for index, (cx, cy, radius) in enumerate(flowers):
        colour, border = _flower(colour, border, x - cx, y - cy, radius, index)
    ripple = lit(noise(random, size, size / 18, 4), 0.16, 200)[..., None] * (1 + 0.35 * (0.5 - y[..., None]))
    lead = (1.35 - border).clip(0, 1)[..., None]
    shine = lit(ndimage.gaussian_filter(lead[..., 0], size / 260), 1.8)[..., None]
    return to_picture(colour * ripple * (1 - lead) + hex_colour("#23242a") * shine * lead)


def _flower(colour: Array, border: Array, x: Array, y: Array, radius: float, index: int) -> tuple[Array, Array]:
    """Lay a flower of two rings of petals over the glass; return the colours and the distance to the lead."""
    distance, turn = np.hypot(x, y) / radius, np.arctan2(y, x)
    for share, petals, shift in ((1.0, 7, 0.0), (0.62, 5, 0.5), (0.26, 1, 0.0)):
        place = (turn * petals / (2 * np.pi) + shift + 0.12 * distance) % 1 - 0.5
        reach = share * (0.72 + 0.28 * np.cos(place * np.pi) ** 0.7) if petals > 1 else np.full_like(x, share)
        inside = distance < reach
        edge = np.abs(distance - reach) * radius / 0.009
        spoke = np.abs(place) if petals == 1 else 0.5 - np.abs(place)
        seam = np.where(inside & (petals > 1), spoke * distance * 2 * np.pi / petals * radius / 0.006, np.inf)
        base = hex_colour(_PETALS[(index + round(3 * share)) % len(_PETALS)])
        light = (0.62 + 0.75 * (distance / share) * np.cos(place * np.pi) ** 2)[..., None]
        colour = np.where(inside[..., None], base * light, colour)
        border = np.where(inside, np.minimum(edge, seam), np.minimum(border, edge))
    return colour, border
