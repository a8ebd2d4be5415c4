"""The page of a map: every picture of a collection as a dot or a thumbnail, to move about in; one HTML file."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup
from torch import Tensor

from impasto._version import __version__
from impasto.embed.figure import COLOURS, MARKERS
from impasto.embed.quality import MapQuality
from impasto.embed.result import CollectionMap
from impasto.files import write_text
from impasto.report.collection_sprites import COLUMNS, ROWS, Sprites, make_sprites
from impasto.report.page import environment
from impasto.report.wording import percent, plural
from impasto.runtime import OnProgress, ignore_progress

PAGE_NAME = "map.html"
# Rows of tables; the files beside the page hold all.
MOST_SUSPECTS, MOST_TWINS, MOST_MIXED = 48, 24, 15
_SCRIPTS = ("collection_dots.js", "collection.js")
# Neighbours that are shown of a picture.
_NEIGHBOURS = 8
MAP_NAMES = {"tsne": "t-SNE", "pca": "principal components"}
# The colours of the figure, lighter, for a dark page.
_ON_DARK = ("#ef8a66", "#4fa8ea", "#2fc79a", "#e3a6c8", "#f2bb45", "#96d5fa", "#b9b4ad", "#b79fdb")


def build_collection_page(found: CollectionMap, output: Path, on_progress: OnProgress = ignore_progress) -> Path:
    """Write the page of a map, one file that needs no network; the same map gives the same bytes.

    Args:
        found: the map. Pictures are read again, for thumbnails; one that has changed since has none.
        output: the HTML file.
        on_progress: told after each sheet of thumbnails.

    Raises:
        UsageError: ``output`` cannot be written. ResourceError: the disk is full.
    """
    sprites = make_sprites(found.dataset.samples, on_progress)
    write_text(output, render_collection(found, sprites))
    return output


def render_collection(found: CollectionMap, sprites: Sprites) -> str:
    """Return the page as HTML."""
    # Its hash is in the page's policy: nothing else can run there, whatever a file is called.
    folder = files("impasto.report") / "templates"
    script = "".join((folder / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    names = found.names
    return (
        environment()
        .get_template("collection.html.j2")
        .render(
            title=_title(found),
            name=found.dataset.root.resolve().name,
            verdict=_verdict(found),
            found=found,
            facts=found.facts,
            names=names,
            map_names=MAP_NAMES,
            mixtures=[item for item in found.mixtures if item.share >= 0.005][:MOST_MIXED],
            suspects=found.suspects[:MOST_SUSPECTS],
            twins=found.twins[:MOST_TWINS],
            missing=sprites.missing,
            settings=_settings(found),
            data=_data(found, sprites, names),
            script=Markup(script),
            digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            version=__version__,
        )
    )


def _title(found: CollectionMap) -> str:
    pictures = plural(len(found.dataset), "picture")
    return f"{pictures} in {plural(len(found.dataset.classes), 'class')}" if found.labelled else pictures


def _verdict(found: CollectionMap) -> list[str]:
    facts, quality = found.facts, found.quality
    told = []
    if facts.purity is not None and facts.chance is not None and quality.purity is not None:
        told.append(
            f"Of the {facts.k} pictures nearest to each, {percent(quality.purity)} on this map are of its class; "
            f"{percent(facts.purity)} in the features it was drawn from, {percent(facts.chance)} by chance."
        )
    told.append(_belief(quality, facts.k))
    if found.suspects:
        verb = "is" if len(found.suspects) == 1 else "are"
        told.append(f"{plural(len(found.suspects), 'label')} {verb} contradicted by the other pictures, and ringed.")
    return told


def _belief(quality: MapQuality, k: int) -> str:
    least = min(quality.trustworthiness, quality.continuity)
    word = (
        "Who stands beside whom can be believed"
        if least >= 0.95
        else "Who stands beside whom can mostly be believed"
        if least >= 0.85
        else "Who stands beside whom cannot be believed without a look at the neighbours listed"
    )
    return (
        f"{word}: trustworthiness {quality.trustworthiness:.3f}, continuity {quality.continuity:.3f} "
        f"for {k} neighbours, 1 at best."
    )


def _settings(found: CollectionMap) -> list[tuple[str, dict[str, Any]]]:
    facts = found.facts
    components = {"components": len(facts.explained), "variance held": percent(sum(facts.explained), 1)}
    components["variance of the first two"] = percent(sum(facts.explained[:2]), 1)
    told = [("Settings", dict(found.config)), ("Features", dict(facts.features)), ("Principal components", components)]
    return [*told, ("t-SNE", dict(facts.tsne))] if facts.tsne else told


def _data(found: CollectionMap, sprites: Sprites, names: list[str]) -> dict[str, Any]:
    """Return what the script draws, as JSON values."""
    classes = list(found.dataset.classes)
    place = {label: index for index, label in enumerate(classes)}
    maps = ([("tsne", found.tsne)] if found.tsne is not None else []) + [("pca", found.pca)]
    near = found.neighbours[:, :_NEIGHBOURS]
    return {
        "names": names,
        "labels": [place[sample.label] for sample in found.dataset.samples],
        "classes": classes,
        "labelled": found.labelled,
        "splits": [sample.split for sample in found.dataset.samples] if found.dataset.splits else [],
        "maps": [{"key": key, "name": MAP_NAMES[key], "xy": _scaled(each)} for key, each in maps],
        "neighbours": near.flatten().tolist(),
        "cosines": [round(value, 3) for value in found.similarities[:, : near.shape[1]].flatten().tolist()],
        "k": near.shape[1],
        "counted": found.facts.k,
        "agreement": [round(value, 2) for value in found.agreement],
        "suspects": {
            item.index: {"as": place[item.suggested], "p": round(item.other, 3), "own": round(item.own, 3)}
            for item in found.suspects
        },
        "side": sprites.side,
        "columns": min(COLUMNS, len(names)),
        "cells": COLUMNS * ROWS,
        "sheets": sprites.sheets,
        "sizes": [length for size in sprites.sizes for length in size],
        "colours": {"light": COLOURS, "dark": _ON_DARK},
        "shapes": len(MARKERS),
    }


def _scaled(places: Tensor) -> list[float]:
    """Return x and y of all points in turn, y downwards, the longer side of the map from 0 to 1."""
    low, high = places.amin(0), places.amax(0)
    span = float((high - low).max()) or 1.0
    unit = (places - (low + high) / 2) / span
    return [round(value, 5) for x, y in unit.tolist() for value in (x + 0.5, 0.5 - y)]
