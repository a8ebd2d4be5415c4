"""``embed``: a map of a collection, and what lies near a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli.console import (
    AsJson,
    Device,
    Quiet,
    Seed,
    Weights,
    out,
    print_json,
    print_table,
    progress_bar,
    remark,
)
from impasto.cli.models import report_skipped
from impasto.errors import UsageError

if TYPE_CHECKING:
    from impasto.embed import CollectionMap, Neighbour

# Labels and pairs of classes that are printed; the tables hold all.
_SHOWN = 10


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Explain")(embed)


def embed(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Labelled folder, or one of pictures alone.", show_default=False)
    ],
    network: Annotated[
        str,
        typer.Option(
            "--network", help="A name of `impasto encoders`, a model folder, torchvision:<name> or timm:<name>."
        ),
    ] = "impasto-vgg",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the map.", show_default="map-<DATA>")
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation, test, or all pictures.")] = "all",
    layer: Annotated[str, typer.Option(help="Layer of the network.", show_default="the deepest with a map")] = "",
    method: Annotated[str, typer.Option(help="tsne or pca.")] = "tsne",
    perplexity: Annotated[
        str, typer.Option(help="Neighbours that t-SNE keeps: a number; auto is 30, for few pictures a third of them.")
    ] = "auto",
    neighbours: Annotated[
        int, typer.Option(min=1, help="Nearest pictures that are counted, asked about labels, and printed.")
    ] = 10,
    query: Annotated[
        Path | None, typer.Option(metavar="PICTURE", help="Print the pictures nearest to this one.")
    ] = None,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Whether map.html is written.")] = True,
    weights: Weights = None,
    device: Device = "auto",
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Draw a map on which pictures lie beside those that a network takes for alike.

    Writes a table, a figure and a page to explore, says how far the map can be believed, and names labels that may be
    wrong. The same command again reads the finished map.
    """
    from impasto.embed import EmbedConfig, nearest_pictures
    from impasto.embed import embed as make

    config = EmbedConfig(
        data,
        network=network,
        layer=layer,
        split=split,
        method=method,  # type: ignore[arg-type]
        perplexity=_number(perplexity),
        neighbours=neighbours,
        weights=weights,
        device=device,
        seed=seed,
    )
    folder = output or Path(f"map-{data.resolve().name}")
    with progress_bar(quiet or as_json) as on_progress:
        found = make(config, folder, on_progress=on_progress)
        if page:
            from impasto.report.collection import PAGE_NAME, build_collection_page

            if not (folder / PAGE_NAME).is_file():
                build_collection_page(found, folder / PAGE_NAME, on_progress=on_progress)
    near = nearest_pictures(config, found, query, neighbours) if query else None
    if as_json:
        print_json(_record(found, near))
        return
    report_skipped([(str(item.path), item.reason) for item in found.skipped], quiet)
    if near is None:
        _show_map(found)
    else:
        _show_neighbours(found, near)
    remark(f"Map in {folder}: {'map.html, ' if page else ''}map.png, map.csv, suspects.csv", hidden=quiet)


def _number(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"perplexity {text!r} is no number.", "Choose 5 .. 50, or auto.") from error


def _record(found: CollectionMap, near: list[Neighbour] | None) -> dict[str, object]:
    names = found.names
    record = {
        "pictures": len(found.dataset),
        "config": found.config,
        "facts": found.facts,
        "suspects": [{"path": names[item.index], **vars(item)} for item in found.suspects],
        "mixtures": found.mixtures,
        "duplicates": [
            {**vars(twin), "first": names[twin.first], "second": names[twin.second]} for twin in found.twins
        ],
        "skipped": found.skipped,
    }
    if near is not None:
        record["nearest"] = [
            {"path": names[item.index], "label": item.sample.label, "similarity": item.similarity} for item in near
        ]
    return record


def _show_map(found: CollectionMap) -> None:
    from impasto.embed.figure import summary

    for line in summary(found):
        out.print(line, highlight=False, markup=False)
    mixed = [item for item in found.mixtures if item.share > item.expected or item.share >= 0.05][:_SHOWN]
    if mixed:
        rows = [[m.label, m.among, f"{m.share:.1%}", f"{m.expected:.1%}"] for m in mixed]
        print_table(["pictures of", "have neighbours of", "share", "by chance"], rows)
    if found.suspects:
        names = found.names
        rows = [
            [names[s.index], s.label, f"{s.suggested} {s.other:.0%}", f"{s.other_votes:.0%} to {s.own_votes:.0%}"]
            for s in found.suspects[:_SHOWN]
        ]
        print_table([f"label may be wrong ({len(found.suspects)})", "label", "probe", "neighbours"], rows)
    if found.twins:
        pairs = "1 pair" if len(found.twins) == 1 else f"{len(found.twins)} pairs"
        remark(f"{pairs} of equal or nearly equal pictures: duplicates.csv", hidden=False)


def _show_neighbours(found: CollectionMap, near: list[Neighbour]) -> None:
    names = found.names
    rows = [
        [str(rank), names[item.index], item.sample.label, f"{item.similarity:.3f}", f"{1 - item.similarity:.3f}"]
        for rank, item in enumerate(near, 1)
    ]
    print_table(["", "picture", "label", "cosine", "distance"], rows)
