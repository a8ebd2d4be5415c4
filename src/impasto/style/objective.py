"""What a picture is optimised for: targets taken once, then a loss of every candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from impasto.encoders import AnyEncoder
from impasto.style import losses
from impasto.style.dream import DreamLayer

# Weights of the normalised objective. At strength 0.5 the content distance counts 0.025 against the mean style
# distance: equal layer weights and 0.02 .. 0.03 gave good pictures with three encoders and three styles.
CONTENT_AT_HALF = 0.025
SMOOTHNESS = 0.05
RANGE_WALL = 10.0


@dataclass(frozen=True)
class Targets:
    """What the layers should show: features of the content, blended Gram matrices of the styles.

    ``dream`` is what is to be outdone: the photo's energy in the channels of each dream layer.
    """

    content: dict[str, Tensor]
    style: dict[str, Tensor]
    dream: dict[str, Tensor] = field(default_factory=dict)


class Objective:
    """Loss of a picture, with its terms by name.

    Args:
        encoder: the network that judges.
        content: 1 x 3 x H x W in 0..1, of the size at which is painted.
        styles: style pictures, each 1 x 3 x h x w.
        weights: one share for each style.
        content_layers, style_layers: names of layers.
        dtype: type in which the encoder computes (losses are float32).
        dream: channels to be amplified; none, no dream.
        dream_weight: of the mean ``dream_distance``, as a share of style and content.
    """

    def __init__(
        self,
        encoder: AnyEncoder,
        content: Tensor,
        styles: Sequence[Tensor],
        weights: Sequence[float],
        content_layers: Sequence[str],
        style_layers: Sequence[str],
        dtype: torch.dtype = torch.float32,
        dream: Sequence[DreamLayer] = (),
        dream_weight: float = 0.0,
    ) -> None:
        self.encoder, self.dtype = encoder, dtype
        self.content_layers, self.style_layers = tuple(content_layers), tuple(style_layers)
        self.dream, self.dream_weight = tuple(dream), dream_weight
        self.layers = list(dict.fromkeys([*content_layers, *style_layers, *(each.layer for each in self.dream)]))
        self.targets = self._targets(content, styles, weights)

    @torch.no_grad()
    def _targets(self, content: Tensor, styles: Sequence[Tensor], weights: Sequence[float]) -> Targets:
        photo = self.features(content, self.content_layers)
        dreamt = self.features(content, [each.layer for each in self.dream]) if self.dream else {}
        grams = [
            {name: losses.gram(value) for name, value in self.features(style, self.style_layers).items()}
            for style in styles
        ]
        blended = {name: losses.blend([each[name] for each in grams], list(weights)) for name in self.style_layers}
        return Targets(photo, blended, {each.layer: each.usual_energy(dreamt[each.layer]) for each in self.dream})

    def features(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Return the activations of ``layers`` in the objective's precision."""
        fast = self.dtype != torch.float32
        with torch.autocast(image.device.type, self.dtype, enabled=fast):
            found: dict[str, Tensor] = self.encoder(image.contiguous(memory_format=torch.channels_last), layers)
        return found

    def shares(self, features: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the mean style and the mean content distance of the layers, as shares of their targets."""
        style = [losses.style_distance(losses.gram(features[name]), gram) for name, gram in self.targets.style.items()]
        content = [losses.content_distance(features[name], wanted) for name, wanted in self.targets.content.items()]
        return torch.stack(style).mean(), torch.stack(content).mean()

    def dream_gains(self, features: dict[str, Tensor]) -> Tensor:
        """Return the energy of each dream layer's channels as a multiple of the photo's."""
        usual = self.targets.dream
        return torch.stack([each.energy(features[each.layer]) / usual[each.layer] for each in self.dream])

    def _dreamt(self, terms: dict[str, Tensor], features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return ``terms`` with the dream's: a share of style and content, dream_weight times the dream distance.

        The loss is (style + content) (1 + w d) with d in 0..1. So a dream weighs the same with every encoder and
        preset, whatever their losses end at; and a picture that minimises it has at most 1 + w times the style and
        content loss of the one without a dream: the d that was gained is all that it can pay with.
        """
        if not self.dream:
            return terms
        distance = losses.dream_distance(self.dream_gains(features)).mean()
        return terms | {"dream": self.dream_weight * distance * (terms["style"] + terms["content"])}

    def terms(self, image: Tensor) -> dict[str, Tensor]:
        """Return the weighted terms, whose sum is the loss, of a picture 1 x 3 x H x W in 0..1."""
        return self.terms_of(image, self.features(image, self.layers))

    def terms_of(self, image: Tensor, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return ``terms`` from activations of at least ``layers``, for who needs others, too."""
        raise NotImplementedError


class NormalisedObjective(Objective):
    """Style and content distance as shares of their targets, weighed by one strength.

    loss = mean over style layers of ||G-A||^2/||A||^2 + c * mean over content layers of ||F-P||^2/||P||^2
           + smoothness + a wall at the ends of the range,
    with c = CONTENT_AT_HALF * (1 - strength) / strength.
    """

    def __init__(self, *arguments: object, strength: float, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.content_weight = CONTENT_AT_HALF * (1 - strength) / strength

    def terms_of(self, image: Tensor, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return style, content, smoothness and range terms, and the dream; see the class."""
        style, content = self.shares(features)
        terms = {
            "style": style,
            "content": self.content_weight * content,
            "smoothness": SMOOTHNESS * losses.total_variation(image),
            "range": RANGE_WALL * losses.out_of_range(image),
        }
        return self._dreamt(terms, features)


class Gatys2015Objective(Objective):
    """R1's equations 2 to 5: alpha * content + beta * sum of w_l E_l, with w_l = 1/5 and alpha / beta = ratio.

    Both are divided by alpha, so that the loss does not grow with the ratio; the minimum is the same.
    """

    def __init__(self, *arguments: object, ratio: float, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.ratio = ratio

    def terms_of(self, image: Tensor, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the content and style terms, and the dream."""
        content = [losses.gatys2015_content(features[name], wanted) for name, wanted in self.targets.content.items()]
        style = [losses.gatys2015_style(losses.gram(features[name]), gram) for name, gram in self.targets.style.items()]
        terms = {"content": torch.stack(content).sum(), "style": torch.stack(style).mean() / self.ratio}
        return self._dreamt(terms, features)
