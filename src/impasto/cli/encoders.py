"""``impasto encoders``: the networks that can be used, and whether their weights are here."""

from __future__ import annotations

import typer

from impasto.cli.console import AsJson, print_json, print_table


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("encoders", rich_help_panel="About")(encoders)


def encoders(as_json: AsJson = False) -> None:
    """List the encoders: layers, parameters, licence, and where their weights are."""
    from impasto.encoders import ENCODERS
    from impasto.encoders.weights import find_weights, weights_folders

    records = []
    for spec in ENCODERS.values():
        path = find_weights(spec)
        here = (
            "embedded" if spec.embedded else f"file {path.name}" if path else "to be fetched" if spec.url else "absent"
        )
        records.append(
            {
                "name": spec.name,
                "parameters": spec.parameters(),
                "weights": here,
                "content": list(spec.content_layers),
                "style": list(spec.style_layers),
                "recognition": spec.recognition,
                "layers": list(spec.layers),
                "licence": spec.licence,
                "source": spec.source,
            }
        )
    if as_json:
        print_json(records)
        return
    rows = [
        [
            str(each["name"]),
            f"{each['parameters'] / 1e6:.1f} M",  # type: ignore[operator]
            str(each["weights"]),
            _shortened(each["layers"]),  # type: ignore[arg-type]
            str(each["licence"]),
        ]
        for each in records
    ]
    print_table(["encoder", "parameters", "weights", "layers", "licence"], rows)
    typer.echo("timm:<name> is any network of timm (extra timm); a+b takes layers from a first, then from b.")
    typer.echo(f"Weights files are looked for in {', '.join(map(str, weights_folders()))} and torch's hub cache.")


def _shortened(layers: list[str]) -> str:
    return ", ".join(layers) if len(layers) <= 6 else f"{', '.join(layers[:3])} .. {layers[-1]} ({len(layers)})"
