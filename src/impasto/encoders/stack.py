"""VGG-shaped stacks of our own construction: the embedded encoder and the distilled and truncated VGG-19.

Children are named as papers name them (``conv1_1``, ``relu1_1``, ``pool1``), so no table of indices is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

Padding = Literal["zeros", "reflect", "replicate"]
# One tuple a block, one number of output channels a convolution.
Blocks = Sequence[Sequence[int]]


class VGGStack(nn.Module):
    """3x3 convolutions with ReLU in blocks, a max-pooling between blocks (Simonyan and Zisserman, 2014).

    Args:
        blocks: output channels of each convolution of each block.
        colour: whether a 1x1 convolution ``input`` stands before the first block, as in vgg19-16x.
        padding_mode: how the convolutions are padded by one pixel.
    """

    def __init__(self, blocks: Blocks, *, colour: bool = False, padding_mode: Padding = "zeros") -> None:
        super().__init__()
        if colour:
            self.add_module("input", nn.Conv2d(3, 3, 1))
        channels = 3
        for block, widths in enumerate(blocks, 1):
            for index, width in enumerate(widths, 1):
                conv = nn.Conv2d(channels, width, 3, padding=1, padding_mode=padding_mode)
                self.add_module(f"conv{block}_{index}", conv)
                self.add_module(f"relu{block}_{index}", nn.ReLU())
                channels = width
            if block < len(blocks):
                self.add_module(f"pool{block}", nn.MaxPool2d(2, 2))

    def forward(self, x: Tensor) -> Tensor:
        """Map BCHW to the activation of the last convolution after ReLU."""
        for child in self.children():
            x = child(x)
        return x


VGG19_BLOCKS_1_TO_3: Blocks = ((64, 64), (128, 128), (256,) * 4)
# Wang, Li, Wang, Hu and Yang 2020, "Collaborative Distillation for Ultra-Resolution Universal Style Transfer".
VGG19_SIXTEENTH: Blocks = ((16, 16), (32, 32), (64,) * 4, (128,) * 4, (128,))
# Ours: vgg19-16x widened where the real VGG-19 can be its teacher, and three more layers that learn to recognise.
IMPASTO_VGG: Blocks = ((32, 32), (64, 64), (96,) * 4, (128,) * 4, (128, 256, 256, 384))
