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

    ``pictures`` holds every row, ``repaints`` only those that are no untouched originals.
    """

    root: Path
    pictures: tuple[Repaint, ...]
    rejected: tuple[tuple[str, str], ...]
    config: dict[str, Any]
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

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels, sorted, each once."""
        return tuple(sorted({picture.label for picture in self.pictures}))

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits in use: train, validation, test, then any other."""
        present = {picture.split for picture in self.pictures}
        return (*(name for name in SPLITS if name in present), *sorted(present - set(SPLITS)))

    def groups(self, split: str) -> frozenset[str]:
        """Return the groups (content photos) that one split holds."""
        return frozenset(picture.group for picture in self.pictures if picture.split == split)

    def shared_groups(self) -> tuple[str, ...]:
        """Return the groups that lie in more than one split, sorted: none in a sound data set.

        The same photo under two names counts too: equal content hashes are one photo.
        """
        splits: defaultdict[str, set[str]] = defaultdict(set)
        for picture in self.pictures:
            splits[picture.group].add(picture.split)
            splits[picture.content_sha256 or picture.group].add(picture.split)
        return tuple(
            sorted(
                {
                    picture.group
                    for picture in self.pictures
                    if len(splits[picture.group] | splits[picture.content_sha256 or picture.group]) > 1
                }
            )
        )


@dataclass(frozen=True)
class Epoch:
    """One row of ``curves.csv``; None where nothing was measured."""

    number: int
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
    """``evaluation.json``; ``confusion[truth][prediction]`` counts pictures."""

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
    """

    folder: str
    model: str
    name: str
    config: dict[str, Any]
    curves: tuple[Epoch, ...]
    evaluation: Evaluation | None
    predictions: tuple[Prediction, ...]
    finished: bool
    facts: dict[str, Any]
    digests: dict[str, str]
