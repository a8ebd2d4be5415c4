"""How a study was laid out, in words and rows: arms, data, draws, tests and power."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from impasto.report.study_words import metric_of, plain
from impasto.report.wording import percent, plural
from impasto.statistics import draws_needed, power
from impasto.study.analysis import Analysis
from impasto.study.arms import PRIMARY
from impasto.study.result import CellResult, StudyResult
from impasto.study.spec import Settings


class Level(NamedTuple):
    """A row of the table of factors, or of controls: what differs from the shared settings."""

    factor: str
    level: str
    settings: str
    note: str = ""


class Dealt(NamedTuple):
    """Pictures of a class: all, and how many a draw teaches and tests; "6" or "5 to 6"."""

    label: str
    pictures: int
    taught: str
    tested: str


def levels(result: StudyResult) -> list[Level]:
    """Return every level of every factor, then the sensitivity values."""
    study = result.study
    found = [
        Level(factor, level, _said(said), _baseline(study.tests.within, factor, place))
        for factor, choices in study.factors.items()
        for place, (level, said) in enumerate(choices.items())
    ]
    for key, values in study.sensitivity.items():
        found += [Level("everything again", f"{key} = {plain(value)}", "in all arms and controls") for value in values]
    return found


def _baseline(within: Sequence[str], factor: str, place: int) -> str:
    if factor in within:
        return "compared within"
    return "baseline" if place == 0 else ""


def controls(result: StudyResult) -> list[Level]:
    """Return every control, with what it is compared with and why."""
    references = {arm.name: arm.reference for arm in result.arms}
    return [
        Level(f"against {references[name]}", name, _said(control.settings), control.why)
        for name, control in result.study.controls.items()
    ]


def _said(settings: Any) -> str:
    return ", ".join(f"{key} = {plain(value)}" for key, value in settings.items()) or "as shared"


def shared(result: StudyResult) -> list[tuple[str, str]]:
    """Return the settings that no arm of the study itself changes, without those that have no bearing."""
    arms = [arm.settings for arm in result.arms if arm.family == PRIMARY]
    idle = _idle(arms, result.study.task)
    rows = []
    for field in fields(Settings):
        values = {getattr(settings, field.name) for settings in arms}
        if len(values) == 1 and field.name not in idle:
            rows.append((field.name, plain(values.pop())))
    return rows


def _idle(arms: Sequence[Settings], task: str) -> set[str]:
    """Return settings that mean nothing to any of the arms."""
    paints = task != "classes" or any(each.add == "repaints" for each in arms)
    optimises = paints and any(each.method == "optimise" for each in arms)
    idle = set() if optimises else {"encoder", "preset", "ratio", "steps", "dream"}
    if not paints:
        idle |= {"strengths", "styles", "method", "repaint_size"}
    if not paints or all(each.method == "optimise" for each in arms):
        idle.add("network")
    if not any(each.dream for each in arms):
        idle |= {"dream", "dream_strength"}
    if all(each.add != "copies" for each in arms):
        idle.add("copies")
    if task == "repaints":
        return idle | _TAUGHT | _SHOWN
    if all(each.solved for each in arms):
        idle |= _TAUGHT - {"penalty"}
    if all(each.augment == "none" for each in arms):
        idle.add("views")
    return idle


_TAUGHT = {"epochs", "batch_size", "learning_rate", "penalty"}
_SHOWN = {"add", "augment", "views", "model", "head", "image_size", "weigh", "normalise", "train_per_class", "apart"}


def dealt(result: StudyResult) -> list[Dealt]:
    """Return the pictures of each class, and how many a draw of the first arm teaches and tests."""
    cells = [cell for cell in result.cells if cell.arm == result.arms[0].name]
    everything = Counter(item.label for item in result.items)
    taught, tested = ([Counter(result.items[row].label for row in rows) for rows in part] for part in _parts(cells))
    return [
        Dealt(label, everything[label], _span(each[label] for each in taught), _span(each[label] for each in tested))
        for label in result.classes
    ]


def _parts(cells: Sequence[CellResult]) -> Iterable[list[tuple[int, ...]]]:
    return [cell.train for cell in cells], [cell.test for cell in cells]


def _span(counts: Iterable[int]) -> str:
    known = sorted(set(counts))
    return f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"


def draws_told(analysis: Analysis) -> str:
    """Return how pictures were dealt."""
    result = analysis.result
    study, split = result.study, result.study.split
    if study.task == "repaints":
        photos, styles = ({getattr(item, name) for item in result.items} for name in ("photo", "style"))
        return (
            f"Every arm repaints {plural(len(photos), 'photo')} in {plural(len(styles), 'style')}; nothing is taught. "
            "Arms are compared picture by picture."
        )
    alike = "All arms have the same draws and are tested on the same pictures."
    if split.kind == "fixed":
        return f"One split for all, taught with {plural(split.draws, 'seed')}. {alike}"
    if split.kind == "folds":
        return (
            f"{split.folds}-fold cross-validation, {plural(split.draws, 'repetition')}. Two folds share "
            f"{percent(analysis.overlap)} of the photos that teach, on average, which the intervals know. {alike}"
        )
    rounds = len({cell.round for cell in result.cells})
    return (
        f"{plural(split.draws, 'draw')} in {plural(rounds, 'round')}: each round cuts every class into training sets "
        f"that share no picture, the next one shuffles and cuts again. Any two draws share "
        f"{percent(analysis.overlap, 1)} of the photos that teach, on average, which the intervals know. "
        f"What does not teach is tested. {alike}"
    )


def tests_planned(analysis: Analysis) -> list[str]:
    """Return what was settled before: which test counts, at which level, and what difference would matter."""
    study = analysis.result.study
    metric = metric_of(analysis)
    arms = len(analysis.family())
    found = [
        f"Measured: {metric.name}, in {metric.unit}; "
        f"{'less is better' if study.task == 'repaints' else 'each class counts the same'}.",
        f"What counts is the crossed interval with p by Holm’s correction for {plural(arms, 'comparison')}, at a level "
        f"of {study.tests.alpha:g}. All other tests are shown beside it and decide nothing.",
        f"A difference below {study.tests.effect:g} {metric.short} would not matter.",
    ]
    if study.sensitivity:
        found.append("With other settings everything is corrected and told apart from the study itself.")
    return found


def power_told(analysis: Analysis) -> list[str]:
    """Return what could be expected before, and what could have been seen after."""
    study, metric = analysis.result.study, metric_of(analysis)
    items = [item for item in analysis.family() if item.detectable > 0]
    found = [] if study.task == "repaints" else _expected(analysis)
    if items:
        least = [100 * item.detectable for item in items]
        found.append(
            f"Seen from the scatter that there was, {_from_to(least)} {metric.short} would have been found in four of "
            "five studies, beside the other arms (as the first of Holm’s tests)."
        )
    spreads = [100 * float(np.std(list(item.per_draw.values()), ddof=1)) for item in items if len(item.per_draw) > 1]
    if spreads:
        found.append(
            f"Paired differences of single {metric.of_one}s spread by {_from_to(spreads)} {metric.short} (SD), "
            "arm by arm."
        )
    return found


def _expected(analysis: Analysis) -> list[str]:
    study = analysis.result.study
    tests, draws = study.tests, study.split.draws
    if not tests.sd:
        return ["What paired differences would spread by was not known beforehand, so no power was reckoned."]
    source = f" ({tests.source})" if tests.source else ""
    told = f"Expected before: paired differences of one draw spread by {tests.sd:g} points{source}."
    if draws < 2:
        return [told]
    chance = power(tests.effect, tests.sd, draws, analysis.overlap, tests.alpha)
    needed = draws_needed(tests.effect, tests.sd, overlap=analysis.overlap, alpha=tests.alpha)
    enough = f"{plural(needed, 'draw')} would give 80 %" if needed else "no number of draws from this pool gives 80 %"
    return [
        f"{told} Then {plural(draws, 'draw')} find {tests.effect:g} points with a chance of {percent(chance)}, before "
        f"Holm’s correction; {enough}."
    ]


def _from_to(values: Sequence[float]) -> str:
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low} to {high}"
