"""The page of a study: a finished folder in, one HTML file and four tables out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment
from markupsafe import Markup

from impasto._version import __version__
from impasto.files import write_text
from impasto.report import study_again, study_design, study_words
from impasto.report.data_words import printable
from impasto.report.figures import to_svg
from impasto.report.page import environment
from impasto.report.study_beside import read_beside
from impasto.report.study_curves import curve_panels, size_panels
from impasto.report.study_examples import read_examples
from impasto.report.study_figures import Lane, draw_forest, draw_strips
from impasto.report.study_tables import TABLES, write_study_tables
from impasto.report.study_threats import threats
from impasto.report.study_words import between, counted, families, metric_of, own_name, points
from impasto.study.analysis import Analysis, ArmScore, Comparison, analyse
from impasto.study.arms import PRIMARY
from impasto.study.result import load_result
from impasto.study.words import verdict

REPORT_NAME = "report.html"
# With more classes than this the page shows the first; ``arms.csv`` has them all.
MOST_CLASSES = 8
# Inches of the figure of a sensitivity value: two stand side by side.
_NARROW = 5.6


class Family(NamedTuple):
    """A sensitivity value, or the study itself: what was compared, with a figure."""

    name: str
    comparisons: tuple[Comparison, ...]
    scores: tuple[ArmScore, ...]
    forest: Markup


def write_study_report(folder: Path, output: Path | None = None, beside: Sequence[Path] = ()) -> Path:
    """Write one self-contained HTML file about a finished study, and ``tables/*.csv`` in its folder.

    Args:
        folder: what ``impasto study run`` wrote.
        output: the HTML file, by default ``report.html`` in ``folder``. The same inputs give the same bytes.
        beside: other finished versions of the study, such as the literal one.

    Returns:
        The HTML file.

    Raises:
        RunError: a folder holds no finished study, or a damaged one.
        UsageError: ``output`` cannot be written. ResourceError: the disk is full.
    """
    folder = Path(folder)
    analysis = analyse(load_result(folder))
    html = render_study(analysis, beside)
    write_study_tables(analysis, folder / TABLES)
    path = Path(output) if output else folder / REPORT_NAME
    write_text(path, html)
    return path


def render_study(analysis: Analysis, beside: Sequence[Path] = ()) -> str:
    """Return the page of a study that was analysed, beside the studies in other folders."""
    return printable(_environment().get_template("study.html.j2").render(_view(analysis, beside)))


def _environment() -> Environment:
    page = environment()
    for function in (points, between, own_name, study_words.short_p, study_words.share, study_words.plain):
        page.filters[function.__name__] = function
    page.globals["signs"] = study_words.SIGNS
    return page


def _view(analysis: Analysis, beside: Sequence[Path]) -> dict[str, Any]:
    """Return what the template shows."""
    result = analysis.result
    groups = [_family(analysis, name, place) for place, name in enumerate((PRIMARY, *families(analysis)))]
    return {
        "study": result.study,
        "analysis": analysis,
        "result": result,
        "metric": metric_of(analysis),
        "repaints": result.study.task == "repaints",
        "verdict": verdict(analysis) or ("Nothing was compared.",),
        "failed_controls": [item for item in analysis.comparisons.values() if item.finding == "control failed"],
        "beside": read_beside(analysis, beside),
        "levels": study_design.levels(result),
        "controls": study_design.controls(result),
        "shared": study_design.shared(result),
        "dealt": study_design.dealt(result) if result.study.task != "repaints" else [],
        "draws": study_design.draws_told(analysis),
        "planned": study_design.tests_planned(analysis),
        "power": study_design.power_told(analysis),
        "groups": groups,
        "tests": study_words.tests_told(analysis),
        "strips": _strips(analysis),
        "classes": result.classes[:MOST_CLASSES],
        "effects": [(each, study_words.effect_sentence(each, result.study.tests.alpha)) for each in analysis.effects],
        "curves": curve_panels(analysis),
        "sizes": size_panels(analysis),
        "examples": read_examples(result.folder),
        "work": study_again.work(result),
        "totals": study_again.totals(result),
        "failures": study_again.failures(result),
        "failed_told": study_again.failed_told(result),
        "threats": threats(analysis),
        "again": study_again.again(result),
        "version": __version__,
    }


def _family(analysis: Analysis, name: str, place: int) -> Family:
    items = tuple(item for item in analysis.comparisons.values() if item.arm.family == name)
    scores = tuple(score for score in analysis.scores.values() if score.arm.family == name)
    width = {"width": _NARROW} if name else {}
    effect, label = analysis.result.study.tests.effect, f"difference in {metric_of(analysis).unit}"
    lanes = _lanes(items)
    drawn = to_svg(draw_forest(lanes, effect, label, **width), f"forest-{place}") if lanes else Markup()
    return Family(name, items, scores, drawn)


def _strips(analysis: Analysis) -> Markup:
    lanes = _lanes([item for item in analysis.comparisons.values() if item.arm.family == PRIMARY], single=True)
    effect, label = analysis.result.study.tests.effect, f"difference in {metric_of(analysis).unit}"
    return to_svg(draw_strips(lanes, effect, label), "strips") if lanes else Markup()


def _lanes(items: Sequence[Comparison], single: bool = False) -> list[Lane]:
    """Return arms, then controls below a heading of their own."""
    arms = [item for item in items if item.arm.role == "arm"]
    others = [item for item in items if item.arm.role == "control"]
    lanes = [_lane(item, single) for item in arms]
    return lanes + ([Lane("controls"), *(_lane(item, single) for item in others)] if others else [])


def _lane(item: Comparison, single: bool) -> Lane:
    difference, dots = item.difference, tuple(100 * value for value in item.per_draw.values())
    above, _, _ = counted(dots)
    if single:
        told = f"{above} of {len(dots)} above 0"
    elif item.identical:
        told = "no answer differs"
    else:
        told = f"{points(difference.mean)}  {between(difference.low, difference.high)}"
    mean, low, high = (100 * value for value in (difference.mean, difference.low, difference.high))
    return Lane(own_name(item.arm), mean, low, high, dots, told, item.finding)
