"""What a study shows: scores of its arms, paired differences with intervals, and words that follow from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from impasto.statistics import (
    CorrectedT,
    CrossedMean,
    Effect,
    McNemar,
    SignTest,
    corrected_t,
    crossed_mean,
    detectable,
    factorial_anova,
    holm,
    mcnemar,
    sign_test,
)
from impasto.study.arms import PRIMARY, Arm
from impasto.study.draws import overlap_of
from impasto.study.result import CellResult, StudyResult

Finding = Literal["helps", "harms", "no difference that matters", "cannot tell", "exactly zero", "control failed"]


@dataclass(frozen=True)
class ArmScore:
    """What one arm scores, over all of its draws.

    Attributes:
        arm: it.
        draws: how many did not fail.
        failed: how many did.
        metric: mean over draws of the mean recall of the classes (of repaints: the mean style distance).
        spread: standard deviation of that over draws; NaN with one.
        accuracy: mean share of right answers (of repaints: the mean content distance).
        precision, recall: of each class, of all answers of all draws together: R1's six numbers a network.
        per_draw: the metric of each draw, of all folds together, by replicate.
        taught, added: pictures in one training, on average: originals, and what was added to them.
    """

    arm: Arm
    draws: int
    failed: int
    metric: float
    spread: float
    accuracy: float
    precision: Mapping[str, float]
    recall: Mapping[str, float]
    per_draw: Mapping[int, float]
    taught: float
    added: float


@dataclass(frozen=True)
class Comparison:
    """One arm against its reference, on the same draws and the same pictures.

    Attributes:
        arm: what is compared; ``arm.reference`` names with what.
        difference: mean difference of the metric, in shares, with an interval for new training sets and new test
            pictures; see :func:`impasto.statistics.crossed_mean`. Of repaints: of style distances, as a share of
            the larger one.
        per_draw: differences of single draws, of those that both arms have.
        corrected: the corrected resampled t-test (Nadeau and Bengio 2003); None with one draw, or one training set.
        signs: of draws with disjoint training sets; None where there are none.
        mcnemar: of the first seed, where all draws have the same test pictures.
        p: adjusted by Holm for all arms of the family; a control's is its own.
        detectable: the smallest difference that would have been found in four of five such studies, beside the other
            arms of its family (as the first of Holm's tests).
        finding: in a word.
        identical: whether not a single answer differs.
    """

    arm: Arm
    difference: CrossedMean
    per_draw: Mapping[tuple[int, int], float]
    corrected: CorrectedT | None
    signs: SignTest | None
    mcnemar: McNemar | None
    p: float
    detectable: float
    finding: Finding
    identical: bool


@dataclass(frozen=True)
class Analysis:
    """All of it.

    Attributes:
        result: what was analysed.
        scores: of every arm, by name.
        comparisons: of every arm that has a reference, by name.
        effects: of the factors and their interactions, over draws that are complete; empty where there are none.
        overlap: share of training photos that two draws have in common, on average.
        complete: draws behind ``effects``.
    """

    result: StudyResult
    scores: Mapping[str, ArmScore]
    comparisons: Mapping[str, Comparison]
    effects: tuple[Effect, ...]
    overlap: float
    complete: int

    def family(self, name: str = PRIMARY, role: str = "arm") -> list[Comparison]:
        """Return the comparisons of one sensitivity value, in order."""
        return [item for item in self.comparisons.values() if item.arm.family == name and item.arm.role == role]


def analyse(result: StudyResult) -> Analysis:
    """Compare every arm of a finished study with its reference."""
    overlap = _overlap(result)
    scores = {arm.name: _score(result, arm) for arm in result.arms}
    raw = [_compare(result, arm, overlap) for arm in result.arms if arm.reference]
    comparisons = _judged(result, [item for item in raw if item])
    effects, complete = _effects(result, scores, overlap)
    return Analysis(result, scores, {item.arm.name: item for item in comparisons}, effects, overlap, complete)


def _score(result: StudyResult, arm: Arm) -> ArmScore:
    cells = result.of(arm.name)
    failed = sum(cell.arm == arm.name for cell in result.failed)
    nothing = ArmScore(arm, 0, failed, np.nan, np.nan, np.nan, {}, {}, {}, np.nan, np.nan)
    if not cells:
        return nothing
    if result.study.task == "repaints":
        style, content = (np.array(rows) for rows in (cells[0].style, cells[0].content))
        spread = float(style.std(ddof=1)) if len(style) > 1 else np.nan
        return replace(nothing, draws=1, metric=float(style.mean()), spread=spread, accuracy=float(content.mean()))
    joined = {number: _joined(cells, number) for number in sorted({cell.replicate for cell in cells})}
    found = {number: result.scores(cell) for number, cell in joined.items()}
    metrics = [score["balanced"] for score in found.values()]
    everything = result.scores(_all(cells))
    return ArmScore(
        arm,
        len(cells),
        failed,
        float(np.mean(metrics)),
        float(np.std(metrics, ddof=1)) if len(metrics) > 1 else np.nan,
        float(np.mean([score["accuracy"] for score in found.values()])),
        {label: everything[f"precision {label}"] for label in result.classes},
        {label: everything[f"recall {label}"] for label in result.classes},
        dict(zip(found, metrics, strict=True)),
        float(np.mean([cell.taught for cell in cells])),
        float(np.mean([cell.added for cell in cells])),
    )


def _joined(cells: Sequence[CellResult], replicate: int) -> CellResult:
    """Return all folds of one repetition as one cell: every picture is tested once."""
    return _all([cell for cell in cells if cell.replicate == replicate])


def _all(cells: Sequence[CellResult]) -> CellResult:
    tested = tuple(row for cell in cells for row in cell.test)
    return replace(cells[0], test=tested, said=tuple(row for cell in cells for row in cell.said))


def _overlap(result: StudyResult) -> float:
    """Return the share of training photos that two draws of an arm have in common, on average."""
    if result.study.split.kind == "fixed":
        return 0.0  # one training set: what is compared is then what other seeds make of it
    first = [cell for cell in result.cells if cell.arm == result.arms[0].name]
    return overlap_of([{result.items[row].group for row in cell.train} for cell in first])


@dataclass(frozen=True)
class _Pairs:
    """Answers of two arms to the same items in the same draws: the draw and item of each, who was right, and whether
    all are the same, wrong ones too.
    """

    draws: list[tuple[int, int]]
    items: npt.NDArray[np.int64]
    first: npt.NDArray[np.bool_]
    second: npt.NDArray[np.bool_]
    identical: bool


def _pairs(result: StudyResult, arm: Arm) -> _Pairs:
    """Match the answers of an arm with its reference's: same repetition, same item."""
    truth, told = result.truth, _compared(result)
    known = {
        (cell.replicate, row): said
        for cell in result.of(arm.reference)
        for row, said in zip(cell.test, cell.said, strict=True)
    }
    rows = [
        ((cell.replicate, cell.fold), row, said, known[cell.replicate, row])
        for cell in result.of(arm.name)
        for row, said in zip(cell.test, cell.said, strict=True)
        if (cell.replicate, row) in known and truth[row] in told
    ]
    draws, *numbers = zip(*rows, strict=True) if rows else ((), (), (), ())
    items, first, second = (np.array(each, dtype=np.int64) for each in numbers)
    right = truth[items]
    return _Pairs(list(draws), items, first == right, second == right, bool((first == second).all()))


def _compared(result: StudyResult) -> set[int]:
    """Return the classes with more than one photo: a single one shows no scatter, and no error."""
    groups: dict[int, set[int]] = {}
    for label, item in zip(result.truth.tolist(), result.items, strict=True):
        groups.setdefault(label, set()).add(item.group)
    return {label for label, photos in groups.items() if len(photos) > 1}


def _compare(result: StudyResult, arm: Arm, overlap: float) -> Comparison | None:
    """Return the comparison of one arm, with a finding still to be made; None where all of its cells failed."""
    if result.study.task == "repaints":
        return _compare_repaints(result, arm)
    pairs = _pairs(result, arm)
    if not len(pairs.items):
        return None
    order = sorted(set(pairs.draws))
    draw = np.array([order.index(each) for each in pairs.draws])
    groups = np.array([result.items[row].group for row in pairs.items])
    strata = result.truth[pairs.items]
    values = pairs.first.astype(float) - pairs.second
    difference = crossed_mean(draw, groups, strata, values, overlap=overlap, confidence=1 - result.study.tests.alpha)
    single = [_mean_of_classes(values[draw == number], strata[draw == number]) for number in range(len(order))]
    return Comparison(
        arm,
        difference,
        dict(zip(order, single, strict=True)),
        _corrected(result, arm, single),
        _signs(result, arm, dict(zip(order, single, strict=True))),
        _mcnemar(result, pairs),
        difference.p,
        _least(difference, result, arm),
        "cannot tell",
        pairs.identical,
    )


def _least(difference: CrossedMean, result: StudyResult, arm: Arm) -> float:
    own = sum(bool(one.reference) and one.role == arm.role and one.family == arm.family for one in result.arms)
    alpha = result.study.tests.alpha / (own if arm.role == "arm" else 1)
    return detectable(difference.error, difference.df, alpha=alpha)


def _mean_of_classes(values: npt.NDArray[np.float64], strata: npt.NDArray[np.int64]) -> float:
    return float(np.mean([values[strata == label].mean() for label in np.unique(strata)]))


def _corrected(result: StudyResult, arm: Arm, single: Sequence[float]) -> CorrectedT | None:
    cells = result.of(arm.name)
    if len(single) < 2 or result.study.split.kind == "fixed":
        return None
    taught, tested = (round(float(np.mean([len(rows) for rows in part]))) for part in _sizes(cells))
    return corrected_t(single, taught, tested, 1 - result.study.tests.alpha)


def _sizes(cells: Sequence[CellResult]) -> Iterator[list[tuple[int, ...]]]:
    yield [cell.train for cell in cells]
    yield [cell.test for cell in cells]


def _signs(result: StudyResult, arm: Arm, single: Mapping[tuple[int, int], float]) -> SignTest | None:
    """Count the signs of the first round, whose training sets are disjoint; which round was settled beforehand."""
    rounds = {(cell.replicate, cell.fold) for cell in result.of(arm.name) if cell.round == 0}
    first = [value for draw, value in single.items() if draw in rounds]
    return sign_test(first) if len(first) > 1 else None


def _mcnemar(result: StudyResult, pairs: _Pairs) -> McNemar | None:
    if result.study.split.kind != "fixed":
        return None
    first = np.array([draw == min(pairs.draws) for draw in pairs.draws])
    return mcnemar(pairs.first[first], pairs.second[first])


def _compare_repaints(result: StudyResult, arm: Arm) -> Comparison | None:
    cells, others = result.of(arm.name), result.of(arm.reference)
    if not (cells and others):
        return None
    one, other = np.array(cells[0].style), np.array(others[0].style)
    relative = (one - other) / np.maximum(np.maximum(one, other), 1e-12)
    things = [result.items[row] for row in cells[0].test]
    photos = np.array([thing.group for thing in things])
    styles = np.unique([thing.style for thing in things], return_inverse=True)[1]
    nothing = np.zeros(len(things), int)
    if len(things) < 2:
        return None
    # With several styles, photos are draws of them; with one, they are all that can scatter.
    draws, clusters = (photos, styles) if styles.any() else (nothing, photos)
    difference = crossed_mean(draws, clusters, nothing, relative)
    single = {(int(number), 0): float(relative[photos == number].mean()) for number in np.unique(photos)}
    least = _least(difference, result, arm)
    same = bool((one == other).all())
    return Comparison(arm, difference, single, None, None, None, difference.p, least, "cannot tell", same)


def _judged(result: StudyResult, raw: Sequence[Comparison]) -> list[Comparison]:
    """Adjust the p-values of each family of arms and say what each comparison shows."""
    adjusted = {item.arm.name: item.p for item in raw}
    for family in {item.arm.family for item in raw}:
        own = [item for item in raw if item.arm.family == family and item.arm.role == "arm"]
        adjusted |= {item.arm.name: p for item, p in zip(own, holm([item.p for item in own]), strict=True)}
    return [
        replace(item, p=adjusted[item.arm.name], finding=_finding(result, item, adjusted[item.arm.name]))
        for item in (item for arm in result.arms for item in raw if item.arm.name == arm.name)
    ]


def _finding(result: StudyResult, item: Comparison, p: float) -> Finding:
    if item.arm.expect == "zero":
        return "exactly zero" if item.identical else "control failed"
    tests, better = result.study.tests, item.difference.mean > 0
    if result.study.task == "repaints":
        better = not better  # a smaller distance is a better one
    if p < tests.alpha:
        return "helps" if better else "harms"
    # Not one is right that was wrong: of n pictures that says no more than that fewer than 3 / n are (rule of three).
    ends = max(abs(item.difference.low), abs(item.difference.high))
    most = ends if item.difference.error else 3 / item.difference.items
    small = most * 100 <= tests.effect
    return "no difference that matters" if small else "cannot tell"


def _effects(result: StudyResult, scores: Mapping[str, ArmScore], overlap: float) -> tuple[tuple[Effect, ...], int]:
    """Test factors and interactions over the draws that every arm of the study has."""
    arms = [arm for arm in result.arms if arm.role == "arm" and arm.family == PRIMARY]
    factors = [name for name, levels in result.study.factors.items() if len(levels) > 1]
    failed = {cell.replicate for cell in result.failed if cell.arm in {arm.name for arm in arms}}
    shared = set.intersection(*(set(scores[arm.name].per_draw) for arm in arms)) - failed
    if result.study.task == "repaints" or not factors or len(shared) < 2:
        return (), 0
    levels = [list(result.study.factors[name]) for name in factors]
    numbers = sorted(shared)
    values = np.empty((len(shared), *map(len, levels)))
    for arm in arms:
        place: list[Any] = [own.index(arm.levels[name]) for name, own in zip(factors, levels, strict=True)]
        values[(slice(None), *place)] = [scores[arm.name].per_draw[number] for number in numbers]
    return tuple(factorial_anova(values, factors, overlap)), len(shared)
