"""Sentences built from the numbers: which model is best, whether that means anything, what stays unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scipy.stats import binomtest

from impasto.report.records import SPLITS, DatasetRecord, Evaluation, RunRecord
from impasto.report.wording import NBSP, interval, listing, percent

LEVEL = 0.05
_ADJECTIVES = {"test": "held-out", "validation": "validation", "train": "training"}


@dataclass(frozen=True)
class Scored:
    """A run that has an evaluation."""

    run: RunRecord
    evaluation: Evaluation

    @property
    def score(self) -> str:
        """The score as k of n."""
        return f"{self.evaluation.correct} of {self.evaluation.n_evaluated}"


@dataclass(frozen=True)
class Contest:
    """The best run against another one scored on the same split.

    ``best_only`` and ``other_only`` count the pictures that only one of the two names correctly; ``p`` is the
    exact McNemar test, adjusted for several contests (Holm). ``p`` is None where the two were not scored on
    the same pictures; then only their intervals can be compared.
    """

    best: Scored
    other: Scored
    best_only: int
    other_only: int
    p: float | None

    @property
    def overlap(self) -> bool:
        """Whether the two 95 % intervals overlap."""
        (low, high), (other_low, other_high) = self.best.evaluation.wilson95, self.other.evaluation.wilson95
        return low <= other_high and other_low <= high

    @property
    def distinct(self) -> bool:
        """Whether the two can be told apart: by the paired test where there is one, else by the intervals."""
        return not self.overlap if self.p is None else self.p < LEVEL


def ranking(runs: Sequence[RunRecord]) -> list[Scored]:
    """Return the runs scored on the hardest split that any was scored on (test first), best first."""
    scored = [Scored(run, run.evaluation) for run in runs if run.evaluation is not None]
    present = {item.evaluation.split for item in scored}
    split = next((name for name in reversed(SPLITS) if name in present), min(present, default=""))
    comparable = [item for item in scored if item.evaluation.split == split]
    return sorted(comparable, key=lambda item: -item.evaluation.accuracy)


def contests(ranked: Sequence[Scored]) -> list[Contest]:
    """Return the first run's contest with each other one, p-values adjusted by Holm's method."""
    found = [_contest(ranked[0], other) for other in ranked[1:]]
    tested = sorted((index for index, item in enumerate(found) if item.p is not None), key=lambda i: _p(found[i]))
    highest = 0.0
    for rank, index in enumerate(tested):
        highest = max(highest, min(1.0, _p(found[index]) * (len(tested) - rank)))
        found[index] = replace(found[index], p=highest)
    return found


def _p(contest: Contest) -> float:
    return 1.0 if contest.p is None else contest.p


def _contest(best: Scored, other: Scored) -> Contest:
    ours = {item.path: item.correct for item in best.run.predictions}
    theirs = {item.path: item.correct for item in other.run.predictions}
    if not ours or ours.keys() != theirs.keys():
        return Contest(best, other, 0, 0, None)
    best_only = sum(ours[path] and not theirs[path] for path in ours)
    other_only = sum(theirs[path] and not ours[path] for path in ours)
    differing = best_only + other_only
    p = float(binomtest(best_only, differing).pvalue) if differing else 1.0
    return Contest(best, other, best_only, other_only, p)


def verdict(dataset: DatasetRecord, runs: Sequence[RunRecord]) -> list[str]:
    """Return the verdict: one honest sentence on the best model, then what qualifies it."""
    ranked = ranking(runs)
    if not ranked:
        models = "No model has been trained" if not runs else "No model has been evaluated"
        return [f"{models} yet: this page shows the pictures."]
    top = [item for item in ranked if item.evaluation.accuracy == ranked[0].evaluation.accuracy]
    best = ranked[0]
    sentences = [f"{_subject(top, len(ranked))} {_score(best.evaluation, dataset)}."]
    if best.evaluation.wilson95[0] <= best.evaluation.chance:
        sentences.append("The interval holds chance: nothing shows that this is better than guessing.")
    others = [item for item in contests(ranked) if item.other not in top]
    near = [f"{item.other.run.name} ({item.other.score})" for item in others if not item.distinct]
    behind = [f"{item.other.run.name} ({item.other.score})" for item in others if item.distinct]
    if near:
        sentences.append(f"These pictures cannot tell it apart from {listing(near)}.")
    if behind:
        sentences.append(f"It is ahead of {listing(behind)} by more than luck explains.")
    return sentences


def _subject(top: Sequence[Scored], n_models: int) -> str:
    names = listing([item.run.name for item in top])
    if len(top) > 1:
        return f"Best models, in a tie: {names} each name"
    return f"Best model: {names} names" if n_models > 1 else f"The model {names} names"


def _score(scores: Evaluation, dataset: DatasetRecord) -> str:
    adjective = _ADJECTIVES.get(scores.split, scores.split or "scored")
    noun = "repaints" if len(dataset.repaints) == len(dataset.pictures) else "pictures"
    return (
        f"{scores.correct} of {scores.n_evaluated} {adjective} {noun} correctly "
        f"({percent(scores.accuracy)}, 95{NBSP}% interval {interval(scores.wilson95)}); "
        f"chance is {percent(scores.chance, 1)}"
    )
