"""The verdict in words. Every sentence follows from a number, and where the numbers cannot tell they say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from impasto.study.analysis import Analysis, Comparison
from impasto.study.arms import PRIMARY

# More names than these make no sentence; the table has all.
_MOST = 4


def verdict(analysis: Analysis) -> tuple[str, ...]:
    """Return what a study shows, the answer first."""
    found = [_warning(analysis), _answer(analysis), *_arms(analysis), *_unmatched(analysis), _controls(analysis)]
    found += [_sensitivity(analysis), _factors(analysis), _conservative(analysis), _failures(analysis)]
    return tuple(sentence for sentence in found if sentence)


def told(item: Comparison, repaints: bool = False) -> str:
    """Return a difference with its interval.

    >>> told(comparison)                                                      # doctest: +SKIP
    '+2.1 points [+0.8, +3.4]'
    """
    if item.identical:
        return "not one answer differs"
    unit = "% of the style distance" if repaints else "points"
    ends = (item.difference.mean, item.difference.low, item.difference.high)
    mean, low, high = (f"{100 * value:+.1f}".replace("-", "−") for value in ends)
    return f"{mean} {unit} [{low}, {high}]"


def _warning(analysis: Analysis) -> str:
    failed = [item.arm.name for item in analysis.comparisons.values() if item.finding == "control failed"]
    if not failed:
        return ""
    return (
        f"Do not believe this study: {_listed(failed)} had to come out exactly as {_references(analysis, failed)}, "
        "answer by answer, and came out differently: something else than what is compared differs between the arms."
    )


def _references(analysis: Analysis, names: Sequence[str]) -> str:
    return _listed(list(dict.fromkeys(analysis.comparisons[name].arm.reference for name in names)))


def _answer(analysis: Analysis) -> str:
    """Say how many arms differ, or what would have been seen."""
    items = analysis.family()
    if not items:
        return "No arm could be compared with its reference." if analysis.result.study.factors else ""
    helps = [item for item in items if item.finding == "helps"]
    harms = [item for item in items if item.finding == "harms"]
    count = f"{len(items)} arms" if len(items) > 1 else "one arm"
    if not (helps or harms):
        if any(item.finding == "cannot tell" for item in items):
            none = f"none of the {count} differs" if len(items) > 1 else "the one arm does not differ"
            return f"Cannot tell: {none} from its reference beyond chance. {_seen(analysis, items)}".strip()
        effect = analysis.result.study.tests.effect
        unit = "% of the style distance" if analysis.result.study.task == "repaints" else "points"
        none = f"none of the {count} is" if len(items) > 1 else "the one arm is not"
        return f"No difference that matters: {none} {effect:g} {unit} from its reference."
    told = [
        f"{len(group)} {_plural(len(group))} {word}" for group, word in ((helps, "better"), (harms, "worse")) if group
    ]
    open_ones = sum(item.finding == "cannot tell" for item in items)
    rest = f"; of {open_ones} the study cannot tell" if open_ones else ""
    return f"Of {count}, {_listed(told)} than the reference{rest}."


def _seen(analysis: Analysis, items: Sequence[Comparison]) -> str:
    least = [100 * item.detectable for item in items if item.detectable > 0]
    if not least or analysis.result.study.task == "repaints":
        return ""
    if min(least) > 100:
        return "So few draws and pictures could have shown no difference at all."
    low, high = f"{min(least):.1f}", f"{max(least):.1f}"
    ends = low if low == high else f"{low} to {high}"
    return f"A difference of {ends} points would have been found in four of five such studies, beside the others."


def _arms(analysis: Analysis) -> list[str]:
    """Tell the arms that differ, largest first."""
    repaints = analysis.result.study.task == "repaints"
    items = [item for item in analysis.family() if item.finding in ("helps", "harms")]
    items.sort(key=lambda item: -abs(item.difference.mean))
    effect = analysis.result.study.tests.effect
    small = [
        f", less than the {effect:g} that matter" if 100 * abs(item.difference.mean) < effect else "" for item in items
    ]
    return [
        f"{item.arm.name}: {told(item, repaints)}{note}, p {_p(item.p)} (Holm, for all arms)."
        for item, note in zip(items, small, strict=True)
    ]


def _unmatched(analysis: Analysis) -> list[str]:
    """Set arms at full weight beside the same arms matched: the rest is the penalty's doing."""
    found = []
    for control in analysis.family(role="control"):
        twin = _twin(analysis, control)
        if control.arm.settings.weigh == "naive" and control.arm.settings.add == "repaints" and twin:
            found.append(
                f"At full weight {twin.arm.name} comes out at {told(control)}, with the penalty matched at "
                f"{told(twin)}: what lies between is regularisation, not pictures."
            )
    return found


def _twin(analysis: Analysis, control: Comparison) -> Comparison | None:
    wanted = replace(control.arm.settings, weigh="matched")
    return next((item for item in analysis.family() if item.arm.settings == wanted), None)


def _controls(analysis: Analysis) -> str:
    kept = [item.arm.name for item in analysis.family(role="control") if item.finding == "exactly zero"]
    if not kept:
        return ""
    return f"The control {_listed(kept)} came out exactly as its reference, answer by answer, as it must."


def _sensitivity(analysis: Analysis) -> str:
    """Say whether other values of a setting would have led elsewhere."""
    families = list(dict.fromkeys(item.arm.family for item in analysis.comparisons.values()))
    others = [family for family in families if family != PRIMARY]
    if not others:
        return ""
    said = {item.arm.name: item.finding for item in analysis.family()}
    repaints = analysis.result.study.task == "repaints"
    changed = [
        f"{item.arm.name.removesuffix(f' ({family})')} {_verb(item)} with {family} ({told(item, repaints)})"
        for family in others
        for item in analysis.family(family)
        if {said.get(item.arm.name.removesuffix(f" ({family})")), item.finding} & {"helps", "harms"}
        and said.get(item.arm.name.removesuffix(f" ({family})")) != item.finding
    ]
    if not changed:
        same = (
            "the same arms help and harm"
            if {"helps", "harms"} & set(said.values())
            else "nothing helps or harms either"
        )
        return f"With {_listed(others)} {same}."
    more = f"; and {len(changed) - _MOST} more" if len(changed) > _MOST else ""
    return f"The answer depends on settings: {'; '.join(changed[:_MOST])}{more}."


def _verb(item: Comparison) -> str:
    return item.finding if item.finding in ("helps", "harms") else "cannot be told apart"


def _factors(analysis: Analysis) -> str:
    alpha = analysis.result.study.tests.alpha
    if not analysis.effects:
        return ""
    seen = [f"{effect.name} (p {_p(effect.p)})" for effect in analysis.effects if effect.p < alpha]
    not_seen = [f"{effect.name} (p {_p(effect.p)})" for effect in analysis.effects if effect.p >= alpha]
    parts = [f"an effect of {_listed(seen)}"] if seen else []
    parts += [f"none of {_listed(not_seen)}"] if not_seen else []
    return f"Over the draws, the factors show {' and '.join(parts)}, on these test pictures."


def _conservative(analysis: Analysis) -> str:
    """Say where the usual correction would not have found what the primary test found."""
    alpha = analysis.result.study.tests.alpha
    lost = [
        item.arm.name
        for item in analysis.family()
        if item.finding in ("helps", "harms") and item.corrected and item.corrected.p >= alpha
    ]
    if not lost:
        return ""
    which = _listed(lost) if len(lost) <= _MOST else f"{len(lost)} of these arms"
    return f"The corrected resampled t-test, which takes all overlap of test sets for lost, finds nothing in {which}."


def _failures(analysis: Analysis) -> str:
    failed = analysis.result.failed
    if not failed:
        return ""
    total = len(analysis.result.cells)
    return f"Left out, because they failed: {len(failed)} of {total} cells; the first: {failed[0].error}"


def _p(value: float) -> str:
    return f"= {value:.3f}" if value >= 0.001 else "< 0.001"


def _plural(count: int) -> str:
    return "is" if count == 1 else "are"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
