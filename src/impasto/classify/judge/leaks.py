"""The leak check before a score: which pictures of a split the model has been taught with, as they are or nearly so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from impasto.data.check.duplicates import near_pairs
from impasto.data.check.looks import sign
from impasto.data.dataset import Dataset
from impasto.runtime import OnProgress, ignore_progress


@dataclass(frozen=True)
class Leak:
    """A picture that is to be judged and is not new to the model.

    Attributes:
        of: the picture that it was taught with, below the data set's root.
        kind: "bytes" for equal files, "features" or "hash" for near duplicates (see ``impasto.data.check.duplicates``),
            "group" for two pictures that were never to be parted, such as repaints of one photo.
    """

    of: str
    kind: str


@dataclass(frozen=True)
class LeakCheck:
    """What was found, and how thoroughly it could be looked for.

    Attributes:
        leaks: by the path of the picture.
        taught: different pictures that taught the model.
        compared: how many of these were at hand; with the others only hashes of files were compared.
    """

    leaks: Mapping[Path, Leak] = field(default_factory=dict)
    taught: int = 0
    compared: int = 0


def find_leaks(
    judged: Dataset,
    dataset: Dataset,
    recorded: Sequence[Mapping[str, str]],
    split: str,
    on_progress: OnProgress = ignore_progress,
) -> LeakCheck:
    """Compare the pictures to be judged with those that taught the model.

    Args:
        judged: with the hashes of its files.
        dataset: all pictures at hand, with hashes; those among them that taught the model are compared by content.
        recorded: the lines of the model's ``split.csv``.
        split: what is judged: validation must not hold pictures of train, test and "all" none of train and validation.
        on_progress: told while pictures are compared.
    """
    seen = {"train": (), "validation": ("train",)}.get(split, ("train", "validation"))
    rows = [row for row in recorded if row["split"] in seen]
    taught = {row["sha256"]: row["path"] for row in reversed(rows) if row["sha256"]}
    at_hand = {sample.sha256: sample for sample in dataset.samples if sample.sha256 in taught}
    # Names of groups say something within one data set only: elsewhere another cat.png is another cat.
    groups = {row["group"]: row["path"] for row in reversed(rows) if row["group"] and row["sha256"] in at_hand}
    leaks = {sample.path: Leak(groups[sample.group], "group") for sample in judged.samples if sample.group in groups}
    leaks |= _near(judged, Dataset(dataset.root, tuple(at_hand.values())), on_progress)
    leaks |= {sample.path: Leak(taught[sample.sha256], "bytes") for sample in judged.samples if sample.sha256 in taught}
    return LeakCheck(leaks, len(taught), len(at_hand))


def _near(judged: Dataset, taught: Dataset, on_progress: OnProgress) -> dict[Path, Leak]:
    known = {sample.sha256 for sample in taught.samples}
    new = [sample for sample in judged.samples if sample.sha256 not in known]
    if not new or not taught.samples:
        return {}
    samples = [*new, *taught.samples]
    digests = [sample.sha256 for sample in samples]
    signatures = sign([sample.path for sample in samples], digests=digests, on_progress=on_progress)
    pairs = near_pairs(signatures, [index < len(new) for index in range(len(samples))], across=True)
    found = ((samples[pair.first], samples[pair.second], pair.kind) for pair in reversed(pairs))
    return {first.path: Leak(taught.relative(second), kind) for first, second, kind in found}
