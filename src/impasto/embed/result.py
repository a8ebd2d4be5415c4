"""What a map came to: positions, what they are worth, and what is odd; written to a folder and read from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from impasto.data.dataset import Dataset, Sample
from impasto.data.load.pictures import Skipped
from impasto.embed.neighbours import nearest
from impasto.embed.quality import MapQuality, Mixed
from impasto.embed.suspects import Suspect
from impasto.embed.twins import Twin
from impasto.errors import RunError
from impasto.files import write_bytes
from impasto.runs import REJECTED_NAME, read_json, write_csv, write_json

MAP_NAME, TABLE_NAME, FIGURE_NAME = "map.json", "map.csv", "map.png"
FEATURES_NAME = "features.safetensors"
SUSPECTS_NAME, TWINS_NAME = "suspects.csv", "duplicates.csv"


@dataclass(frozen=True)
class Neighbour:
    """A picture near another one; ``similarity`` is the cosine of their features, ``index`` the place in the map."""

    index: int
    sample: Sample
    similarity: float


@dataclass(frozen=True)
class ClassFacts:
    """One class: how many pictures, and the mean share of their neighbours that are of it, in features and map."""

    name: str
    pictures: int
    purity: float
    purity_map: float


@dataclass(frozen=True)
class Facts:
    """The numbers of a map.

    Attributes:
        k: how many neighbours all of them are about.
        purity: share of the neighbours in the features that have a picture's label, None without labels.
        chance: what neighbours drawn at random would give, None without labels.
        maps: quality of "tsne" and "pca"; the first is the one that is drawn.
        classes: one by one.
        explained: share of the variance of the features in each principal component, the largest first.
        tsne: its parameters; empty where there is none.
        probe: share of the pictures that a linear probe names as labelled without having seen them.
        features: network, layer, weights, length of a vector.
    """

    k: int
    purity: float | None
    chance: float | None
    maps: Mapping[str, MapQuality]
    classes: tuple[ClassFacts, ...]
    explained: tuple[float, ...]
    tsne: Mapping[str, Any]
    probe: float | None
    features: Mapping[str, Any]


@dataclass(frozen=True)
class CollectionMap:
    """A map of N pictures.

    Attributes:
        dataset: the readable pictures, in the order of all rows below.
        config: the settings, as they were written.
        features: N x D float32.
        tsne: N x 2, None where only principal components were asked for.
        pca: N x 2.
        neighbours, similarities: N x k, the nearest in the features and their cosines.
        agreement: share of these that have the picture's label, N numbers; empty without labels.
        predicted: what a probe that has not seen the picture calls it; "" where it cannot be judged.
        facts: the numbers.
        suspects: labels that may be wrong, the clearest first.
        mixtures: which classes lie inside which.
        twins: pairs of equal or nearly equal pictures.
        skipped: pictures that cannot be read.
    """

    dataset: Dataset
    config: Mapping[str, Any]
    features: Tensor
    tsne: Tensor | None
    pca: Tensor
    neighbours: Tensor
    similarities: Tensor
    agreement: tuple[float, ...]
    predicted: tuple[str, ...]
    facts: Facts
    suspects: tuple[Suspect, ...]
    mixtures: tuple[Mixed, ...]
    twins: tuple[Twin, ...]
    skipped: tuple[Skipped, ...]

    @property
    def coordinates(self) -> Tensor:
        """The map that is drawn, N x 2: t-SNE where there is one."""
        return self.pca if self.tsne is None else self.tsne

    @property
    def quality(self) -> MapQuality:
        """That of the map that is drawn."""
        return next(iter(self.facts.maps.values()))

    @property
    def labelled(self) -> bool:
        """Whether the pictures have labels."""
        return any(sample.label for sample in self.dataset.samples)

    def nearest(self, features: Tensor, k: int = 10) -> list[Neighbour]:
        """Return the ``k`` pictures nearest to a feature vector of length D, the most similar first."""
        indices, values = nearest(features.reshape(1, -1).to(self.features), self.features, k)
        pairs = zip(indices[0].tolist(), values[0].tolist(), strict=True)
        return [Neighbour(index, self.dataset.samples[index], value) for index, value in pairs]

    def nearest_to(self, index: int, k: int = 10) -> list[Neighbour]:
        """Return the ``k`` other pictures nearest to one of the map."""
        return [item for item in self.nearest(self.features[index], k + 1) if item.index != index][:k]

    def save(self, folder: Path) -> None:
        """Write tables, numbers and features; each file is whole or absent."""
        tensors = {"features": self.features, "pca": self.pca, "neighbours": self.neighbours}
        tensors |= {"similarities": self.similarities} | ({} if self.tsne is None else {"tsne": self.tsne})
        write_bytes(folder / FEATURES_NAME, save({name: each.contiguous() for name, each in tensors.items()}))
        _write_table(folder / TABLE_NAME, self)
        _write_suspects(folder / SUSPECTS_NAME, self)
        _write_twins(folder / TWINS_NAME, self)
        columns = ["path", "reason"]
        write_csv(folder / REJECTED_NAME, ({"path": s.path, "reason": s.reason} for s in self.skipped), columns)
        write_json(folder / MAP_NAME, self.record())

    def record(self) -> dict[str, Any]:
        """Return what ``map.json`` holds: settings, numbers, and all pictures with their hashes."""
        names = self.names
        return {
            "config": self.config,
            "root": self.dataset.root,
            "facts": self.facts,
            "suspects": self.suspects,
            "mixtures": self.mixtures,
            "twins": self.twins,
            "agreement": self.agreement,
            "predicted": self.predicted,
            "skipped": self.skipped,
            "pictures": [
                {"path": name, "label": s.label, "split": s.split, "group": s.group, "sha256": s.sha256}
                for name, s in zip(names, self.dataset.samples, strict=True)
            ],
        }

    @property
    def names(self) -> list[str]:
        """The path of each picture below the root."""
        return [self.dataset.relative(sample) for sample in self.dataset.samples]


def read_map(folder: Path) -> CollectionMap:
    """Read what :meth:`CollectionMap.save` wrote.

    Raises:
        RunError: a file is absent or damaged.
    """
    record = read_json(folder / MAP_NAME)
    try:
        tensors = load((folder / FEATURES_NAME).read_bytes())
        root = Path(record["root"])
        samples = [Sample(root / row["path"], *_rest(row)) for row in record["pictures"]]
        return CollectionMap(
            Dataset(root, tuple(samples)),
            record["config"],
            tensors["features"],
            tensors.get("tsne"),
            tensors["pca"],
            tensors["neighbours"],
            tensors["similarities"],
            tuple(record["agreement"]),
            tuple(record["predicted"]),
            _facts(record["facts"]),
            tuple(Suspect(**row) for row in record["suspects"]),
            tuple(Mixed(**row) for row in record["mixtures"]),
            tuple(Twin(**row) for row in record["twins"]),
            tuple(Skipped(Path(row["path"]), row["reason"]) for row in record["skipped"]),
        )
    except (OSError, SafetensorError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"the map in {folder} is damaged: {error}.", "Remove the folder and make it again.") from error


def _rest(row: Mapping[str, str]) -> tuple[str, str, str, str]:
    return row["label"], row["split"], row["group"], row["sha256"]


def _facts(record: Mapping[str, Any]) -> Facts:
    maps = {name: MapQuality(**each) for name, each in record["maps"].items()}
    classes = tuple(ClassFacts(**each) for each in record["classes"])
    return Facts(**{**record, "maps": maps, "classes": classes, "explained": tuple(record["explained"])})


def _write_table(path: Path, found: CollectionMap) -> None:
    columns = ["path", "label", "split", "x", "y", "pca_x", "pca_y", "agreement", "predicted", "suspect", "sha256"]
    doubtful = {item.index for item in found.suspects}
    places = zip(found.coordinates.tolist(), found.pca.tolist(), strict=True)
    agreement = found.agreement or ("",) * len(found.dataset)
    rows = (
        _told([name, s.label, s.split, *xy, *pca, agreement[i], found.predicted[i], "yes" * (i in doubtful), s.sha256])
        for i, (name, s, (xy, pca)) in enumerate(zip(found.names, found.dataset.samples, places, strict=True))
    )
    write_csv(path, (dict(zip(columns, row, strict=True)) for row in rows), columns)


def _told(values: list[Any]) -> list[str]:
    return [f"{value:.6g}" if isinstance(value, float) else value for value in values]


def _write_suspects(path: Path, found: CollectionMap) -> None:
    columns = ["path", "label", "suggested", "probability_label", "probability_suggested"]
    columns += ["neighbours_label", "neighbours_suggested"]
    names = found.names
    rows = (
        [names[s.index], s.label, s.suggested, *_told([s.own, s.other, s.own_votes, s.other_votes])]
        for s in found.suspects
    )
    write_csv(path, (dict(zip(columns, row, strict=True)) for row in rows), columns)


def _write_twins(path: Path, found: CollectionMap) -> None:
    names, samples = found.names, found.dataset.samples
    rows = (
        {
            "first": names[twin.first],
            "second": names[twin.second],
            "similarity": f"{twin.similarity:.6g}",
            "kind": twin.kind,
            "label_first": samples[twin.first].label,
            "label_second": samples[twin.second].label,
        }
        for twin in found.twins
    )
    write_csv(path, rows, ["first", "second", "similarity", "kind", "label_first", "label_second"])
