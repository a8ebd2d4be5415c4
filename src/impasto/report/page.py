"""The page: records in, one HTML file out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from impasto._version import __version__
from impasto.files import write_text
from impasto.report import wording
from impasto.report.collect import read_dataset_record, read_run_records
from impasto.report.commands import commands
from impasto.report.figures import Bar, draw_curve, draw_intervals, to_svg
from impasto.report.limits import limits
from impasto.report.looks import LookedAt, read_looked_at
from impasto.report.notes import dataset_notes, elsewhere_notes, run_notes
from impasto.report.records import DatasetRecord, Prediction, RunRecord
from impasto.report.sheet import MAX_PHOTOS, MAX_STYLES, contact_sheet
from impasto.report.thumbnails import Thumbnails
from impasto.report.verdict import Scored, contests, ranking, verdict
from impasto.report.wording import plural
from impasto.runtime import OnProgress, Progress, ignore_progress

MOST_CONFIDENT = 6
# Twice the width of a cell on a wide screen, for screens of high density.
_SIDE = 208
# Base64 adds a third: 4 MB of pictures make a page of less than 6 MB.
_PICTURE_BYTES = 4_000_000
_LARGEST_PICTURE = 28_000


@dataclass(frozen=True)
class Shown:
    """A prediction with its picture."""

    prediction: Prediction
    image: str | None


@dataclass(frozen=True)
class ModelView:
    """What the template shows of one run."""

    key: str
    run: RunRecord
    notes: list[str]
    loss: Markup
    accuracy: Markup
    right: tuple[Shown, ...]
    wrong: tuple[Shown, ...]
    looks: tuple[LookedAt, ...]


def build_report(
    dataset: Path,
    runs: Sequence[Path],
    output: Path,
    *,
    title: str = "",
    sources: Sequence[Path] = (),
    on_progress: OnProgress = ignore_progress,
) -> Path:
    """Write one self-contained HTML file about a repainted data set and the models trained on it.

    Args:
        dataset: the folder that ``impasto dataset stylize`` wrote.
        runs: folders that ``impasto train`` (and ``impasto evaluate``) wrote; may be empty.
        output: the HTML file. The same inputs give the same bytes.
        title: the heading; by default the numbers of photos and styles.
        sources: folders of the photos and style pictures; by default where the data set says they were. A file is
            shown if its hash is the recorded one.
        on_progress: called once before each run and at the end.

    Returns:
        ``output``.

    Raises:
        RunError: a folder is not what it should be, or a file in it is damaged.
        UsageError: ``output`` cannot be written. ResourceError: the disk is full.
    """
    total = len(runs) + 2
    on_progress(Progress("report", 0, total, message="reading"))
    data, records = read_dataset_record(dataset), read_run_records(runs)
    on_progress(Progress("report", 1, total, message="contact sheet"))
    n_pictures = (MAX_PHOTOS + 1) * (MAX_STYLES + 1) + 2 * MOST_CONFIDENT * len(records)
    thumbnails = Thumbnails(_SIDE, limit=min(_LARGEST_PICTURE, _PICTURE_BYTES // n_pictures))
    sheet = contact_sheet(data, thumbnails, sources or data.source_folders())
    models = []
    for position, (run, folder) in enumerate(zip(records, runs, strict=True)):
        models.append(_model_view(run, f"m{position}", data, thumbnails, read_looked_at(folder)))
        on_progress(Progress("report", position + 2, total, message=run.name))
    ranked = ranking(records)
    html = (
        environment()
        .get_template("report.html.j2")
        .render(
            title=title or f"{plural(sheet.n_photos, 'photo')} in {plural(sheet.n_styles, 'style')}",
            data=data,
            sheet=sheet,
            counts=_counts(data),
            divided=data.divided_photos(),
            notes=dataset_notes(data, sheet, thumbnails),
            models=models,
            ranked=ranked,
            contests=contests(ranked),
            intervals=_interval_plot(ranked),
            elsewhere=elsewhere_notes(records, ranked),
            verdict=verdict(data, records),
            limits=limits(data, records),
            commands=commands(data, records),
            version=__version__,
        )
    )
    write_text(output, html)
    on_progress(Progress("report", total, total, message=output.name))
    return output


def _model_view(
    run: RunRecord, key: str, data: DatasetRecord, thumbnails: Thumbnails, looks: tuple[LookedAt, ...]
) -> ModelView:
    # Ties in probability fall to the path, so the page does not depend on the order of the table.
    confident = sorted(run.predictions, key=lambda item: (-item.probability, item.path))
    right = [item for item in confident if item.correct][:MOST_CONFIDENT]
    wrong = [item for item in confident if not item.correct][:MOST_CONFIDENT]
    return ModelView(
        key=key,
        run=run,
        notes=run_notes(run, data),
        loss=_curve(run, "loss", key),
        accuracy=_curve(run, "accuracy", key),
        right=tuple(_shown(item, data, thumbnails) for item in right),
        wrong=tuple(_shown(item, data, thumbnails) for item in wrong),
        looks=looks,
    )


def _curve(run: RunRecord, quantity: str, key: str) -> Markup:
    return to_svg(draw_curve(run.curves, quantity, run.best), f"{key}-{quantity}") if run.curves else Markup()


def _shown(prediction: Prediction, data: DatasetRecord, thumbnails: Thumbnails) -> Shown:
    known = data.by_output.get(prediction.path)
    # A path that the data set does not list is not opened: a table must not choose files of this machine.
    image = thumbnails.data_uri(data.root / known.output, known.output_sha256) if known else None
    return Shown(prediction, image)


def _interval_plot(ranked: Sequence[Scored]) -> Markup:
    bars = [
        Bar(
            item.run.name,
            item.score,
            item.evaluation.accuracy,
            *item.evaluation.wilson95,
            item.evaluation.chance,
        )
        for item in ranked
    ]
    return to_svg(draw_intervals(bars), "intervals") if bars else Markup()


def _counts(data: DatasetRecord) -> Counter[tuple[str | None, str | None]]:
    """Count pictures by label and split; None stands for all of them."""
    counts: Counter[tuple[str | None, str | None]] = Counter()
    for picture in data.pictures:
        counts.update([(picture.label, picture.split), (picture.label, None), (None, picture.split)])
    return counts


def environment() -> Environment:
    """Return what renders the templates: names are escaped, and one that is missing is an error."""
    environment = Environment(
        loader=PackageLoader("impasto.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in (wording.percent, wording.interval, wording.plural, wording.p_value, wording.flatten):
        environment.filters[function.__name__] = function
    return environment
