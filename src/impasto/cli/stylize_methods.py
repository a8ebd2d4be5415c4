"""What ``impasto stylize`` does: open, paint by one of the methods, save, say so."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer
from PIL import Image
from torch import Tensor

from impasto.cli.console import print_json, print_table, progress_bar, remark
from impasto.errors import UsageError
from impasto.images import Picture, check_picture_path, open_picture, resize_long
from impasto.runs import to_plain
from impasto.runtime import human_time
from impasto.style.apply import FastPainter
from impasto.style.clips import is_clip
from impasto.style.config import DEFAULT_NETWORK, config_from, fast_config_from
from impasto.style.dream_compare import compare_dream
from impasto.style.optimize import Painter, StylizeResult
from impasto.style.video import VideoConfig, repaint_video


@dataclass(frozen=True)
class Shown:
    """Where the picture goes, and what is printed."""

    output: Path | None
    depth: int
    quiet: bool
    as_json: bool
    compare_plain: bool = False


def paint_slowly(content: Path, style: list[str], options: dict[str, Any], shown: Shown) -> None:
    """Repaint by optimisation, with a plan before and a bar during it."""
    if not style:
        raise UsageError("no style was given.", "Give --style PICTURE, or --network NAME.")
    names, shares = split_weights(style)
    target = shown.output or Path(f"{content.stem}--{Path(names[0]).stem}.png")
    check_picture_path(target, shown.depth)
    painter = Painter(config_from({**options, "style_weights": shares}))
    if shown.compare_plain and not painter.config.dream:
        raise UsageError("--compare-plain has no meaning without --dream.", "Give --dream, for instance auto.")
    photo, pictures = open_picture(content), [open_picture(Path(name)) for name in names]
    hidden = shown.quiet or shown.as_json
    if painter.config.dream:
        remark(painter.dream(photo, pictures).description(), hidden=hidden)
    remark(str(painter.plan(photo, pictures)), hidden=hidden)
    with progress_bar(hidden) as on_progress:
        result = painter.paint(photo, pictures, on_progress)
    result.save(target, depth=shown.depth)
    remark(_summary(result.trace, result.seconds), hidden=hidden)
    compared = {}
    if shown.compare_plain and not result.interrupted:
        compared = {"compared": _compare(painter, photo, pictures, result, target, shown)}
    if shown.as_json:
        facts = {"output": target, "seconds": result.seconds, "loss": result.trace[-1:], **result.provenance}
        print_json({**facts, **compared})
    else:
        typer.echo(str(target))
    if result.interrupted:
        raise KeyboardInterrupt


def _compare(
    painter: Painter, photo: Picture, styles: list[Picture], dreaming: StylizeResult, target: Path, shown: Shown
) -> dict[str, Any]:
    """Paint without the dream, save that beside ``target``, and print or return the table."""
    hidden = shown.quiet or shown.as_json
    with progress_bar(hidden) as on_progress:
        found = compare_dream(painter, photo, styles, dreaming, on_progress)
    plain = found.plain.save(target.with_stem(f"{target.stem}-plain"), depth=shown.depth)
    if not shown.as_json:
        rows = [
            [row.measure, row.encoder, *(f"{value:.4g}" for value in (row.photo, row.plain, row.dreaming, row.ratio))]
            for row in found.rows
        ]
        print_table(["measure", "by", "photo", "plain", "dreaming", "dreaming / plain"], rows)
        remark(found.verdict(), hidden=hidden)
        typer.echo(str(plain))
    return {"plain": str(plain), "within_tolerance": found.holds, "rows": [asdict(row) for row in found.rows]}


def paint_fast(content: Path, style: list[str], options: dict[str, Any], shown: Shown) -> None:
    """Repaint in one pass."""
    options["network"] = options["network"] or DEFAULT_NETWORK
    if is_for_clips(content, shown.output):
        paint_clip(content, style, options, shown)
        return
    if options.pop("smoothing") is not None:
        raise UsageError("--smoothing has no meaning for a still picture.", "It is for videos.")
    names, shares = split_weights(style)
    if shown.output:
        check_picture_path(shown.output, shown.depth)
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


def paint_clip(content: Path, style: list[str], options: dict[str, Any], shown: Shown) -> None:
    """Repaint a video frame by frame in one pass each."""
    names, shares = split_weights(style)
    smoothing = options.pop("smoothing")
    settings = VideoConfig() if smoothing is None else VideoConfig(smoothing)
    painter = FastPainter(fast_config_from({**options, "style_weights": shares}))
    styles = [painter.style(name) for name in names]
    label = "+".join(Path(name).stem for name in names) or painter.network.facts["name"]
    target = shown.output or content.with_name(f"{content.stem}--{label}{content.suffix}")
    size = painter.config.size

    def paint(frame: Image.Image) -> Tensor:
        return painter.paint_image(frame if size is None else resize_long(frame, size), styles)

    facts = {"config": to_plain(painter.config), **painter.identity(), "styles": [digest_of(each) for each in styles]}
    with progress_bar(shown.quiet or shown.as_json) as on_progress:
        result = repaint_video(content, target, paint, settings, facts=facts, on_progress=on_progress)
    if shown.as_json:
        print_json(result)
        return
    if result.problem:
        remark(result.problem, hidden=shown.quiet)
    remark(
        f"{result.frames} frames in {human_time(result.seconds)}, {result.painted / result.seconds:.1f} a second; "
        f"flicker {result.flicker:.2g}, frame by frame {result.flicker_alone:.2g}",
        hidden=shown.quiet,
    )
    typer.echo(str(result.path))


def is_for_clips(content: Path, output: Path | None) -> bool:
    """Whether moving pictures come out: a GIF may be a still picture, so there the output's name decides."""
    if not is_clip(content) or (output is not None and not is_clip(output)):
        return False
    return content.suffix.lower() != ".gif" or output is not None


def digest_of(style: Picture | str) -> str:
    """Return what tells a style from another."""
    return style if isinstance(style, str) else style.sha256


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
