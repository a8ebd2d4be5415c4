"""``impasto dataset stylize``: repainting a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.console import AsJson, Device, Quiet, Seed, Weights, err, print_json, progress_bar, remark
from impasto.cli.methods import choose_method
from impasto.runtime import human_time


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
    from impasto.data.repaint.records import RepaintConfig
    from impasto.data.repaint.repainting import FolderPainter
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
