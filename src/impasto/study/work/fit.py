"""A linear head on frozen features with a fixed penalty: the classifier of few-shot studies."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from impasto.classify.fit.head import fit_logistic
from impasto.errors import NumericalError
from impasto.study.draws import Draw
from impasto.study.spec import Settings
from impasto.study.work.bench import Bench, flat
from impasto.study.work.encode import read_features
from impasto.study.work.units import Cell, hash_of, way_of

Rows = npt.NDArray[np.float64]


def fit_cell(bench: Bench, cell: Cell) -> dict[str, Any]:
    """Teach a head on the training pictures of a cell and name its test pictures."""
    settings, draw = bench.arms[cell.arm].settings, bench.draw(cell)
    rows, labels, weights, added = _taught(bench, settings, draw)
    tested = [hash_of(bench.pool, bench.shown(bench.deal.items[row], settings)) for row in draw.test]
    held_out = _plain(bench, settings, tested)
    originals = [hash_of(bench.pool, bench.shown(bench.deal.items[row], settings)) for row in flat(draw.train)]
    standard = _plain(bench, settings, originals) if settings.weigh == "matched" else rows
    said = fit_head(rows, labels, weights, settings.penalty, standard, held_out)
    return {"taught": len(originals), "added": added, "said": said.tolist()}


def fit_head(
    rows: Rows, labels: npt.NDArray[np.int64], weights: Rows, c: float, standard: Rows, held_out: Rows
) -> npt.NDArray[np.int64]:
    """Return the class that multinomial logistic regression gives each row of ``held_out``.

    Args:
        rows: N x D features of training pictures; equal ones should be one row with the sum of their weights, so that
            duplicates change nothing at all.
        labels: N class indices.
        weights: N, how much each row counts in the sum of losses beside the penalty.
        c: scikit-learn's C.
        standard: the rows whose mean and standard deviation features are standardised by. Of arms that are compared
            these are the same: the originals.
        held_out: M x D features.
    """
    mean, scale = standard.mean(0), standard.std(0)
    scale = np.where(scale > 1e-6 * max(float(scale.max()), 1e-12), scale, 1.0)
    model = fit_logistic((rows - mean) / scale, labels, c, weights=weights)
    answers: npt.NDArray[np.int64] = model.predict((held_out - mean) / scale)
    return answers


def _taught(bench: Bench, settings: Settings, draw: Draw) -> tuple[Rows, npt.NDArray[np.int64], Rows, int]:
    """Return features, labels and weights of what teaches, and how many pictures were added to the originals.

    A picture that is there twice is one row with twice the weight: so a copy changes nothing but the weight, to the
    last bit.
    """
    index = {label: number for number, label in enumerate(bench.pool.classes)}
    weights: dict[tuple[str, int], float] = {}
    added = 0
    for row in flat(draw.train):
        item = bench.deal.items[row]
        shown = bench.taught(item, settings)
        added += len(shown) - 1
        for name, count in Counter(hash_of(bench.pool, one) for one in shown).items():
            # Counted and then divided: of ten copies, ten tenths would add up to a little less than one.
            weight = count / len(shown) if settings.weigh == "matched" else float(count)
            weights[name, index[item.label]] = weight
    places, features = read_features(bench, way_of(settings, True))
    chosen = features[:, [places[name] for name, _ in weights]]
    views = len(chosen)
    labels = np.tile([label for _, label in weights], views)
    return _numbers(chosen.flatten(0, 1)), labels, np.tile(list(weights.values()), views) / views, added


def _plain(bench: Bench, settings: Settings, names: list[str]) -> Rows:
    places, features = read_features(bench, way_of(settings, False))
    return _numbers(features[0, [places[name] for name in names]])


def _numbers(features: Tensor) -> Rows:
    if not bool(features.isfinite().all()):
        raise NumericalError("a picture that this cell needs could not be painted or read.")
    values: Rows = features.double().numpy()
    return values
