"""Shape against texture: what a classifier follows where the two are of different classes (Geirhos et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from impasto.data.repaint.records import Row
from impasto.errors import DataError
from impasto.files import write_bytes
from impasto.judged.asking import Answer, Ask, ask_all
from impasto.judged.decisions import SHEET_NAME, Decision, ShapeBias
from impasto.judged.judges import Judge, check_known, open_judge, share_of
from impasto.judged.repaints import Repaints, class_of, read_repaints
from impasto.judged.sheet import conflict_sheet
from impasto.runtime import OnProgress, ignore_progress
from impasto.subjects import Subject

_DIGITS = 6


def shape_bias(
    folder: str | Path,
    model: str | Path | Subject | Judge,
    *,
    output: Path | None = None,
    batch_size: int = 32,
    device: str = "auto",
    weights: str | Path | None = None,
    on_progress: OnProgress = ignore_progress,
) -> ShapeBias:
    """Count how often a classifier follows the shape and how often the texture of repaints.

    Only pictures count whose untouched content photo the classifier names correctly at their size. Geirhos et al.
    (2019) chose photos of which that holds for content and style, and count decisions among 16 classes; here the
    classifier's own classes are counted, and the figure for photos of which both are named stands beside.

    Args:
        folder: what :func:`impasto.judged.conflicts.make_conflicts` made, or what ``impasto dataset stylize`` made of
            photos in class folders and style pictures in class folders; pictures of one class for both are left out.
        model: a folder of ``impasto train`` or ``impasto ensemble``, ``torchvision:<name>``, ``timm:<name>``, or an
            opened network.
        output: folder for ``bias.csv``, ``bias.json`` and the sheet ``conflicts.png``; None writes nothing.
        batch_size: pictures that are looked at together.
        device, weights: see :func:`impasto.subjects.load_subject`.
        on_progress: told after each batch.

    Raises:
        DataError: no repaints whose shape and texture are of different classes, or classes that the model does not
            know.

    >>> print(shape_bias("conflicts", "torchvision:squeezenet1_0").both.bias)   # doctest: +SKIP
    10/20 = 50.0 % [29.9, 70.1]
    """
    repaints = read_repaints(Path(folder))
    rows = [row for row in repaints.rows if class_of(row.style) not in ("", class_of(row.content))]
    if not rows:
        raise DataError(
            f"{folder} holds no repaint whose style picture lay in a class folder other than its photo's.",
            "Make cue conflicts of a labelled folder: impasto bias DATA --model RUN.",
        )
    judge = open_judge(model, device=device, weights=weights)
    check_known(judge, {class_of(name) for row in rows for name in (row.content, row.style)})
    photos = [ask for row in rows for ask in (repaints.photo(row), repaints.style(row))]
    seen = ask_all(judge, photos, batch_size=batch_size, stage="photos", on_progress=on_progress)
    painted = [repaints.repaint(row) for row in rows]
    seen |= ask_all(judge, painted, batch_size=batch_size, stage="conflicts", on_progress=on_progress)
    good = [row for row in rows if not seen[repaints.repaint(row)].error]
    if not good:
        raise DataError(f"no picture of {folder} can be read.", "Make the data set again.")
    result = ShapeBias(
        name=judge.name,
        decisions=tuple(_decision(repaints, row, judge, seen) for row in good),
        skipped=tuple(sorted({(str(ask.path), answer.error) for ask, answer in seen.items() if answer.error})),
        judge=judge.identity(),
        painted=_painted(good),
        weak=any(row.method.startswith("network") and float(row.strength) < 1 for row in good),
        taught=sum(row.content_sha256 in judge.taught for row in good),
    )
    if output is not None:
        result.save(output)
        write_bytes(output / SHEET_NAME, conflict_sheet(result, repaints))
    return result


def _painted(rows: Sequence[Row]) -> str:
    """Return how pictures were made."""
    methods = " and ".join(sorted({row.method for row in rows}))
    strengths = sorted({float(row.strength) for row in rows})
    return f"{methods}, strength {', '.join(f'{strength:g}' for strength in strengths)}"


def _decision(repaints: Repaints, row: Row, judge: Judge, seen: Mapping[Ask, Answer]) -> Decision:
    shape, texture = class_of(row.content), class_of(row.style)
    answer = seen[repaints.repaint(row)]
    assert answer.shares is not None
    return Decision(
        output=row.output,
        content=row.content,
        style=row.style,
        strength=row.strength,
        shape=shape,
        texture=texture,
        answer=answer.label,
        probability=round(answer.probability, _DIGITS),
        shape_probability=round(share_of(judge, answer.shares, shape), _DIGITS),
        texture_probability=round(share_of(judge, answer.shares, texture), _DIGITS),
        photo_answer=seen[repaints.photo(row)].label,
        style_answer=seen[repaints.style(row)].label,
    )
