"""The entry point: collects the commands and turns errors into one line, a hint and an exit status.

Exit status: 0 fine, 1 an error of ours, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from impasto._version import __version__
from impasto.cli import (
    activations,
    bias,
    dataset,
    demo,
    dream,
    embed,
    encoders,
    ensemble,
    evaluate,
    explain,
    export,
    missed,
    network,
    neurons,
    predict,
    study,
    stylize,
    train,
)
from impasto.cli.console import err
from impasto.errors import ImpastoError

app = typer.Typer(
    name="impasto",
    help="Repaint pictures, learn styles, judge honestly: repaint → label → learn → judge → explain.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for room in (
    demo,
    stylize,
    dream,
    dataset,
    network,
    train,
    ensemble,
    evaluate,
    predict,
    explain,
    missed,
    activations,
    neurons,
    bias,
    embed,
    study,
    export,
    encoders,
):
    room.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"impasto {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold the options of the program itself."""


def run() -> None:
    """Run the command line and exit."""
    try:
        app()
    except ImpastoError as error:
        err.print(f"[bold red]error:[/] {_plain(error.message)}", highlight=False)
        if error.hint:
            err.print(f"[bold]hint:[/] {_plain(error.hint)}", highlight=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        err.print("interrupted", highlight=False)
        sys.exit(130)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
