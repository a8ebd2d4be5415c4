"""The procedure: pictures to features, features to a map, and what is odd about both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.classify.features import Extractor, Features
from impasto.classify.prepare import describe
from impasto.data.dataset import Dataset
from impasto.data.grouping import together
from impasto.embed.collection import read_collection
from impasto.embed.config import EmbedConfig
from impasto.embed.neighbours import nearest
from impasto.embed.projection import LEAST, principal_components, tsne
from impasto.embed.quality import (
    Distances,
    MapQuality,
    agreement,
    by_angle,
    chance,
    closest,
    mixtures,
    on_plane,
    ranks,
    trustworthiness,
)
from impasto.embed.result import FIGURE_NAME, ClassFacts, CollectionMap, Facts, Neighbour, read_map
from impasto.embed.seeing import extractor
from impasto.embed.suspects import Judged, judge_labels
from impasto.embed.twins import find_twins, usual_cosine
from impasto.encoders import AnyEncoder
from impasto.errors import DataError, UnreadablePictureError
from impasto.files import file_digests, write_bytes
from impasto.runs import RunFolder
from impasto.runtime import OnProgress, Progress, ignore_progress


def embed(
    config: EmbedConfig,
    output: Path,
    *,
    encoder: AnyEncoder | None = None,
    on_progress: OnProgress = ignore_progress,
) -> CollectionMap:
    """Make a map of a collection, and write it.

    A folder that holds the finished map of the same pictures and settings is read; of an interrupted one the features
    are in the cache.

    Args:
        config: which pictures, seen by what, drawn how.
        output: a new folder, or that of the same map: ``map.csv``, ``map.json``, ``map.png``, ``suspects.csv``,
            ``duplicates.csv``, ``rejected.csv`` and ``features.safetensors``.
        encoder: in place of the one that ``config`` names; lent.
        on_progress: told of each stage.

    Raises:
        DataError: no pictures, too few for a map, or none of the split.
        UnknownNameError, WeightsError: the network cannot be had. RunError: ``output`` holds something else.
    """
    dataset = read_collection(config.data, config.split, on_progress)
    if len(dataset) < LEAST:  # before the folder is made, which would be that of another collection with more of them
        raise DataError(f"{len(dataset)} pictures make no map.", f"Give {LEAST} or more.")
    extract = extractor(config, encoder)
    seen = _seen_by(config, extract)
    run = RunFolder(output, {**config.effective(), "data": describe(dataset), "features": seen}, "embed")
    if run.finished:
        found, samples = read_map(output), {dataset.relative(sample): sample for sample in dataset.samples}
        return replace(found, dataset=replace(dataset, samples=tuple(samples[name] for name in found.names)))
    features = extract(
        [sample.path for sample in dataset.samples], [sample.sha256 for sample in dataset.samples], on_progress
    )
    found = map_features(config, dataset, features, seen, on_progress)
    found.save(output)
    _write_figure(output / FIGURE_NAME, found)
    run.finish(pictures=len(found.dataset), data=describe(dataset))
    return found


def map_features(
    config: EmbedConfig,
    dataset: Dataset,
    features: Features,
    seen: Mapping[str, Any],
    on_progress: OnProgress = ignore_progress,
) -> CollectionMap:
    """Return the map of pictures whose features are known; nothing is written.

    Args:
        config: see :func:`embed`.
        dataset: N pictures.
        features: of the readable ones among them.
        seen: what the features are of, for the record.
        on_progress: told of each stage.
    """
    stages = iter(range(5))

    def tell(text: str) -> None:
        on_progress(Progress("mapping", next(stages), 4, message=text))

    data = replace(dataset, samples=tuple(dataset.samples[index] for index in features.kept))
    if not len(data):
        first = f"{features.skipped[0].path}: {features.skipped[0].reason}" if features.skipped else ""
        raise DataError(f"no picture of {data.root} can be read.", f"The first: {first}")
    values, labels = features.values, [sample.label for sample in data.samples]
    unit = F.normalize(values.double(), dim=1).numpy()
    tell("components")
    components = principal_components(unit, config.seed)
    maps = {"pca": torch.from_numpy(components.scores[:, :2].copy())}
    tell(config.method)
    drawn, parameters = (
        tsne(components.scores, config.perplexity, config.seed) if config.method == "tsne" else (None, {})
    )
    if drawn is not None:
        maps = {"tsne": torch.from_numpy(drawn), **maps}
    tell("quality")
    indices, cosines = nearest(values, values, config.neighbours, itself=False)
    qualities, on_map = _qualities(values, maps, labels, indices.shape[1])
    tell("labels")
    judged = judge_labels(values, labels, together(data), config.neighbours, config.seed)
    agree = tuple(agreement(labels, indices).tolist()) if any(labels) else ()
    facts = _facts(labels, agree, on_map, qualities, judged, components.explained, parameters, seen, indices.shape[1])
    found = CollectionMap(
        data,
        config.effective(),
        values,
        maps.get("tsne"),
        maps["pca"],
        indices,
        cosines,
        agree,
        judged.predicted,
        facts,
        judged.suspects,
        mixtures(labels, indices) if any(labels) else (),
        find_twins([sample.sha256 for sample in data.samples], indices, cosines, usual_cosine(values)),
        tuple(features.skipped),
    )
    tell("done")
    return found


def nearest_pictures(
    config: EmbedConfig, found: CollectionMap, picture: Path, k: int = 10, *, encoder: AnyEncoder | None = None
) -> list[Neighbour]:
    """Return the pictures of a map that are nearest to a file; a picture of the map is not its own neighbour.

    Raises:
        PictureError: the file cannot be read.
    """
    digest = file_digests([picture])[0]
    known = {sample.sha256: index for index, sample in enumerate(found.dataset.samples) if sample.sha256}
    if digest in known:
        return found.nearest_to(known[digest], k)
    features = extractor(config, encoder)([picture], [digest])
    if features.skipped:
        raise UnreadablePictureError(f"{picture} {features.skipped[0].reason}")
    return found.nearest(features.values[0], k)


def _write_figure(path: Path, found: CollectionMap) -> None:
    from impasto.embed.figure import draw_map, to_png  # matplotlib takes a second to import

    write_bytes(path, to_png(draw_map(found)))


def _seen_by(config: EmbedConfig, extract: Extractor) -> dict[str, Any]:
    identity = dict(extract.encoder.identity())
    return {"network": config.network, **identity, "size": extract.preprocessing.size}


def _qualities(
    values: Tensor, maps: Mapping[str, Tensor], labels: Sequence[str], k: int
) -> tuple[dict[str, MapQuality], Tensor]:
    """Return what each map keeps, and the neighbours on the first of them."""
    count = len(values)
    few = min(k, (count - 1) // 2)  # both measures need k below half of the points
    features: Distances = by_angle(values)
    planes = {name: on_plane(places.float()) for name, places in maps.items()}
    near = {name: closest(distances, count, k) for name, distances in planes.items()}
    of_features = closest(features, count, few)
    # The features are sorted once for all maps: that is what takes the time.
    every = torch.cat([each[:, :few] for each in near.values()], 1)
    in_features = torch.split(ranks(features, every), few, dim=1)
    found = {
        name: MapQuality(
            float(agreement(labels, near[name]).mean()) if any(labels) else None,
            trustworthiness(places),
            trustworthiness(ranks(planes[name], of_features)),
        )
        for name, places in zip(maps, in_features, strict=True)
    }
    return found, next(iter(near.values()))


def _facts(
    labels: Sequence[str],
    agree: Sequence[float],
    on_map: Tensor,
    qualities: Mapping[str, MapQuality],
    judged: Judged,
    explained: tuple[float, ...],
    parameters: Mapping[str, Any],
    seen: Mapping[str, Any],
    k: int,
) -> Facts:
    if not any(labels):
        return Facts(k, None, None, qualities, (), explained, parameters, None, seen)
    names, numbers = np.unique(np.asarray(labels), return_inverse=True)
    drawn = agreement(labels, on_map)
    classes = tuple(
        ClassFacts(
            str(name),
            int((numbers == place).sum()),
            float(np.asarray(agree)[numbers == place].mean()),
            float(drawn[numbers == place].mean()),
        )
        for place, name in enumerate(names)
    )
    pure = float(np.mean(agree))
    return Facts(k, pure, chance(labels), qualities, classes, explained, parameters, judged.accuracy, seen)
