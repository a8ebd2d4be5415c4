"""Sample styles made of strokes and dots: oil along a flow, pointillism."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from impasto.samples.canvas import Array, flow_along, lit, noise, plane, ramp, random_of, stretched, to_picture

_NIGHT = ("#0b1230", "#152a5e", "#1f4a94", "#3f78b8", "#8fb4c9", "#e8d9a0", "#f6c945")
_HILLS = ("#0a1420", "#12303a", "#1d4a45", "#3b6a4a", "#7d8f4a")
_SUNSET = ("#f7e08a", "#f4b25e", "#e9825a", "#c25a78", "#7a5a9a", "#3f5a98")
_SEA = ("#f0a860", "#8a6aa0", "#3c6aa0", "#245a88", "#17406e")
_BANK = ("#2a3a2a", "#1f5038", "#5a7a30", "#a8a040")


def night_swirls(size: int = 512, seed: int = 0) -> Image.Image:
    """Oil in long curved strokes: a night sky that turns around its stars, over dark hills."""
    random = random_of("night_swirls", seed)
    x, y = plane(size)
    centres = random.uniform((0.1, 0.08), (0.95, 0.5), (7, 2))
    radii = random.uniform(0.05, 0.12, len(centres))
    angle = 0.35 * noise(random, size, size / 2, 2) + 0.2
    glow = np.zeros_like(x)
    for (cx, cy), radius in zip(centres, radii, strict=True):
        distance = np.hypot(x - cx, y - cy) / radius
        turn = np.arctan2(y - cy, x - cx) + np.pi / 2 - 0.25
        share = np.exp(-((distance / 1.6) ** 2))
        angle = np.arctan2(
            (1 - share) * np.sin(angle) + share * np.sin(turn), (1 - share) * np.cos(angle) + share * np.cos(turn)
        )
        glow = np.maximum(glow, np.exp(-(distance**2) / 0.35) + 0.45 * np.exp(-((distance - 1.1) ** 2) / 0.05))
    ridge = 0.72 + 0.07 * np.sin(5 * x + 1) + 0.04 * np.sin(13 * x) + 0.015 * noise(random, size, size / 6)
    hill = y > ridge
    angle = np.where(hill, 0.5 * np.sin(7 * x) + 0.3 * noise(random, size, size / 4, 2), angle)
    length = max(4, size // 22)
    dabs = stretched(flow_along(noise(random, size, size / 40, 2), angle, length))
    bristles = stretched(flow_along(random.standard_normal((size, size)), angle, length))
    bands = np.sin(9 * np.hypot(x - 0.4, y + 0.3) + 0.8 * noise(random, size, size / 3, 2))
    sky = ramp(0.3 + 0.1 * bands + 0.12 * dabs + 0.62 * glow + 0.12 * (y - 0.3), _NIGHT)
    land = ramp(0.35 + 0.2 * dabs + 0.8 * (ridge - y) + 0.1 * bands, _HILLS)
    colour = np.where(hill[..., None], land, sky)
    return to_picture(colour * lit(dabs + 0.5 * bristles, 0.22)[..., None] + 0.025 * bristles[..., None])


def dots_at_sunset(size: int = 512, seed: int = 0) -> Image.Image:
    """Pointillism: a low sun over the sea, poplars, and every shadow full of its complement."""
    random = random_of("dots_at_sunset", seed)
    wanted = _sunset_scene(random, size)
    scale = 2
    canvas = Image.new("RGB", (size * scale, size * scale), (226, 214, 190))
    draw = ImageDraw.Draw(canvas)
    for spacing, radius, jitter in ((7.5, 4.6, 0.06), (5.2, 2.9, 0.10), (4.6, 2.0, 0.15)):
        unit = size / 512
        count = round(512 / spacing)
        grid = (np.mgrid[0:count, 0:count].reshape(2, -1).T + random.uniform(-0.1, 1.1, (count**2, 2))) * spacing * unit
        for row, column in random.permutation(grid):
            inside = min(size - 1, max(0, int(row))), min(size - 1, max(0, int(column)))
            colour = _broken(wanted[inside], random, jitter)
            r = radius * unit * scale * random.uniform(0.75, 1.2)
            box = (column * scale - r, row * scale - r, column * scale + r, row * scale + r)
            draw.ellipse(box, fill=colour)
    return canvas.resize((size, size), Image.Resampling.LANCZOS)


def _sunset_scene(random: np.random.Generator, size: int) -> Array:
    x, y = plane(size)
    horizon, sun = 0.52, (0.62, 0.45)
    distance = np.hypot(x - sun[0], (y - sun[1]) * 1.1)
    clouds = noise(random, size, size / 4)
    sky = ramp((1.5 * distance + 0.08 * clouds * (horizon - y) * 3).clip(0, 1), _SUNSET)
    path = np.exp(-(((x - sun[0]) / (0.05 + 0.35 * (y - horizon).clip(0))) ** 2))
    sea = ramp((0.25 + 1.3 * (y - horizon) + 0.05 * clouds - 0.5 * path * (1.2 - y)).clip(0, 1), _SEA)
    scene = np.where((y < horizon)[..., None], sky, sea)
    scene = np.where((distance < 0.055)[..., None], [0.99, 0.94, 0.68], scene)
    bank = y > 0.84 + 0.06 * np.sin(4 * x + 2.2) + 0.008 * clouds
    for place, height, width in ((0.1, 0.62, 0.035), (0.19, 0.5, 0.03), (0.27, 0.4, 0.026), (0.91, 0.34, 0.03)):
        shape = ((x - place) / width) ** 2 + ((y - (0.86 - height / 2)) / (height / 2)) ** 2
        bank |= shape < 1 + 0.12 * clouds
    grass = ramp((0.45 + 0.2 * clouds + 0.35 * (x - 0.4)).clip(0, 1), _BANK)
    return np.where(bank[..., None], grass, scene)


def _broken(colour: Array, random: np.random.Generator, jitter: float) -> tuple[int, int, int]:
    """Return a pure colour near the wanted one, now and then its complement: the eye mixes them."""
    mean = colour.mean()
    purer = mean + (colour - mean) * 1.35
    if random.random() < 0.08:
        purer = 2 * mean - purer
    red, green, blue = ((purer + random.normal(0, jitter, 3)).clip(0, 1) * 255).astype(int)
    return int(red), int(green), int(blue)
