"""Learning curves of a study, averaged over draws, and scores by the size of the training set."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from impasto.report.figures import draw_curve, to_svg
from impasto.report.records import Epoch
from impasto.report.study_figures import Sized, draw_sized
from impasto.report.wording import plural
from impasto.study.analysis import Analysis
from impasto.study.arms import PRIMARY, Arm
from impasto.study.result import CellResult

# More panels of either kind help nobody.
MOST_PANELS = 24
_SIZE = (3.1, 1.9)


class Panel(NamedTuple):
    """An arm's learning curves."""

    name: str
    sub: str
    loss: Markup
    accuracy: Markup


class SizePanel(NamedTuple):
    """An arm's score by the size of its training set."""

    name: str
    figure: Markup
    told: str


def averaged(cells: Sequence[CellResult]) -> tuple[list[Epoch], list[Epoch], list[Epoch]]:
    """Return the mean over draws of each epoch, and one standard deviation below and above it.

    A network that stopped early is in the mean as long as it was taught; an epoch of one network alone is left out.
    """
    rows: defaultdict[int, list[tuple[float, ...]]] = defaultdict(list)
    for cell in cells:
        for epoch, *values in cell.curve:
            rows[int(epoch)].append(tuple(values))
    least = 2 if len(cells) > 1 else 1
    table = {epoch: np.array(values) for epoch, values in sorted(rows.items()) if len(values) >= least}
    means = {epoch: values.mean(axis=0) for epoch, values in table.items()}
    spread = {epoch: values.std(axis=0, ddof=min(1, len(values) - 1)) for epoch, values in table.items()}
    return (
        [_epoch(epoch, mean) for epoch, mean in means.items()],
        [_epoch(epoch, mean - spread[epoch]) for epoch, mean in means.items()],
        [_epoch(epoch, mean + spread[epoch]) for epoch, mean in means.items()],
    )


def _epoch(number: int, values: np.ndarray) -> Epoch:
    return Epoch(number, None, *(None if math.isnan(value) else float(value) for value in values))


def curve_panels(analysis: Analysis) -> list[Panel]:
    """Return a panel for each arm of the study itself that is taught epoch by epoch."""
    found: list[Panel] = []
    for arm in analysis.result.arms:
        cells = [cell for cell in analysis.result.of(arm.name) if cell.curve]
        if arm.family == PRIMARY and cells and len(found) < MOST_PANELS:
            mean, *band = averaged(cells)
            drawn = (
                to_svg(draw_curve(mean, quantity, None, (band[0], band[1]), _SIZE), f"curve-{len(found)}-{quantity}")
                for quantity in ("loss", "accuracy")
            )
            found.append(Panel(arm.name, plural(len(cells), "network"), *drawn))
    return found


def size_panels(analysis: Analysis) -> list[SizePanel]:
    """Return a panel for each arm that was taught with training sets of several sizes."""
    if analysis.result.study.task == "repaints":
        return []
    groups: defaultdict[tuple[object, str], list[Arm]] = defaultdict(list)
    for arm in analysis.result.arms:
        groups[replace(arm.settings, train_per_class=1), arm.role].append(arm)
    sized = [_sized(analysis, arms) for arms in groups.values() if len(_sizes(arms)) > 1]
    return [
        SizePanel(each.name, to_svg(draw_sized(each, sized[0], "mean recall, %"), f"size-{place}"), _told(each))
        for place, each in enumerate(sized[:MOST_PANELS])
    ]


def _sizes(arms: Sequence[Arm]) -> dict[int, Arm]:
    return {arm.settings.train_per_class: arm for arm in sorted(arms, key=lambda arm: arm.settings.train_per_class)}


def _sized(analysis: Analysis, arms: Sequence[Arm]) -> Sized:
    by_size = _sizes(arms)
    scores = [analysis.scores[arm.name] for arm in by_size.values()]
    means, spreads = [100 * score.metric for score in scores], [100 * score.spread for score in scores]
    return Sized(arms[0].name, tuple(by_size), tuple(means), tuple(spreads))


def _told(sized: Sized) -> str:
    rows = zip(sized.sizes, sized.means, strict=True)
    return "; ".join(f"{size} photos: {mean:.1f} %" for size, mean in rows)
