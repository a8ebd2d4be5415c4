"""Class activation maps: where in the picture the channels stand that a target depends on."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.explain.targets import Goal
from impasto.subjects import Subject, spatial

# Activations with one channel silenced that go through the rest of the network together.
_ABLATED = 64


def grad_cam(subject: Subject, pictures: Tensor, goal: Goal, layer: str) -> Tensor:
    """Return B x h x w: sum over channels of a_k A_k, a_k the mean gradient of the target (Selvaraju et al. 2017).

    Before the paper's ReLU: what is below 0 speaks against the target, and a map without anything above 0 can be told
    from one of a silent layer. For a network that ends with a spatial mean and a linear layer this is its class
    activation map (Zhou et al. 2016) divided by h w.
    """
    maps, slopes = _maps_and_slopes(subject, pictures, goal, layer)
    return (slopes.mean((2, 3), keepdim=True) * maps).sum(1)


def grad_cam_pp(subject: Subject, pictures: Tensor, goal: Goal, layer: str) -> Tensor:
    """Return B x h x w of Grad-CAM++ (Chattopadhay et al. 2018), for the exponential of the target.

    w_k = sum of alpha relu(g), alpha = g^2 / (2 g^2 + g^3 sum A), their equations 11 and 19: positions that raise the
    target count the more, the fewer of them there are.
    """
    maps, slopes = _maps_and_slopes(subject, pictures, goal, layer)
    below = 2 * slopes.square() + slopes.pow(3) * maps.sum((2, 3), keepdim=True)
    alpha = slopes.square() / torch.where(below == 0, 1, below)
    return ((alpha * slopes.relu()).sum((2, 3), keepdim=True) * maps).sum(1)


def ablation_cam(subject: Subject, pictures: Tensor, goal: Goal, layer: str) -> Tensor:
    """Return B x h x w: sum over channels of w_k A_k, w_k what the target loses without channel k; no gradients.

    Ramaswamy and Desai 2020 divide by the target, which turns the map around where that is below 0; the difference is
    not divided here.
    """
    with torch.no_grad():
        return torch.stack(
            [_ablated(subject, pictures[row : row + 1], goal, row, layer) for row in range(len(pictures))]
        )


def _ablated(subject: Subject, picture: Tensor, goal: Goal, row: int, layer: str) -> Tensor:
    seen = subject.watch(picture, [layer])
    raw, maps = seen.raw[layer], seen.map_of(layer)
    channel_axis = 1 if maps.shape == raw.shape else raw.ndim - 1
    whole = goal.repeated(row, 1)(seen.output)
    weights = []
    for first in range(0, maps.shape[1], _ABLATED):
        channels = range(first, min(first + _ABLATED, maps.shape[1]))
        silenced = raw.expand(len(channels), *raw.shape[1:]).clone()
        for index, channel in enumerate(channels):
            silenced[index].select(channel_axis - 1, channel).zero_()
        outputs = subject.resume(picture, layer, silenced)
        weights.append(whole - goal.repeated(row, len(channels))(outputs))
    return (torch.cat(weights).view(-1, 1, 1) * maps[0]).sum(0)


def _maps_and_slopes(subject: Subject, pictures: Tensor, goal: Goal, layer: str) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        seen = subject.watch(pictures, [layer], cut=True)
        raw, maps = seen.raw[layer], seen.map_of(layer)
        (slope,) = torch.autograd.grad(goal(seen.output).sum(), raw, allow_unused=True)
    slope = torch.zeros_like(raw) if slope is None else slope
    return maps.detach(), spatial(slope)
