"""R0's augmentation: shear, zoom and flip, drawn anew for each picture in each epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.runtime import generator

# R0 names the kinds and not the strengths; these are those of the Keras example that it follows (Chollet 2016:
# shear_range 0.2, then in radians; zoom_range 0.2; horizontal_flip). Rescaling to 0..1 is the preprocessing.
SHEAR_DEGREES = 11.46
ZOOM = (0.8, 1.2)


def augment(picture: Tensor, *, seed: int, epoch: int, index: int) -> Tensor:
    """Return a sheared, zoomed and perhaps mirrored copy of a 3 x S x S picture.

    What is drawn depends on ``seed``, ``epoch`` and ``index`` alone, not on the order in which pictures are asked
    for. The border is continued outwards, as Keras' ``fill_mode="nearest"`` does. One zoom serves both axes where
    Keras draws two, so that proportions stay.

    The labels that survive this are subjects and styles; none of it touches colours.
    """
    # Here because the import takes longer than most commands, which never augment.
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2 import functional as v2

    shear, zoom, flip = torch.rand(3, generator=generator(seed, "augment", epoch, index)).tolist()
    side = picture.shape[-1]
    margin = side // 3 + 1  # the largest shear and zoom together reveal a quarter
    padded = v2.pad(picture, [margin], padding_mode="edge")
    turned = v2.affine(
        padded,
        angle=0,
        translate=[0, 0],
        scale=ZOOM[0] + zoom * (ZOOM[1] - ZOOM[0]),
        shear=[(2 * shear - 1) * SHEAR_DEGREES, 0],
        interpolation=InterpolationMode.BILINEAR,
    )
    result: Tensor = v2.center_crop(turned, [side, side])
    return v2.horizontal_flip(result) if flip < 0.5 else result
