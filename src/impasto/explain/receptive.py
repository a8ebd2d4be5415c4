"""Receptive fields: which pixels one place of a layer can see, and which it really looks at."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from impasto.runtime import generator
from impasto.subjects import Subject, spatial

# What is inside the effective field: this share of the squared gradient (a Gaussian's two standard deviations).
_ENERGY = 0.95


@dataclass(frozen=True)
class ReceptiveField:
    """The field of the place in the middle of a layer, as sides of squares in pixels.

    Attributes:
        side: what it can see by its arithmetic; the whole picture for layers that mix all places.
        whole: whether that is all of the picture, so that ``side`` is a lower bound.
        effective: side of the middle square with 95 % of the squared gradient of these pictures: usually much smaller
            (Luo et al. 2016).
        stride: pixels from one place to the next.
    """

    side: int
    whole: bool
    effective: int
    stride: float


def receptive_field(subject: Subject, layer: str, pictures: Tensor) -> ReceptiveField:
    """Measure the receptive field of a layer.

    What can be seen is where the gradient of the middle place is not 0 in a copy of the network without accidents: all
    weights positive, means in place of maxima, every ReLU open.

    Args:
        subject: the network.
        layer: a name.
        pictures: B x 3 x S x S in 0..1, for what is looked at.
    """
    open_network = _opened(subject)
    ones = torch.ones(1, 3, subject.size, subject.size, device=subject.device, dtype=torch.float64)
    seen = _middle_gradient(open_network, layer, ones, signs=None)[0]
    rows, columns = (seen > 0).any(1).nonzero(), (seen > 0).any(0).nonzero()
    side = int(max(rows.max() - rows.min(), columns.max() - columns.min())) + 1 if len(rows) else 0
    maps = subject.watch(pictures[:1], [layer]).maps[layer]
    signs = torch.randn(maps.shape[1], generator=generator(0, "receptive field", layer))
    energy = _middle_gradient(subject, layer, pictures, signs=signs).square().sum(0)
    return ReceptiveField(side, side >= subject.size, min(side, _energetic_side(energy)), subject.size / maps.shape[-1])


def _opened(subject: Subject) -> Subject:
    network = copy.deepcopy(subject.network).double()
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MaxPool2d):
                mean = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode)
                setattr(parent, name, mean)
    with torch.no_grad():
        for name, value in [*network.named_parameters(), *network.named_buffers()]:
            if value.is_floating_point():
                # Means are subtracted: at 0 nothing can become negative.
                value.copy_(torch.zeros_like(value) if name.endswith("mean") else value.abs() + 1e-3)
    return Subject(
        subject.name, network, subject.layers, subject.classes, subject.preprocessing, subject.identity, subject.device
    )


def _middle_gradient(subject: Subject, layer: str, pictures: Tensor, signs: Tensor | None) -> Tensor:
    """Return B x S x S: the length over colours of the gradient of the middle place, channels added up with signs."""
    found = []
    for picture in pictures.split(1):  # type: ignore[no-untyped-call]
        point = picture.clone().requires_grad_()
        with torch.enable_grad():
            maps = spatial(subject.activations(point, [layer])[layer])
            middle = maps[0, :, maps.shape[2] // 2, maps.shape[3] // 2]
            value = middle.sum() if signs is None else (middle * signs.to(middle)).sum()
            (slope,) = torch.autograd.grad(value, point)
        found.append(slope[0].square().sum(0).sqrt())
    return torch.stack(found).cpu()


def _energetic_side(energy: Tensor) -> int:
    """Return the side of the smallest square around the middle of the energy that holds 95 % of it."""
    total = energy.sum()
    if not total:
        return 0
    steps = torch.arange(len(energy), dtype=energy.dtype)
    row, column = (round(float((energy.sum(axis) * steps).sum() / total)) for axis in (1, 0))
    for half in range(len(energy)):
        part = energy[max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1]
        if part.sum() >= _ENERGY * total:
            return min(2 * half + 1, len(energy))
    return len(energy)
