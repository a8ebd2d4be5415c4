"""``impasto dream``: DeepDream over a photo, or from noise; as a still picture or as a fall into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from impasto.cli.console import AsJson, Device, Quiet, Seed, Weights, print_json, progress_bar, remark

if TYPE_CHECKING:
    from impasto.dream import Dreamer
    from impasto.images import Picture


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("dream", rich_help_panel="Repaint")(dream)


def dream(
    photo: Annotated[Path | None, typer.Argument(help="The photo; none for noise.", show_default=False)] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="PNG, JPEG, WebP or TIFF; with --zoom GIF, MP4, or a folder for the frames.",
            show_default="<photo>--dream.png",
        ),
    ] = None,
    network: Annotated[
        str, typer.Option(help="A name of `impasto encoders`, a model folder, torchvision:<name> or timm:<name>.")
    ] = "impasto-vgg",
    weights: Weights = None,
    layer: Annotated[
        str,
        typer.Option(
            help="Layer; fire6:12,40 for channels, fire6+fire8=0.5 for several and weights.",
            show_default="one that dreams well",
        ),
    ] = "",
    channel: Annotated[str, typer.Option(help="Channels of the layer: 12,40 or 0-15.", show_default="all")] = "",
    class_name: Annotated[
        str, typer.Option("--class", help="Dream of a class of a classifier.", show_default=False)
    ] = "",
    objective: Annotated[str, typer.Option(help="energy, mean, guide or guide-cosine.")] = "energy",
    guide: Annotated[Path | None, typer.Option(help="Picture whose features are followed.", show_default=False)] = None,
    size: Annotated[
        int | None, typer.Option(help="Longer side in pixels.", show_default="the photo's, at most 768")
    ] = None,
    octaves: Annotated[int, typer.Option(help="Sizes that are dreamed at, one after the other.")] = 4,
    octave_ratio: Annotated[float, typer.Option(help="Ratio of one size to the one before.")] = 1.4,
    steps: Annotated[int, typer.Option(help="Steps at each size.")] = 10,
    step_size: Annotated[float, typer.Option(help="Mean change of a value in a step, of the range 0..1.")] = 0.01,
    jitter: Annotated[int, typer.Option(help="Pixels by which the picture is moved between steps.")] = 32,
    tile: Annotated[str, typer.Option(help="Side of windows in pixels, for little memory; auto.")] = "auto",
    zoom: Annotated[int | None, typer.Option(help="Fall into the dream: so many frames.", show_default=False)] = None,
    zoom_by: Annotated[float, typer.Option(help="Enlargement from frame to frame.")] = 1.03,
    rate: Annotated[int, typer.Option(help="Frames a second.")] = 12,
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    device: Device = "auto",
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Let a network make more of what it sees in a photo (DeepDream). Ctrl-C keeps what is there."""
    from impasto.dream import Dreamer, ZoomConfig
    from impasto.dream.config import dream_config_from
    from impasto.images import open_picture

    options: dict[str, Any] = {
        "network": network,
        "weights": weights,
        "layers": _layers(layer, channel),
        "class_name": class_name,
        "objective": objective,
        "size": size,
        "octaves": octaves,
        "octave_ratio": octave_ratio,
        "steps": steps,
        "step_size": step_size,
        "jitter": jitter,
        "tile": _tile(tile),
        "precision": precision,
        "device": device,
        "seed": seed,
    }
    config = dream_config_from(options)
    stem = photo.stem if photo else "noise"
    target = output or Path(f"{stem}--dream.{'png' if zoom is None else 'gif'}")
    if zoom is None:
        _check_format(target)
    picture = None if photo is None else open_picture(photo)
    dreamer = Dreamer(config, guide=None if guide is None else open_picture(guide))
    remark(f"dreaming of {class_name or dreamer.layers} of {dreamer.subject.name}", hidden=quiet or as_json)
    if zoom is None:
        _still(dreamer, picture, target, quiet, as_json)
    else:
        settings = ZoomConfig(frames=zoom, zoom=zoom_by, rate=rate)
        _clip(dreamer, picture, target, settings, quiet, as_json)


def _still(dreamer: Dreamer, photo: Picture | None, target: Path, quiet: bool, as_json: bool) -> None:
    from impasto.runtime import human_time

    with progress_bar(quiet or as_json) as on_progress:
        result = dreamer.dream(photo, on_progress)
    result.save(target)
    if as_json:
        print_json({"output": target, "seconds": result.seconds, "trace": result.trace, **result.provenance})
    else:
        size = f"{result.image.shape[3]}x{result.image.shape[2]}"
        remark(f"{size} pixels, {len(result.trace)} steps in {human_time(result.seconds)}", hidden=quiet)
        typer.echo(str(target))
    if result.interrupted:
        raise KeyboardInterrupt


def _clip(dreamer: Dreamer, photo: Picture | None, target: Path, settings: Any, quiet: bool, as_json: bool) -> None:
    from impasto.dream import dream_zoom
    from impasto.runtime import human_time

    with progress_bar(quiet or as_json) as on_progress:
        result = dream_zoom(dreamer, photo, target, settings, on_progress)
    if as_json:
        print_json(result)
    else:
        remark(f"{result.frames} frames, {result.dreamed} of them in {human_time(result.seconds)}", hidden=quiet)
        typer.echo(str(result.path))
    if result.interrupted:
        raise KeyboardInterrupt


def _check_format(target: Path) -> None:
    """Refuse, before anything is dreamed, a place where no picture can be written."""
    from impasto.errors import UsageError
    from impasto.images import check_picture_path
    from impasto.style.clips import is_clip

    try:
        check_picture_path(target)
    except UsageError as error:
        if is_clip(target):
            raise UsageError(error.message, f"{error.hint} --zoom FRAMES makes a GIF or a video.") from error
        raise


def _layers(layer: str, channel: str) -> str:
    """Return the layers with the channels of ``--channel``, which belong to one layer."""
    from impasto.dream.targets import parse_channels
    from impasto.errors import UsageError

    if not channel:
        return layer
    if not layer or any(sign in layer for sign in ":+="):
        raise UsageError("--channel belongs to one --layer.", "Write --layer fire6:12,40+fire8:3 for several.")
    return f"{layer}:{','.join(map(str, parse_channels(channel)))}"


def _tile(text: str) -> int | None:
    from impasto.errors import UsageError

    if text == "auto":
        return None
    if not text.isdecimal():
        raise UsageError(f"--tile {text} is no number of pixels.", "Write auto or 512.")
    return int(text)
