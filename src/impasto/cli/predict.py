"""``predict``: the class of pictures."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from impasto.cli.answers import Answer, Format, Printer, printer
from impasto.cli.console import AsJson, Device, Quiet, Weights, progress_bar, remark
from impasto.cli.models import Run, Views
from impasto.cli.pictures import named_pictures
from impasto.errors import UsageError
from impasto.files import atomic_path
from impasto.runtime import OnProgress, Progress

if TYPE_CHECKING:
    from impasto.classify import AnyClassifier


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Judge")(predict)


def predict(
    run: Run,
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PICTURES",
            help="Picture files, folders or patterns; - reads paths from standard input, one a line.",
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="Name so many classes for each picture.")] = 3,
    abstain: Annotated[
        float, typer.Option(min=0, max=1, help="Call a picture unsure whose best class is less probable than this.")
    ] = 0,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="How to print.", show_default="what FILE's name says, else table"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file, whole or not at all.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures that are read and judged together.")] = 32,
    views: Views = "whole",
    weights: Weights = None,
    device: Device = "auto",
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Name the class of pictures, with probabilities.

    Results come batch by batch, except in a table. Pictures that cannot be read are reported on standard error, and as
    rows with an error where programs read; the others go on. Exit status 1 if none works.
    """
    from impasto.classify import load_classifier

    form = _format(form, output, as_json)
    paths = named_pictures(pictures)
    total = len(paths) if isinstance(paths, list) else 0
    classifier = load_classifier(run, device=device, weights=weights)
    shown = min(top, len(classifier.classes))
    with _opened(output) as file:
        to_screen = form is not Format.TABLE and file.isatty()
        lines = printer(form, file, shown)
        with progress_bar(quiet or as_json or to_screen or not total) as on_progress:
            readable = _print_all(
                _answers(classifier, paths, batch_size, views, shown, abstain), lines, total, on_progress
            )
        lines.close()
    if not readable:
        raise typer.Exit(1)


def _format(form: Format | None, output: Path | None, as_json: bool) -> Format:
    named = output.suffix.lower().removeprefix(".") if output else ""
    if as_json:
        return Format.JSON
    if form is None:
        form = Format(named) if named in ("csv", "json", "jsonl") else Format.TABLE
    if output is not None and form is Format.TABLE:
        raise UsageError(f"{output} cannot hold a table.", "Give --format csv, json or jsonl.")
    return form


@contextlib.contextmanager
def _opened(output: Path | None) -> Iterator[IO[str]]:
    if output is None:
        yield sys.stdout  # taken before there is a progress bar, which would redirect it
        return
    with atomic_path(output) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        yield file


def _answers(
    classifier: AnyClassifier, paths: Iterable[Path], batch_size: int, views: str, top: int, abstain: float
) -> Iterator[Answer]:
    """Yield answers batch by batch: no more than one batch of pictures is in memory."""
    rest = iter(paths)
    while batch := list(islice(rest, batch_size)):
        for prediction in classifier.predict(batch, batch_size=batch_size, views=views):
            yield Answer.of(prediction, top, abstain)


def _print_all(answers: Iterable[Answer], lines: Printer, total: int, on_progress: OnProgress) -> int:
    """Print each answer as it comes; return how many pictures could be read."""
    readable = 0
    for step, answer in enumerate(answers, 1):
        lines.add(answer)
        readable += not answer.error
        if answer.error:
            remark(f"{answer.path} {answer.error}", hidden=False)
        on_progress(Progress("predicting", step, total))
    return readable
