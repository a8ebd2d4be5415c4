"""Words and numbers of a study's page: how differences, effects and tests are told."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from impasto.report.wording import listing
from impasto.statistics import Effect
from impasto.study.analysis import Analysis, Finding
from impasto.study.arms import PRIMARY, Arm

# Of each finding: a sign beside the word, so that nothing hangs on colour alone, and what colour there is.
SIGNS: Mapping[Finding, tuple[str, str]] = {
    "helps": ("▲", "right"),
    "harms": ("▼", "accent"),
    "no difference that matters": ("■", "muted"),
    "cannot tell": ("○", "ink"),
    "exactly zero": ("◆", "muted"),
    "control failed": ("✕", "accent"),
}
_MINUS = "\u2212"


@dataclass(frozen=True)
class Metric:
    """What a study measures, in words.

    Attributes:
        name: of the metric.
        unit: of differences, which are 100 times what the analysis has.
        short: unit as it stands behind a number.
        other: what stands in ``ArmScore.accuracy``.
        of_one: what a single difference belongs to.
    """

    name: str
    unit: str
    short: str
    other: str
    of_one: str


CLASSES = Metric("mean recall of the classes", "percentage points", "points", "right answers", "draw")
REPAINTS = Metric("style distance", "percent of style distance", "%", "content distance", "photo")


def metric_of(analysis: Analysis) -> Metric:
    """Return what the study measures."""
    return REPAINTS if analysis.result.study.task == "repaints" else CLASSES


def points(share: float, decimals: int = 1) -> str:
    """Return a difference in points, with its sign.

    >>> points(0.0213), points(-0.004), points(0.0), points(float("nan"))
    ('+2.1', '−0.4', '0.0', '–')
    """
    if math.isnan(share):
        return "–"
    text = f"{100 * share:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text.replace("-", _MINUS)


def between(low: float, high: float) -> str:
    """Return the ends of an interval of differences.

    >>> between(-0.004, 0.0312)
    '[−0.4, +3.1]'
    """
    return f"[{points(low)}, {points(high)}]"


def short_p(p: float) -> str:
    """Return a p-value for a column that says p.

    >>> short_p(0.0312), short_p(1e-7), short_p(1.0)
    ('0.031', '<0.001', '1.0')
    """
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}" if p < 0.995 else "1.0"


def share(value: float) -> str:
    """Return a share as a number of percent, without the sign that its column has.

    >>> share(0.9341), share(float("nan"))
    ('93.4', '–')
    """
    return "–" if math.isnan(value) else f"{100 * value:.1f}"


def own_name(arm: Arm) -> str:
    """Return an arm's name without the sensitivity value that its family says already."""
    return arm.name.removesuffix(f" ({arm.family})") if arm.family else arm.name


def families(analysis: Analysis) -> list[str]:
    """Return the sensitivity values, without the study itself."""
    found = dict.fromkeys(arm.family for arm in analysis.result.arms)
    return [family for family in found if family != PRIMARY]


def plain(value: Any) -> str:
    """Return a setting as a reader writes it.

    >>> plain((0.3, 1.0)), plain(True), plain(None), plain(()), plain(1e8)
    ('0.3, 1', 'yes', 'as usual', 'all', '1e+08')
    """
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "as usual"}[value]
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "all"
    return f"{value:g}" if isinstance(value, float) else str(value)


def effect_sentence(effect: Effect, alpha: float) -> str:
    """Return what an effect of the analysis of variance says.

    >>> effect_sentence(Effect("strength", 2.1, 40.0, 9.2, 0.0004, 0.3, 0.7), 0.05)
    'Which level of strength is taken makes a difference.'
    """
    factors = effect.name.split(" x ")
    seen = effect.p < alpha
    if len(factors) == 1:
        told = "makes a difference" if seen else "makes no difference that was seen"
        return f"Which level of {effect.name} is taken {told}."
    if seen:
        return f"What {factors[0]} does depends on {listing(factors[1:])}: they do not simply add up."
    return f"Nothing shows that what {factors[0]} does depends on {listing(factors[1:])}."


def tests_told(analysis: Analysis) -> list[tuple[str, str]]:
    """Return the tests that the tables have, each with what it asks."""
    items = list(analysis.comparisons.values())
    metric = metric_of(analysis)
    found = [("Interval and p (primary)", _crossed(analysis))]
    if any(item.corrected for item in items):
        found.append(
            (
                "Corrected t",
                "The corrected resampled t-test (Nadeau and Bengio 2003) knows single draws only. It widens the "
                "scatter over draws by the size of the test set beside the training set: made for small test sets, it "
                "is far too careful where little teaches and much is tested, as here, and finds less.",
            )
        )
    if any(item.signs for item in items):
        found.append(
            (
                "Signs",
                "Of the draws of the first round, which share no training picture: how many differences lie above "
                f"zero, and how many below. It asks for the direction only, of few {metric.of_one}s; with seven, all "
                "of one sign give p = 0.016, and six of seven 0.13.",
            )
        )
    if any(item.mcnemar for item in items):
        found.append(
            (
                "McNemar",
                "Of the first seed alone: test pictures that only one of both arms names. It says that these two "
                "taught networks differ, not that networks taught again would.",
            )
        )
    found.append(
        (
            "Would have been seen",
            "The difference that a comparison with this scatter finds in four of five studies, as the first of Holm’s "
            "tests (a control’s alone). Where it is larger than what matters, “cannot tell” is all that can be said.",
        )
    )
    return found


def _crossed(analysis: Analysis) -> str:
    study = analysis.result.study
    again = (
        "other photos and other style pictures"
        if study.task == "repaints"
        else "other training sets and other test pictures"
    )
    level = f"{100 * (1 - study.tests.alpha):g}"
    return (
        f"What to expect with {again} of the kind: both are drawn, and both are in the {level} % interval. "
        "p is Holm’s for all arms of the study together (a control’s is its own); the interval is that of one arm, so "
        "it may leave out zero where p does not."
    )


def counted(items: Iterable[float]) -> tuple[int, int, int]:
    """Return how many are above, at and below 0."""
    values = list(items)
    return sum(value > 0 for value in values), sum(value == 0 for value in values), sum(value < 0 for value in values)
