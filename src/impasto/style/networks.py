"""Feed-forward style networks: one forward pass repaints a picture (Johnson, Alahi and Fei-Fei 2016).

Every network maps B x 3 x H x W, RGB in 0..1, to B x 3 x H' x W' on the same scale; values outside 0..1 are for the
caller to clip, at the very end. What a network's training used instead (0..255, say) is inside.

    EngstromNet         R0's network: zero padding, transposed convolutions, tanh
    PyTorchExamplesNet  the one of pytorch/examples: reflection padding, nearest neighbour and convolution

Our own is in ``impasto_net``. Each has two numbers for ``apply``: ``frame``, pixels to be mirrored around a picture and
cut off again, and ``multiple``, of which the sides of its results are multiples.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# R0's instance norm; pytorch/examples uses PyTorch's own default.
ENGSTROM_EPS = 1e-3
# Pixels up to which the fused kernel's own sums are precise enough, and pixels of a strip beyond.
_MOST_SUMMED, _STRIP = 2**19, 2**14


@dataclass(frozen=True)
class Stage:
    """One convolution with what follows it, described so that it can be computed on some rows of a picture.

    Attributes:
        kernel: weights, outputs x inputs x k x k; transposed ones inputs x outputs x k x k.
        bias: one number an output channel, or None.
        stride: 2 halves the size, or doubles it where ``transposed`` or ``enlarge``.
        padding: "zeros" as TensorFlow's SAME, or "reflect".
        norm: instance norm behind it.
        relu: whether a ReLU follows.
        bridge: number of stages back from whose output is added at the end, 0 for none.
        back: number of stages back whose output is read: 1 for the one before.
    """

    kernel: Tensor
    bias: Tensor | None = None
    stride: int = 1
    padding: str = "zeros"
    transposed: bool = False
    enlarge: bool = False
    norm: nn.InstanceNorm2d | None = None
    relu: bool = False
    bridge: int = 0
    back: int = 1


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's SAME padding before and after one axis of ``size`` pixels; the odd pixel comes after.

    >>> same_padding(474, 3, 2), same_padding(475, 3, 2), same_padding(10, 9, 1)
    ((0, 1), (1, 1), (4, 4))
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def instance_norm(x: Tensor, norm: nn.InstanceNorm2d) -> Tensor:
    """Return what ``norm`` gives, B x C x H x W, faster where no gradient is needed.

    For one picture instance norm is batch norm with the statistics of the batch, and torch has a fused kernel for that
    which takes channels-last and bf16 as they are; its own instance norm copies the picture twice.
    """
    if torch.is_grad_enabled() or x.shape[2] * x.shape[3] == 1:
        result: Tensor = norm(x)
        return result
    parts = [_normalised(each, norm) for each in torch.split(x, 1)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _normalised(x: Tensor, norm: nn.InstanceNorm2d) -> Tensor:
    if x.shape[2] * x.shape[3] <= _MOST_SUMMED:
        return F.batch_norm(x, None, None, norm.weight, norm.bias, True, eps=norm.eps)
    mean, variance = _statistics(x)
    return F.batch_norm(x, mean, variance, norm.weight, norm.bias, False, eps=norm.eps)


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of each channel of 1 x C x H x W, gathered from strips in float64.

    The fused kernel adds up in float32 one pixel after the other: over four million pixels that was seen to cost five
    ten-thousandths, over the pixels of a strip nothing.
    """
    rows = max(1, _STRIP // x.shape[3])
    means, squares = [], []
    for strip in torch.split(x, rows, dim=2):
        mean, variance = x.new_zeros(2, x.shape[1], dtype=torch.float32)
        F.batch_norm(strip, mean, variance, training=True, momentum=1.0)
        count = strip.shape[2] * strip.shape[3]
        means.append(mean.double() * count)
        squares.append(variance.double() * (count - 1) + mean.double().square() * count)
    count = x.shape[2] * x.shape[3]
    mean = torch.stack(means).sum(0) / count
    return mean.float(), (torch.stack(squares).sum(0) / count - mean.square()).float()


class SameConv(nn.Module):
    """Convolution without bias, padded by zeros as TensorFlow's SAME, and instance norm; key names as published."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.trunc_normal_(nn.Conv2d(inputs, outputs, kernel).weight.data, std=0.1))
        self.norm = nn.InstanceNorm2d(outputs, eps=ENGSTROM_EPS, affine=True)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map B x C x H x W to B x outputs x ceil(H / stride) x ceil(W / stride)."""
        kernel = self.weight.shape[-1]
        rows, columns = (same_padding(side, kernel, self.stride) for side in x.shape[2:])
        return instance_norm(F.conv2d(F.pad(x, (*columns, *rows)), self.weight, stride=self.stride), self.norm)


class SameUpConv(nn.Module):
    """Transposed 3x3 convolution of stride 2 as TensorFlow's SAME (twice the size), and instance norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.trunc_normal_(nn.ConvTranspose2d(inputs, outputs, 3).weight.data, std=0.1))
        self.norm = nn.InstanceNorm2d(outputs, eps=ENGSTROM_EPS, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map B x C x H x W to B x outputs x 2H x 2W."""
        height, width = x.shape[2:]
        # The whole result has 2n + 1 pixels. SAME pads the forward convolution after the picture, so the last goes.
        whole = F.conv_transpose2d(x, self.weight, stride=2)[..., : 2 * height, : 2 * width]
        return instance_norm(whole, self.norm)


class EngstromResidual(nn.Module):
    """Two 3x3 convolutions with a bridge; no ReLU behind the second."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = SameConv(channels, channels, 3), SameConv(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        result: Tensor = x + self.conv2(self.conv1(x).relu())
        return result


class EngstromNet(nn.Module):
    """R0's generator: Johnson et al. 2016 with instance norm (Ulyanov et al. 2016), in Engstrom's variant.

    The last convolution is normalised, too, and ``tanh(x) * 150 + 127.5`` follows. Sides become the next multiple
    of 4.
    """

    # Zero padding paints a coloured frame of about 20 pixels. Mirrored by 32 pixels, which are cut off again, a picture
    # keeps nothing of it (64 and 128 look the same).
    frame = 32
    multiple = 4

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3 = SameConv(3, 32, 9), SameConv(32, 64, 3, 2), SameConv(64, 128, 3, 2)
        self.res1, self.res2, self.res3, self.res4, self.res5 = (EngstromResidual(128) for _ in range(5))
        self.up1, self.up2 = SameUpConv(128, 64), SameUpConv(64, 32)
        self.conv_out = SameConv(32, 3, 9)

    def forward(self, x: Tensor) -> Tensor:
        """Repaint B x 3 x H x W."""
        x = self.enter(x)
        for layer in (self.conv1, self.conv2, self.conv3):
            x = layer(x).relu()
        for block in (self.res1, self.res2, self.res3, self.res4, self.res5):
            x = block(x)
        for up in (self.up1, self.up2):
            x = up(x).relu()
        return self.leave(self.conv_out(x))

    @staticmethod
    def enter(x: Tensor) -> Tensor:
        """Bring RGB in 0..1 to what the first stage takes."""
        return x * 255

    @staticmethod
    def leave(x: Tensor) -> Tensor:
        """Bring what the last stage gives to RGB in 0..1."""
        return (x.tanh() * 150 + 127.5) / 255

    def stages(self) -> list[Stage]:
        """Return the same computation stage by stage, for pictures that do not fit into memory."""
        stages = [_same(layer, relu=True) for layer in (self.conv1, self.conv2, self.conv3)]
        for block in (self.res1, self.res2, self.res3, self.res4, self.res5):
            stages += [_same(block.conv1, relu=True), _same(block.conv2, bridge=2)]
        for up in (self.up1, self.up2):
            stages.append(Stage(up.weight, stride=2, transposed=True, norm=up.norm, relu=True))
        return [*stages, _same(self.conv_out)]


def _same(layer: SameConv, *, relu: bool = False, bridge: int = 0) -> Stage:
    return Stage(layer.weight, stride=layer.stride, norm=layer.norm, relu=relu, bridge=bridge)


class ReflectConv(nn.Module):
    """Convolution with bias, its input mirrored at the border; key names as in pytorch/examples."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, enlarge: bool = False) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(inputs, outputs, kernel, stride)
        self.padding, self.enlarge = kernel // 2, enlarge

    def forward(self, x: Tensor) -> Tensor:
        """Convolve; with ``enlarge`` every pixel is doubled before (Odena et al. 2016: no checkerboard)."""
        if self.enlarge:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        result: Tensor = self.conv2d(F.pad(x, (self.padding,) * 4, mode="reflect"))
        return result


class ExamplesResidual(nn.Module):
    """Two 3x3 convolutions with instance norm and a bridge."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = ReflectConv(channels, channels, 3), ReflectConv(channels, channels, 3)
        self.in1, self.in2 = (nn.InstanceNorm2d(channels, affine=True) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        inner = instance_norm(self.conv1(x), self.in1).relu()
        return x + instance_norm(self.conv2(inner), self.in2)


class PyTorchExamplesNet(nn.Module):
    """The network of pytorch/examples (fast_neural_style), ``width`` channels at full size (32 there)."""

    frame = 0
    multiple = 4

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        w = width
        self.conv1, self.conv2, self.conv3 = (
            ReflectConv(3, w, 9),
            ReflectConv(w, 2 * w, 3, 2),
            ReflectConv(2 * w, 4 * w, 3, 2),
        )
        self.in1, self.in2, self.in3 = (nn.InstanceNorm2d(k * w, affine=True) for k in (1, 2, 4))
        self.res1, self.res2, self.res3, self.res4, self.res5 = (ExamplesResidual(4 * w) for _ in range(5))
        self.deconv1, self.deconv2 = ReflectConv(4 * w, 2 * w, 3, enlarge=True), ReflectConv(2 * w, w, 3, enlarge=True)
        self.in4, self.in5 = nn.InstanceNorm2d(2 * w, affine=True), nn.InstanceNorm2d(w, affine=True)
        self.deconv3 = ReflectConv(w, 3, 9)

    def forward(self, x: Tensor) -> Tensor:
        """Repaint B x 3 x H x W; sides become the next multiple of 4."""
        x = self.enter(x)
        for conv, norm in ((self.conv1, self.in1), (self.conv2, self.in2), (self.conv3, self.in3)):
            x = instance_norm(conv(x), norm).relu()
        for block in (self.res1, self.res2, self.res3, self.res4, self.res5):
            x = block(x)
        for conv, norm in ((self.deconv1, self.in4), (self.deconv2, self.in5)):
            x = instance_norm(conv(x), norm).relu()
        return self.leave(self.deconv3(x))

    @staticmethod
    def enter(x: Tensor) -> Tensor:
        """Bring RGB in 0..1 to what the first stage takes."""
        return x * 255

    @staticmethod
    def leave(x: Tensor) -> Tensor:
        """Bring what the last stage gives to RGB in 0..1."""
        return x / 255

    def stages(self) -> list[Stage]:
        """Return the same computation stage by stage, for pictures that do not fit into memory."""
        down = ((self.conv1, self.in1), (self.conv2, self.in2), (self.conv3, self.in3))
        stages = [_reflect(conv, norm, relu=True) for conv, norm in down]
        for block in (self.res1, self.res2, self.res3, self.res4, self.res5):
            stages += [_reflect(block.conv1, block.in1, relu=True), _reflect(block.conv2, block.in2, bridge=2)]
        stages += [_reflect(up, norm, relu=True) for up, norm in ((self.deconv1, self.in4), (self.deconv2, self.in5))]
        return [*stages, _reflect(self.deconv3, None)]


def _reflect(layer: ReflectConv, norm: nn.InstanceNorm2d | None, *, relu: bool = False, bridge: int = 0) -> Stage:
    conv = layer.conv2d
    stride = 2 if layer.enlarge else conv.stride[0]
    return Stage(conv.weight, conv.bias, stride, "reflect", enlarge=layer.enlarge, norm=norm, relu=relu, bridge=bridge)
