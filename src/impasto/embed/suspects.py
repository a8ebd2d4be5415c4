"""Labels that may be wrong: what the other pictures say about each one, its own label having no voice."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor

from impasto.classify.judge.calibration import fit_temperature
from impasto.embed.neighbours import nearest

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
FOLDS = 5
# Inverse of the L2 penalty of the probe, on standardised features: few-shot accuracy is flat from 0.003 to 0.1 (see
# impasto.classify.fit.head), and a strong penalty does not learn single wrong labels by heart.
PENALTY = 0.01
# How many times as likely another label must be. From 10 to 100 the planted errors that are found fall little (19.2 to
# 17.2 of 20 among 950 paintings, mean of six draws) and the others much (14 to 4.5).
ODDS = 30.0
# What is added to the share of the votes for each label, so that no neighbour's word is final.
VOTE = 0.1
_LEAST = 1e-12
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
    the last, five times; one temperature for all makes its probabilities believable. The second are the picture's
    ``k`` nearest neighbours: the share that has each label, a tenth added. Neither is told the picture's own label. A
    label is doubtful if both prefer the same other one, which by the two together (the product) is thirty times as
    likely.

    The rule of confident learning (Northcutt et al. 2021: the probability of the other class is at least the mean
    that its own pictures have) was tried and finds fewer: by its making about half of what is as clear as the rest.
    Of 20 labels exchanged among 950 paintings of four classes it found 16 and this one 19, each with 8 others (means of
    several draws).

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
    votes = _votes(features, own, kinds, k, len(names))
    evidence = np.where(judged[:, None], shares, 0) * (votes + VOTE)
    best, named, every = shares.argmax(1), evidence.argmax(1), np.arange(len(own))
    doubtful = judged & (evidence[every, named] > ODDS * evidence[every, own])
    doubtful &= (shares[every, named] > shares[every, own]) & (votes[every, named] > votes[every, own])
    found = [
        Suspect(
            int(row),
            str(names[own[row]]),
            str(names[named[row]]),
            *(float(table[row, which[row]]) for table in (shares, votes) for which in (own, named)),
        )
        for row in np.flatnonzero(doubtful)
    ]
    return Judged(
        tuple(str(names[place]) if known else "" for place, known in zip(best, judged, strict=True)),
        tuple(sorted(found, key=lambda item: (item.own / item.other, item.index))),
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
    return _tempered(shares, labels)


def _tempered(shares: Array, labels: Places) -> Array:
    """Return probabilities that mean what they say: the strong penalty makes a probe less sure than it is right."""
    judged = np.isfinite(shares[:, 0])
    if not judged.any():
        return shares
    logits = np.log(np.maximum(shares[judged], _LEAST))
    logits /= fit_temperature(logits, labels[judged])
    tempered = shares.copy()
    tempered[judged] = softmax(logits, axis=1)
    return tempered


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
