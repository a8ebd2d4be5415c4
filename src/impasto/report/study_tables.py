"""The tables of a study as CSV, beside the page that shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from impasto.runs import write_csv
from impasto.study.analysis import Analysis, ArmScore, Comparison

TABLES = "tables"
_COMPARED = ["arm", "reference", "family", "role", "difference", "low", "high", "p", "p_holm", "draws", "items"]
_COMPARED += ["corrected_difference", "corrected_low", "corrected_high", "corrected_p", "above", "below", "ties"]
_COMPARED += ["sign_p", "only_arm", "only_reference", "mcnemar_p", "detectable", "finding"]
_EFFECT = ["effect", "df", "df_error", "F", "p", "eta2", "epsilon"]
_PAIRED = ["arm", "replicate", "fold", "difference"]


def write_study_tables(analysis: Analysis, folder: Path) -> None:
    """Write ``comparisons.csv``, ``arms.csv``, ``effects.csv`` and ``paired.csv``; shares in 0..1, not points.

    Raises:
        UsageError: ``folder`` cannot be written. ResourceError: the disk is full.
    """
    items = list(analysis.comparisons.values())
    write_csv(folder / "comparisons.csv", map(_compared, items), _COMPARED)
    arms = [_arm(score, analysis) for score in analysis.scores.values()]
    write_csv(folder / "arms.csv", arms, list(arms[0]))
    effects = ({"effect": effect.name, **effect.record()} for effect in analysis.effects)
    write_csv(folder / "effects.csv", [{key: row[key] for key in _EFFECT} for row in effects], _EFFECT)
    columns = ["arm", "photo", "difference"] if analysis.result.study.task == "repaints" else _PAIRED
    write_csv(folder / "paired.csv", _paired(items, columns), columns)


def _compared(item: Comparison) -> dict[str, Any]:
    arm, difference = item.arm, item.difference
    row: dict[str, Any] = dict.fromkeys(_COMPARED, "")
    row |= {"arm": arm.name, "reference": arm.reference, "family": arm.family, "role": arm.role}
    row |= {"difference": difference.mean, "low": difference.low, "high": difference.high, "p": difference.p}
    row |= {"p_holm": item.p, "draws": difference.draws, "items": difference.items}
    row |= {"detectable": item.detectable, "finding": item.finding}
    if item.corrected:
        row |= {f"corrected_{name}": getattr(item.corrected, name) for name in ("low", "high", "p")}
        row |= {"corrected_difference": item.corrected.mean}
    if item.signs:
        row |= {"above": item.signs.positive, "below": item.signs.negative, "ties": item.signs.ties}
        row |= {"sign_p": item.signs.p}
    if item.mcnemar:
        row |= {"only_arm": item.mcnemar.b, "only_reference": item.mcnemar.c, "mcnemar_p": item.mcnemar.p}
    return row


def _arm(score: ArmScore, analysis: Analysis) -> dict[str, Any]:
    arm = score.arm
    row = {"arm": arm.name, "family": arm.family, "role": arm.role, "cells": score.draws, "failed": score.failed}
    if analysis.result.study.task == "repaints":
        return {**row, "style_distance": score.metric, "spread": score.spread, "content_distance": score.accuracy}
    row |= {"mean_recall": score.metric, "spread": score.spread, "accuracy": score.accuracy}
    row |= {"taught": score.taught, "added": score.added}
    for label in analysis.result.classes:
        row |= {f"precision {label}": score.precision.get(label, ""), f"recall {label}": score.recall.get(label, "")}
    return row


def _paired(items: list[Comparison], columns: list[str]) -> Iterator[dict[str, Any]]:
    for item in items:
        for (number, fold), difference in item.per_draw.items():
            row = {"arm": item.arm.name, "photo": number, "replicate": number, "fold": fold, "difference": difference}
            yield {name: row[name] for name in columns}
