"""``impasto dataset card``: one HTML page on a labelled folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.console import AsJson, Output, Quiet, print_json, progress_bar, remark
from impasto.runtime import human_time


def card(
    folder: Annotated[Path, typer.Argument(help="A data set.", show_default=False)],
    output: Output = Path("card.html"),
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write one HTML file that shows what is in a data set and whether a score on it can be believed."""
    from impasto.report.data_card import build_data_card

    with progress_bar(quiet or as_json) as on_progress:
        result = build_data_card(folder, output, on_progress=on_progress)
    check = result.check
    if as_json:
        print_json(
            {
                "card": result.path,
                "pictures": len(check.dataset),
                "classes": len(check.dataset.classes),
                "splits": {name: len(check.dataset.split(name)) for name in check.dataset.splits},
                "damaged": len(check.signatures.unreadable),
                "pairs": len(check.pairs),
                "findings": Counter(finding.kind for finding in check.findings),
            }
        )
        return
    for finding in check.findings:
        remark(f"{finding.kind}: {finding.message}", hidden=quiet)
    remark(f"{len(check.dataset)} pictures in {human_time(check.seconds)}", hidden=quiet)
    typer.echo(str(result.path))
