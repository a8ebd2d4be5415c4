"""The frozen records a report is made from: one repainted data set, classifier runs, their scores."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Repaint:
    """One row of a data set's ``manifest.csv``; ``output`` is a posix path relative to its folder."""

    output: str
    output_sha256: str
    label: str
    split: str
    group: str
    content: str
    content_sha256: str
    style: str
    style_sha256: str
    kind: str


@dataclass(frozen=True)
class DatasetRecord:
    """A folder written by ``impasto dataset stylize``.

    ``pictures`` holds every row, ``repaints`` only those that are no untouched originals. ``facts`` is what
    ``manifest.json`` holds, ``digests`` the SHA-256 of each file that was read.
    """

    root: Path
    pictures: tuple[Repaint, ...]
    rejected: tuple[tuple[str, str], ...]
    config: dict[str, Any]
    facts: dict[str, Any]
    finished: bool
    digests: dict[str, str]

    @cached_property
    def repaints(self) -> tuple[Repaint, ...]:
        """The rows that were repainted."""
        return tuple(picture for picture in self.pictures if picture.kind != "original")

    @cached_property
    def by_output(self) -> dict[str, Repaint]:
        """The rows by their relative path."""
        return {picture.output: picture for picture in self.pictures}

    def source_folders(self) -> list[Path]:
        """Where the photos and the style pictures were when the data set was made; [] where that was not recorded."""
        folders = self.facts.get("folders")
        if not isinstance(folders, dict):
            return []
        return [self.root / name for name in folders.values() if isinstance(name, str)]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels, sorted, each once."""
        return tuple(sorted({picture.label for picture in self.pictures}))

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits in use: train, validation, test, then any other."""
        present = {picture.split for picture in self.pictures}
        return (*(name for name in SPLITS if name in present), *sorted(present - set(SPLITS)))

    def photos(self, *splits: str) -> frozenset[str]:
        """Return the different content photos, by hash, of the given splits."""
        return frozenset(item.content_sha256 for item in self.pictures if item.split in splits)

    def groups(self, *splits: str) -> frozenset[str]:
        """Return the groups of the given splits: photos, or several of one scene where they were grouped so."""
        return frozenset(item.group for item in self.pictures if item.split in splits)

    @property
    def has_scenes(self) -> bool:
        """Whether some group holds several photos."""
        return len(self.groups(*self.splits)) < len(self.photos(*self.splits))

    def divided_photos(self) -> tuple[str, ...]:
        """Return the photos that lie in more than one split, by name, sorted: none in a sound data set.

        The same photo under two names counts too: equal content hashes are one photo.
        """
        splits: defaultdict[str, set[str]] = defaultdict(set)
        for picture in self.pictures:
            for key in {picture.group, picture.content_sha256 or picture.group}:
                splits[key].add(picture.split)
        divided = {key for key, names in splits.items() if len(names) > 1}
        return tuple(sorted({item.content for item in self.pictures if {item.group, item.content_sha256} & divided}))


@dataclass(frozen=True)
class Epoch:
    """One row of ``curves.csv``; None where nothing was measured.

    A linear head has no epochs: each of its rows is a penalty, and ``c`` is scikit-learn's inverse penalty.
    """

    number: int
    c: float | None
    train_loss: float | None
    train_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None


@dataclass(frozen=True)
class ClassScore:
    """One class: shares in 0..1 as measured, with the counts they are made of."""

    name: str
    support: int
    named: int
    correct: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Evaluation:
    """``evaluation.json``; ``confusion[truth][prediction]`` counts pictures.

    ``trained_on`` names scored pictures whose bytes the model was taught with; ``views`` is what of each picture the
    model looked at.
    """

    split: str
    n_evaluated: int
    n_available: int
    correct: int
    accuracy: float
    wilson95: tuple[float, float]
    balanced_accuracy: float
    macro_f1: float
    classes: tuple[str, ...]
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    skipped: tuple[tuple[str, str], ...]
    trained_on: tuple[str, ...]
    views: str = "whole"

    @property
    def chance(self) -> float:
        """The accuracy of guessing each class equally often."""
        return 1 / len(self.classes)

    @property
    def majority(self) -> float:
        """The accuracy of always naming the commonest class."""
        return max(score.support for score in self.per_class) / self.n_evaluated


@dataclass(frozen=True)
class Prediction:
    """One row of ``predictions.csv``; ``probability`` is that of the class named."""

    path: str
    label: str
    predicted: str
    correct: bool
    probability: float


@dataclass(frozen=True)
class RunRecord:
    """A folder written by ``impasto train`` and, when ``evaluation`` is there, ``impasto evaluate``.

    ``model`` is the kind of model in words; ``name`` adds the folder where two runs have the same kind.
    ``best`` is the row of the curves whose weights were kept, None where that was not recorded.
    """

    folder: str
    model: str
    name: str
    config: dict[str, Any]
    curves: tuple[Epoch, ...]
    best: Epoch | None
    evaluation: Evaluation | None
    predictions: tuple[Prediction, ...]
    finished: bool
    facts: dict[str, Any]
    digests: dict[str, str]
