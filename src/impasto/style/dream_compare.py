"""What a dream costs: the same repaint with and without it, measured alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from impasto.errors import UsageError
from impasto.images import Picture
from impasto.runtime import OnProgress, ignore_progress
from impasto.style.dream import Dream
from impasto.style.judging import Judge, judge_for
from impasto.style.optimize import Painter, StylizeResult

# Style and content may end so much higher than without the dream.
TOLERANCE = 1.10


@dataclass(frozen=True)
class DreamRow:
    """One measure of the photo, of the plain and of the dreaming repaint."""

    measure: str
    encoder: str
    photo: float
    plain: float
    dreaming: float

    @property
    def ratio(self) -> float:
        """Dreaming against plain."""
        return self.dreaming / self.plain if self.plain else float("inf")


@dataclass(frozen=True)
class DreamComparison:
    """A plain and a dreaming repaint, both of the same steps.

    Attributes:
        rows: style and content distance as the encoder sees them that painted, the same for a judge that did not (left
            out where no other encoder has weights here), and the energy of the dream's channels against the photo's.
        plain: the repaint without the dream.
        dream: what was dreamed of.
    """

    rows: tuple[DreamRow, ...]
    plain: StylizeResult
    dream: Dream

    @property
    def holds(self) -> bool:
        """Whether style and content, as the painting encoder sees them, ended within ``TOLERANCE`` of the plain."""
        return all(row.ratio <= TOLERANCE for row in self.rows[:2])

    def verdict(self) -> str:
        """Return the outcome as a sentence."""
        bound = f"{100 * (TOLERANCE - 1):.0f} %"
        end = "end within" if self.holds else "do not both end within"
        growth = f"the dream's energy is {self.rows[-1].ratio:.1f} times the plain repaint's"
        return f"style and content {end} {bound} of the plain repaint; {growth}"


def compare_dream(
    painter: Painter,
    content: Picture,
    styles: Sequence[Picture],
    dreaming: StylizeResult,
    on_progress: OnProgress = ignore_progress,
) -> DreamComparison:
    """Paint without the dream what ``painter`` painted with it, and compare.

    Args:
        painter: the one that painted ``dreaming`` of ``content`` and ``styles``.

    Raises:
        UsageError: the painter dreams of nothing.
        KeyboardInterrupt: the plain repaint was interrupted; half of one is no comparison.
    """
    if not painter.config.dream:
        raise UsageError("nothing is dreamed of, so there is nothing to compare.", "Give --dream, for instance auto.")
    dream = painter.dream(content, styles)
    plain = painter.with_config(replace(painter.config, dream="")).paint(content, styles, on_progress)
    if plain.interrupted:
        raise KeyboardInterrupt
    own = Judge(None, content, styles, painter.config, painter.network)
    rows = _distances(own, plain.image, dreaming.image)
    if name := judge_for(painter.network.name, painter.config.weights):
        rows += _distances(Judge(name, content, styles, painter.config), plain.image, dreaming.image)
    gains = [_gain(own, dream, image) for image in (own.photo, plain.image, dreaming.image)]
    return DreamComparison((*rows, DreamRow("dream", own.name, *gains)), plain, dream)


def _distances(judge: Judge, plain: Tensor, dreaming: Tensor) -> list[DreamRow]:
    photo, one, other = (judge.distances(image) for image in (judge.photo, plain, dreaming))
    return [
        DreamRow("style", judge.name, photo.style, one.style, other.style),
        DreamRow("content", judge.name, photo.content, one.content, other.content),
    ]


@torch.no_grad()
def _gain(judge: Judge, dream: Dream, image: Tensor) -> float:
    """Return the mean energy of the dream's layers as a multiple of the photo's."""
    names = [each.layer for each in dream.layers]
    usual = judge.objective.features(judge.photo, names)
    found = judge.objective.features(image.to(judge.photo.device), names)
    gains = [each.energy(found[each.layer]) / each.usual_energy(usual[each.layer]) for each in dream.layers]
    return torch.stack(gains).mean().item()
