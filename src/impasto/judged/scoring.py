"""Scoring repaints: is the content's class kept, and is the style recognised?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from impasto.data.repaint.records import Row
from impasto.errors import DataError
from impasto.judged.asking import Answer, Ask, ask_all
from impasto.judged.judges import Judge, check_known, open_judge, share_of
from impasto.judged.repaints import Repaints, class_of, read_repaints
from impasto.judged.scores import RepaintScore, RepaintScores
from impasto.runtime import OnProgress, ignore_progress
from impasto.subjects import Subject

_DIGITS = 6


def score_repaints(
    folder: str | Path,
    model: str | Path | Subject | Judge,
    *,
    style_model: str | Path | Subject | Judge | None = None,
    output: Path | None = None,
    batch_size: int = 32,
    device: str = "auto",
    weights: str | Path | None = None,
    on_progress: OnProgress = ignore_progress,
) -> RepaintScores:
    """Ask a classifier what it sees on repaints, and on the photos that they were made of.

    Args:
        folder: what ``impasto dataset stylize`` wrote. The class of a repaint is the folder that its photo lay in,
            whatever the data set's own labels are.
        model: names the photos' classes: a folder of ``impasto train`` or ``impasto ensemble``, ``torchvision:<name>``,
            ``timm:<name>``, or an opened network.
        style_model: names the styles: its classes are names of style pictures, or of the folders that they lay in.
        output: folder for ``scores.csv`` and ``scores.json``; None writes nothing.
        batch_size: pictures that are looked at together.
        device, weights: see :func:`impasto.subjects.load_subject`; ``weights`` are for ``model``.
        on_progress: told after each batch.

    Untouched photos are looked at in the repaints' size, so that a change of the answer comes from the painting. A
    photo that is neither where it was nor beside the repaints leaves ``before`` open.

    Raises:
        DataError: no repaints, classes that the model does not know, or no style that the judge of styles knows.

    >>> scores = score_repaints("repaints", "run", style_model="styles-run")   # doctest: +SKIP
    >>> print(scores.overall.kept_of_named)                                    # doctest: +SKIP
    23/25 = 92.0 % [75.0, 97.8]
    """
    repaints = read_repaints(Path(folder))
    judge = open_judge(model, device=device, weights=weights)
    check_known(judge, {class_of(row.content) for row in repaints.rows})
    expert = open_judge(style_model, device=device) if style_model is not None else None
    styles = _style_labels(repaints, expert) if expert else {}
    asks = [repaints.repaint(row) for row in repaints.rows]
    photos = [repaints.photo(row) for row in repaints.rows]
    seen = ask_all(judge, photos, batch_size=batch_size, stage="photos", on_progress=on_progress)
    seen |= ask_all(judge, asks, batch_size=batch_size, stage="repaints", on_progress=on_progress)
    styled = (
        ask_all(expert, asks, batch_size=batch_size, stage="styles", on_progress=on_progress)
        if expert and any(styles.values())
        else {}
    )
    scores = [
        _score(repaints, row, judge, seen, (expert, styles.get(row.style, ""), styled))
        for row in repaints.rows
        if not seen[repaints.repaint(row)].error
    ]
    if not scores:
        raise DataError(f"no repaint of {folder} can be read.", "Make the data set again.")
    skipped = tuple(sorted({(str(ask.path), answer.error) for ask, answer in seen.items() if answer.error}))
    judges = {"classes": judge.identity(), "styles": expert.identity() if expert else None}
    result = RepaintScores(Path(folder), tuple(scores), skipped, judges)
    if output is not None:
        result.save(output)
    return result


def _score(
    repaints: Repaints,
    row: Row,
    judge: Judge,
    seen: Mapping[Ask, Answer],
    style: tuple[Judge | None, str, Mapping[Ask, Answer]],
) -> RepaintScore:
    label, ask = class_of(row.content), repaints.repaint(row)
    photo, repaint = seen[repaints.photo(row)], seen[ask]
    expert, style_label, styled = style
    told = styled.get(ask) if style_label else None
    return RepaintScore(
        output=row.output,
        content=row.content,
        style=row.style,
        strength=row.strength,
        label=label,
        photo_answer=photo.label,
        before=_probability(judge, photo, label),
        answer=repaint.label,
        after=_probability(judge, repaint, label) or 0.0,
        style_label=style_label if told else "",
        style_answer=told.label if told else "",
        style_probability=_probability(expert, told, style_label) if expert and told else None,
        taught=row.content_sha256 in judge.taught,
    )


def _probability(judge: Judge, answer: Answer, label: str) -> float | None:
    return None if answer.shares is None else round(share_of(judge, answer.shares, label), _DIGITS)


def _style_labels(repaints: Repaints, expert: Judge) -> dict[str, str]:
    """Return which class of the judge of styles each style picture is: its own name, or its folder's; else "".

    Raises:
        DataError: it knows none of them.
    """
    found = {}
    for style in {row.style for row in repaints.rows}:
        names = (PurePosixPath(style).stem, class_of(style))
        found[style] = next((name for name in names if name in expert.classes), "")
    if not any(found.values()):
        raise DataError(
            f"{expert.name} knows none of the styles {', '.join(sorted(found)[:6])}.",
            f"It knows {', '.join(expert.classes[:6])}. Teach one with repaints whose label is the style.",
        )
    return found
