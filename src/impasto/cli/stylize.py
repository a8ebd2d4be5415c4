"""``impasto stylize``: one picture in the style of one or several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.console import AsJson, Device, Quiet, Seed, Weights, print_json, progress_bar, remark
from impasto.errors import UsageError
from impasto.runtime import human_time

if TYPE_CHECKING:
    from impasto.style.apply import FastConfig


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("stylize", rich_help_panel="Repaint")(stylize)


def stylize(
    context: typer.Context,
    content: Annotated[Path, typer.Argument(help="The photo.", show_default=False)],
    style: Annotated[
        list[str] | None,
        typer.Option("--style", "-s", help="Style picture, with a weight if several: a.jpg:2", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="PNG, JPEG, WebP or TIFF.", show_default="<content>--<style>.png"),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(help="Repaint in one pass with this network: a name of `impasto network list`, or a file."),
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Longer side in pixels.", show_default="512; the photo's with --network")
    ] = None,
    strength: Annotated[float, typer.Option(help="0..1: more photo or more style.")] = 0.5,
    preset: Annotated[str, typer.Option(help="default, or gatys2015 for R1's equations.")] = "default",
    steps: Annotated[int | None, typer.Option(help="Optimisation steps in all.", show_default="the preset's")] = None,
    ratio: Annotated[
        float, typer.Option(help="gatys2015 only, content : style. 1e9 light, 1e8 medium, 1e7 heavy.")
    ] = 1e8,
    encoder: Annotated[str, typer.Option(help="A name of `impasto encoders`, or two joined by +.")] = "impasto-vgg",
    weights: Weights = None,
    init: Annotated[str, typer.Option(help="content, noise, or a picture to go on from.")] = "content",
    style_size: Annotated[
        float, typer.Option(help="Size of the style pictures against the result: below 1, finer.")
    ] = 1.0,
    pooling: Annotated[str, typer.Option(help="max or average.")] = "max",
    padding: Annotated[str, typer.Option(help="zeros, replicate or reflect.")] = "zeros",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    memory: Annotated[
        float | None, typer.Option(help="With --network: GB to use at most.", show_default="half of what is free")
    ] = None,
    depth: Annotated[int, typer.Option(help="Bits a channel: 8, or 16 for TIFF.")] = 8,
    device: Device = "auto",
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Repaint a picture in the style of another, or with a network. Ctrl-C keeps the best until then."""
    from impasto.images import open_picture
    from impasto.style.apply import FastConfig
    from impasto.style.config import config_from
    from impasto.style.optimize import Painter

    if network is not None:
        _check_options(context)
        limit = None if memory is None else int(memory * 2**30)
        _paint_fast(content, FastConfig(network, size, limit, device), output, depth, quiet, as_json)
        return
    if not style:
        raise UsageError("no style was given.", "Give --style PICTURE, or --network NAME.")
    if memory is not None:
        raise UsageError("--memory has no meaning without --network.", "The plan says what --size would fit.")
    paths, shares = _styles(style)
    config = config_from(
        {
            "preset": preset,
            "encoder": encoder,
            "weights": weights,
            "size": 512 if size is None else size,
            "steps": steps,
            "strength": strength,
            "ratio": ratio,
            "style_weights": shares,
            "style_size": style_size,
            "init": init,
            "pooling": pooling,
            "padding": padding,
            "precision": precision,
            "device": device,
            "seed": seed,
        }
    )
    target = output or Path(f"{content.stem}--{paths[0].stem}.png")
    photo, pictures = open_picture(content), [open_picture(path) for path in paths]
    painter = Painter(config)
    hidden = quiet or as_json
    remark(str(painter.plan(photo, pictures)), hidden=hidden)
    with progress_bar(hidden) as on_progress:
        result = painter.paint(photo, pictures, on_progress)
    result.save(target, depth=depth)
    if as_json:
        print_json({"output": target, "seconds": result.seconds, "loss": result.trace[-1:], **result.provenance})
    else:
        remark(_summary(result.trace, result.seconds), hidden=quiet)
        typer.echo(str(target))
    if result.interrupted:
        raise KeyboardInterrupt


def _check_options(context: typer.Context) -> None:
    """Refuse options that mean nothing to a network, rather than ignore them."""
    known = {"content", "output", "network", "size", "memory", "depth", "device", "quiet", "as_json"}
    for name in context.params.keys() - known:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option} has no meaning with --network.", "A network paints in the style it has learned."
            )


def _paint_fast(
    content: Path,
    config: FastConfig,
    output: Path | None,
    depth: int,
    quiet: bool,
    as_json: bool,
) -> None:
    from impasto.images import open_picture
    from impasto.style.apply import FastPainter

    painter = FastPainter(config)
    result = painter.paint(open_picture(content))
    target = output or Path(f"{content.stem}--{painter.network.facts['name']}.png")
    result.save(target, depth=depth)
    if as_json:
        print_json({"output": target, "seconds": result.seconds, **result.provenance})
        return
    remark(f"{result.image.shape[3]}x{result.image.shape[2]} pixels in {human_time(result.seconds)}", hidden=quiet)
    typer.echo(str(target))


def _summary(trace: tuple[dict[str, float], ...], seconds: float) -> str:
    if not trace:
        return "nothing was painted"
    terms = "  ".join(f"{name} {value:.4g}" for name, value in trace[-1].items() if name != "scale")
    return f"{len(trace)} steps in {human_time(seconds)}: {terms}"


def _styles(values: list[str]) -> tuple[list[Path], tuple[float, ...]]:
    """Read ``a.jpg`` and ``a.jpg:2``; a path that contains a colon and exists is a path."""
    paths, shares = [], []
    for value in values:
        head, colon, tail = value.rpartition(":")
        if not colon or Path(value).exists():
            paths.append(Path(value))
            shares.append(1.0)
            continue
        try:
            shares.append(float(tail))
        except ValueError as error:
            raise UsageError(f"the weight {tail!r} of --style {value} is no number.", "Write a.jpg:2.") from error
        paths.append(Path(head))
    return paths, tuple(shares) if len(paths) > 1 else ()
