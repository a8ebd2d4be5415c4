"""``impasto dataset check``: what to know of a data set before a score on it is believed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.console import AsJson, Quiet, print_json, progress_bar, remark
from impasto.runtime import human_time

# Files that are named of each finding.
_SHOWN = 10


def check(
    folder: Annotated[Path, typer.Argument(help="A data set.", show_default=False)],
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Look for leaks between splits, doubtful labels, shortcuts and oddities, before any score is believed."""
    from impasto.data.check.checking import check_dataset

    with progress_bar(quiet or as_json) as on_progress:
        result = check_dataset(folder, on_progress=on_progress)
    if as_json:
        findings = [asdict(finding) for finding in result.findings]
        probes = [{**asdict(each), "tells_the_label": each.tells_the_label} for each in result.probes]
        print_json({"pictures": len(result.dataset), "findings": findings, "probes": probes, "seconds": result.seconds})
        return
    for finding in result.findings:
        typer.echo(f"{finding.kind}: {finding.message}")
        for name in finding.files[:_SHOWN]:
            typer.echo(f"    {name}")
        if len(finding.files) > _SHOWN:
            typer.echo(f"    and {len(finding.files) - _SHOWN} more; --json lists all")
    for each in result.probes:
        if not each.tells_the_label:
            typer.echo(f"fine: the {each.name} alone does not tell the label: {each}")
    if not result.of("leak"):
        where = "no picture is in two splits" if result.dataset.splits else "there are no splits yet"
        typer.echo(f"fine: {where}, {len(result.pairs)} pairs of near duplicates")
    remark(f"{len(result.dataset)} pictures in {human_time(result.seconds)}", hidden=quiet)
