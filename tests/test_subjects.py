"""Networks to look into: names of layers, maps whatever the layout is, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from impasto.classify.models import R4CNN
from impasto.data.load.pictures import Preprocessing
from impasto.errors import PictureSizeError, UnknownNameError, UsageError
from impasto.subjects import Layout, Subject, is_spatial, load_subject, spatial


def _subject(network: nn.Module, size: int = 32, classes: int = 3) -> Subject:
    names = tuple("abcdefgh"[:classes])
    return Subject("test", network.eval().requires_grad_(False), {}, names, Preprocessing(size), {})


class _Attention(nn.Module):
    """A tiny transformer: patches of 8 pixels, a class token, one block, and a head on the class token."""

    def __init__(self, extra: int = 1) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.extra = nn.Parameter(torch.randn(1, extra, 16))
        self.norm1 = nn.LayerNorm(16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.norm2 = nn.LayerNorm(16)
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.extra.expand(len(x), -1, -1), tokens], 1)
        normed = self.norm1(tokens)
        tokens = tokens + self.attention(normed, normed, normed, need_weights=False)[0]
        out: Tensor = self.head(self.norm2(tokens)[:, 0])
        return out


class _InPlace(nn.Module):
    """Overwrites what its first convolution returned."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = torch.nn.functional.relu(x, inplace=True)
        x = self.pool(self.relu(x - 0.1))
        out: Tensor = self.head(x.mean((2, 3)))
        return out


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((2, 5, 7, 7), (2, 5, 7, 7)),
        ((2, 7, 7, 5), (2, 5, 7, 7)),
        ((2, 49, 5), (2, 5, 7, 7)),
        ((2, 50, 5), (2, 5, 7, 7)),
        ((2, 53, 5), (2, 5, 7, 7)),
    ],
)
def test_every_layout_becomes_maps_in_place(shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    assert spatial(torch.zeros(shape)).shape == wanted
    assert is_spatial(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 1, 1), (2, 47, 5), (2, 1, 5)])
def test_what_has_no_places_is_no_map(shape: tuple[int, ...]) -> None:
    assert not is_spatial(torch.zeros(shape))


def test_tokens_keep_their_places() -> None:
    tokens = torch.zeros(1, 10, 1)
    tokens[0, 1 + 3 * 1 + 2] = 1  # behind the class token: row 1, column 2
    assert spatial(tokens)[0, 0].nonzero().tolist() == [[1, 2]]


def test_the_last_layer_is_before_pooling_and_class_maps() -> None:
    assert load_subject("torchvision:squeezenet1_0", weights="random").last_layer == "fire9"
    assert load_subject("vgg19-16x", weights="random").last_layer == "relu5_1"
    torch.manual_seed(0)
    assert _subject(_InPlace()).last_layer == "relu"


def test_a_transformer_is_looked_at_where_its_attention_reads() -> None:
    torch.manual_seed(0)
    subject = _subject(_Attention())
    assert subject.last_layer == "norm1"
    assert subject.watch(torch.rand(2, 3, 32, 32), ["norm1"]).maps["norm1"].shape == (2, 16, 4, 4)


def test_layers_of_a_plain_stack_are_counted() -> None:
    torch.manual_seed(0)
    from impasto.subjects.load import _layers

    names = _layers(R4CNN(2, 64, normalised=True))
    assert [name for name in names if name.endswith("2")] == ["conv2", "norm2", "relu2", "pool2", "dense2"]
    assert names["relu3"] == "features.10"


def test_watching_returns_what_the_layer_returned_and_its_gradient() -> None:
    torch.manual_seed(0)
    network = _InPlace()
    subject, pictures = _subject(network), torch.rand(2, 3, 32, 32)
    seen = subject.watch(pictures, ["conv"], cut=True)
    torch.testing.assert_close(seen.maps["conv"].detach(), network.conv(pictures))  # not what was written over it
    (slope,) = torch.autograd.grad(seen.output[:, 0].sum(), seen.raw["conv"])
    assert slope.abs().sum() > 0
    torch.testing.assert_close(seen.output.detach(), network(pictures))


def test_nothing_is_left_behind_even_after_an_error() -> None:
    network = _InPlace()
    subject = _subject(network)
    assert subject.last_layer
    assert network.relu.inplace
    with pytest.raises(RuntimeError):
        subject.watch(torch.rand(2, 4, 99, 99), ["conv"])
    with pytest.raises(PictureSizeError, match="1x1"):
        subject.activations(torch.rand(1, 3, 1, 1), ["pool"])
    assert not any(module._forward_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_only_what_is_needed_is_computed() -> None:
    network = _InPlace()
    met: list[str] = []
    network.pool.register_forward_hook(lambda *_: met.append("pool"))
    found = _subject(network).activations(torch.rand(1, 3, 17, 40), ["conv"])
    assert found["conv"].shape == (1, 4, 17, 40)
    assert not met


def test_names_that_are_none(tmp_path: Path) -> None:
    subject = load_subject("squeezenet1_1", weights="random")
    assert subject.classes == ()
    with pytest.raises(UnknownNameError, match="fire9"):
        subject.path_of("fire99")
    with pytest.raises(UnknownNameError, match="squeezenet1_0"):
        load_subject("nowhere")
    with pytest.raises(UnknownNameError, match="resnet18"):
        load_subject("torchvision:resnet81", weights="random")


def test_an_output_that_no_place_speaks_to_has_no_last_layer() -> None:
    network = _InPlace()
    nn.init.zeros_(network.head.weight)
    with pytest.raises(UsageError, match="no layer"):
        _ = _subject(network).last_layer


def test_classes_of_a_library_have_its_names() -> None:
    subject = load_subject("torchvision:squeezenet1_1", weights="random")
    assert subject.classes[1] == "goldfish"
    assert len(subject.classes) == 1000


@pytest.mark.shared
def test_real_weights_name_a_goldfish(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from impasto.images import open_picture

    monkeypatch.setenv("IMPASTO_WEIGHTS", str(shared / "weights"))
    subject = load_subject("torchvision:squeezenet1_0")
    path = sorted((shared / "data" / "photos").iterdir())[1]
    picture = subject.preprocessing(open_picture(path).image).unsqueeze(0) / 255
    assert subject.classes[int(subject(picture).argmax())] == "goldfish"


class _Oblong(nn.Module):
    """Two layers whose shapes tell nothing of an oblong picture: 32 channels in front, and 4 at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 32, 1)
        self.last = nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.first(x).permute(0, 2, 3, 1)).mean((1, 2))
        return out


def test_the_layout_of_a_layer_does_not_depend_on_the_picture() -> None:
    """Of 32 x 48 pixels the first layer gives 32 x 32 x 48 numbers, which may as well be 48 channels at the end."""
    subject = _subject(_Oblong())
    picture = torch.rand(1, 3, 32, 48)
    seen = subject.watch(picture, ["first", "last"])
    assert torch.equal(seen.maps["first"], subject.network.first(picture))
    assert seen.maps["last"].shape == (1, 4, 32, 48)
    assert subject.watch(picture[..., :32], ["first"]).maps["first"].shape == (1, 32, 32, 32)
    assert subject.layouts(["first", "last"]) == {"first": Layout("first", 32), "last": Layout("last", 4)}


def test_a_layer_without_places_has_no_layout_and_no_map() -> None:
    subject = _subject(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)))
    assert subject.layouts(["1"]) == {"1": None}
    assert set(subject.watch(torch.rand(1, 3, 32, 48), ["0", "1"]).maps) == {"0"}
