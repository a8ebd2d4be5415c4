"""Versions of one study side by side: as it was published, run again with its mistakes, and run soundly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from impasto.report.study_words import between, metric_of, points, share
from impasto.study.analysis import Analysis, analyse
from impasto.study.arms import PRIMARY
from impasto.study.result import load_result
from impasto.study.spec import Mistake, Published
from impasto.study.words import verdict


class Version(NamedTuple):
    """A column: a version with what it says."""

    label: str
    name: str
    draws: str
    headline: str


class ArmRow(NamedTuple):
    """An arm with what each version found of it; "" where a version has no such arm."""

    arm: str
    found: tuple[tuple[str, str], ...]


class Beside(NamedTuple):
    """All of it."""

    versions: tuple[Version, ...]
    rows: tuple[ArmRow, ...]
    mistakes: tuple[Mistake, ...]
    published: tuple[Published, ...]


def read_beside(analysis: Analysis, folders: Sequence[Path]) -> Beside | None:
    """Return a study beside other versions of it, literal ones first; None where there is nothing to tell.

    Raises:
        RunError: a folder holds no finished study.
    """
    others = [analyse(load_result(folder)) for folder in folders]
    everything = sorted((*others, analysis), key=lambda each: each.result.study.version == "sound")
    studies = [each.result.study for each in everything]
    mistakes = tuple(dict.fromkeys(item for study in studies for item in study.mistakes))
    published = tuple(dict.fromkeys(item for study in studies for item in study.published))
    if not (others or mistakes or published):
        return None
    names = dict.fromkeys(arm.name for each in everything for arm in each.result.arms if arm.family == PRIMARY)
    return Beside(
        tuple(map(_version, everything)),
        tuple(ArmRow(name, tuple(_found(each, name) for each in everything)) for name in names) if others else (),
        mistakes,
        published,
    )


def _version(analysis: Analysis) -> Version:
    study = analysis.result.study
    said = verdict(analysis)
    draws = f"{study.split.kind}, {study.split.draws} draws"
    label = "as a sound study" if study.version == "sound" else "run again as published"
    return Version(label, study.name, draws, said[0] if said else "")


def _found(analysis: Analysis, name: str) -> tuple[str, str]:
    """Return an arm's score, and its difference with its interval and finding."""
    score = analysis.scores.get(name)
    if score is None:
        return "", ""
    repaints = metric_of(analysis).short == "%"
    told = f"{score.metric:.3g}" if repaints else f"{share(score.metric)} %"
    item = analysis.comparisons.get(name)
    if item is None:
        return told, "reference" if not score.arm.reference else ""
    difference = item.difference
    return told, f"{points(difference.mean)} {between(difference.low, difference.high)}, {item.finding}"
