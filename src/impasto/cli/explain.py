"""``impasto explain``: where in pictures a network finds what it answers, and whether that can be believed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.console import AsJson, Device, Quiet, Seed, Weights, out, print_json, print_table, progress_bar, remark
from impasto.cli.models import folder_for, report_skipped
from impasto.cli.pictures import labelled_pictures

if TYPE_CHECKING:
    from impasto.explain import Explanation

Network = Annotated[
    str,
    typer.Argument(metavar="NETWORK", help="Folder that `impasto train` wrote, torchvision:<name> or timm:<name>."),
]
PictureNames = Annotated[
    list[str],
    typer.Argument(
        metavar="PICTURES", help="Picture files, folders or patterns; a labelled folder with <class>/ has labels."
    ),
]
# Rows that are printed; manifest.json has all.
_SHOWN = 24


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Explain")(explain)


def explain(
    network: Network,
    pictures: PictureNames,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for pictures, arrays and page.", show_default="RUN/explained"),
    ] = None,
    method: Annotated[
        str, typer.Option(help="grad-cam, grad-cam++, ablation-cam, integrated-gradients or occlusion.")
    ] = "grad-cam",
    target: Annotated[
        str, typer.Option(help="A class or a sum: 'monet - sisley'; predicted, next, label.")
    ] = "predicted",
    layer: Annotated[
        str, typer.Option(help="Whose places are shown.", show_default="the deepest that has places")
    ] = "",
    check: Annotated[int, typer.Option(min=0, help="Pictures that the verdict is made from; 0 for no verdict.")] = 16,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures that are looked at together.")] = 16,
    weights: Weights = None,
    device: Device = "auto",
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show where in pictures a network finds what it answers, with a verdict on whether that can be believed."""
    from impasto.explain import ExplainConfig
    from impasto.explain import explain as look
    from impasto.explain.explaining import PAGE_NAME
    from impasto.report.explanation import build_explanation_page
    from impasto.subjects import load_subject

    folder = output or folder_for(network, "explained")
    config = ExplainConfig(method, target, layer, check, batch_size, seed)
    subject = load_subject(network, device=device, weights=weights, seed=seed)
    with progress_bar(quiet or as_json) as on_progress:
        result = look(subject, labelled_pictures(pictures), config, output=folder, on_progress=on_progress)
    page = build_explanation_page(result, folder / PAGE_NAME)
    if as_json:
        print_json({"folder": folder, "page": page, **result.record()})
        return
    report_skipped(result.skipped, quiet)
    _show(result)
    remark(f"{folder / 'maps.png'}, {folder / 'pictures'}, {folder / 'maps.safetensors'}", hidden=quiet)
    typer.echo(str(page))


def _show(result: Explanation) -> None:
    out.print(result.title, highlight=False, markup=False)
    print_table(
        ["picture", "answer", "target", "against", ""],
        [
            [
                item.sample.path.name,
                f"{item.answer} {item.probability:.0%}",
                f"{item.value:.2f}",
                f"{item.record()['against']:.0%}",
                item.remark,
            ]
            for item in result.items[:_SHOWN]
        ],
    )
    if len(result.items) > _SHOWN:
        out.print(f"and {len(result.items) - _SHOWN} more, see manifest.json", highlight=False)
    if result.verdict:
        marks = {True: "passed", False: "FAILED", None: "cannot tell"}
        print_table(
            ["check", "", "what was seen"],
            [[check.name, marks[check.passed], check.text] for check in result.verdict.checks],
        )
    for shortcut in result.shortcuts:
        out.print(shortcut.words, highlight=False, markup=False)
    if result.verdict:
        out.print(result.verdict.words, highlight=False, markup=False)
