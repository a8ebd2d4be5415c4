"""Labels that may be wrong: what the other pictures say about each one, its own label having no voice."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor

from impasto.embed.neighbours import nearest

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
FOLDS = 5
# Inverse of the L2 penalty of the probe, on standardised features: few-shot accuracy is flat from 0.003 to 0.1 (see
# impasto.classify.fit.head), and a strong penalty does not learn single wrong labels by heart.
PENALTY = 0.01
# Of a group, so many others are looked past in search of neighbours outside it.
_MOST_OF_GROUP = 200


@dataclass(frozen=True)
class Suspect:
    """A picture whose label may be wrong.

    Attributes:
        index: of the picture.
        label: what it is called.
        suggested: what the others say it is.
        own, other: probabilities of the two by a probe that has not seen the picture.
        own_votes, other_votes: shares of its nearest neighbours that have the two labels.
    """

    index: int
    label: str
    suggested: str
    own: float
    other: float
    own_votes: float
    other_votes: float


@dataclass(frozen=True)
class Judged:
    """What the probe says of N pictures.

    Attributes:
        predicted: the most probable class of each, by a probe that has not seen it; "" for one that none could judge.
        suspects: the doubtful ones, the clearest first.
        accuracy: the share that the probe names as labelled, of those it could judge; None if there are none.
    """

    predicted: tuple[str, ...]
    suspects: tuple[Suspect, ...]
    accuracy: float | None


def judge_labels(features: Tensor, labels: Sequence[str], groups: Sequence[str], k: int, seed: int = 0) -> Judged:
    """Return the pictures whose label the others contradict, by two witnesses that must agree.

    The first is a linear probe (logistic regression on standardised features), taught on four fifths and asked about
    the last, five times. Its word is weighed by confident learning (Northcutt et al. 2021): a picture is taken for
    class j if its probability of j is at least the mean that pictures labelled j have, of several such j for the most
    probable; it is a candidate if j is not its label. The second are its ``k`` nearest neighbours: more of them must
    have the label j than its own. Neither has seen the picture's own label. Other than in the paper, both must speak,
    and no share of the candidates is dropped.

    Args:
        features: N x D.
        labels: of each picture.
        groups: pictures of one group (repaints of one photo, equal files) never speak about each other.
        k: neighbours.
        seed: of the folds.
    """
    names, own = np.unique(np.asarray(labels), return_inverse=True)
    kinds = np.unique(np.asarray(groups), return_inverse=True)[1]
    if len(names) < 2:
        return Judged(("",) * len(labels), (), None)
    shares = out_of_fold(features.double().numpy(), own, kinds, seed)
    judged = np.isfinite(shares[:, 0])
    if not judged.any():
        return Judged(("",) * len(labels), (), None)
    best = np.where(judged, np.nan_to_num(shares).argmax(1), -1)
    named = confident(shares, own)
    votes = _votes(features, own, kinds, k, len(names))
    rows = [
        row for row in np.flatnonzero((named >= 0) & (named != own)) if votes[row, named[row]] > votes[row, own[row]]
    ]
    found = [
        Suspect(
            int(row),
            str(names[own[row]]),
            str(names[named[row]]),
            *(float(table[row, which[row]]) for table in (shares, votes) for which in (own, named)),
        )
        for row in rows
    ]
    return Judged(
        tuple(str(names[place]) if place >= 0 else "" for place in best),
        tuple(sorted(found, key=lambda item: (item.own - item.other, item.index))),
        float((best == own)[judged].mean()),
    )


def out_of_fold(features: Array, labels: Places, groups: Places, seed: int) -> Array:
    """Return N x C probabilities, each row by a probe that has seen no picture of its group; NaN where none can.

    A picture cannot be judged if the other folds know nothing of its class: nobody could name it rightly.
    """
    count = int(labels.max()) + 1
    shares = np.full((len(labels), count), np.nan)
    if len(np.unique(groups)) < FOLDS or np.bincount(labels).max() < FOLDS:
        return shares
    for taught, asked in _folds(labels, groups, seed):
        known = np.unique(labels[taught])
        asked = asked[np.isin(labels[asked], known)]
        if len(known) < 2 or not len(asked):
            continue
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=1000))
        # On one thread: the products are so small that several wait for each other twenty times as long.
        with threadpool_limits(1), warnings.catch_warnings():  # a fit that stops early is a probe like any other
            warnings.simplefilter("ignore", ConvergenceWarning)
            probe.fit(features[taught], labels[taught])
        shares[asked] = 0
        shares[np.ix_(asked, known)] = probe.predict_proba(features[asked])
    return shares


def confident(shares: Array, labels: Places) -> Places:
    """Return the class that each picture is taken for, -1 for none: the confident joint of Northcutt et al. 2021.

    Args:
        shares: N x C probabilities; a row of NaN for a picture that was not judged.
        labels: N integers.
    """
    judged = np.isfinite(shares[:, 0])
    limits = np.array(
        [
            shares[judged & (labels == each), each].mean() if (judged & (labels == each)).any() else np.inf
            for each in range(shares.shape[1])
        ]
    )
    with np.errstate(invalid="ignore"):
        eligible = np.where(shares >= limits, shares, -1.0)
    named: Places = np.where(eligible.max(1) >= 0, eligible.argmax(1), -1)
    return named


def _folds(labels: Places, groups: Places, seed: int) -> list[tuple[Places, Places]]:
    dealer = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed % 2**32)
    with warnings.catch_warnings():  # classes with fewer pictures than folds are in some of them
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return list(dealer.split(np.zeros(len(labels)), labels, groups))


def _votes(features: Tensor, labels: Places, groups: Places, k: int, classes: int) -> Array:
    """Return N x C shares of the ``k`` nearest neighbours of other groups that have each label."""
    largest = min(int(np.bincount(groups).max()), _MOST_OF_GROUP)
    others = nearest(features, features, k + largest - 1, itself=False)[0].numpy()
    outside = groups[others] != groups[:, None]
    counted = outside & (outside.cumsum(1) <= k)
    votes = np.zeros((len(labels), classes))
    rows, columns = np.nonzero(counted)
    np.add.at(votes, (rows, labels[others[rows, columns]]), 1)
    votes /= np.maximum(counted.sum(1, keepdims=True), 1)
    return votes
