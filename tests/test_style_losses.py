"""The losses as mathematics: values that can be worked out by hand, and the paper's formulas in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.encoders import load_encoder
from impasto.style import losses
from impasto.style.objective import CONTENT_AT_HALF, Gatys2015Objective, NormalisedObjective


def random_features(seed: int, channels: int = 5, height: int = 6, width: int = 7) -> torch.Tensor:
    return torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(seed))


def test_the_gram_matrix_of_ones_is_ones() -> None:
    assert torch.equal(losses.gram(torch.ones(2, 3, 4, 5)), torch.ones(2, 3, 3))


@given(seed=st.integers(0, 1000))
def test_the_gram_matrix_forgets_where_things_are(seed: int) -> None:
    features = random_features(seed)
    order = torch.randperm(42, generator=torch.Generator().manual_seed(seed))
    shuffled = features.flatten(2)[..., order].view_as(features)
    torch.testing.assert_close(losses.gram(shuffled), losses.gram(features), rtol=1e-4, atol=1e-5)


def test_the_gram_matrix_is_the_formula() -> None:
    features = random_features(1)
    F = features[0].double().flatten(1).numpy()
    np.testing.assert_allclose(losses.gram(features)[0].numpy(), F @ F.T / F.shape[1], rtol=1e-5)


@given(scale=st.floats(0.01, 100), seed=st.integers(0, 100))
def test_distances_are_shares_of_the_target(scale: float, seed: int) -> None:
    one, other = random_features(seed), random_features(seed + 1)
    style = losses.style_distance(losses.gram(one), losses.gram(other))
    scaled = losses.style_distance(losses.gram(one * scale), losses.gram(other * scale))
    torch.testing.assert_close(scaled, style, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(
        losses.content_distance(one * scale, other * scale), losses.content_distance(one, other), rtol=1e-3, atol=1e-6
    )
    assert losses.style_distance(losses.gram(one), losses.gram(one)) == 0
    assert losses.content_distance(torch.zeros_like(one), one) == pytest.approx(1)


def test_total_variation_of_a_stripe() -> None:
    image = torch.zeros(1, 3, 4, 4)
    image[..., 2] = 1.0  # two edges of height 1 in each of 4 rows and 3 channels, 48 numbers
    assert losses.total_variation(image) == pytest.approx(2 * 4 * 3 / 48)


def test_the_wall_stands_at_the_ends_of_the_range() -> None:
    assert losses.out_of_range(torch.rand(1, 3, 4, 4)) == 0
    assert losses.out_of_range(torch.full((1, 3, 2, 2), 1.5)) == pytest.approx(0.25)
    assert losses.out_of_range(torch.full((1, 3, 2, 2), -0.5)) == pytest.approx(0.25)


def test_blending_follows_the_weights() -> None:
    a, b = torch.ones(1, 2, 2), torch.zeros(1, 2, 2)
    assert torch.equal(losses.blend([a, b], [3, 1]), torch.full((1, 2, 2), 0.75))
    assert torch.equal(losses.blend([a, b], [1, 0]), a)


def independent_gatys2015(
    content: list[np.ndarray],
    style: list[np.ndarray],
    image_c: list[np.ndarray],
    image_s: list[np.ndarray],
    ratio: float,
) -> float:
    """R1's equations 2 to 5 with loops and float64, sharing no code with the package; divided by alpha."""
    total = 0.0
    for wanted, have in zip(content, image_c, strict=True):
        total += float(((have - wanted) ** 2).sum())  # (2)
    style_loss = 0.0
    for wanted, have in zip(style, image_s, strict=True):
        N, M = have.shape[0], have.shape[1] * have.shape[2]
        G, A = np.zeros((N, N)), np.zeros((N, N))
        for i in range(N):
            for j in range(N):
                G[i, j] = float((have[i] * have[j]).sum())
                A[i, j] = float((wanted[i] * wanted[j]).sum())
        style_loss += float(((G - A) ** 2).sum()) / (4 * N**2 * M**2) / len(style)  # (3), (4) with w_l = 1/5
    return total + style_loss / ratio  # (5) over alpha, beta = alpha / ratio


@pytest.mark.parametrize("ratio", [1e9, 1e8, 1e7, 1.0])
def test_gatys2015_is_exactly_the_equations(ratio: float) -> None:
    encoder = load_encoder("vgg19-16x", weights="random")
    generator = torch.Generator().manual_seed(3)
    photo, painting, image = (torch.rand(1, 3, 48, 48, generator=generator) for _ in range(3))
    content_layers, style_layers = ["relu4_2"], ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
    objective = Gatys2015Objective(encoder, photo, [painting], [1.0], content_layers, style_layers, ratio=ratio)
    ours = sum(term.item() for term in objective.terms(image).values())

    def maps(picture: torch.Tensor, layers: list[str]) -> list[np.ndarray]:
        return [value[0].double().numpy() for value in encoder(picture, layers).values()]

    theirs = independent_gatys2015(
        maps(photo, content_layers),
        maps(painting, style_layers),
        maps(image, content_layers),
        maps(image, style_layers),
        ratio,
    )
    assert ours == pytest.approx(theirs, rel=1e-4)


def make_normalised(strength: float, dtype: torch.dtype = torch.float32) -> tuple[NormalisedObjective, torch.Tensor]:
    encoder = load_encoder("vgg19-16x", weights="random")
    generator = torch.Generator().manual_seed(4)
    photo, painting = (torch.rand(1, 3, 48, 64, generator=generator) for _ in range(2))
    objective = NormalisedObjective(
        encoder, photo, [painting], [1.0], ["relu4_2"], ["relu1_1", "relu3_1"], dtype, strength=strength
    )
    return objective, photo


def test_a_photo_costs_no_content_and_strength_shifts_the_balance() -> None:
    objective, photo = make_normalised(0.5)
    assert objective.terms(photo)["content"] == 0
    assert objective.content_weight == pytest.approx(CONTENT_AT_HALF)
    weights = [make_normalised(strength)[0].content_weight for strength in (0.1, 0.5, 0.9)]
    assert weights == sorted(weights, reverse=True)


def test_the_gradient_is_that_of_the_loss() -> None:
    objective, photo = make_normalised(0.5)
    image = (photo + 0.05).clamp(0, 1).requires_grad_()
    torch.stack(list(objective.terms(image).values())).sum().backward()
    assert image.grad is not None
    step = 1e-2 * image.grad / image.grad.norm()
    with torch.no_grad():
        up, down = (sum(t.item() for t in objective.terms(image + sign * step).values()) for sign in (1, -1))
    assert (up - down) / 2e-2 == pytest.approx(image.grad.norm().item(), rel=0.05)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_bf16_finds_nearly_the_same_loss(seed: int) -> None:
    image = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(seed))
    exact, fast = (make_normalised(0.5, dtype)[0].terms(image) for dtype in (torch.float32, torch.bfloat16))
    for name, value in exact.items():
        assert fast[name].item() == pytest.approx(value.item(), rel=0.05, abs=1e-4)
