"""The pictures that are looked at, with labels where there are some, and what a network says of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from impasto.data.dataset import Sample
from impasto.data.load.pictures import read_batches, scaled
from impasto.errors import DataError, UsageError
from impasto.subjects import Subject

NO_LABEL = -1


@dataclass(frozen=True)
class Look:
    """Some pictures that were read together.

    Attributes:
        samples: the pictures.
        hashes: the SHA-256 of each file.
        pictures: B x 3 x S x S in 0..1.
        labels: positions among the network's classes, -1 for none.
        failures: paths and reasons of those that could not be read.
    """

    samples: tuple[Sample, ...]
    hashes: tuple[str, ...]
    pictures: Tensor
    labels: tuple[int, ...]
    failures: tuple[tuple[Path, str], ...]


def as_samples(pictures: Sequence[str | Path | Sample]) -> list[Sample]:
    """Return pictures as samples; a path has no label."""
    return [item if isinstance(item, Sample) else Sample(Path(item), "") for item in pictures]


def read_looks(subject: Subject, samples: Sequence[Sample], batch_size: int) -> Iterator[Look]:
    """Read pictures batch by batch; one that cannot be read does not stop the others.

    Raises:
        DataError: a label that the network does not know.
    """
    places = {name: index for index, name in enumerate(subject.classes)}
    strange = sorted({sample.label for sample in samples if sample.label and sample.label not in places})
    if strange:
        raise DataError(
            f"the network does not know the class {strange[0]!r}.", f"It knows {', '.join(subject.classes[:12])}."
        )
    for batch in read_batches([sample.path for sample in samples], subject.preprocessing, batch_size):
        chosen = tuple(samples[index] for index in batch.indices)
        pictures = scaled(batch.pictures) if batch.pictures else torch.empty(0, 3, subject.size, subject.size)
        yield Look(
            chosen,
            tuple(batch.hashes),
            pictures,
            tuple(places.get(sample.label, NO_LABEL) for sample in chosen),
            tuple((samples[index].path, reason) for index, reason in batch.failures.items()),
        )


def require_classes(subject: Subject) -> None:
    """Refuse a network without classes: there is no logit to ask about.

    Raises:
        UsageError: so it is.
    """
    if not subject.classes:
        raise UsageError(
            f"{subject.name} is an encoder: it names no classes that a map could be about.",
            "Give a trained model, torchvision:<name> or timm:<name>; its layers are shown by `impasto activations`.",
        )
