"""What ``impasto stylize`` does: open, paint by one of the methods, save, say so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from impasto.cli.console import print_json, progress_bar, remark
from impasto.errors import UsageError
from impasto.images import open_picture
from impasto.runtime import human_time
from impasto.style.apply import FastPainter
from impasto.style.config import DEFAULT_NETWORK, config_from, fast_config_from
from impasto.style.optimize import Painter


@dataclass(frozen=True)
class Shown:
    """Where the picture goes, and what is printed."""

    output: Path | None
    depth: int
    quiet: bool
    as_json: bool


def paint_slowly(content: Path, style: list[str], options: dict[str, Any], shown: Shown) -> None:
    """Repaint by optimisation, with a plan before and a bar during it."""
    if not style:
        raise UsageError("no style was given.", "Give --style PICTURE, or --network NAME.")
    names, shares = split_weights(style)
    painter = Painter(config_from({**options, "style_weights": shares}))
    photo, pictures = open_picture(content), [open_picture(Path(name)) for name in names]
    hidden = shown.quiet or shown.as_json
    remark(str(painter.plan(photo, pictures)), hidden=hidden)
    with progress_bar(hidden) as on_progress:
        result = painter.paint(photo, pictures, on_progress)
    target = shown.output or Path(f"{content.stem}--{Path(names[0]).stem}.png")
    result.save(target, depth=shown.depth)
    if shown.as_json:
        print_json({"output": target, "seconds": result.seconds, "loss": result.trace[-1:], **result.provenance})
    else:
        remark(_summary(result.trace, result.seconds), hidden=shown.quiet)
        typer.echo(str(target))
    if result.interrupted:
        raise KeyboardInterrupt


def paint_fast(content: Path, style: list[str], options: dict[str, Any], shown: Shown) -> None:
    """Repaint in one pass."""
    names, shares = split_weights(style)
    options["network"] = options["network"] or DEFAULT_NETWORK
    painter = FastPainter(fast_config_from({**options, "style_weights": shares}))
    result = painter.paint(open_picture(content), [painter.style(name) for name in names])
    label = "+".join(Path(name).stem for name in names) or painter.network.facts["name"]
    target = shown.output or Path(f"{content.stem}--{label}.png")
    result.save(target, depth=shown.depth)
    if shown.as_json:
        print_json({"output": target, "seconds": result.seconds, **result.provenance})
        return
    size = f"{result.image.shape[3]}x{result.image.shape[2]}"
    remark(f"{size} pixels in {human_time(result.seconds)}", hidden=shown.quiet)
    typer.echo(str(target))


def split_weights(values: list[str]) -> tuple[list[str], tuple[float, ...]]:
    """Read ``a.jpg`` and ``a.jpg:2``; a path that contains a colon and exists is a path."""
    names, shares = [], []
    for value in values:
        head, colon, tail = value.rpartition(":")
        if not colon or Path(value).exists():
            names.append(value)
            shares.append(1.0)
            continue
        try:
            shares.append(float(tail))
        except ValueError as error:
            raise UsageError(f"the weight {tail!r} of --style {value} is no number.", "Write a.jpg:2.") from error
        names.append(head)
    return names, tuple(shares) if len(names) > 1 else ()


def _summary(trace: tuple[dict[str, float], ...], seconds: float) -> str:
    if not trace:
        return "nothing was painted"
    terms = "  ".join(f"{name} {value:.4g}" for name, value in trace[-1].items() if name != "scale")
    return f"{len(trace)} steps in {human_time(seconds)}: {terms}"
