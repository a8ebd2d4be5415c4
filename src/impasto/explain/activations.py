"""What layers make of a picture: maps of their channels, how sparse they are, how much of the picture they see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from impasto._version import __version__
from impasto.errors import DataError, UsageError
from impasto.explain.drawing import draw_layers, to_png
from impasto.explain.folder import check_folder, remove_former
from impasto.explain.reading import as_samples, read_looks
from impasto.explain.receptive import ReceptiveField, receptive_field
from impasto.files import write_bytes
from impasto.images import open_picture
from impasto.runs import MANIFEST_NAME, to_plain, write_csv, write_json
from impasto.runtime import OnProgress, Progress, held_memory, ignore_progress
from impasto.subjects import Subject

FIGURE_NAME, ARRAYS_NAME, TABLE_NAME = "activations.png", "activations.safetensors", "layers.csv"
_FILES = (FIGURE_NAME, ARRAYS_NAME, TABLE_NAME)
# R4 shows four layers.
_LAYERS = 4
# Below this share of a channel's largest value a place is called quiet.
_QUIET = 0.05
# A pooling shows what the layer before it showed.
_THINNED = ("pool",)


@dataclass(frozen=True)
class ActivationsConfig:
    """Which layers and channels are shown.

    Attributes:
        layers: names; empty for four from the first to the last.
        channels: how many of each layer are shown, those whose maps vary most.
        chosen: channels by number, in place of these.
    """

    layers: tuple[str, ...] = ()
    channels: int = 16
    chosen: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.channels <= 1024:
            raise UsageError(f"{self.channels} channels cannot be shown.", "Choose 1 .. 1024.")


@dataclass(frozen=True)
class LayerView:
    """One layer's answer to the pictures.

    Attributes:
        name: the layer.
        maps: k x h x w of the channels shown, for the first picture.
        shown: the numbers of these channels.
        channels: how many the layer has.
        zero: share of values that are exactly 0, over all pictures; what a ReLU has cut off.
        quiet: share of values below a twentieth of their channel's largest.
        silent: channels that are 0 everywhere in all pictures.
        field: what one place sees.
    """

    name: str
    maps: Tensor
    shown: tuple[int, ...]
    channels: int
    zero: float
    quiet: float
    silent: tuple[int, ...]
    field: ReceptiveField

    def row(self) -> dict[str, Any]:
        """Return the figures, as of the table."""
        return {
            "layer": self.name,
            "channels": self.channels,
            "places": f"{self.maps.shape[1]}x{self.maps.shape[2]}",
            "zero": round(self.zero, 4),
            "quiet": round(self.quiet, 4),
            "silent_channels": len(self.silent),
            "receptive_field": self.field.side,
            "whole_picture": self.field.whole,
            "effective_field": self.field.effective,
            "stride": round(self.field.stride, 2),
        }


@dataclass(frozen=True)
class Activations:
    """What layers make of pictures.

    Attributes:
        subject: the network's name; ``identity`` tells its weights.
        config: what was asked for.
        layers: in order of depth.
        pictures: the files that the figures are from; maps are of the first.
        skipped: paths and reasons of those that cannot be read.
    """

    subject: str
    identity: dict[str, Any]
    config: ActivationsConfig
    layers: tuple[LayerView, ...]
    pictures: tuple[tuple[str, str], ...]
    skipped: tuple[tuple[str, str], ...]

    def record(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "made_by": f"impasto {__version__}",
            "procedure": "activations",
            "network": self.subject,
            "identity": to_plain(self.identity),
            "config": to_plain(self.config),
            "pictures": [{"path": path, "sha256": sha256} for path, sha256 in self.pictures],
            "layers": [{**view.row(), "shown": list(view.shown), "silent": list(view.silent)} for view in self.layers],
            "skipped": [{"path": path, "reason": reason} for path, reason in self.skipped],
        }

    def save(self, folder: Path) -> None:
        """Write ``activations.png``, ``activations.safetensors`` (k x h x w a layer), ``layers.csv``, manifest last."""
        remove_former(folder, _FILES)
        photo = open_picture(Path(self.pictures[0][0])).image
        write_bytes(folder / FIGURE_NAME, to_png(self.figure(photo)))
        write_bytes(folder / ARRAYS_NAME, save({view.name: view.maps.contiguous() for view in self.layers}))
        rows = [view.row() for view in self.layers]
        write_csv(folder / TABLE_NAME, rows, list(rows[0]))
        write_json(folder / MANIFEST_NAME, self.record())

    def figure(self, photo: Image.Image) -> Figure:
        """Return the layers side by side, as a matplotlib figure."""
        blocks = [
            (view.name, view.maps, [f"{number}" for number in view.shown], _caption(view)) for view in self.layers
        ]
        return draw_layers(photo, blocks, f"{Path(self.subject).name}, {Path(self.pictures[0][0]).name}")


def _caption(view: LayerView) -> str:
    field = f"{'all of the picture' if view.field.whole else f'{view.field.side} px'}"
    silent = f", {len(view.silent)} silent" if view.silent else ""
    return (
        f"{view.channels} channels of {view.maps.shape[1]}x{view.maps.shape[2]}{silent}; {100 * view.zero:.0f} % zero, "
        f"{100 * view.quiet:.0f} % quiet; sees {field}, looks at {view.field.effective} px"
    )


def show_activations(
    subject: Subject,
    pictures: Sequence[str | Path],
    config: ActivationsConfig | None = None,
    *,
    output: Path | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Activations:
    """Show what layers make of a picture; R4's view of four layers.

    Args:
        subject: any network.
        pictures: files. The first one is shown, the figures are from all of them (the first 32).
        config: which layers and channels.
        output: a folder; None writes nothing.
        on_progress: told after each layer.

    Raises:
        UnknownNameError: no such layer. UsageError: a layer without places, no such channel.
        DataError: no picture can be read.
    """
    config = config or ActivationsConfig()
    if output is not None:
        check_folder(output, _FILES)
    names = config.layers or spread_layers(subject)
    with held_memory(), torch.no_grad():
        look = next(iter(read_looks(subject, as_samples(pictures)[:32], 32)))
        if not look.samples:
            raise DataError("none of the pictures can be read.", "; ".join(f"{p} {r}" for p, r in look.failures[:3]))
        seen = subject.watch(look.pictures, names)
        views = []
        for number, name in enumerate(names, 1):
            views.append(_view(subject, name, seen.map_of(name), look.pictures, config))
            on_progress(Progress("layers", number, len(names)))
    files = tuple((str(sample.path), sha256) for sample, sha256 in zip(look.samples, look.hashes, strict=True))
    skipped = tuple((str(path), reason) for path, reason in look.failures)
    result = Activations(subject.name, dict(subject.identity), config, tuple(views), files, skipped)
    if output is not None:
        result.save(output)
    return result


def spread_layers(subject: Subject, count: int = _LAYERS) -> tuple[str, ...]:
    """Return ``count`` layers from the first to the last at even distances, of those with a paper's name if possible.

    What comes behind a non-linearity is preferred: it is what the next layer sees.

    Raises:
        UsageError: there is none on which the output depends, as where the last weights are still 0.
    """
    _ = subject.last_layer
    known = [name for name in subject.map_layers if name in subject.layers]
    behind = [name for name in known if not name.startswith(("conv", "norm", *_THINNED))]
    layers = behind if len(behind) >= count else known if len(known) >= count else list(subject.map_layers)
    if len(layers) <= count:
        return tuple(layers)
    return tuple(layers[round(index * (len(layers) - 1) / (count - 1))] for index in range(count))


def _view(subject: Subject, name: str, maps: Tensor, pictures: Tensor, config: ActivationsConfig) -> LayerView:
    maps = maps.detach().float().cpu()
    strange = [number for number in config.chosen if not 0 <= number < maps.shape[1]]
    if strange:
        raise UsageError(f"{name} has no channel {strange[0]}.", f"Its channels are 0 .. {maps.shape[1] - 1}.")
    size = maps.abs().amax((0, 2, 3))
    shown = config.chosen or varied_channels(maps[0], config.channels)
    return LayerView(
        name=name,
        maps=maps[0, list(shown)],
        shown=tuple(shown),
        channels=maps.shape[1],
        zero=float((maps == 0).float().mean()),
        quiet=float((maps.abs() < _QUIET * size.view(1, -1, 1, 1)).float().mean()) if bool(size.any()) else 1.0,
        silent=tuple((size == 0).nonzero().flatten().tolist()),
        field=receptive_field(subject, name, pictures[:4]),
    )


def varied_channels(maps: Tensor, count: int) -> tuple[int, ...]:
    """Return the channels of C x h x w maps with the largest variance over places, the largest first.

    >>> varied_channels(torch.tensor([[[0.0, 1.0]], [[5.0, 5.0]], [[0.0, 9.0]]]), 2)
    (2, 0)
    """
    order = maps.flatten(1).var(1, correction=0).argsort(descending=True, stable=True)
    return tuple(order[:count].tolist())
