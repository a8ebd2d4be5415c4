"""``impasto dataset``: making and mending labelled folders of pictures, a module for each command."""

from __future__ import annotations

import typer

from impasto.cli.dataset import card, check, fetch, importing, score, split, stylize

app = typer.Typer(help="Make and mend labelled folders of pictures.", no_args_is_help=True)
app.command("stylize")(stylize.stylize)
app.command("score")(score.score)
app.command("import")(importing.import_)
app.command("fetch")(fetch.fetch)
app.command("split")(split.split)
app.command("check")(check.check)
app.command("card")(card.card)


def register(program: typer.Typer) -> None:
    """Add the commands to the program."""
    program.add_typer(app, name="dataset", rich_help_panel="Repaint")
