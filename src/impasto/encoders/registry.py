"""One record for each encoder. Names, help texts, error texts and tables all come from here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch
from torch import nn

from impasto.encoders.stack import (
    IMPASTO_VGG,
    VGG19_BLOCKS_1_TO_3,
    VGG19_SIXTEENTH,
    Blocks,
    ImpastoVGG,
    Padding,
    VGGStack,
)

DEFAULT_ENCODER = "impasto-vgg"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_TORCHVISION_LICENCE = "BSD-3-Clause (torchvision); trained on ImageNet"


@dataclass(frozen=True)
class EncoderSpec:
    """What must be known of a network to use it.

    ``layers`` maps papers' names to module paths in order of depth; ``style_layers`` and ``content_layers`` are what
    repainting uses unless told otherwise; ``fast_in_bf16`` tells whether bf16 was seen to be faster than float32 where
    the processor has it; ``key_prefix`` is cut from the keys of a weights file and ``dropped`` are the prefixes of keys
    that belong to a classifier nobody needs here.
    """

    name: str
    build: Callable[[], nn.Module]
    layers: Mapping[str, str]
    style_layers: tuple[str, ...]
    content_layers: tuple[str, ...]
    recognition: str
    licence: str
    source: str
    input_size: int = 224
    url: str = ""
    embedded: bool = False
    fast_in_bf16: bool = True
    key_prefix: str = ""
    dropped: tuple[str, ...] = ()
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    renamed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def parameters(self) -> int:
        """Count the parameters that feature extraction needs, without allocating them."""
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in self.build().parameters())


def _torchvision(name: str, **options: object) -> Callable[[], nn.Module]:
    """Return a builder of a torchvision network without its classifier."""

    def build() -> nn.Module:
        import torchvision

        network: nn.Module = torchvision.models.get_model(name, weights=None, **options)
        if hasattr(network, "features"):
            return network.features  # type: ignore[return-value]
        network.fc = nn.Identity()
        return network

    return build


def _vgg_layers(blocks: Blocks, path: Callable[[str, int], str]) -> dict[str, str]:
    """Return names of a VGG in order of depth; ``path`` makes a module path of a name and a running index."""
    names = []
    for block, widths in enumerate(blocks, 1):
        for index in range(1, len(widths) + 1):
            names += [f"conv{block}_{index}", f"relu{block}_{index}"]
        names.append(f"pool{block}")
    return {name: path(name, index) for index, name in enumerate(names)}


def _torchvision_vgg_keys(blocks: Blocks) -> dict[str, str]:
    """Return how torchvision's VGG keys (``features.5``) are named in a stack (``conv2_1``)."""
    layers = _vgg_layers(blocks, lambda _, index: f"features.{index}")
    return {path: name for name, path in layers.items() if name.startswith("conv")}


def _stack(name: str, blocks: Blocks, **facts: object) -> EncoderSpec:
    colour = name == "vgg19-16x"
    layers = _vgg_layers(blocks, lambda layer, _: layer)
    del layers[f"pool{len(blocks)}"]  # a stack ends with a ReLU
    padding: Padding = "reflect" if colour else "zeros"
    build = lambda: VGGStack(blocks, colour=colour, padding_mode=padding)  # noqa: E731
    defaults: dict[str, object] = {"build": build, "layers": layers, "recognition": list(layers)[-1]}
    return EncoderSpec(name=name, **(defaults | facts))  # type: ignore[arg-type]


def _embedded(**facts: object) -> EncoderSpec:
    """The embedded encoder: a stack, with a branch whose layers carry SqueezeNet's names."""
    spec = _stack(DEFAULT_ENCODER, IMPASTO_VGG, build=ImpastoVGG, embedded=True, recognition="fire9", **facts)
    branch = {name: f"branch.{name}" for name in ("fire5", "fire6", "fire7", "fire8", "pool8", "fire9")}
    return replace(spec, layers={**spec.layers, **branch})


def _vgg(name: str, blocks: Blocks, file: str) -> EncoderSpec:
    return EncoderSpec(
        name=name,
        build=_torchvision(name),
        layers=_vgg_layers(blocks, lambda _, index: str(index)),
        style_layers=VGG_STYLE_LAYERS,
        content_layers=("relu4_2",),
        recognition="pool5",
        licence=_TORCHVISION_LICENCE,
        source="Simonyan and Zisserman 2014, torchvision IMAGENET1K_V1",
        url=f"https://download.pytorch.org/models/{file}",
        key_prefix="features.",
        dropped=("classifier.",),
    )


def _squeezenet(name: str, order: str, file: str) -> EncoderSpec:
    return EncoderSpec(
        name=name,
        build=_torchvision(name),
        layers={layer: str(index) for index, layer in enumerate(order.split())},
        style_layers=("relu1", "fire2", "fire3", "fire5", "fire7"),
        content_layers=("fire5",),
        recognition="fire9",
        licence=_TORCHVISION_LICENCE,
        source="Iandola et al. 2016, torchvision IMAGENET1K_V1",
        url=f"https://download.pytorch.org/models/{file}",
        fast_in_bf16=False,  # python -m benchmarks precision: ratio 0.9 to 1.0, where others gain 1.2 to 2.4
        key_prefix="features.",
        dropped=("classifier.",),
    )


def _resnet(name: str, file: str) -> EncoderSpec:
    return EncoderSpec(
        name=name,
        build=_torchvision(name),
        layers={layer: layer for layer in ("conv1", "relu", "layer1", "layer2", "layer3", "layer4")},
        style_layers=("relu", "layer1", "layer2", "layer3"),
        content_layers=("layer2",),
        recognition="layer4",
        licence=_TORCHVISION_LICENCE,
        source="He et al. 2015, torchvision IMAGENET1K_V1",
        url=f"https://download.pytorch.org/models/{file}",
        dropped=("fc.",),
    )


VGG_STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
_VGG16: Blocks = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)
_VGG19: Blocks = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4)
_INCEPTION_V3 = [
    "Conv2d_1a_3x3",
    "Conv2d_2a_3x3",
    "Conv2d_2b_3x3",
    "maxpool1",
    "Conv2d_3b_1x1",
    "Conv2d_4a_3x3",
    "maxpool2",
    "Mixed_5b",
    "Mixed_5c",
    "Mixed_5d",
    "Mixed_6a",
    "Mixed_6b",
    "Mixed_6c",
    "Mixed_6d",
    "Mixed_6e",
    "Mixed_7a",
    "Mixed_7b",
    "Mixed_7c",
]
_GOOGLENET = [
    "conv1",
    "maxpool1",
    "conv2",
    "conv3",
    "maxpool2",
    "inception3a",
    "inception3b",
    "maxpool3",
    "inception4a",
    "inception4b",
    "inception4c",
    "inception4d",
    "inception4e",
    "maxpool4",
    "inception5a",
    "inception5b",
]
_ALEXNET = [
    "conv1",
    "relu1",
    "pool1",
    "conv2",
    "relu2",
    "pool2",
    "conv3",
    "relu3",
    "conv4",
    "relu4",
    "conv5",
    "relu5",
    "pool5",
]

_SPECS = (
    _embedded(
        style_layers=VGG_STYLE_LAYERS,
        content_layers=("relu4_2",),
        licence="Apache-2.0; see its card for its teachers'",
        source="trained by this project, training/train_encoder.py",
    ),
    _vgg("vgg16", _VGG16, "vgg16-397923af.pth"),
    _vgg("vgg19", _VGG19, "vgg19-dcbb9e9d.pth"),
    _stack(
        "vgg19-blocks1-3",
        VGG19_BLOCKS_1_TO_3,
        style_layers=VGG_STYLE_LAYERS[:3],
        content_layers=("relu3_3",),
        renamed=_torchvision_vgg_keys(VGG19_BLOCKS_1_TO_3),
        licence="CC BY 4.0 (Oxford VGG)",
        source="Simonyan and Zisserman 2014, conv1_1 .. conv3_4 of VGG-19",
    ),
    _stack(
        "vgg19-16x",
        VGG19_SIXTEENTH,
        style_layers=VGG_STYLE_LAYERS,
        content_layers=("relu4_2",),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        dropped=tuple(f"conv{block}_1_aux." for block in range(1, 6)),
        licence="MIT",
        source="Wang et al. 2020, Collaborative Distillation",
    ),
    EncoderSpec(
        name="alexnet",
        build=_torchvision("alexnet"),
        layers={layer: str(index) for index, layer in enumerate(_ALEXNET)},
        style_layers=("relu1", "relu2", "relu3", "relu4", "relu5"),
        content_layers=("relu4",),
        recognition="pool5",
        licence=_TORCHVISION_LICENCE,
        source="Krizhevsky 2014, torchvision IMAGENET1K_V1",
        url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        key_prefix="features.",
        dropped=("classifier.",),
    ),
    _squeezenet(
        "squeezenet1_0",
        "conv1 relu1 pool1 fire2 fire3 fire4 pool4 fire5 fire6 fire7 fire8 pool8 fire9",
        "squeezenet1_0-b66bff10.pth",
    ),
    _squeezenet(
        "squeezenet1_1",
        "conv1 relu1 pool1 fire2 fire3 pool3 fire4 fire5 pool5 fire6 fire7 fire8 fire9",
        "squeezenet1_1-b8a52dc0.pth",
    ),
    EncoderSpec(
        name="googlenet",
        build=_torchvision("googlenet", aux_logits=False, transform_input=True, init_weights=False),
        layers={layer: layer for layer in _GOOGLENET},
        style_layers=("conv1", "conv3", "inception3a", "inception4a", "inception4d"),
        content_layers=("inception3b",),
        recognition="inception5b",
        licence=_TORCHVISION_LICENCE,
        source="Szegedy et al. 2014, torchvision IMAGENET1K_V1",
        url="https://download.pytorch.org/models/googlenet-1378be20.pth",
        dropped=("fc.", "aux1.", "aux2."),
    ),
    EncoderSpec(
        name="inception_v3",
        build=_torchvision("inception_v3", aux_logits=False, transform_input=True, init_weights=False),
        layers={layer.lower(): layer for layer in _INCEPTION_V3},
        style_layers=("conv2d_1a_3x3", "conv2d_2b_3x3", "conv2d_4a_3x3", "mixed_5b", "mixed_6a"),
        content_layers=("mixed_5d",),
        recognition="mixed_7c",
        input_size=299,
        licence=_TORCHVISION_LICENCE,
        source="Szegedy et al. 2015, torchvision IMAGENET1K_V1",
        url="https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth",
        dropped=("fc.", "AuxLogits."),
    ),
    _resnet("resnet18", "resnet18-f37072fd.pth"),
    _resnet("resnet50", "resnet50-0676ba61.pth"),
)

ENCODERS: Mapping[str, EncoderSpec] = MappingProxyType({spec.name: spec for spec in _SPECS})
