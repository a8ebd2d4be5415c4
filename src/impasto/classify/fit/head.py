"""The head of a frozen encoder: multinomial logistic regression, its penalty chosen on the validation split."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional as F

from impasto.classify.fit.curves import CurvePoint
from impasto.classify.models.heads import LinearHead
from impasto.runtime import OnProgress, Progress, ignore_progress

# scikit-learn's C, the inverse of the L2 penalty on the sum of losses. On standardised features few-shot accuracy
# is flat from 0.003 to 0.1; the ends are for very few and for very many pictures.
PENALTIES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


def solve_head(
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    classes: int,
    *,
    kind: type[LinearHead] = LinearHead,
    balanced: bool = False,
    penalties: Sequence[float] = PENALTIES,
    on_progress: OnProgress = ignore_progress,
) -> tuple[LinearHead, list[CurvePoint], CurvePoint]:
    """Return the head that is best on validation, a row for each ``C`` tried, and the best row.

    Features are standardised by the training split, and the means and scales become part of the head.

    Args:
        train: features V x N x D of V views of N pictures, and N labels (integers in 0..classes-1, each at least
            once). Each view weighs 1 / V, so that the penalty means the same for any number of them.
        validation: features M x D and labels of other pictures; classes may lack.
        classes: the number of classes.
        kind: of the head, which says what features it is for.
        balanced: whether every class counts the same, however many pictures it has.
        penalties: the values of ``C`` to choose from.
        on_progress: told after each ``C``.
    """
    views, labels = train
    rows, repeated = views.flatten(0, 1), labels.repeat(len(views))
    mean, scale = _standard(rows)
    points: list[CurvePoint] = []
    best: tuple[CurvePoint, LinearHead] | None = None
    inputs = ((rows - mean) / scale).double().numpy()
    on_progress(Progress("training", 0, len(penalties)))
    for step, c in enumerate(penalties, 1):
        head = _as_head(kind, mean, scale, *_regress(inputs, repeated.numpy(), c, len(views), balanced))
        point = CurvePoint(step, *_score(head, (rows, repeated)), *_score(head, validation), c=c)
        points.append(point)
        if best is None or point.rank > best[0].rank:
            best = point, head
        values = {"C": c, "validation_accuracy": point.validation_accuracy}
        on_progress(Progress("training", step, len(penalties), values))
    assert best is not None
    return best[1], points, best[0]


def fit_logistic(
    inputs: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    c: float,
    *,
    weights: npt.NDArray[np.float64] | None = None,
    balanced: bool = False,
) -> LogisticRegression:
    """Return scikit-learn's multinomial regression of N x D inputs; a fit that stops early is kept like any other.

    Args:
        inputs: features, standardised.
        labels: N class indices.
        c: the inverse of the L2 penalty on the sum of losses.
        weights: how much each row counts in that sum; None for 1 each.
        balanced: whether every class counts the same.
    """
    model = LogisticRegression(C=c, max_iter=1000, class_weight="balanced" if balanced else None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(inputs, labels, sample_weight=weights)


def _standard(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature; features that never change keep scale 1."""
    deviation = features.double().std(0, correction=0)
    scale = torch.where(deviation > 1e-6 * deviation.max().clamp_min(1e-12), deviation, 1.0)
    return features.double().mean(0).float(), scale.float()


def _regress(
    inputs: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], c: float, views: int, balanced: bool
) -> tuple[Tensor, Tensor]:
    """Return weights (classes x D) and biases of the regression."""
    # The penalty stands beside a sum of losses: with V views of each picture the sum is V times as large.
    model = fit_logistic(inputs, labels, c / views, balanced=balanced)
    weight, bias = torch.from_numpy(model.coef_).float(), torch.from_numpy(model.intercept_).float()
    if len(weight) == 1:  # two classes: scikit-learn gives the log-odds of the second
        return torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    return weight, bias


def _as_head(kind: type[LinearHead], mean: Tensor, scale: Tensor, weight: Tensor, bias: Tensor) -> LinearHead:
    with torch.device("meta"):
        head = kind(weight.shape[1], weight.shape[0])
    state = {"mean": mean, "scale": scale, "linear.weight": weight, "linear.bias": bias}
    head.load_state_dict(state, assign=True)
    return head.requires_grad_(False)


def _score(head: LinearHead, split: tuple[Tensor, Tensor]) -> tuple[float, float]:
    """Return mean cross-entropy and accuracy."""
    logits = head(split[0])
    loss = F.cross_entropy(logits, split[1]).item()
    return loss, (logits.argmax(1) == split[1]).double().mean().item()
