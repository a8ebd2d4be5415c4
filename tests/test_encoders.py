"""Encoders: layer names, truncation, normalisation, and what is returned untouched."""

from __future__ import annotations

import functools
import http.server
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from impasto.encoders import ENCODERS, ComposedEncoder, Encoder, default_layers, encoder_spec, load_encoder
from impasto.encoders import load as load_module
from impasto.encoders import weights as weights_module
from impasto.encoders.encoder import canonical_layer
from impasto.encoders.registry import IMAGENET_MEAN, IMAGENET_STD
from impasto.encoders.weights import obtain_weights
from impasto.errors import MissingWeightsError, PictureSizeError, UnknownNameError, UsageError, WrongWeightsError
from impasto.files import file_digest

SMALL = ("squeezenet1_0", "squeezenet1_1", "alexnet", "resnet18", "vgg19-16x", "vgg19-blocks1-3", "impasto-vgg")


@functools.cache
def random_encoder(name: str) -> Encoder:
    encoder = load_encoder(name, weights="random")
    assert isinstance(encoder, Encoder)
    return encoder


def picture(size: int = 96) -> torch.Tensor:
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ENCODERS)
def test_every_named_layer_can_be_reached_in_order_of_depth(name: str) -> None:
    encoder = random_encoder(name)
    with torch.no_grad():
        maps = encoder(picture(encoder.input_size // 2), list(encoder.layers))
    on_branch = {name: encoder.path_of(name).startswith("branch.") for name in maps}
    for chain in (True, False):
        heights = [activation.shape[2] for name, activation in maps.items() if on_branch[name] == chain]
        assert heights == sorted(heights, reverse=True)
    assert all(torch.isfinite(activation).all() for activation in maps.values())
    spec = ENCODERS[name]
    assert {*spec.style_layers, *spec.content_layers, spec.recognition} <= maps.keys()


def test_vgg19_layers_are_where_the_paper_has_them() -> None:
    from torchvision.models import vgg19

    features = list(vgg19(weights=None).features)
    layers = random_encoder("vgg19").layers
    assert isinstance(features[int(layers["conv1_1"])], nn.Conv2d)
    conv5_1 = features[int(layers["conv5_1"])]
    assert isinstance(conv5_1, nn.Conv2d)
    assert (conv5_1.in_channels, conv5_1.out_channels) == (512, 512)
    assert isinstance(features[int(layers["relu4_2"])], nn.ReLU)
    # torchvision's documented index of conv4_2 is 21, so its ReLU is 22.
    assert layers["relu4_2"] == "22"
    assert layers["pool5"] == "36"


def test_keras_names_mean_the_activation_behind_the_relu() -> None:
    encoder = random_encoder("impasto-vgg")
    maps = encoder(picture(), ["block4_conv2", "relu4_2", "conv4_2"])
    assert torch.equal(maps["block4_conv2"], maps["relu4_2"])
    assert torch.equal(maps["relu4_2"], maps["conv4_2"].clamp(min=0))
    assert canonical_layer("block2_pool") == "pool2"


def test_dotted_paths_reach_what_has_no_name() -> None:
    maps = random_encoder("resnet18")(picture(), ["layer2.0.conv1", "layer2"])
    assert maps["layer2.0.conv1"].shape == maps["layer2"].shape


def test_unknown_layer_names_its_neighbours() -> None:
    with pytest.raises(UnknownNameError, match="relu4_2"):
        random_encoder("vgg19-16x")(picture(), ["relu4-2"])
    with pytest.raises(UnknownNameError):
        random_encoder("vgg19-16x")(picture(), [""])
    with pytest.raises(UsageError):
        random_encoder("vgg19-16x")(picture(), [])


@pytest.mark.parametrize("name", SMALL)
def test_nothing_behind_the_deepest_layer_is_computed(name: str) -> None:
    encoder = random_encoder(name)
    calls: list[str] = []
    handles = [
        module.register_forward_hook(lambda *_, path=path: calls.append(path))  # type: ignore[misc]
        for path, module in encoder.network.named_modules()
        if not list(module.children())
    ]
    shallow = list(encoder.layers)[1]
    encoder(picture(), [shallow])
    for handle in handles:
        handle.remove()
    deepest = encoder.path_of(list(encoder.layers)[-1])
    assert calls
    assert not any(path.startswith(deepest) for path in calls)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3", "resnet18", "squeezenet1_1", "alexnet"])
def test_in_place_code_never_corrupts_a_returned_activation(name: str) -> None:
    """The activation before an in-place ReLU equals what the layer computes when it is asked for alone."""
    encoder = random_encoder(name)
    before_relu = {
        "googlenet": "conv2.bn",  # followed by F.relu(inplace=True)
        "inception_v3": "Conv2d_2a_3x3.bn",
        "resnet18": "layer1.0.bn2",  # followed by out += identity
        "squeezenet1_1": "3.squeeze",
        "alexnet": "conv2",
    }[name]
    deep = list(encoder.layers)[-1]
    with torch.no_grad():
        alone = encoder(picture(128), [before_relu])[before_relu].clone()
        together = encoder(picture(128), [before_relu, deep])[before_relu]
    assert (alone < 0).any()
    assert torch.equal(alone, together)


def test_normalisation_is_inside() -> None:
    encoder = random_encoder("vgg19-blocks1-3")
    x = picture()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    by_hand = encoder.network.conv1_1((x - mean) / std)  # type: ignore[operator]
    torch.testing.assert_close(encoder(x, ["conv1_1"])["conv1_1"], by_hand)


def test_an_encoder_is_frozen_but_lets_gradients_through() -> None:
    encoder = random_encoder("impasto-vgg")
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not encoder.network.training
    x = picture().requires_grad_()
    encoder(x, ["relu3_1"])["relu3_1"].sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def test_hooks_are_gone_after_an_error() -> None:
    encoder = random_encoder("vgg19-16x")
    with pytest.raises(PictureSizeError, match="too small"):
        encoder(torch.rand(1, 3, 4, 4), ["relu5_1"])
    assert not any(module._forward_hooks for module in encoder.network.modules())


def test_average_pooling_replaces_max_pooling() -> None:
    encoder = load_encoder("vgg19-16x", weights="random", pooling="average")
    x = picture()
    maps = encoder(x, ["relu1_2", "pool1"])
    torch.testing.assert_close(maps["pool1"], nn.functional.avg_pool2d(maps["relu1_2"], 2))
    with pytest.raises(UnknownNameError):
        load_encoder("vgg19-16x", weights="random", pooling="median")


def test_replicate_padding_keeps_a_flat_picture_flat() -> None:
    flat = torch.full((1, 3, 64, 64), 0.7)
    zeros = load_encoder("impasto-vgg", weights="random")(flat, ["relu3_1"])["relu3_1"]
    replicate = load_encoder("impasto-vgg", weights="random", padding="replicate")(flat, ["relu3_1"])["relu3_1"]
    assert zeros.std((2, 3)).max() > 1e-3
    assert replicate.std((2, 3)).max() < 1e-4


def test_features_are_the_mean_of_the_recognition_layer() -> None:
    encoder = random_encoder("squeezenet1_0")
    x = picture(128).repeat(2, 1, 1, 1)
    features = encoder.features(x)
    assert features.shape == (2, 512) == (2, encoder.feature_size)
    torch.testing.assert_close(features, encoder(x, ["fire9"])["fire9"].mean((2, 3)))


def test_a_composition_takes_each_layer_from_the_first_that_has_it() -> None:
    both = load_encoder("vgg19-blocks1-3+vgg19-16x", weights="random")
    assert isinstance(both, ComposedEncoder)
    first, second = random_encoder("vgg19-blocks1-3"), random_encoder("vgg19-16x")
    x = picture()
    maps = both(x, ["relu4_1", "relu1_1"])
    assert list(maps) == ["relu4_1", "relu1_1"]
    torch.testing.assert_close(maps["relu1_1"], first(x, ["relu1_1"])["relu1_1"])
    torch.testing.assert_close(maps["relu4_1"], second(x, ["relu4_1"])["relu4_1"])
    assert both.identity()["encoder"] == "vgg19-blocks1-3+vgg19-16x"
    assert default_layers(both.name) == default_layers("vgg19-16x")
    with pytest.raises(UsageError, match="one weights file"):
        load_encoder("vgg19-blocks1-3+vgg19-16x", weights="some.safetensors")


def test_random_weights_follow_the_seed_and_leave_the_global_state_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, same, other = (load_encoder("squeezenet1_1", weights="random", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    x = picture()
    assert torch.equal(one(x, ["relu1"])["relu1"], same(x, ["relu1"])["relu1"])
    assert not torch.equal(one(x, ["relu1"])["relu1"], other(x, ["relu1"])["relu1"])


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let neither the user's folders nor the hub's cache hold any weights."""
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path


def saved(encoder: Encoder, path: Path, prefix: str = "features.") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {prefix + key: value.contiguous() for key, value in encoder.network.state_dict().items()}
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_is_used_as_it_is(nowhere: Path, suffix: str) -> None:
    source = random_encoder("squeezenet1_0")
    path = saved(source, nowhere / f"mine{suffix}")
    loaded = load_encoder("squeezenet1_0", weights=path)
    x = picture()
    assert torch.equal(loaded(x, ["fire9"])["fire9"], source(x, ["fire9"])["fire9"])
    assert loaded.identity()["sha256"] != source.identity().get("sha256")


def test_weights_are_found_in_the_named_folder(nowhere: Path) -> None:
    saved(random_encoder("squeezenet1_0"), nowhere / "weights" / "squeezenet1_0-features.safetensors")
    identity = load_encoder("squeezenet1_0").identity()
    assert identity["sha256"] == file_digest(nowhere / "weights" / "squeezenet1_0-features.safetensors")
    assert "squeezenet1_0-features" not in str(identity)  # a file that was renamed is the same file


def test_without_network_and_file_the_error_says_where_to_put_which(nowhere: Path) -> None:
    closed = replace(ENCODERS["squeezenet1_0"], url="http://127.0.0.1:9/squeezenet1_0-b66bff10.pth")
    with pytest.raises(MissingWeightsError) as caught:
        obtain_weights(closed)
    text = str(caught.value)
    assert str(nowhere / "weights") in text
    assert "squeezenet1_0.safetensors" in text
    assert "impasto-vgg" in text
    with pytest.raises(MissingWeightsError, match=r"vgg19-16x\.safetensors"):
        load_encoder("vgg19-16x")


def test_a_download_is_checked_and_cached(nowhere: Path) -> None:
    served = nowhere / "served"
    from impasto.files import file_digest

    plain = saved(random_encoder("squeezenet1_0"), served / "plain.pth")
    good = plain.rename(served / f"squeezenet1_0-{file_digest(plain)[:8]}.pth")
    bad = served / "squeezenet1_0-00000000.pth"
    bad.write_bytes(good.read_bytes())

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=served))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        spec = replace(ENCODERS["squeezenet1_0"], url=f"{url}/{good.name}")
        path = obtain_weights(spec)
        assert path.read_bytes() == good.read_bytes()
        with pytest.raises(MissingWeightsError, match="invalid hash"):
            obtain_weights(replace(spec, url=f"{url}/{bad.name}"))
        with pytest.raises(MissingWeightsError, match="404"):
            obtain_weights(replace(spec, url=f"{url}/none-12345678.pth"))
    finally:
        server.shutdown()
        server.server_close()
    assert obtain_weights(spec) == path, "the second time nothing is served any more"


def test_files_that_do_not_fit_are_refused_with_both_shapes(nowhere: Path) -> None:
    path = saved(random_encoder("squeezenet1_0"), nowhere / "a.safetensors")
    with pytest.raises(WrongWeightsError, match=r"does not fit squeezenet1_1"):
        load_encoder("squeezenet1_1", weights=path)
    encoder = load_encoder("squeezenet1_0", weights="random")
    assert isinstance(encoder, Encoder)
    encoder.network[0] = nn.Conv2d(3, 96, 5)  # type: ignore[operator]
    with pytest.raises(WrongWeightsError, match=r"\(96, 3, 5, 5\) where \(96, 3, 7, 7\)"):
        load_encoder("squeezenet1_0", weights=saved(encoder, nowhere / "b.safetensors"))
    encoder.network[0] = nn.Conv2d(3, 96, 7)  # type: ignore[operator]
    with torch.no_grad():
        encoder.network[0].bias[3] = float("nan")  # type: ignore[index, operator]
    with pytest.raises(WrongWeightsError, match=r"NaN or infinity in features\.0\.bias"):
        load_encoder("squeezenet1_0", weights=saved(encoder, nowhere / "c.safetensors"))


class Evil:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (Path.write_text, (self.target, "run"))  # type: ignore[return-value]


@pytest.mark.parametrize("kind", ["code", "html", "empty", "list", "half"])
def test_files_that_are_not_safe_are_refused_and_not_run(nowhere: Path, kind: str) -> None:
    path = nowhere / "weights.pth"
    if kind == "code":
        torch.save({"features.0.weight": Evil(nowhere / "proof")}, path)
    elif kind == "list":
        torch.save([1, 2, 3], path)
    elif kind == "half":
        whole = saved(random_encoder("squeezenet1_0"), nowhere / "whole.pth").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    else:
        path.write_bytes(b"<!DOCTYPE html><p>quota exceeded" if kind == "html" else b"")
    with pytest.raises(WrongWeightsError, match=r"weights\.pth is no file of weights that is safe"):
        load_encoder("squeezenet1_0", weights=path)
    assert not (nowhere / "proof").exists()


def test_unknown_encoders_name_their_neighbours() -> None:
    with pytest.raises(UnknownNameError, match="vgg19"):
        load_encoder("vgg-19")
    with pytest.raises(WrongWeightsError, match="does not exist"):
        load_encoder("vgg16", weights="nowhere.pth")


def test_timm_networks_by_name() -> None:
    pytest.importorskip("timm", reason="needs the extra timm")
    encoder = load_encoder("timm:resnet10t", weights="random")
    assert isinstance(encoder, Encoder)
    maps = encoder(picture(), list(encoder.layers))
    assert len(maps) >= 4
    assert encoder.features(picture()).shape == (1, encoder.feature_size)
    with pytest.raises(UnknownNameError, match="resnet18"):
        encoder_spec("timm:resnet-18")


def test_without_timm_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"impasto\[timm\]"):
        encoder_spec("timm:resnet18")


def test_the_embedded_encoder_needs_nothing(nowhere: Path) -> None:
    encoder = load_encoder()
    maps = encoder(picture(), ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1", "fire9"])
    assert all((activation >= 0).all() and activation.any() for activation in maps.values())
    assert weights_module.ASSETS.joinpath("impasto-vgg.safetensors").stat().st_size <= 6_000_000
    assert load_module.DEFAULT_ENCODER == "impasto-vgg"


def test_repainting_with_the_embedded_encoder_never_runs_its_recognition_branch(nowhere: Path) -> None:
    encoder = load_encoder()
    seen: list[str] = []
    branch = encoder.network.branch
    branch.register_forward_hook(lambda *_: seen.append("branch"))
    encoder(picture(), ["relu3_4", "relu4_2", "relu5_1"])
    assert seen == []
    assert encoder.features(picture()).shape == (1, encoder.feature_size) == (1, 512)
    assert seen == []  # unwound at fire9, the hook of the whole branch is not reached
    assert torch.equal(
        encoder.network((picture() - encoder.mean) / encoder.std), encoder(picture(), ["fire9"])["fire9"]
    )
    assert seen == ["branch"]


def test_the_embedded_encoder_recognises_classes_it_never_saw(shared: Path, nowhere: Path) -> None:
    """10 pictures a class to learn from, 14 to test on; chance is 20 %, see the card for the whole measurement."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from impasto.images import centre_crop, open_picture, resize_short, to_tensor

    classes = [shared / "data/caltech101" / name for name in ("butterfly", "crab", "crayfish", "lobster", "scorpion")]
    files = [path for folder in classes for path in sorted(folder.iterdir())[:24]]
    images = [centre_crop(resize_short(open_picture(path).image, 176), 176, 176) for path in files]
    labels = np.repeat(np.arange(5), 24)
    taught = np.tile(np.arange(24) < 10, 5)
    scores = {}
    for name, weights in (("embedded", None), ("random", "random")):
        encoder = load_encoder(weights=weights)
        x = torch.cat([encoder.features(to_tensor(image)) for image in images]).numpy()
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
        scores[name] = model.fit(x[taught], labels[taught]).score(x[~taught], labels[~taught])
    assert scores["embedded"] > max(0.45, scores["random"] + 0.1)


def test_the_real_vgg19_gives_the_published_activations(shared: Path) -> None:
    """Check values of chicago.jpg at 256 px, average pooling, from the notes on the sample data (scale 0..255)."""
    from PIL import Image

    from impasto.images import to_tensor

    photo = Image.open(shared / "data/content/chicago.jpg").convert("RGB")
    photo = photo.resize((256, round(256 * photo.height / photo.width)), Image.Resampling.LANCZOS)
    path = shared / "weights/vgg19-blocks1-3.safetensors"
    encoder = load_encoder("vgg19-blocks1-3", weights=path, pooling="average", padding="replicate")
    wanted = {"relu1_1": 26.02, "relu1_2": 119.49, "relu2_1": 108.77, "relu2_2": 100.96, "relu3_1": 78.97}
    wanted |= {"relu3_2": 92.73, "relu3_3": 196.78, "relu3_4": 270.93}
    means = {name: value.mean().item() for name, value in encoder(to_tensor(photo), list(wanted)).items()}
    assert means == pytest.approx(wanted, rel=0.02)


def test_the_distilled_vgg19_maps_back_to_the_real_one(shared: Path) -> None:
    """The published 1x1 maps correlate with the real channels: 0.97 at relu1_1, 0.75 at relu3_1 on average."""
    from safetensors.torch import load_file

    from impasto.images import open_picture, resize_long, to_tensor

    x = to_tensor(resize_long(open_picture(shared / "data/content/chicago.jpg").image, 256))
    weights = shared / "weights"
    aux = load_file(weights / "vgg19-16x.safetensors")
    small = load_encoder("vgg19-16x", weights=weights / "vgg19-16x.safetensors")
    real = load_encoder("vgg19-blocks1-3", weights=weights / "vgg19-blocks1-3.safetensors")
    for layer, least in (("relu1_1", 0.93), ("relu3_1", 0.6)):
        key = layer.replace("relu", "conv") + "_aux"
        guess = nn.functional.conv2d(small(x, [layer])[layer], aux[f"{key}.weight"], aux[f"{key}.bias"])
        truth = real(x, [layer])[layer]
        pairs = [torch.stack([a.flatten(), b.flatten()]) for a, b in zip(guess[0], truth[0], strict=True)]
        correlations = torch.stack([torch.corrcoef(pair)[0, 1] for pair in pairs if pair.std(1).min() > 1e-6])
        assert correlations.mean() > least
