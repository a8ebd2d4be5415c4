"""From features to two dimensions: principal components, and t-SNE on the first fifty of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from impasto.errors import DataError

Array = npt.NDArray[np.float64]
# Fewer pictures have no neighbourhood to speak of.
LEAST = 5
# Of van der Maaten and Hinton 2008: thirty there; fifty is usual since.
COMPONENTS = 50
# Of van der Maaten and Hinton 2008, at most a third of the pictures (what Barnes-Hut needs).
USUAL_PERPLEXITY = 30.0
# Belkina et al. 2019.
EXAGGERATION = 12.0


@dataclass(frozen=True)
class Components:
    """Principal components of N vectors.

    Attributes:
        scores: N x C, the largest first.
        explained: the share of the variance that each of them holds.
    """

    scores: Array
    explained: tuple[float, ...]


def principal_components(features: Array, seed: int = 0) -> Components:
    """Return the first components, at most fifty, of N x D features whose length is 1.

    Of vectors of length 1, so that distances grow as cosines fall, and neighbours are the same everywhere.

    Raises:
        DataError: fewer than five pictures.
    """
    if len(features) < LEAST:
        raise DataError(f"{len(features)} pictures make no map.", f"Give {LEAST} or more.")
    count = min(COMPONENTS, *features.shape, len(features) - 1)
    model = PCA(count, random_state=seed)
    with threadpool_limits(1), np.errstate(invalid="ignore"):  # all pictures equal: no variance to have a share of
        scores = model.fit_transform(features)
    shares = np.nan_to_num(model.explained_variance_ratio_)
    if scores.shape[1] == 1:
        scores = np.column_stack([scores, np.zeros(len(scores))])
    return Components(scores, tuple(shares.tolist()))


def usual_perplexity(count: int) -> float:
    """Return the perplexity for so many pictures: 30, and for fewer than 91 a third of the others.

    >>> usual_perplexity(10_000), usual_perplexity(31), usual_perplexity(5)
    (30.0, 10.0, 1.3333333333333333)
    """
    return min(USUAL_PERPLEXITY, (count - 1) / 3)


def tsne(scores: Array, perplexity: float | None = None, seed: int = 0) -> tuple[Array, Mapping[str, Any]]:
    """Return a map of N x C components, N x 2, and the parameters it was made with.

    Barnes-Hut t-SNE (van der Maaten 2014), begun from the first two components, which keeps the large distances and
    makes maps of two seeds alike (Kobak and Berens 2019), with the learning rate of Belkina et al. 2019, n / 12 and at
    least 50: a fourth of that in scikit-learn's units, whose gradient lacks the factor 4.

    On one thread: with several, a sum depends on how they share it, and after a thousand steps the map with it.

    Raises:
        DataError: fewer pictures than the perplexity needs.
    """
    chosen = usual_perplexity(len(scores)) if perplexity is None else perplexity
    if not chosen < len(scores):
        raise DataError(f"perplexity {chosen:g} needs more than {len(scores)} pictures.", "Choose less, or auto.")
    spread = scores[:, 0].std() or 1.0
    # scikit-learn's own scale for a first map: 0.0001.
    start = (scores[:, :2] / spread * 1e-4).astype(np.float32)
    model = TSNE(
        perplexity=chosen, early_exaggeration=EXAGGERATION, learning_rate="auto", init=start, random_state=seed
    )
    with threadpool_limits(1):
        found = model.fit_transform(scores.astype(np.float32))
    facts = {
        "perplexity": chosen,
        "early_exaggeration": EXAGGERATION,
        "learning_rate": float(model.learning_rate_),
        "init": "first two principal components, scaled to 0.0001",
        "components": scores.shape[1],
        "iterations": int(model.n_iter_),
        "kl_divergence": float(model.kl_divergence_),
        "scikit_learn": sklearn.__version__,
    }
    return found.astype(np.float64), facts
