"""Where batches come from: pictures, changed anew in every epoch, or features of views that were computed before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from impasto.data.load.augmentations import Augmentation
from impasto.data.load.loaders import WHOLE, Loader, Share, Side
from impasto.runtime import generator

Batches = Iterator[tuple[Tensor, Tensor]]


class Feed(Protocol):
    """What training needs of its data: labelled batches on the device.

    Attributes:
        labels: of the training split.
        validated: how many pictures validation has.
    """

    @property
    def labels(self) -> Tensor: ...  # noqa: D102
    @property
    def validated(self) -> int: ...  # noqa: D102

    def training(self, epoch: int, first: int, share: Share) -> Batches:
        """Go through the training split in the order of ``epoch``, less the ``first`` batches."""
        ...

    def validation(self, share: Share) -> Batches:
        """Go through the validation split."""
        ...


@dataclass(frozen=True)
class PictureFeed:
    """Pictures from a loader.

    Attributes:
        loader: where batches come from and go to.
        train, held_out: the two sides.
        augmentation: what training pictures are changed by.
        seed: of order and augmentation.
    """

    loader: Loader
    train: Side
    held_out: Side
    augmentation: Augmentation
    seed: int

    @property
    def labels(self) -> Tensor:
        """Of the training split."""
        return self.train.labels

    @property
    def validated(self) -> int:
        """How many pictures validation has."""
        return len(self.held_out)

    def training(self, epoch: int, first: int = 0, share: Share = WHOLE) -> Batches:
        """Go through the training split in the order of ``epoch``, less the ``first`` batches."""
        return self.loader.shuffled(
            self.train, seed=self.seed, epoch=epoch, augmentation=self.augmentation, first=first, share=share
        )

    def validation(self, share: Share = WHOLE) -> Batches:
        """Go through the validation split."""
        return self.loader.in_order(self.held_out, share)


@dataclass(frozen=True)
class FeatureFeed:
    """Features: epoch e takes view e of each picture, and begins anew after the last.

    Attributes:
        views: V x N x D float32, of the training split.
        labels: N indices.
        held_out: features M x D of the validation split, and its labels.
        batch_size: rows of a batch.
        seed: of the order.
        device: where batches go.
    """

    views: Tensor
    labels: Tensor
    held_out: tuple[Tensor, Tensor]
    batch_size: int
    seed: int
    device: torch.device

    @property
    def validated(self) -> int:
        """How many pictures validation has."""
        return len(self.held_out[1])

    def training(self, epoch: int, first: int = 0, share: Share = WHOLE) -> Batches:
        """Go through the training split in the order of ``epoch``, less the ``first`` batches."""
        order = torch.randperm(len(self.labels), generator=generator(self.seed, "order", epoch))
        view = self.views[(epoch - 1) % len(self.views)]
        for batch in torch.split(order, self.batch_size)[first:]:
            rows = share.of(batch)
            yield view[rows].to(self.device), self.labels[rows].to(self.device)

    def validation(self, share: Share = WHOLE) -> Batches:
        """Go through the validation split."""
        for rows in torch.split(share.own(torch.arange(self.validated)), max(self.batch_size, 256)):
            yield self.held_out[0][rows].to(self.device), self.held_out[1][rows].to(self.device)
