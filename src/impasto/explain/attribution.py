"""Attribution maps by name: which there are, and what is found out about each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.errors import NumericalError, UnknownNameError
from impasto.explain.cam import ablation_cam, grad_cam, grad_cam_pp
from impasto.explain.pixels import integrated_gradients, occlusion
from impasto.explain.targets import Goal
from impasto.subjects import Subject

# Side of the grid on which maps of different methods are compared.
GRID = 14


@dataclass(frozen=True)
class Method:
    """One way of making maps.

    Attributes:
        of_layer: whether the map is of a layer, which can be chosen, or of the pixels.
        make: subject, pictures, goal and the layer ("" where there is none) to B x h x w values with their signs.
        title: its name in figures.
        paper: where it is from.
    """

    of_layer: bool
    make: Callable[[Subject, Tensor, Goal, str], Tensor]
    title: str
    paper: str


METHODS: dict[str, Method] = {
    "grad-cam": Method(True, grad_cam, "Grad-CAM", "Selvaraju et al. 2017"),
    "grad-cam++": Method(True, grad_cam_pp, "Grad-CAM++", "Chattopadhay et al. 2018"),
    "ablation-cam": Method(True, ablation_cam, "Ablation-CAM", "Ramaswamy and Desai 2020, without gradients"),
    "integrated-gradients": Method(
        False, lambda s, p, g, _: integrated_gradients(s, p, g), "integrated gradients", "Sundararajan et al. 2017"
    ),
    "occlusion": Method(False, lambda s, p, g, _: occlusion(s, p, g), "occlusion", "Zeiler and Fergus 2014"),
}


def method_of(name: str) -> Method:
    """Return the method of a name.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in METHODS:
        raise UnknownNameError("method", name, METHODS)
    return METHODS[name]


def attribute(subject: Subject, pictures: Tensor, goal: Goal, method: str, layer: str = "") -> Tensor:
    """Return B x h x w maps, float32 on the CPU, above 0 where something speaks for the target.

    h x w are the places of a layer, or all S x S pixels.

    Args:
        subject: the network.
        pictures: B x 3 x S x S in 0..1.
        goal: the target.
        method: a name of :data:`METHODS`.
        layer: a name; "" for the deepest with places, where the method has use for one.

    Raises:
        UnknownNameError: no such method or layer. NumericalError: NaN or infinity in a map.
    """
    made = method_of(method)
    layer = (layer or subject.last_layer) if made.of_layer else ""
    maps = made.make(subject, pictures, goal, layer).float().cpu()
    if not bool(maps.isfinite().all()):
        raise NumericalError(f"a map of {subject.name} holds NaN or infinity.", "Are its weights sound?")
    return maps


def positive(maps: Tensor) -> Tensor:
    """Return what speaks for the target, scaled to a largest value of 1; a map without any stays all 0."""
    maps = maps.relu()
    top = maps.flatten(1).amax(1).view(-1, 1, 1)
    return maps / torch.where(top == 0, 1, top)


def enlarged(maps: Tensor, side: int) -> Tensor:
    """Return B x h x w maps at ``side`` x ``side`` pixels (bilinear)."""
    if maps.shape[1:] == (side, side):
        return maps
    return F.interpolate(maps.unsqueeze(1), (side, side), mode="bilinear", align_corners=False)[:, 0]


def on_grid(maps: Tensor) -> Tensor:
    """Return B x 14 x 14 means: what maps of different methods are compared on."""
    if maps.shape[1] >= GRID and maps.shape[2] >= GRID:
        return F.adaptive_avg_pool2d(maps.unsqueeze(1), GRID)[:, 0]
    return enlarged(maps, GRID)


def facts(values: Tensor) -> dict[str, Any]:
    """Return what must be said about one map h x w before it is shown: its ends, and how much speaks against.

    ``state`` is "flat" (the target does not depend on this layer or picture at all), "negative" (all of it speaks
    against) or "fine"; the first two have nothing to show.
    """
    for_, against = float(values.relu().sum()), float((-values).relu().sum())
    state = "flat" if for_ + against == 0 else "negative" if for_ == 0 else "fine"
    return {
        "state": state,
        "largest": float(values.max()),
        "smallest": float(values.min()),
        "against": against / (for_ + against) if for_ + against else 0.0,
    }
