"""``impasto dataset fetch``: from a public source to a data set."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.console import AsJson, Quiet, Seed, print_json, print_table, progress_bar, remark
from impasto.cli.dataset.importing import Classes, PerClass, show, told
from impasto.errors import UsageError
from impasto.runtime import human_bytes


def fetch(
    name: Annotated[
        str | None, typer.Argument(help="A name of `impasto dataset fetch --list`.", show_default=False)
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The new data set.", show_default=False)] = None,
    label_column: Annotated[
        str, typer.Option(help="wikiart: artist, genre or style.", show_default="the source's usual one")
    ] = "",
    classes: Classes = None,
    per_class: PerClass = None,
    listed: Annotated[bool, typer.Option("--list", help="Print the public sources and stop.")] = False,
    seed: Seed = 0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Download a public data set, verify it, and make it a data set of ours. Killed, the same command goes on.

    Downloads lie in $IMPASTO_CACHE/downloads/NAME, or below your cache folder,
    and stay there: remove them when you do not need them any more. A file that
    you put there yourself is verified and used without any network.

    Of wikiart's 30 GB one file of half a gigabyte is fetched at a time, no more
    files than are needed, and only the pictures that are wanted stay.
    """
    if listed:
        _print_list(as_json)
        return
    if name is None or output is None:
        missing = "name of a source" if name is None else "output folder"
        raise UsageError(f"no {missing} was given.", "impasto dataset fetch NAME -o OUT; --list shows the names.")
    from impasto.data.fetch.catalogue import find_source
    from impasto.data.fetch.fetching import FetchConfig, fetch_dataset

    source = find_source(name)
    hidden = quiet or as_json
    remark(f"{source.title}; licence: {source.licence}. {source.terms}", hidden=hidden)
    if source.restricted:
        remark("its terms allow research or non-commercial use only", hidden=hidden)
    config = FetchConfig(label_column, tuple(classes or ()), per_class, seed)
    with progress_bar(hidden) as on_progress:
        result = fetch_dataset(source, output, config, on_progress=on_progress)
    if as_json:
        print_json({"source": source.name, "licence": source.licence, "terms": source.terms, **told(result)})
        return
    show(result, quiet)


def _print_list(as_json: bool) -> None:
    from impasto.data.fetch.catalogue import CATALOGUE

    if as_json:
        print_json([asdict(source) for source in CATALOGUE.values()])
        return
    rows = [
        [
            each.name,
            f"{each.title}: {each.about}",
            f"{each.pictures:,}",
            human_bytes(each.size),
            f"{each.licence}. {each.terms}",
        ]
        for each in CATALOGUE.values()
    ]
    print_table(["source", "what it is", "pictures", "download", "licence and terms"], rows)
    typer.echo("Numbers are about right. Kaggle and the hub need the extra: pip install 'impasto[sources]'.")
