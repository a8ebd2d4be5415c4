"""What a score cannot tell: sentences from the counts behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from impasto.report.records import DatasetRecord, Evaluation, Repaint, RunRecord
from impasto.report.verdict import Scored, ranking
from impasto.report.wording import NBSP, interval, listing, percent, plural


def limits(dataset: DatasetRecord, runs: Sequence[RunRecord]) -> list[str]:
    """Return the limits of this page's evidence, the most important first."""
    ranked = ranking(runs)
    sentences = list(_leaks(dataset))
    if ranked:
        best = ranked[0]
        known = [dataset.by_output[item.path] for item in best.run.predictions if item.path in dataset.by_output]
        sentences += [
            *_precision(best.evaluation),
            *_sources(known),
            *_scored_pictures(dataset, best, known),
            *_selection(ranked),
            *_coverage(best.evaluation),
        ]
    return sentences


def _leaks(dataset: DatasetRecord) -> Iterator[str]:
    shared = dataset.shared_groups()
    if shared:
        yield (
            f"There is a leak: {plural(len(shared), 'photo')} in more than one split ({listing(shared)}). "
            "Scores are probably too high; split the data again, grouped by photo."
        )
    elif len(dataset.splits) > 1:
        yield (
            "No photo of one split was seen in another: splits are grouped by content photo, and neither a "
            "group nor a content hash occurs in two of them. This does not find two photos of one scene."
        )


def _precision(scores: Evaluation) -> Iterator[str]:
    low, high = scores.wilson95
    yield (
        f"The best score rests on {plural(scores.n_evaluated, 'picture')}. Its 95{NBSP}% interval "
        f"({interval(scores.wilson95)}) spans {100 * (high - low):.0f} points, and one picture more or less "
        f"moves the score by {100 / scores.n_evaluated:.2g} points. Half the span would take about "
        f"{4 * scores.n_evaluated:,} pictures."
    )
    if scores.majority > scores.chance + 1e-9:
        yield (
            f"The classes are not equally frequent: always naming the commonest one would score "
            f"{percent(scores.majority)}, more than the {percent(scores.chance, 1)} of blind chance."
        )


def _sources(known: Sequence[Repaint]) -> Iterator[str]:
    groups = len({picture.group for picture in known})
    if groups < len(known):
        yield (
            f"The scored pictures come from only {plural(groups, 'photo')}. Repaints of one photo are no "
            "independent draws, so the real uncertainty is wider than the interval."
        )


def _scored_pictures(dataset: DatasetRecord, best: Scored, known: Sequence[Repaint]) -> Iterator[str]:
    predictions, split = best.run.predictions, best.evaluation.split
    if unknown := len(predictions) - len(known):
        yield f"{plural(unknown, 'scored picture')} not in this data set: no leak check covers them."
    elsewhere = Counter(picture.split for picture in known if picture.split != split)
    for name, count in sorted(elsewhere.items()):
        yield f"There is a leak: {plural(count, 'scored picture')} of the {name or 'unnamed'} split."
    styles = {picture.style for picture in known if picture.style}
    if styles and styles <= {picture.style for picture in dataset.repaints if picture.split == "train"}:
        yield (
            f"The {plural(len(styles), 'style picture')} behind the scored repaints also made the training "
            "set. The score says how well these are recognised, not other works of the same hand."
        )


def _selection(ranked: Sequence[Scored]) -> Iterator[str]:
    if len(ranked) > 1:
        yield (
            f"The best of {len(ranked)} models was picked on the very pictures that it is scored on, which flatters it."
        )
    if len({item.run.model for item in ranked}) == len(ranked):
        yield "Each model was trained once. Another seed gives another score, by an amount not measured here."


def _coverage(scores: Evaluation) -> Iterator[str]:
    if scores.n_evaluated < scores.n_available:
        yield (
            f"Only {scores.n_evaluated:,} of {plural(scores.n_available, 'available picture')} were scored "
            f"({len(scores.skipped):,} could not be read)."
        )
