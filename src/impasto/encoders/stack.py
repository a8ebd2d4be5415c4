"""VGG-shaped stacks of our own construction: the embedded encoder and the distilled and truncated VGG-19.

Children are named as papers name them (``conv1_1``, ``relu1_1``, ``pool1``), so no table of indices is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
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
IMPASTO_VGG: Blocks = ((32, 32), (64, 64), (96,) * 4, (128,) * 4, (128,))


class Fire(nn.Module):
    """Squeeze to few channels, expand by 1x1 and 3x3 side by side (Iandola et al. 2016); keys as torchvision's."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map B x inputs x h x w to B x 2 expand x h x w."""
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x), self.expand3x3(x)], 1).relu()


class ImpastoVGG(VGGStack):
    """The embedded encoder: a narrow VGG for repainting, and a branch of fire modules for recognition.

    The branch leaves the stack at relu3_4. Repainting asks for layers of the stack and never pays for it; what
    recognition needs beyond relu3_4 is not what style needs, and neither is bent to serve the other.
    """

    def __init__(self) -> None:
        super().__init__(IMPASTO_VGG)
        self.branch = nn.Sequential()
        for name, module in (
            ("adapt1", nn.Conv2d(IMPASTO_VGG[2][-1], 192, 3, stride=2, padding=1)),
            ("relu1", nn.ReLU()),
            ("adapt2", nn.Conv2d(192, 256, 3, padding=1)),
            ("relu2", nn.ReLU()),
            ("fire5", Fire(256, 32, 128)),
            ("fire6", Fire(256, 48, 192)),
            ("fire7", Fire(384, 48, 192)),
            ("fire8", Fire(384, 64, 256)),
            ("pool8", nn.MaxPool2d(3, 2, ceil_mode=True)),
            ("fire9", Fire(512, 64, 256)),
        ):
            self.branch.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        """Map BCHW to the activation of fire9; the stack's own layers are for hooks."""
        middle = x
        for name, child in self.named_children():
            if name == "branch":
                break
            x = child(x)
            middle = x if name == "relu3_4" else middle
        result: Tensor = self.branch(middle)
        return result
