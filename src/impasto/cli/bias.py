"""``impasto bias``: does a network decide by shape or by texture?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.console import AsJson, Device, Quiet, Seed, out, print_json, print_table, progress_bar, remark
from impasto.cli.methods import choose_method
from impasto.cli.models import folder_for, report_skipped

if TYPE_CHECKING:
    from impasto.judged import CueCounts, ShapeBias
    from impasto.style.config import FastConfig, StylizeConfig

# Classes that are printed, those of so many pictures at least; bias.json has all.
_SHOWN, _LEAST = 12, 5


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Explain")(bias)


def bias(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Labelled folder of photos, <class>/; or repaints whose photos and styles lay in class folders.",
        ),
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Folder that `impasto train` wrote, torchvision:<name> or timm:<name>.")
    ],
    pictures: Annotated[int, typer.Option(min=1, help="Cue conflicts to paint, at most.")] = 200,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for all of it.", show_default="RUN/bias")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="fast: one pass of a network; optimise: slow and close.", show_default="fast"),
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="fast: a name of `impasto network list`.", show_default="impasto-any")
    ] = None,
    size: Annotated[int, typer.Option(help="Longer side in pixels.")] = 256,
    strength: Annotated[float | None, typer.Option(help="0..1", show_default="1; optimise: 0.5")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Optimisation steps a picture.", show_default="the preset's")
    ] = None,
    model_weights: Annotated[
        str | None,
        typer.Option("--weights", help="File with the weights of --model, or of its encoder.", show_default="found"),
    ] = None,
    device: Device = "auto",
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Paint photos in the texture of other classes, and count which of the two a network names (Geirhos et al. 2019).

    Conflicts stay in OUT/conflicts; given as DATA they are judged again, by another network for instance.
    """
    from impasto.judged import ConflictConfig, make_conflicts, open_judge, shape_bias
    from impasto.judged.repaints import is_repainted

    folder = output or folder_for(model, "bias")
    hidden = quiet or as_json
    method = choose_method(context, method, "fast")
    judge = open_judge(model, device=device, weights=model_weights)
    with progress_bar(hidden) as on_progress:
        conflicts = data
        if not is_repainted(data):
            common = {"size": size, "device": device, "seed": seed, "strength": strength}
            config = ConflictConfig(_stylize(method, common, network, steps), pictures)
            conflicts = folder / "conflicts"
            made = make_conflicts(data, conflicts, config, classes=judge.classes, on_progress=on_progress)
            report_skipped(made.rejected, hidden)
        result = shape_bias(conflicts, judge, output=folder, on_progress=on_progress)
    if as_json:
        print_json({"folder": folder, **result.record()})
        return
    report_skipped(result.skipped, quiet)
    _show(result)
    if result.taught:
        remark(f"warning: {result.taught} of the content photos taught {result.name}", hidden=False)
    remark(f"{folder / 'bias.csv'}, {folder / 'bias.json'}", hidden=quiet)
    typer.echo(str(folder / "conflicts.png"))


def _stylize(
    method: str, common: dict[str, object], network: str | None, steps: int | None
) -> StylizeConfig | FastConfig:
    from impasto.style.config import DEFAULT_NETWORK, config_from, fast_config_from

    given = {name: value for name, value in common.items() if value is not None}
    if method == "fast":
        return fast_config_from({**given, "network": network or DEFAULT_NETWORK})
    return config_from({**given, "steps": steps})


def _show(result: ShapeBias) -> None:
    kinds = {
        "photo named": result.counted,
        "photo and style named": result.both,
        "all": result.every,
    }
    print_table(
        ["pictures", "", "shape", "texture", "other", "shape bias"],
        [[name, *_cells(counts)] for name, counts in kinds.items()],
    )
    classes = {name: counts for name, counts in result.by_class().items() if counts.n >= _LEAST}
    if classes:
        print_table(
            ["class of the shape", "", "shape", "texture", "other", "shape bias"],
            [[name, *_cells(counts)] for name, counts in list(classes.items())[:_SHOWN]],
        )
    out.print(f"painted by {result.painted}", highlight=False, markup=False)
    out.print(result.words, highlight=False, markup=False)


def _cells(counts: CueCounts) -> list[str]:
    return [str(counts.n), str(counts.shape), str(counts.texture), str(counts.other), str(counts.bias or "none")]
