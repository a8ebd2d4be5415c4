"""What a score cannot tell: sentences from the counts behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from impasto.report.records import DatasetRecord, Evaluation, Repaint, RunRecord
from impasto.report.verdict import Scored, ranking
from impasto.report.wording import NBSP, interval, listing, percent, plural


def limits(dataset: DatasetRecord, runs: Sequence[RunRecord]) -> list[str]:
    """Return the limits of this page's evidence, the most important first."""
    ranked = ranking(runs)
    if not ranked:
        return list(_leaks(dataset, ()))
    best = ranked[0]
    known = [dataset.by_output[item.path] for item in best.run.predictions if item.path in dataset.by_output]
    return [
        *_leaks(dataset, ranked),
        *_precision(best.evaluation),
        *_sources(dataset, known),
        *_selection(ranked),
        *_coverage(best, known),
        *_grouping(dataset),
    ]


def _leaks(dataset: DatasetRecord, ranked: Sequence[Scored]) -> Iterator[str]:
    if divided := dataset.divided_photos():
        yield (
            f"There is a leak: {plural(len(divided), 'photo')} in more than one split ({listing(divided)}). "
            "Scores are probably too high; split the data again, grouped by photo."
        )
    for item in ranked:
        if item.evaluation.trained_on:
            yield (
                f"There is a leak: {item.run.name} was taught with "
                f"{len(item.evaluation.trained_on):,} of the {item.evaluation.n_evaluated:,} pictures it is scored on."
            )


def _precision(scores: Evaluation) -> Iterator[str]:
    low, high = scores.wilson95
    yield (
        f"The best score rests on {plural(scores.n_evaluated, 'picture')}. Its 95{NBSP}% interval "
        f"({interval(scores.wilson95)}) spans {100 * (high - low):.0f} points, and one picture more or less "
        f"moves the score by {100 / scores.n_evaluated:.2g}. Half the span would take about "
        f"{4 * scores.n_evaluated:,} pictures."
    )
    if scores.majority > scores.chance + 1e-9:
        yield (
            f"The classes are not equally frequent: always naming the commonest one would score "
            f"{percent(scores.majority)}, more than the {percent(scores.chance, 1)} of blind chance."
        )


def _sources(dataset: DatasetRecord, known: Sequence[Repaint]) -> Iterator[str]:
    photos, groups = len({item.content_sha256 for item in known}), len({item.group for item in known})
    if groups < len(known):
        scenes = f" of {plural(groups, 'scene')}" if groups < photos else ""
        yield (
            f"The scored pictures come from {plural(photos, 'photo')}{scenes}. Pictures of one photo are no "
            "independent draws, so the real uncertainty is wider than the interval."
        )
    styles = {picture.style for picture in known if picture.style}
    taught = {picture.style for picture in dataset.repaints if picture.split == "train"}
    named_by_style = len({(item.style, item.label) for item in dataset.repaints}) == len(
        {item.style for item in dataset.repaints}
    )
    if styles and styles <= taught and named_by_style:
        yield (
            f"The {plural(len(styles), 'style picture')} behind the scored repaints also made the training set. "
            "The score says how well these are recognised, not other works by the same hands."
        )


def _selection(ranked: Sequence[Scored]) -> Iterator[str]:
    if len(ranked) > 1:
        yield (
            f"The best of {len(ranked)} models was picked on the very pictures that it is scored on, which flatters it."
        )
    if len({item.run.model for item in ranked}) == len(ranked):
        yield "Each model was trained once. Another seed gives another score, by an amount not measured here."


def _coverage(best: Scored, known: Sequence[Repaint]) -> Iterator[str]:
    scores = best.evaluation
    if scores.n_evaluated < scores.n_available:
        yield f"Only {scores.n_evaluated:,} of {plural(scores.n_available, 'available picture')} were scored."
    if unknown := len(best.run.predictions) - len(known):
        yield f"{plural(unknown, 'scored picture')} not of this data set: no check for leaks covers them."


def _grouping(dataset: DatasetRecord) -> Iterator[str]:
    if len(dataset.splits) > 1 and not dataset.divided_photos():
        doubt = "" if dataset.has_scenes else " Two photos of one scene would pass unnoticed."
        yield (
            "No test photo was seen in training: splits are grouped by content photo, and no group or content "
            f"hash lies in two of them.{doubt}"
        )
