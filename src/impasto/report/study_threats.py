"""What a study cannot rule out: what its file says, and what follows from its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator

from impasto.report.study_words import families, metric_of, own_name, points
from impasto.report.wording import listing, percent, plural
from impasto.study.analysis import Analysis, Comparison

# Below these numbers a threat is told.
_DRAWS, _TESTED, _CLASSES, _PHOTOS = 10, 30, 3, 20
_CEILING = 0.97


def threats(analysis: Analysis) -> list[str]:
    """Return threats to validity: first those of the study file, then those that follow from what was found."""
    made = (_version, _leaks, _draws, _scarce, _styles, _ceiling, _blind, _tiny, _failed, _sensitivity)
    return [*analysis.result.study.threats, *(sentence for make in made for sentence in make(analysis))]


def _version(analysis: Analysis) -> Iterator[str]:
    study = analysis.result.study
    if study.version == "literal":
        mistakes = plural(len(study.mistakes), "known mistake") if study.mistakes else "mistakes"
        yield f"This is the system as it was published, {mistakes} included: it shows what those lead to, and no more."


def _leaks(analysis: Analysis) -> Iterator[str]:
    study = analysis.result.study
    ways = {arm.settings.apart for arm in analysis.result.arms}
    if "nothing" in ways:
        yield "Test pictures are copies of training pictures: scores tell what was remembered."
    if "picture" in ways:
        yield "Repaints of one photo lie on both sides of the split: scores tell in part what was remembered."
    if study.data.near_copies == "keep":
        yield "Nobody looked for near copies: a picture that is tested may have been taught."


def _draws(analysis: Analysis) -> Iterator[str]:
    study = analysis.result.study
    if study.task == "repaints":
        photos = len({item.group for item in analysis.result.items})
        if photos < _PHOTOS:
            yield f"{plural(photos, 'photo')}: the interval for other photos is a rough one."
        return
    draws = study.split.draws
    if study.split.kind == "fixed":
        yield f"One split: {plural(draws, 'seed')} show what chance does in teaching, not what other photos would."
        return
    if study.split.kind == "few-shot" and draws < _DRAWS:
        yield f"{plural(draws, 'draw')}: their scatter, and with it every interval, is itself a guess."
    if analysis.overlap:
        yield (
            f"All draws come from one pool (two share {percent(analysis.overlap, 1)} of what teaches). The intervals "
            "know that; they do not know how this pool differs from another."
        )


def _scarce(analysis: Analysis) -> Iterator[str]:
    result = analysis.result
    if result.study.task == "repaints":
        return
    cell = next((cell for cell in result.cells if not cell.error), None)
    if cell:
        labels = [result.items[row].label for row in cell.test]
        least, label = min((labels.count(label), label) for label in result.classes)
        if least < _TESTED:
            one = 100 / max(1, least)
            yield f"Few are tested: {least} of {label} in a draw, so one answer is {one:.1f} points of its recall."
    if len(result.classes) <= _CLASSES:
        names = listing(result.classes)
        yield f"{plural(len(result.classes), 'class')}: what holds for {names} need not hold for others."


def _styles(analysis: Analysis) -> Iterator[str]:
    study = analysis.result.study
    painted = study.task != "classes" or any(arm.settings.add == "repaints" for arm in analysis.result.arms)
    known = {item.style for item in analysis.result.items if item.style} or set(study.data.styles)
    if painted and len(known) == 1:
        yield f"One style picture, {known.pop()}: another one may do something else."


def _ceiling(analysis: Analysis) -> Iterator[str]:
    first = analysis.scores[analysis.result.arms[0].name]
    if analysis.result.study.task != "repaints" and first.metric > _CEILING:
        yield f"{first.arm.name} names {percent(first.metric, 1)} already: little is left to gain."


def _blind(analysis: Analysis) -> Iterator[str]:
    effect, metric = analysis.result.study.tests.effect, metric_of(analysis)
    open_ = [item for item in analysis.family() if item.finding == "cannot tell"]
    blind = [item for item in open_ if 100 * item.detectable > effect]
    if blind:
        names = listing([item.arm.name for item in blind])
        yield (
            f"The study was too small to see {effect:g} {metric.short} in {names}: "
            "that nothing was found there does not mean that nothing is there."
        )


def _tiny(analysis: Analysis) -> Iterator[str]:
    effect, metric = analysis.result.study.tests.effect, metric_of(analysis)
    found = [item for item in analysis.family() if item.finding in ("helps", "harms")]
    small = [item for item in found if abs(item.difference.mean) < effect / 100]
    tiny = [f"{item.arm.name} ({points(item.difference.mean)})" for item in small]
    if tiny:
        yield f"Beyond chance, and yet less than the {effect:g} {metric.short} that would matter: {listing(tiny)}."


def _failed(analysis: Analysis) -> Iterator[str]:
    failed = analysis.result.failed
    if failed:
        share = len(failed) / len(analysis.result.cells)
        arms = listing(list(dict.fromkeys(cell.arm for cell in failed)), 4)
        verb = "is" if len(failed) == 1 else "are"
        yield (
            f"{plural(len(failed), 'cell')} failed ({percent(share, 1)}) and {verb} left out, in {arms}: if what makes "
            "cells fail has to do with the pictures, what is left is a selection."
        )


def _sensitivity(analysis: Analysis) -> Iterator[str]:
    said = {item.arm.name: item for item in analysis.family()}
    for family in families(analysis):
        turned = [
            f"{own_name(item.arm)} ({_verb(said[own_name(item.arm)])}, here {_verb(item)})"
            for item in analysis.family(family)
            if own_name(item.arm) in said and _contradict(said[own_name(item.arm)], item)
        ]
        if turned:
            yield f"With {family} the study says something else of {listing(turned)}."


def _contradict(one: Comparison, other: Comparison) -> bool:
    told = {one.finding, other.finding}
    return len(told) > 1 and bool(told & {"helps", "harms"})


def _verb(item: Comparison) -> str:
    mean = item.difference.mean
    return f"{item.finding}, {points(mean)}" if not math.isnan(mean) else item.finding
