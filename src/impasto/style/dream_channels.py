"""Which channels can be amplified at little cost to style and content: found by trying it on the picture itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.errors import UsageError
from impasto.style.config import Preset
from impasto.style.dream import Dream, DreamLayer, same_layer, silent_channels
from impasto.style.engine import optimise
from impasto.style.losses import dream_distance, dream_energy
from impasto.style.objective import Objective

# So many channels are chosen: with one there is a single pattern to be seen, with many each has little.
CHOSEN = 8
# So many are tried, the loudest: each costs two passes forward and two back.
TRIED = 64
# Trials are made after so many steps of painting. Not at the photo: content has no gradient there, and nearly any
# change brings it nearer to the style.
STEPS = (10, 40)
# Root mean square of the change that amplifies a channel, in units of the picture's range.
_NUDGE = 2 / 255
# A channel with less than this share of its layer's mean energy shows next to nothing in this photo.
_LEAST = 0.1
# Of a channel's energy in the photo, what the plain painting has to leave: else the style is against it.
_KEPT = 0.5
_TINY = 1e-12


@dataclass(frozen=True)
class Trial:
    """What amplifying a channel did to the picture: losses risen, and the ``dream_distance`` that fell."""

    channel: int
    rise: float
    gain: float

    @property
    def conflict(self) -> float:
        """Loss that a unit of gain costs; endless where nothing was gained."""
        return self.rise / self.gain if self.gain > 0 else float("inf")


def choose_channels(objective: Objective, photo: Tensor, preset: Preset) -> Dream:
    """Choose the channels that can be amplified at the least cost.

    A channel's share in the gradients alone is no guide: what the gradients hardly move is what only large changes of
    the picture move, and these cost most. So each candidate is amplified for a trial, by a small step up the gradient
    of its energy, as DeepDream takes it, early and later in a small plain painting. Its cost is what the style and the
    content term rise by, against what the dream's own loss falls by.

    The channels are of one layer, for divided among layers a dream is a weak one in each: of the deepest that no loss
    uses and that has enough channels which show something in the photo and in the painting, or of one in use.

    Args:
        objective: the plain objective for ``photo``.
        photo: 1 x 3 x H x W in 0..1; small, for this costs some hundred passes.
        preset: how the painting goes on.

    Raises:
        UsageError: nothing in the encoder answers to this photo.
    """
    looks = _looks(objective, photo, preset)
    best: list[Trial] = []
    layer = ""
    for name in candidate_layers(objective):
        found = sorted(_living(try_layer(objective, photo, looks, name)), key=lambda each: each.conflict)[:CHOSEN]
        if len(found) > len(best):
            best, layer = found, name
        if len(best) == CHOSEN:
            break
    if not best:
        raise UsageError(
            f"{objective.encoder.name} has no channel to dream of in this photo.", "Take another encoder or photo."
        )
    with torch.no_grad():
        silent = silent_channels(objective.features(photo, [layer])[layer])
    chosen = DreamLayer(layer, tuple(sorted(each.channel for each in best)))
    return Dream((chosen,), (DreamLayer(layer, silent),) if silent else (), chosen=True)


def candidate_layers(objective: Objective) -> list[str]:
    """Return the layers from the content's on, those that no loss uses first, and the deepest first of each kind.

    What is before them dreams of nothing but simple patterns. Without pooling, which repeats its input, and without
    convolutions whose rectified output has a name, too.
    """
    encoder = objective.encoder
    names = list(encoder.layers)

    def among(name: str, used: tuple[str, ...]) -> bool:
        return any(same_layer(encoder, name, each) for each in used)

    first = min((at for at, name in enumerate(names) if among(name, objective.content_layers)), default=0)
    rectified = {name.replace("relu", "conv") for name in names if name.startswith("relu")}
    deep = [name for name in reversed(names[first:]) if "pool" not in name and name not in rectified]
    return sorted(deep, key=lambda name: among(name, objective.content_layers + objective.style_layers))


def try_layer(objective: Objective, photo: Tensor, looks: list[Tensor], layer: str) -> list[Trial]:
    """Amplify the loudest channels of a layer in each of ``looks`` and see what it costs in all."""
    with torch.no_grad():
        usual, last = (_energies(objective.features(image, [layer])[layer]) for image in (photo, looks[-1]))
    audible = (usual > _LEAST * usual.mean()) & (last >= _KEPT * usual)
    order = torch.sort(usual, descending=True, stable=True).indices.tolist()
    channels = [each for each in order if audible[each]][:TRIED]
    tried = [_try(objective, image, layer, channels, usual) for image in looks]
    return [
        Trial(same[0].channel, sum(each.rise for each in same), sum(each.gain for each in same))
        for same in zip(*tried, strict=True)
    ]


def _try(objective: Objective, image: Tensor, layer: str, channels: list[int], usual: Tensor) -> list[Trial]:
    image = image.detach().clone().requires_grad_()
    maps = objective.features(image, [layer])[layer]
    with torch.no_grad():
        before = objective.terms(image)
    trials = []
    for channel in channels:
        energy = dream_energy(maps[:, channel])
        (uphill,) = torch.autograd.grad(energy, image, retain_graph=True)
        nudged = image.detach() + _NUDGE * uphill / uphill.square().mean().sqrt().clamp(min=_TINY)
        rise, after = _after(objective, nudged, before, DreamLayer(layer, (channel,)))
        gain = dream_distance(energy.detach() / usual[channel]) - dream_distance(after / usual[channel])
        trials.append(Trial(channel, rise, gain.item()))
    return trials


@torch.no_grad()
def _after(objective: Objective, nudged: Tensor, before: dict[str, Tensor], dream: DreamLayer) -> tuple[float, Tensor]:
    """Return what style and content rose by, and the energy of the dream's channel."""
    maps = objective.features(nudged, list(dict.fromkeys([*objective.layers, dream.layer])))
    after = objective.terms_of(nudged, maps)
    rise = sum(max(0.0, (after[name] - before[name]).item()) for name in ("style", "content"))
    return rise, dream.energy(maps[dream.layer])


def _looks(objective: Objective, photo: Tensor, preset: Preset) -> list[Tensor]:
    """Return the best picture after each of ``STEPS``."""
    best, looks = [photo], []
    for step, _ in enumerate(optimise(photo, objective, preset, STEPS[-1], best.append), 1):
        if step in STEPS:
            looks.append(best[-1])
    return looks


def _living(trials: list[Trial]) -> list[Trial]:
    return [each for each in trials if each.gain > 0]


def _energies(features: Tensor) -> Tensor:
    """Return the energy of each channel of 1 x C x H x W."""
    return features.float().square().mean((0, 2, 3))
