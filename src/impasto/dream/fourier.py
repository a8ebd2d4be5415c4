"""Pictures as waves and uncorrelated colours, so that ascent changes large things as readily as pixels.

After Olah, Mordvintsev and Schubert 2017, "Feature Visualization"; the scales and the colours are our own.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Mean covariance of red, green and blue, in 0..1, within the twelve sample photos at 128 pixels of the shorter side:
# tests/test_neurons.py computes it again from impasto.samples.
COVARIANCE = (
    (0.0576, 0.0451, 0.0390),
    (0.0451, 0.0461, 0.0448),
    (0.0390, 0.0448, 0.0486),
)


def colour_root() -> Tensor:
    """Return the symmetric square root of the covariance: uncorrelated values of variance 1 to colours as in photos."""
    values, vectors = torch.linalg.eigh(torch.tensor(COVARIANCE, dtype=torch.float64))
    root: Tensor = (vectors * values.sqrt()) @ vectors.T
    return root.float()


def amplitudes(height: int, width: int) -> Tensor:
    """Return the size of each wave, height x (width // 2 + 1): 1 / frequency, as in photos.

    Scaled so that coefficients with real and imaginary parts of variance 1 give pixels of variance 1. The mean gets the
    size of the longest wave.
    """
    rows = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    columns = torch.fft.rfftfreq(width, dtype=torch.float64)[None]
    size = 1 / (rows**2 + columns**2).sqrt().clamp(min=1 / max(height, width))
    # Waves of the first and, if the width is even, the last column stand for themselves, the others for two.
    counted = torch.full((1, width // 2 + 1), 4.0, dtype=torch.float64)
    counted[0, 0] = 1
    if width % 2 == 0:
        counted[0, -1] = 1
    variance = (counted * size**2).sum() / (height * width)
    scaled: Tensor = size / variance.sqrt()
    return scaled.float()


def waves(spectrum: Tensor, width: int) -> Tensor:
    """Return the values B x 3 x H x W of coefficients B x 3 x H x (W // 2 + 1) x 2 in units of their amplitudes."""
    sizes = amplitudes(spectrum.shape[2], width).to(spectrum.device)
    values: Tensor = torch.fft.irfft2(torch.view_as_complex(spectrum) * sizes, (spectrum.shape[2], width), norm="ortho")
    return values


def coloured(values: Tensor) -> Tensor:
    """Return uncorrelated values B x 3 x H x W as deviations from grey with the covariance of photos."""
    mixed: Tensor = torch.einsum("ij,bjhw->bihw", colour_root().to(values), values)
    return mixed


def picture_of(spectrum: Tensor, width: int) -> Tensor:
    """Return the picture B x 3 x H x W, in 0..1, of a spectrum.

    The sigmoid has slope 1 at grey, so faint pictures keep their covariance and strong ones stay in range.
    """
    return torch.sigmoid(4 * coloured(waves(spectrum, width)))


def noise_spectrum(height: int, width: int, random: torch.Generator) -> Tensor:
    """Return coefficients 1 x 3 x H x (W // 2 + 1) x 2 of variance 1: noise with the spectrum and colours of photos."""
    return torch.randn(1, 3, height, width // 2 + 1, 2, generator=random)
