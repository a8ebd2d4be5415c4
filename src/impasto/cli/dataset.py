"""``impasto dataset``: making labelled folders of pictures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.console import AsJson, Device, Quiet, Seed, Weights, err, print_json, progress_bar, remark
from impasto.cli.methods import choose_method
from impasto.errors import UsageError
from impasto.runtime import human_time

# Files that are named of each finding.
_SHOWN = 10

app = typer.Typer(help="Make and mend labelled folders of pictures.", no_args_is_help=True)


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    program.add_typer(app, name="dataset", rich_help_panel="Repaint")


@app.command("stylize")
def stylize(
    context: typer.Context,
    content: Annotated[
        Path, typer.Argument(help="Folder of photos, with class folders or without.", show_default=False)
    ],
    styles: Annotated[Path, typer.Option("--styles", "-s", help="Folder of style pictures.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The new data set.", show_default=False)],
    label: Annotated[str, typer.Option(help="Class of a repaint: style, or the photo's own class: content.")] = "style",
    originals: Annotated[bool, typer.Option("--originals", help="Include the untouched photos.")] = False,
    method: Annotated[
        str | None,
        typer.Option(help="fast: one pass of a network; optimise: slow and close.", show_default="fast"),
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="fast: a name of `impasto network list`.", show_default="impasto-any")
    ] = None,
    size: Annotated[int, typer.Option(help="Longer side in pixels.")] = 256,
    strength: Annotated[
        list[float] | None, typer.Option(help="0..1; several for a repaint each.", show_default="1; optimise: 0.5")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Optimisation steps a picture.", show_default="the preset's")
    ] = None,
    preset: Annotated[str, typer.Option(help="default or gatys2015.")] = "default",
    ratio: Annotated[float, typer.Option(help="gatys2015 only, content : style.")] = 1e8,
    encoder: Annotated[str, typer.Option(help="A name of `impasto encoders`.")] = "impasto-vgg",
    weights: Weights = None,
    fractions: Annotated[
        tuple[float, float, float], typer.Option(help="Shares of train, validation, test; no photo is in two.")
    ] = (0.7, 0.15, 0.15),
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the estimate and stop.")] = False,
    device: Device = "auto",
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Repaint every photo in every style. Killed at any moment, the same command goes on where it stopped."""
    from impasto.data.repaint import FolderPainter
    from impasto.data.repaint_records import RepaintConfig
    from impasto.style.config import DEFAULT_NETWORK, FastConfig, StylizeConfig, config_from, fast_config_from

    strengths = tuple(strength or ())
    common = {
        "size": size,
        "precision": precision,
        "device": device,
        "seed": seed,
        **({"strength": strengths[0]} if strengths else {}),
    }
    method = choose_method(context, method, "fast")
    slow = {"preset": preset, "encoder": encoder, "weights": weights, "steps": steps, "ratio": ratio}
    chosen: StylizeConfig | FastConfig = (
        fast_config_from({**common, "network": network or DEFAULT_NETWORK})
        if method == "fast"
        else config_from({**common, **slow})
    )
    config = RepaintConfig(chosen, label, originals, fractions, strengths)  # type: ignore[arg-type]
    hidden = quiet or as_json
    with progress_bar(hidden) as on_progress:
        painter = FolderPainter(content, styles, output, config, on_progress=on_progress)
        estimate = painter.estimate()
        remark(str(estimate), hidden=hidden)
        if dry_run:
            if as_json:
                print_json(estimate)
            raise typer.Exit
        result = painter.paint()
    for _, reason in result.rejected:
        if not as_json:
            err.print(f"set aside: {reason}", highlight=False, markup=False)
    if as_json:
        print_json(
            {
                "folder": result.folder,
                "painted": result.painted,
                "reused": result.reused,
                "rejected": result.rejected,
                "seconds": result.seconds,
            }
        )
        return
    counts = ", ".join(f"{name} {len(result.dataset.split(name))}" for name in result.dataset.splits)
    remark(f"{result.painted} painted, {result.reused} found, in {human_time(result.seconds)}; {counts}", hidden=quiet)
    typer.echo(str(result.folder))


@app.command("import")
def import_(
    sources: Annotated[list[Path], typer.Argument(help="Folders, zip and tar archives.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The new data set.", show_default=False)],
    table: Annotated[
        Path | None, typer.Option(help="CSV, TSV or Parquet with paths and labels.", show_default="class folders")
    ] = None,
    path_column: Annotated[str, typer.Option(help="Its column of paths.", show_default="guessed")] = "",
    label_column: Annotated[str, typer.Option(help="Its column of labels.", show_default="guessed")] = "",
    split_column: Annotated[str, typer.Option(help="Its column of splits.", show_default="guessed")] = "",
    group_column: Annotated[
        str, typer.Option(help="Its column of what must stay in one split.", show_default="guessed")
    ] = "",
    label_regex: Annotated[
        str, typer.Option(help="Labels from file names: '([a-z]+)_[0-9]+'.", show_default="class folders")
    ] = "",
    rename: Annotated[
        list[str] | None,
        typer.Option(
            help="OLD=NEW, several times; equal names are merged, OLD= leaves a class out.", show_default=False
        ),
    ] = None,
    smallest: Annotated[int, typer.Option(help="Pixels that the shorter side must have.")] = 16,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Make one data set of downloads: each picture once, what is damaged set aside. Sources are left as they are."""
    from impasto.data.importing import REJECTED_NAME, ImportConfig, import_dataset
    from impasto.data.labels import Columns

    columns = Columns(path_column, label_column, split_column, group_column)
    config = ImportConfig(table, columns, label_regex, tuple(_renaming(each) for each in rename or ()), smallest)
    with progress_bar(quiet or as_json) as on_progress:
        result = import_dataset(sources, output, config, on_progress=on_progress)
    if as_json:
        print_json(
            {
                "folder": result.folder,
                "pictures": len(result.dataset),
                "classes": result.dataset.counts(),
                "set_aside": result.kinds(),
                "decoded": result.decoded,
                "seconds": result.seconds,
            }
        )
        return
    counts = ", ".join(f"{label} {count}" for label, count in result.dataset.counts().items())
    remark(f"{len(result.dataset)} pictures in {human_time(result.seconds)}: {counts}", hidden=quiet)
    if result.rejected:
        kinds = ", ".join(f"{count} {kind}" for kind, count in result.kinds().items())
        remark(f"set aside: {kinds}; see {result.folder / REJECTED_NAME}", hidden=quiet)
    typer.echo(str(result.folder))


def _renaming(value: str) -> tuple[str, str]:
    old, sign, new = value.partition("=")
    if not sign or not old:
        raise UsageError(f"--rename {value!r} is not OLD=NEW.")
    return old, new


@app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="A data set.", show_default=False)],
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Look for leaks between splits, doubtful labels, shortcuts and oddities, before any score is believed."""
    from impasto.data.check import check_dataset

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
