"""Sample styles made of lines: a woodcut in two colours, mountains in ink."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from impasto.samples.canvas import Array, flow_along, hex_colour, noise, plane, random_of, stretched, to_picture


def woodcut_waves(size: int = 512, seed: int = 0) -> Image.Image:
    """Woodcut: cut lines that swell with the shadow, waves and a mountain in black, Prussian blue and red."""
    random = random_of("woodcut_waves", seed)
    x, y = plane(size)
    wobble = 0.012 * noise(random, size, size / 5)
    mountain = y > 0.18 + 1.05 * np.abs(x - 0.66) ** 0.85 + wobble
    crest = 0.56 + 0.1 * np.sin(6.5 * x + 0.6) + 0.045 * np.sin(15 * x + 2)
    depth = (y - crest + wobble).clip(-1, 1)
    sea = depth > 0
    swell = 6.5 * x + 9 * depth + 0.5 * noise(random, size, size / 3, 2)
    tone = np.where(sea, 0.5 + 0.42 * np.sin(swell), 0.24 + 0.12 * np.sin(9 * y))
    tone = np.where(mountain & ~sea, 0.42 + 0.45 * (x > 0.66) - 0.5 * (y < 0.36), tone)
    phase = np.where(sea, 30 * depth + 1.1 * np.sin(6.5 * x + 8 * depth), 34 * y + 0.9 * np.sin(5 * x + 4 * y))
    phase = np.where(mountain & ~sea, 34 * (y * 0.55 + np.abs(x - 0.66)), phase)
    phase += 0.12 * noise(random, size, size / 30, 2)
    edge = np.abs(depth) < 0.008
    ink = _soft(tone - 0.5 - 0.5 * np.cos(2 * np.pi * phase), size) + edge
    grain = stretched(
        flow_along(noise(random, size, size / 90, 2), 0.06 * noise(random, size, size / 2, 1), size // 16)
    )
    paper = hex_colour("#efe3c8") * (1 + 0.025 * grain[..., None])
    shift = max(1, size // 170)
    paper = _printed(paper, np.roll(sea, (shift, shift), (0, 1)), "#2d5d8a", grain)
    sun = np.hypot(x - 0.24, y - 0.23) < 0.105
    paper = _printed(paper, np.roll(sun, (-shift, shift), (0, 1)), "#c0432f", grain)
    worn = ink.clip(0, 1) * (0.97 - 0.12 * (grain > 1.3))
    return to_picture(paper * (1 - worn[..., None]) + hex_colour("#1a1a1f") * worn[..., None])


def _soft(value: Array, size: int) -> Array:
    """Return 1 where positive and 0 where negative, with an edge one pixel wide."""
    slope = np.hypot(*np.gradient(value)) + 1e-6
    cover: Array = (value / slope + 0.5).clip(0, 1)
    return cover


def _printed(paper: Array, block: Array, colour: str, grain: Array) -> Array:
    """Print a flat block; ink is thinner where the grain of the wood stands back."""
    cover = ndimage.gaussian_filter(block.astype(float), 0.7) * (0.86 + 0.07 * grain).clip(0, 1)
    printed: Array = paper * (1 - cover[..., None]) + paper * hex_colour(colour) * cover[..., None] * 1.08
    return printed


def ink_mountains(size: int = 512, seed: int = 0) -> Image.Image:
    """Ink on warm paper: ridges in washes that bleed downwards, dry-brush rock, pines, a red seal."""
    random = random_of("ink_mountains", seed)
    x, y = plane(size)
    fibres = stretched(
        flow_along(random.standard_normal((size, size)), 3 * noise(random, size, size / 20, 1), size // 40)
    )
    ink = 0.03 * (1 + noise(random, size, size / 3))
    for layer in range(6):
        base = 0.2 + 0.13 * layer
        ridge = base + 0.09 * noise(random, size, size / (2 + layer), 5)[size // 2] * (1 - 0.06 * layer)
        below = y - ridge[None, :]
        wash = np.exp(-below.clip(0) / (0.07 + 0.02 * layer)) * (below > 0)
        rock = stretched(
            flow_along(noise(random, size, size / 50, 3), np.full((size, size), 1.1 + 0.3 * layer), size // 48)
        )
        strength = 0.22 + 0.11 * layer
        dry = (rock > 0.75 - 0.12 * layer) * np.exp(-below.clip(0) / 0.12) * (below > 0.004)
        ink = (
            ink * (1 - 0.55 * (below > 0))
            + strength * wash * (0.75 + 0.25 * noise(random, size, size / 14))
            + 0.42 * dry * strength
        )
        line = np.exp(-((below / 0.0045) ** 2)) * (rock > -0.6)
        ink = np.maximum(ink, line * (0.35 + 0.11 * layer))
    ink = ndimage.gaussian_filter(ink, size / 900) + 0.02 * fibres
    paper = hex_colour("#eadfc4") * (1 + 0.022 * fibres[..., None])
    picture = paper * (1 - ink.clip(0, 0.96)[..., None]) + hex_colour("#1b1e26") * ink.clip(0, 0.96)[..., None]
    seal = (np.abs(x - 0.9) < 0.035) & (np.abs(y - 0.1) < 0.045) & ~(np.abs(np.sin(95 * x) * np.cos(75 * y)) > 0.72)
    picture = np.where(seal[..., None], hex_colour("#b3352b") * (0.95 + 0.08 * fibres[..., None]), picture)
    return to_picture(picture)
