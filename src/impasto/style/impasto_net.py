"""impasto's own feed-forward network: one set of convolutions, and a style in nothing but its instance norms.

A style is a vector: gain and shift of every normalised channel (Dumoulin, Shlens and Kudlur 2017). It is learned for
one style, looked up among several, mixed between them, or predicted from a picture (``any_style``).

Against R0's network: nearest neighbour and convolution where that has transposed convolutions, so no checkerboard
(Odena, Dumoulin and Olah 2016); mirrored where that pads with zeros, so no coloured frame; and most of the work at an
eighth of the size, where strokes are decided, with 0.6 times the operations.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.style.networks import Stage, instance_norm

# The last step is 0.5 + REACH * tanh(x), so that black and white can be reached without saturation.
REACH = 0.55
# How much of the photo, of deviation 1, goes past the network at the start.
PHOTO_SHARE = 0.5


def mirror(x: Tensor, pixels: int) -> Tensor:
    """Mirror B x C x H x W at its border; F.pad's values, but concatenated, which compiles to faster gradients."""
    for axis in (2, 3):
        size = x.shape[axis]
        before, after = x.narrow(axis, 1, pixels).flip(axis), x.narrow(axis, size - 1 - pixels, pixels).flip(axis)
        x = torch.cat([before, x, after], axis)
    return x


def double(x: Tensor) -> Tensor:
    """Double every pixel of B x C x H x W: nearest neighbour, in a form that compiles to faster gradients."""
    batch, channels, height, width = x.shape
    return x[:, :, :, None, :, None].expand(-1, -1, -1, 2, -1, 2).reshape(batch, channels, 2 * height, 2 * width)


def fold_doubling(kernel: Tensor) -> Tensor:
    """Return, for a kernel O x I x 3 x 3 behind a doubling, the four of 2 x 2 that do the same before it.

    Every second row of the doubled input repeats the one above, so of three taps two always meet the same value: 4/9
    of the multiplications are enough, and the doubled input is never written. Exact but for rounding.

    Returns:
        4 O x I x 2 x 2: for even rows and even columns, even and odd, odd and even, odd and odd.
    """
    halves = [torch.stack(pair, 2) for pair in _pairs(*kernel.unbind(2))]
    return torch.cat([torch.stack(pair, 3) for half in halves for pair in _pairs(*half.unbind(3))])


def _pairs(before: Tensor, at: Tensor, after: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """What an even row takes of the row above and its own, and an odd one of its own and the row below."""
    return (before, at + after), (before + at, after)


def convolve_doubled(x: Tensor, folded: Tensor) -> Tensor:
    """Convolve the doubled and mirrored B x I x H x W by a folded kernel: B x O x 2H x 2W.

    A doubled picture that is mirrored by one pixel is one whose outermost pixels are repeated before the doubling.
    """
    height, width = x.shape[2:]
    phases = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), folded)
    channels = folded.shape[0] // 4
    size = (x.shape[0], channels, 2 * height, 2 * width)
    result = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    for index, phase in enumerate(torch.split(phases, channels, 1)):
        row, column = divmod(index, 2)
        result[:, :, row::2, column::2] = phase[:, :, row : row + height, column : column + width]
    return result


class Layer(nn.Module):
    """Convolution of the mirrored input, and instance norm.

    ``folded`` is the kernel of ``fold_doubling``, once it was asked for.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, enlarge: bool = False, relu: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, bias=False)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        self.norm = nn.InstanceNorm2d(outputs, affine=True)
        self.outputs, self.padding, self.enlarge, self.relu = outputs, kernel // 2, enlarge, relu
        self.folded: Tensor | None = None

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        """Map B x C x H x W to B x outputs x H' x W'; ``style`` (B x 2 outputs) is added to gains and shifts."""
        if style is None and not torch.is_grad_enabled():
            return self._quick(x)
        x = self.conv(mirror(double(x) if self.enlarge else x, self.padding))
        variance, mean = torch.var_mean(x.float(), (2, 3), unbiased=False)
        gain: Tensor = self.norm.weight
        shift: Tensor = self.norm.bias
        if style is not None:
            gain, shift = gain + style[:, : self.outputs], shift + style[:, self.outputs :]
        scale = gain * (variance + self.norm.eps).rsqrt()
        x = x * scale.to(x.dtype)[:, :, None, None] + (shift - mean * scale).to(x.dtype)[:, :, None, None]
        return x.relu() if self.relu else x

    def _quick(self, x: Tensor) -> Tensor:
        """Do the same with torch's fused kernels, in the type of the weights."""
        x = x.to(self.conv.weight.dtype)
        if self.folded is not None:
            x = convolve_doubled(x, self.folded)
        else:
            x = F.interpolate(x, scale_factor=2, mode="nearest") if self.enlarge else x
            x = self.conv(F.pad(x, (self.padding,) * 4, mode="reflect"))
        x = instance_norm(x, self.norm)
        return x.relu_() if self.relu else x


class ImpastoNet(nn.Module):
    """Repaint B x 3 x H x W, RGB in 0..1; sides become the next multiple of 8.

    Args:
        width: channels at half the size; twice as many at a quarter, three times at an eighth, a third at full size.
        blocks: residual blocks at an eighth.
    """

    frame = 0  # pixels that have to be mirrored around a picture and cut off again: none
    multiple = 8  # sides of the result are multiples of it

    def __init__(self, width: int = 48, blocks: int = 4) -> None:
        super().__init__()
        half, quarter, eighth, full = width, 2 * width, 3 * width, width // 3
        self.down1, self.down2 = Layer(3, half, 5, stride=2), Layer(half, quarter, stride=2)
        self.detail = nn.Sequential(Layer(quarter, quarter), Layer(quarter, quarter, relu=False))
        self.down3 = Layer(quarter, eighth, stride=2)
        self.strokes = nn.Sequential(*(Layer(eighth, eighth, relu=index % 2 == 0) for index in range(2 * blocks)))
        self.up1 = Layer(eighth, quarter, enlarge=True)
        self.touch = nn.Sequential(Layer(quarter, quarter), Layer(quarter, quarter, relu=False))
        self.up2, self.up3 = Layer(quarter, half, enlarge=True), Layer(half, full, enlarge=True)
        self.photo = Layer(3, full)
        self.last = nn.Conv2d(full, 3, 3)
        self._start_from_the_photo()

    @torch.no_grad()
    def _start_from_the_photo(self) -> None:
        """Let six channels carry the photo past everything, so that training changes a photo and need not build one."""
        channels = min(3, self.photo.outputs // 2)
        self.photo.conv.weight[: 2 * channels].zero_()
        self.last.weight[:, : 2 * channels].zero_()
        for channel in range(channels):
            for place, sign in ((channel, 1.0), (channels + channel, -1.0)):
                self.photo.conv.weight[place, channel, 1, 1] = sign
                self.last.weight[channel, place, 1, 1] = sign * PHOTO_SHARE

    @property
    def layers(self) -> list[Layer]:
        """All normalised layers, in order."""
        return [module for module in self.modules() if isinstance(module, Layer)]

    @property
    def style_size(self) -> int:
        """Length of a style vector: a gain and a shift for every normalised channel."""
        return sum(2 * layer.outputs for layer in self.layers)

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        """Repaint; ``style``, B x style_size, is added to the norms' own gains and shifts."""
        parts = self._parts(style)
        entered = self.enter(x)
        x = self.down2(self.down1(entered, next(parts)), next(parts))
        kept = x = _block(self.detail, x, parts)
        x = self.down3(x, next(parts))
        for index in range(0, len(self.strokes), 2):
            x = _block(self.strokes[index : index + 2], x, parts)
        x = self.up1(x, next(parts)) + kept
        x = _block(self.touch, x, parts)
        x = self.up3(self.up2(x, next(parts)), next(parts))
        x = x + self.photo(entered, next(parts))
        return self.leave(self.last(mirror(x, 1)).float())

    def _parts(self, style: Tensor | None) -> Iterator[Tensor | None]:
        layers = self.layers
        if style is None:
            return iter([None] * len(layers))
        return iter(torch.split(style, [2 * each.outputs for each in layers], 1))

    @staticmethod
    def enter(x: Tensor) -> Tensor:
        """Bring RGB in 0..1 to what the first stage takes."""
        return (x - 0.5) * 4

    @staticmethod
    def leave(x: Tensor) -> Tensor:
        """Bring what the last stage gives to RGB in 0..1."""
        return 0.5 + REACH * x.tanh()

    def stages(self) -> list[Stage]:
        """Return the same computation stage by stage, for pictures that do not fit into memory."""
        stages = [_stage(self.down1), _stage(self.down2), *_bridged(self.detail), _stage(self.down3)]
        for index in range(0, len(self.strokes), 2):
            stages += _bridged(self.strokes[index : index + 2])
        stages += [_stage(self.up1, bridge=len(self.strokes) + 2), *_bridged(self.touch)]
        stages += [_stage(self.up2), _stage(self.up3)]
        stages.append(_stage(self.photo, back=len(stages) + 1, bridge=1))
        return [*stages, Stage(self.last.weight, self.last.bias, padding="reflect")]

    @torch.no_grad()
    def quickened(self, dtype: torch.dtype) -> ImpastoNet:
        """Return a copy for painting: convolutions in ``dtype``, doublings folded into them; norms stay in float32."""
        own = copy.deepcopy(self)
        for layer in own.layers:
            layer.folded = fold_doubling(layer.conv.weight).to(dtype) if layer.enlarge else None
        for module in own.modules():
            if isinstance(module, nn.Conv2d):
                module.to(dtype)
        return own

    @torch.no_grad()
    def with_style(self, style: Tensor) -> ImpastoNet:
        """Return a network of one style, which shares the convolutions; ``style`` has style_size numbers."""
        own = copy.deepcopy(self, {id(tensor): tensor for tensor in self._shared()})
        parts = torch.split(style, [2 * each.outputs for each in own.layers])
        for layer, part in zip(own.layers, parts, strict=True):
            layer.norm.weight = nn.Parameter(layer.norm.weight + part[: layer.outputs])
            layer.norm.bias = nn.Parameter(layer.norm.bias + part[layer.outputs :])
        return own.eval()

    def _shared(self) -> Iterator[Tensor]:
        yield from self.parameters()
        yield from (layer.folded for layer in self.layers if layer.folded is not None)


class ManyStyles(nn.Module):
    """A network with a table of styles that it has learned.

    Args:
        net: the convolutions.
        styles: how many.
    """

    def __init__(self, net: ImpastoNet, styles: int) -> None:
        super().__init__()
        self.net = net
        self.table = nn.Parameter(torch.zeros(styles, net.style_size))

    def forward(self, x: Tensor, shares: Tensor) -> Tensor:
        """Repaint B x 3 x H x W, each with its mixture of styles: ``shares`` is B x styles and sums to 1."""
        result: Tensor = self.net(x, shares @ self.table)
        return result

    def mixed(self, shares: Sequence[float]) -> Tensor:
        """Return the style vector of a mixture of the styles in the table."""
        weights = torch.tensor(shares, dtype=self.table.dtype, device=self.table.device)
        return weights / weights.sum() @ self.table.detach()


def _block(layers: nn.Module, x: Tensor, parts: Iterator[Tensor | None]) -> Tensor:
    result: Tensor = x
    for layer in layers.children():
        result = layer(result, next(parts))
    return x + result


def _stage(layer: Layer, bridge: int = 0, back: int = 1) -> Stage:
    stride = 2 if layer.enlarge else layer.conv.stride[0]
    return Stage(
        layer.conv.weight,
        stride=stride,
        padding="reflect",
        enlarge=layer.enlarge,
        norm=layer.norm,
        relu=layer.relu,
        bridge=bridge,
        back=back,
    )


def _bridged(pair: nn.Module) -> list[Stage]:
    first, second = pair.children()
    return [_stage(first), _stage(second, bridge=2)]  # type: ignore[arg-type]
