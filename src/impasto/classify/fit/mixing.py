"""The loss of a batch: class weights, smoothed labels, pairs of pictures mixed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.runtime import derive_seed


def balanced_weights(labels: Tensor, classes: int) -> Tensor:
    """Return n / (classes * n of the class) for each class, float32; a class that is not there has weight 1."""
    counts = torch.bincount(labels, minlength=classes).double()
    return torch.where(counts > 0, counts.sum() / (classes * counts.clamp_min(1)), 1.0).float()


def objective(logits: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float) -> Tensor:
    """Return the sum of the losses of a batch; ``labels`` are indices, or shares of each class (B x C)."""
    return F.cross_entropy(logits, labels, weights, label_smoothing=smoothing, reduction="sum")


def mix(
    inputs: Tensor, labels: Tensor, classes: int, alpha: float, seed: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    """Mix each picture with another of its batch, one share for all (Zhang et al. 2017).

    Args:
        inputs: B x ..., pictures or features.
        labels: B indices.
        classes: how many there are.
        alpha: both parameters of the beta distribution of the share.
        seed: of the run, epoch and batch: what share and partners are drawn from.

    Returns:
        The mixed inputs, and B x ``classes`` shares of each class.
    """
    draw = np.random.default_rng(derive_seed(seed[0], "mixup", *seed[1:]))
    share = float(draw.beta(alpha, alpha))
    partners = torch.from_numpy(draw.permutation(len(inputs))).to(inputs.device)
    targets = F.one_hot(labels, classes).float()
    return torch.lerp(inputs[partners], inputs, share), torch.lerp(targets[partners], targets, share)
