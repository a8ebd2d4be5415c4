"""The data card: what is in a labelled folder, and whether a score on it can be believed, as one HTML file."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup, escape

from impasto._version import __version__
from impasto.data.check.checking import CheckResult, check_dataset
from impasto.data.check.probes import DEVIATIONS, LEAST_GAIN
from impasto.encoders import AnyEncoder
from impasto.files import atomic_path
from impasto.report.data_facts import balance, class_counts, file_facts
from impasto.report.data_figures import MOST_BARS, draw_counts, draw_sizes
from impasto.report.data_origin import read_origin
from impasto.report.data_sheet import MAX_CLASSES, CardPictures, ClassRow, most_pictures
from impasto.report.data_words import fine, limits, printable, split_names, verdict, verdict_on
from impasto.report.figures import Bar, draw_intervals, to_svg
from impasto.report.page import environment
from impasto.report.sheet import spread
from impasto.report.wording import listing, plural
from impasto.runtime import OnProgress, Progress, ignore_progress

# As in the report: cells for screens of high density, and 4 MB of pictures make a page of less than 6 MB. Noise takes
# 18 kB at that side whatever the quality, so where there are more than so many pictures, they are smaller.
_SIDE, _AT_THAT_SIDE = 208, 200
_PICTURE_BYTES, _LARGEST_PICTURE = 4_000_000, 28_000


@dataclass(frozen=True)
class DataCard:
    """A data card that was written, and the check whose result it shows."""

    path: Path
    check: CheckResult


def build_data_card(
    dataset: Path,
    output: Path,
    *,
    encoder: AnyEncoder | None = None,
    on_progress: OnProgress = ignore_progress,
) -> DataCard:
    """Check a labelled folder and write one self-contained HTML file about it.

    Args:
        dataset: a folder in any layout that ``read_dataset`` understands, or a table of splits.
        output: the HTML file. The same inputs give the same bytes.
        encoder: what finds near duplicates; the embedded one by default.
        on_progress: called by the check, then once for each class that is shown.

    Raises:
        DataError: no data set, or none of its pictures can be read.
        RunError: a file beside the pictures that impasto wrote is damaged.
        UsageError: ``output`` cannot be written. ResourceError: the disk is full.
    """
    with atomic_path(output) as temporary:  # opened first: a check takes minutes, and a bad path is known at once
        check = check_dataset(dataset, encoder=encoder, on_progress=on_progress)
        html = render_data_card(check, dataset if dataset.is_file() else None, on_progress=on_progress)
        temporary.write_bytes(html.encode())
    return DataCard(output, check)


def render_data_card(
    check: CheckResult, table: Path | None = None, *, on_progress: OnProgress = ignore_progress
) -> str:
    """Return the page on a data set that was checked; ``table`` is what it was read from, if it was no folder."""
    data = check.dataset
    count = most_pictures(check)
    side = min(_SIDE, int(_SIDE * math.sqrt(_AT_THAT_SIDE / count)))
    pictures = CardPictures(check, side, min(_LARGEST_PICTURE, _PICTURE_BYTES // count))
    rows = _rows(pictures, on_progress)
    findings = [pictures.finding(finding) for finding in check.findings]
    harmless = pictures.harmless()
    twins, counts, facts = pictures.twins(harmless), class_counts(data), file_facts(check)
    page = environment()
    page.filters["code"] = _code
    html = page.get_template("card.html.j2").render(
        title=f"{plural(len(data), 'picture')} in {plural(len(data.classes), 'class')}",
        name=data.root.resolve().name,
        verdict=verdict(check),
        findings=findings,
        fine=fine(check),
        twins=twins,
        n_harmless=len(harmless),
        rows=rows,
        n_classes=len(data.classes),
        lost=listing(pictures.lost) if pictures.lost else "",
        splits=split_names(data),
        counts=counts,
        totals=Counter(sample.split for sample in data.samples),
        bars=[to_svg(bar, f"counts-{place}") for place, bar in enumerate(draw_counts(counts, split_names(data)))],
        n_bars=min(len(counts), MOST_BARS),
        balance=balance(data),
        facts=facts,
        sizes=to_svg(draw_sizes(facts.sizes), "sizes") if len(set(facts.sizes)) > 1 else Markup(),
        probes=[(probe, verdict_on(probe)) for probe in check.probes],
        probed=_intervals(check),
        least_gain=LEAST_GAIN,
        deviations=DEVIATIONS,
        limits=limits(check),
        origin=read_origin(check, table),
        version=__version__,
    )
    return printable(html)


def _code(text: str) -> Markup:
    """Return text as HTML, what stands between grave accents as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _rows(pictures: CardPictures, on_progress: OnProgress) -> list[ClassRow]:
    labels = spread(pictures.check.dataset.classes, MAX_CLASSES)
    rows = []
    for position, label in enumerate(labels):
        on_progress(Progress("drawing", position, len(labels)))
        rows.append(pictures.row(label))
    on_progress(Progress("drawing", len(labels), len(labels)))
    return rows


def _intervals(check: CheckResult) -> Markup:
    bars = [
        Bar(
            probe.name,
            f"{probe.correct} of {probe.total}",
            probe.correct / probe.total,
            probe.low,
            probe.high,
            probe.chance,
        )
        for probe in check.probes
    ]
    return to_svg(draw_intervals(bars), "probes") if bars else Markup()
