"""Maps of a collection: neighbours, what a map keeps of them, doubtful labels, and what is written."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.manifold import trustworthiness as by_sklearn

from embed_fixtures import clouds, collection
from impasto.embed import EmbedConfig, judge_labels, neighbours
from impasto.embed.neighbours import nearest
from impasto.embed.projection import principal_components, tsne, usual_perplexity
from impasto.embed.quality import agreement, by_angle, chance, closest, mixtures, on_plane, ranks, trustworthiness
from impasto.embed.suspects import out_of_fold
from impasto.embed.twins import find_twins, usual_cosine
from impasto.errors import DataError, UnknownNameError, UsageError


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


def brute_trustworthiness(original: np.ndarray, places: np.ndarray, k: int) -> float:
    """The formula of Venna and Kaski 2001, word for word, in float64."""
    n = len(original)
    far = np.linalg.norm(original[:, None] - original[None], axis=2)
    near = np.linalg.norm(places[:, None] - places[None], axis=2)
    penalty = 0
    for i in range(n):
        others = [j for j in range(n) if j != i]
        ranked = sorted(others, key=lambda j: far[i, j])
        for j in sorted(others, key=lambda j: near[i, j])[:k]:
            penalty += max(0, ranked.index(j) + 1 - k)
    return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * penalty


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), count=st.integers(9, 30), k=st.integers(1, 4))
def test_trustworthiness_and_continuity_are_the_formula(seed: int, count: int, k: int) -> None:
    random = np.random.default_rng(seed)
    values = random.normal(size=(count, 6))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    places = values[:, :2] + 0.2 * random.normal(size=(count, 2))
    features, plane = by_angle(torch.from_numpy(values)), on_plane(torch.from_numpy(places))
    trust = trustworthiness(ranks(features, closest(plane, count, k)))
    assert trust == pytest.approx(brute_trustworthiness(values, places, k), abs=1e-12)
    assert trust == pytest.approx(by_sklearn(values, places, n_neighbors=k), abs=1e-12)
    kept = trustworthiness(ranks(plane, closest(features, count, k)))
    assert kept == pytest.approx(brute_trustworthiness(places, values, k), abs=1e-12)


def test_a_faithful_map_is_worth_1_and_half_of_all_is_no_neighbourhood() -> None:
    places = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    assert trustworthiness(ranks(on_plane(places), closest(on_plane(3 * places), 20, 5))) == 1
    with pytest.raises(UsageError, match="half of them"):
        trustworthiness(ranks(on_plane(places), closest(on_plane(places), 20, 10)))


def test_purity_is_counted_and_chance_is_what_shuffled_labels_give() -> None:
    labels = ["a", "a", "b", "b", "b"]
    near = torch.tensor([[1, 2], [2, 3], [3, 4], [0, 4], [0, 1]])
    assert agreement(labels, near).tolist() == [0.5, 0, 1, 0.5, 0]
    values, _ = clouds(300)
    random = np.random.default_rng(0)
    many = [str(label) for label in random.choice(3, 300, p=[0.6, 0.3, 0.1])]
    indices, _ = nearest(values, values, 10, itself=False)
    assert agreement(many, indices).mean() == pytest.approx(chance(many), abs=0.03)
    assert chance(labels) == pytest.approx((2 * 1 + 3 * 2) / (5 * 4))
    found = mixtures(labels, near)
    assert [(item.label, item.among, item.share, item.expected) for item in found] == [
        ("a", "b", 0.75, 0.75),
        ("b", "a", 0.5, 0.5),
    ]


def test_components_are_those_of_the_singular_values() -> None:
    values = np.random.default_rng(0).normal(size=(40, 6)) * [5, 3, 2, 1, 1, 1]
    found = principal_components(values)
    left, sizes, _ = np.linalg.svd(values - values.mean(0), full_matrices=False)
    np.testing.assert_allclose(np.abs(found.scores), np.abs(left * sizes), atol=1e-9)
    np.testing.assert_allclose(found.explained, sizes**2 / (sizes**2).sum(), atol=1e-12)
    with pytest.raises(DataError, match="4 pictures make no map"):
        principal_components(values[:4])
    assert principal_components(np.ones((6, 3))).explained == (0, 0, 0)


def test_tsne_gives_the_same_bytes_and_says_how_it_was_made() -> None:
    values, labels = clouds(60)
    scores = principal_components(values.double().numpy()).scores
    first, facts = tsne(scores, seed=3)
    assert first.tobytes() == tsne(scores, seed=3)[0].tobytes()
    assert (facts["perplexity"], facts["early_exaggeration"], facts["learning_rate"]) == (59 / 3, 12, 50)
    near = closest(on_plane(torch.from_numpy(first)), 60, 5)
    assert agreement(labels, near).mean() == 1
    assert usual_perplexity(10_000) == usual_perplexity(91) == 30
    with pytest.raises(DataError, match="perplexity 60"):
        tsne(scores, perplexity=60)


def test_settings_that_cannot_be() -> None:
    for wrong in ({"split": "tset"}, {"method": "umap"}):
        with pytest.raises(UnknownNameError):
            EmbedConfig("data", **wrong)  # type: ignore[arg-type]
    for numbers in ({"perplexity": 0.5}, {"perplexity": float("nan")}, {"neighbours": 0}, {"seed": -1}):
        with pytest.raises(UsageError):
            EmbedConfig("data", **numbers)  # type: ignore[arg-type]


def flipped(labels: list[str], count: int, seed: int = 0) -> tuple[list[str], set[int]]:
    """Exchange ``count`` labels for others."""
    random = np.random.default_rng(seed)
    names, changed = sorted(set(labels)), list(labels)
    places = random.choice(len(labels), count, replace=False).tolist()
    for place in places:
        changed[place] = str(random.choice([name for name in names if name != labels[place]]))
    return changed, set(places)


@pytest.mark.parametrize("seed", range(3))
def test_planted_errors_are_found_and_few_others(seed: int) -> None:
    values, labels = clouds(400, classes=4, noise=0.5, seed=seed)
    changed, planted = flipped(labels, 20, seed)
    judged = judge_labels(values, changed, [str(index) for index in range(400)], 10, seed)
    found = {item.index for item in judged.suspects}
    assert len(found & planted) >= 18
    assert len(found - planted) <= 2
    for item in judged.suspects:
        if item.index in planted:
            assert (item.label, item.suggested) == (changed[item.index], labels[item.index])
            assert item.own < item.other
    assert not judge_labels(values, labels, [str(index) for index in range(400)], 10, seed).suspects


def test_pictures_of_a_group_do_not_vouch_for_each_other() -> None:
    values, labels = clouds(120)
    groups = [str(index) for index in range(120)]
    # Twelve equal pictures, all labelled wrongly.
    values[:12], labels[:12] = values[1], ["class 0"] * 12
    assert 1 not in {item.index for item in judge_labels(values, labels, groups, 10).suspects}
    found = judge_labels(values, labels, ["one photo"] * 12 + groups[12:], 10)
    assert {item.index for item in found.suspects} >= set(range(12))
    assert {item.suggested for item in found.suspects if item.index < 12} == {"class 1"}


def test_who_cannot_be_judged_is_no_suspect() -> None:
    values, labels = clouds(60)
    labels[5] = "the only one"
    found = judge_labels(values, labels, [str(index) for index in range(60)], 5)
    assert found.predicted[5] == ""
    assert 5 not in {item.index for item in found.suspects}
    assert judge_labels(values[:4], labels[:4], list("abcd"), 2).accuracy is None
    assert judge_labels(values, ["one"] * 60, list(map(str, range(60))), 2).predicted == ("",) * 60


def test_a_probe_never_sees_the_group_it_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    values, labels = clouds(40, classes=2)
    groups = np.repeat(np.arange(20), 2)
    taught: list[set[int]] = []
    rows = {row.tobytes(): index for index, row in enumerate(values.double().numpy())}

    class Watched:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def fit(self, features: np.ndarray, _: np.ndarray) -> None:
            taught.append({int(groups[rows[row.tobytes()]]) for row in features})

        def predict_proba(self, features: np.ndarray) -> np.ndarray:
            asked = {int(groups[rows[row.tobytes()]]) for row in features}
            assert not asked & taught[-1]
            return np.full((len(features), 2), 0.5)

    monkeypatch.setattr("impasto.embed.suspects.make_pipeline", Watched)
    numbers = np.unique(labels, return_inverse=True)[1]
    assert np.isfinite(out_of_fold(values.double().numpy(), numbers, groups, 0)).all()
    assert len(taught) == 5


def test_equal_and_nearly_equal_pictures_are_pairs() -> None:
    values = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 0.1, 0], [0, 1, 0], [0, 0, 1]])
    indices, cosines = nearest(values, values, 2, itself=False)
    found = find_twins(["a", "b", "c", "b", "d"], indices, cosines)
    assert [(twin.first, twin.second, twin.kind) for twin in found] == [(1, 3, "bytes"), (0, 2, "features")]
    assert found[1].similarity == pytest.approx(1 / 1.01**0.5)


def test_a_map_knows_the_neighbours_of_its_pictures_and_of_others() -> None:
    values, labels = clouds(30)
    found = collection(values, labels)
    cosines = torch.nn.functional.cosine_similarity(values[:1], values)
    cosines[0] = -2
    order = cosines.argsort(descending=True)[:4].tolist()
    assert [item.index for item in found.nearest_to(0, 4)] == order
    near = found.nearest(values[0], 3)
    assert [(item.index, item.sample.label) for item in near][:2] == [(0, "class 0"), (order[0], "class 0")]
    assert near[0].similarity == pytest.approx(1, abs=1e-6)
    assert found.facts.purity == pytest.approx(np.mean(found.agreement))
    assert (found.quality, found.tsne) == (found.facts.maps["pca"], None)


def test_a_network_that_finds_all_alike_names_no_copies() -> None:
    """Cosines of .97 mean little where those of any two pictures are .95; equal files are named in any case."""
    features = torch.eye(6) + 1.5
    usual = usual_cosine(features)
    cosines = torch.nn.functional.cosine_similarity(features[:, None], features[None], dim=2)
    assert usual == pytest.approx(float((cosines.sum() - 6) / 30), abs=1e-6)
    neighbours, near = torch.tensor([[1], [0], [3], [2]]), torch.tensor([[0.97], [0.97], [0.97], [0.97]])
    hashes = ["a", "a", "c", ""]
    assert [twin.kind for twin in find_twins(hashes, neighbours, near, 0.6)] == ["bytes", "features"]
    assert [(twin.first, twin.kind) for twin in find_twins(hashes, neighbours, near, usual)] == [(0, "bytes")]
