"""``impasto dataset stylize``: repainting a folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.console import AsJson, Device, Quiet, Seed, Weights, err, print_json, progress_bar, remark
from impasto.cli.methods import choose_method
from impasto.errors import UsageError
from impasto.runtime import human_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impasto.data.repaint.choosing import Choice
    from impasto.judged import KeepLabel
    from impasto.style.config import FastConfig, StylizeConfig

AUTO = "auto"


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
        list[str] | None,
        typer.Option(
            metavar="NUMBER|auto",
            help="0..1; several for a repaint each; auto: the strongest that keeps the label, as --judge sees it.",
            show_default="1; optimise: 0.5",
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(help="auto: what names the photos' classes, a folder of `impasto train` or torchvision:<name>."),
    ] = None,
    keep: Annotated[
        float | None,
        typer.Option(help="auto: share of the photo's own probability that a repaint must keep.", show_default="0.5"),
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
    from impasto.style.config import DEFAULT_NETWORK, config_from, fast_config_from

    auto, strengths = _strengths(strength or [], judge, keep)
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
        chooser = _chooser(judge, keep, chosen, device) if auto else None
        painter = FolderPainter(content, styles, output, config, chooser=chooser, on_progress=on_progress)
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
                **({"chosen": [choice.record() for choice in result.choices]} if auto else {}),
            }
        )
        return
    if auto:
        _show_choices(result.choices, str(judge), quiet)
    counts = ", ".join(f"{name} {len(result.dataset.split(name))}" for name in result.dataset.splits)
    remark(f"{result.painted} painted, {result.reused} found, in {human_time(result.seconds)}; {counts}", hidden=quiet)
    typer.echo(str(result.folder))


def _strengths(words: Sequence[str], judge: str | None, keep: float | None) -> tuple[bool, tuple[float, ...]]:
    """Return whether a judge chooses the strengths, and the numbers that were given.

    Raises:
        UsageError: a word that is neither, a number beside auto, or auto without a judge, or a judge without auto.
    """
    if AUTO not in words:
        for name, value in (("judge", judge), ("keep", keep)):
            if value is not None:
                raise UsageError(f"--{name} has no meaning without --strength auto.", "Give --strength auto.")
        return False, tuple(_number(word) for word in words)
    if len(words) > 1:
        raise UsageError("--strength auto stands alone.", "Leave the other strengths out.")
    if judge is None:
        hint = "Give --judge RUN, a folder that `impasto train` wrote for the photos' classes."
        raise UsageError("--strength auto needs somebody who says what keeps the label.", hint)
    return True, ()


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError as error:
        raise UsageError(f"strength {word!r} is neither a number nor auto.", "Write 0.7, or auto.") from error


def _chooser(judge: str | None, keep: float | None, chosen: StylizeConfig | FastConfig, device: str) -> KeepLabel:
    from impasto.judged import KeepLabel, open_judge
    from impasto.style.config import StylizeConfig

    opened = open_judge(str(judge), device=device)
    slow = isinstance(chosen, StylizeConfig)
    return KeepLabel(opened, slow=slow) if keep is None else KeepLabel(opened, keep, slow=slow)


def _show_choices(choices: Sequence[Choice], judge: str, quiet: bool) -> None:
    """Say which strengths were taken, and where the judge is not to be trusted."""
    strengths = Counter(choice.strength for choice in choices)
    told = ", ".join(f"{strength:g} × {count}" for strength, count in sorted(strengths.items(), reverse=True))
    remark(f"strengths: {told}; one row a repaint: strengths.csv", hidden=quiet)
    for reason, count in sorted(Counter(choice.reason for choice in choices).items()):
        remark(f"{count} of {len(choices)}: {reason}", hidden=quiet)
    if taught := sum(choice.taught for choice in choices):
        told = f"{taught} of {len(choices)} repaints are of photos that taught {judge}"
        remark(f"warning: {told}; it knows them, and lets them be painted too strongly", hidden=False)
