"""Who judges: any classifier, asked about pictures that are already open."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from impasto.classify.ensemble import Ensemble, load_classifier
from impasto.classify.prepare import read_split
from impasto.data.load.pictures import scaled
from impasto.errors import DataError, UnknownNameError, UsageError
from impasto.runs import CONFIG_NAME, digest
from impasto.subjects import Subject, load_subject
from impasto.subjects.load import subject_of

Shares = npt.NDArray[np.float64]


class Judge(Protocol):
    """Names what is on pictures."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What it can answer."""

    @property
    def taught(self) -> frozenset[str]:
        """The SHA-256 of the files that it was taught with, as far as that is known."""

    @property
    def folder(self) -> Path | None:
        """Where it was read from, None for what is no folder."""

    def identity(self) -> dict[str, Any]:
        """Return plain values that tell this judge from any other, wherever it lies."""

    def shares(self, images: Sequence[Image.Image]) -> Shares:
        """Return N x C probabilities of N RGB pictures of any sizes."""


@dataclass(frozen=True)
class Networks:
    """A network, or the weighted mean of several that know the same classes, as a judge."""

    name: str
    classes: tuple[str, ...]
    members: tuple[tuple[Subject, float], ...]
    taught: frozenset[str] = frozenset()
    folder: Path | None = None
    # Encoders gather their features on themselves, and folders are painted by several threads.
    _lock: Any = field(default_factory=threading.Lock, repr=False, compare=False)

    def identity(self) -> dict[str, Any]:
        """Return how many classes it knows, and a digest of names, weights, temperatures and preprocessing."""
        facts = [
            {
                "classes": subject.classes,
                "weights": weights_digest(subject.network),
                "temperature": subject.temperature,
                "preprocessing": subject.preprocessing.record(),
                "share": share,
            }
            for subject, share in self.members
        ]
        return {"classes": len(self.classes), "networks": len(self.members), "sha256": digest(facts)}

    @torch.no_grad()
    def shares(self, images: Sequence[Image.Image]) -> Shares:
        """Return N x C probabilities."""
        total = sum(share for _, share in self.members)
        with self._lock:
            said = [share / total * self._of(subject, images) for subject, share in self.members]
        return np.asarray(np.sum(said, axis=0))

    def _of(self, subject: Subject, images: Sequence[Image.Image]) -> Shares:
        batch = scaled([subject.preprocessing(image) for image in images])
        # In float64, as classifiers do it themselves.
        shares = (subject(batch).cpu().double() / subject.temperature).softmax(1).numpy()
        if subject.classes == self.classes:
            return np.asarray(shares)
        return np.asarray(shares[:, [subject.classes.index(name) for name in self.classes]])


def weights_digest(network: nn.Module) -> str:
    """Return the SHA-256 of all tensors of a network and their names."""
    found = hashlib.sha256()
    for name, value in network.state_dict().items():
        found.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        found.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def open_judge(
    model: str | Path | Subject | Judge, *, device: str = "auto", weights: str | Path | None = None
) -> Judge:
    """Return what ``model`` stands for as a judge.

    Args:
        model: a folder of ``impasto train`` or ``impasto ensemble``; ``torchvision:<name>`` or ``timm:<name>`` with the
            classes it was taught by its library; a subject; a judge.
        device, weights: see :func:`impasto.subjects.load_subject`.

    Raises:
        UsageError: a network without classes.
        UnknownNameError, WeightsError, RunError: nothing of that name, or nothing that can be read.
    """
    if isinstance(model, Subject):
        return _single(model)
    if not isinstance(model, str | Path):
        return model
    folder = Path(model)
    if not (folder / CONFIG_NAME).is_file():
        return _single(load_subject(model, device=device, weights=weights))
    classifier = load_classifier(folder, device=device, weights=weights)
    taught = frozenset(row["sha256"] for row in read_split(folder) if row["split"] == "train") - {""}
    if isinstance(classifier, Ensemble):
        weighted = zip(classifier.members, classifier.weights, strict=True)
    else:
        weighted = zip((classifier,), (1.0,), strict=True)
    members = tuple((subject_of(member), weight) for member, weight in weighted)
    return Networks(str(model), classifier.classes, members, taught, folder)


def _single(subject: Subject) -> Networks:
    if not subject.classes:
        raise UsageError(
            f"{subject.name} is an encoder: it names no classes and cannot judge.",
            "Give a trained model, torchvision:<name> or timm:<name>.",
        )
    return Networks(subject.name, subject.classes, ((subject, 1.0),))


def share_of(judge: Judge, shares: Shares, label: str) -> float:
    """Return the probability of a class; ImageNet has two classes of some names, and both count."""
    return float(sum(share for name, share in zip(judge.classes, shares, strict=True) if name == label))


def check_known(judge: Judge, labels: frozenset[str] | set[str]) -> None:
    """Refuse classes that a judge does not know.

    Raises:
        DataError: so it is; it names the nearest known ones.
    """
    strange = sorted(labels - set(judge.classes))
    if strange:
        near = UnknownNameError("class", strange[0], judge.classes).hint
        others = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise DataError(f"{judge.name} does not know the class {strange[0]!r}{others} of the photos.", near)
