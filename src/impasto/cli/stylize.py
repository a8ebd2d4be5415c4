"""``impasto stylize``: the command line of it; what it does is in ``stylize_methods``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.console import AsJson, Device, Quiet, Seed, Weights
from impasto.cli.methods import choose_method


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("stylize", rich_help_panel="Repaint")(stylize)


def stylize(
    context: typer.Context,
    content: Annotated[Path, typer.Argument(help="The photo; fast: or a video.", show_default=False)],
    style: Annotated[
        list[str] | None,
        typer.Option("--style", "-s", help="Style picture, with a weight if several: a.jpg:2", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="PNG, JPEG, WebP or TIFF.", show_default="<content>--<style>.png"),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="optimise: slow and close; fast: one pass of a network.", show_default="optimise")
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(help="fast: a name of `impasto network list`, or a file.", show_default="impasto-any, any style"),
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Longer side in pixels.", show_default="512; fast: the photo's")
    ] = None,
    strength: Annotated[
        float | None, typer.Option(help="0..1: more photo or more style.", show_default="0.5; fast: 1")
    ] = None,
    keep_colour: Annotated[bool, typer.Option("--keep-colour", help="Paint with the photo's colours.")] = False,
    style_size: Annotated[
        float, typer.Option(help="Size of the style pictures against the result: below 1, finer.")
    ] = 1.0,
    preset: Annotated[str, typer.Option(help="default, or gatys2015 for R1's equations.")] = "default",
    steps: Annotated[int | None, typer.Option(help="Optimisation steps in all.", show_default="the preset's")] = None,
    ratio: Annotated[
        float, typer.Option(help="gatys2015 only, content : style. 1e9 light, 1e8 medium, 1e7 heavy.")
    ] = 1e8,
    encoder: Annotated[str, typer.Option(help="A name of `impasto encoders`, or two joined by +.")] = "impasto-vgg",
    weights: Weights = None,
    init: Annotated[
        str, typer.Option(help="content, noise, fast (one pass first), or a picture to go on from.")
    ] = "content",
    dream: Annotated[
        str,
        typer.Option(help="Amplify a layer, fire9, or channels, fire9:12,40; join by +; or auto.", show_default=""),
    ] = "",
    dream_strength: Annotated[float, typer.Option(help="1 leaves style and content nearly as they are.")] = 1.0,
    compare_plain: Annotated[
        bool, typer.Option("--compare-plain", help="Paint without the dream, too, and print what it costs.")
    ] = False,
    pooling: Annotated[str, typer.Option(help="max or average.")] = "max",
    padding: Annotated[str, typer.Option(help="zeros, replicate or reflect.")] = "zeros",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    memory: Annotated[
        float | None, typer.Option(help="fast: GB to use at most.", show_default="half of what is free")
    ] = None,
    smoothing: Annotated[float | None, typer.Option(help="Videos, 0..1: against flicker.", show_default="0.6")] = None,
    depth: Annotated[int, typer.Option(help="Bits a channel: 8, or 16 for TIFF.")] = 8,
    device: Device = "auto",
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Repaint a picture in the style of another. Ctrl-C keeps the best until then."""
    from impasto.cli.stylize_methods import Shown, paint_fast, paint_slowly

    chosen = choose_method(context, method, "optimise")
    common = {"style_size": style_size, "keep_colour": keep_colour, "precision": precision, "device": device}
    if strength is not None:
        common["strength"] = strength
    shown = Shown(output, depth, quiet, as_json, compare_plain)
    if chosen == "fast":
        limit = {} if memory is None else {"memory": int(memory * 2**30)}
        fast = {"network": network, "size": size, "smoothing": smoothing}
        paint_fast(content, style or [], {**common, **limit, **fast}, shown)
        return
    options = {
        "preset": preset,
        "encoder": encoder,
        "weights": weights,
        "size": 512 if size is None else size,
        "steps": steps,
        "ratio": ratio,
        "init": init,
        "dream": dream,
        "dream_strength": dream_strength,
        "pooling": pooling,
        "padding": padding,
        "seed": seed,
    }
    paint_slowly(content, style or [], {**common, **options}, shown)
