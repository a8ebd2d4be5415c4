"""What a dream makes more of: functions of a picture that grow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.dream.looking import Looker
from impasto.dream.targets import Target
from impasto.errors import UsageError

# Places of a picture that are compared with those of the guide at once, and of a guide at most: shallow layers have
# many, which differ little from their neighbours. Together 32 MB of similarities.
_PLACES, _GUIDE_PLACES = 4096, 2048

# What one target makes of its maps 1 x C x h x w.
Rule = Callable[[Target, Tensor], Tensor]


class Objective(Protocol):
    """A number that is to grow, for pictures 1 x 3 x H x W in 0..1."""

    @property
    def looker(self) -> Looker:
        """Through which it sees."""

    def __call__(self, picture: Tensor) -> Tensor:
        """Return the number, with its gradient."""


def energy(_target: Target, maps: Tensor) -> Tensor:
    """Return the mean square: whatever is there already becomes more (Mordvintsev et al. 2015).

    The original's gradient is the activation itself, which is that of the sum of squares but for a factor.
    """
    return maps.square().mean()


def mean(_target: Target, maps: Tensor) -> Tensor:
    """Return the mean: everything grows alike, also where it was not."""
    return maps.mean()


@dataclass(frozen=True)
class Guide:
    """Each place follows the place of another picture that is most like it (Mordvintsev et al. 2015).

    Attributes:
        features: of each target, C x M: the guide's features at its M places.
        cosine: liken directions alone. With the dot product, which is the original's, a few strong places of the guide
            attract most of the picture.
    """

    features: Mapping[Target, Tensor]
    cosine: bool = False

    def __call__(self, target: Target, maps: Tensor) -> Tensor:
        """Return the mean likeness of the places of 1 x C x h x w to the best of the guide's."""
        mine, guide = maps[0].flatten(1), self.features[target]
        if self.cosine:
            mine, guide = F.normalize(mine, dim=0), F.normalize(guide, dim=0)
        with torch.no_grad():
            best = torch.cat([(part.T @ guide).argmax(1) for part in torch.split(mine, _PLACES, dim=1)])
        return (mine * guide[:, best]).sum(0).mean()


@dataclass(frozen=True)
class LayerObjective:
    """A rule over the maps of one or several targets, added up by their weights.

    Attributes:
        looker: gives the maps.
        targets: what counts.
        rule: :func:`energy`, :func:`mean` or a :class:`Guide`.
        scales: what each target's value is divided by, so that weights mean the same for shallow and deep layers.
    """

    looker: Looker
    targets: tuple[Target, ...]
    rule: Rule
    scales: Mapping[Target, float] = field(default_factory=dict)

    def __call__(self, picture: Tensor) -> Tensor:
        """Return the weighted sum."""
        values = self.values(picture)
        return torch.stack([each.weight * values[each] / self.scales.get(each, 1.0) for each in self.targets]).sum()

    def values(self, picture: Tensor) -> dict[Target, Tensor]:
        """Return the rule's value of each target."""
        maps = self.looker.maps(picture)
        return {each: self.rule(each, chosen(maps, each)) for each in self.targets}

    def scaled_by(self, picture: Tensor) -> LayerObjective:
        """Return the objective with targets divided by what they are for a picture; one alone stays as it is."""
        if len(self.targets) == 1:
            return self
        with torch.no_grad():
            usual = {each: max(abs(value.item()), 1e-8) for each, value in self.values(picture).items()}
        return LayerObjective(self.looker, self.targets, self.rule, usual)


@dataclass(frozen=True)
class ClassObjective:
    """The logit of a class: not its probability, which also grows by making other classes unlikely.

    Attributes:
        looker: gives the logits.
        number: of the class.
    """

    looker: Looker
    number: int

    def __call__(self, picture: Tensor) -> Tensor:
        """Return the logit."""
        return self.looker.logits(picture)[:, self.number].mean()


def chosen(maps: Mapping[str, Tensor], target: Target) -> Tensor:
    """Return the maps of a target's channels."""
    return maps[target.layer][:, list(target.channels)] if target.channels else maps[target.layer]


def guide_of(looker: Looker, targets: Sequence[Target], picture: Tensor, *, cosine: bool) -> Guide:
    """Return the guide that a picture 1 x 3 x H x W is."""
    with torch.no_grad():
        maps = looker.maps(picture)
    return Guide({each: _evenly(chosen(maps, each)[0].flatten(1)) for each in targets}, cosine)


def _evenly(features: Tensor) -> Tensor:
    """Return C x M of C x N, evenly chosen where there are too many."""
    step = -(-features.shape[1] // _GUIDE_PLACES)
    return features[:, ::step].contiguous()


def check_channels(looker: Looker, targets: Sequence[Target]) -> None:
    """Refuse channels that a layer does not have.

    Raises:
        UsageError: with the number that there are.
    """
    for each in targets:
        count = looker.channels[each.layer]
        if each.channels and each.channels[-1] >= count:
            raise UsageError(f"{each.layer} has no channel {each.channels[-1]}.", f"Its channels are 0 .. {count - 1}.")
