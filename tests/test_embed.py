"""Maps of a collection: neighbours, what a map keeps of them, doubtful labels, and the command's results."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from impasto.embed import neighbours
from impasto.embed.neighbours import nearest
from impasto.errors import UsageError


def test_neighbours_are_those_of_all_cosines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_AT_ONCE", 100)  # blocks of three rows
    vectors = np.random.default_rng(0).normal(size=(31, 5)) * np.arange(1, 32)[:, None]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    indices, values = nearest(torch.from_numpy(vectors[:7]), torch.from_numpy(vectors), 4)
    assert indices.tolist() == np.argsort(-cosines[:7], axis=1)[:, :4].tolist()
    np.testing.assert_allclose(values.numpy(), -np.sort(-cosines[:7], axis=1)[:, :4], atol=1e-12)
    np.fill_diagonal(cosines, -2)
    others, _ = nearest(*[torch.from_numpy(vectors)] * 2, 4, itself=False)
    assert others.tolist() == np.argsort(-cosines, axis=1)[:, :4].tolist()


def test_of_equal_neighbours_the_first_comes_first() -> None:
    collection = torch.tensor([[0.0, 1], [2, 0], [1, 0], [4, 0], [0, 0]])
    indices, values = nearest(torch.tensor([[1.0, 0]]), collection, 9)
    assert indices.tolist() == [[1, 2, 3, 0, 4]]
    assert values.tolist() == [[1, 1, 1, 0, 0]]


def test_neighbours_that_cannot_be() -> None:
    for queries, k, itself in ((torch.ones(2, 3), 0, True), (torch.ones(2, 4), 1, True), (torch.ones(2, 3), 1, False)):
        with pytest.raises(UsageError):
            nearest(queries, torch.ones(5, 3), k, itself=itself)
