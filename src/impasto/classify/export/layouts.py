"""Networks as other libraries know them: an architecture of torchvision or timm, or a plain sequence of torch's layers.

A linear head on the spatial mean (``linear-mean``), standardisation included, is one linear layer: networks that end
with a mean and a linear layer (ResNet, GoogLeNet, Inception, many of timm) take it as their own last layer. The others
become a sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from impasto.classify.classifier import Classifier
from impasto.classify.export.sequences import chain_of, code_of, folded, helpers_of, last_encoder
from impasto.classify.models import Foreign, LinearHead, OnFeatures, Tuned
from impasto.classify.models.foreign import TIMM, TORCHVISION, ForeignSpec, foreign_spec
from impasto.encoders import ENCODERS, Encoder
from impasto.errors import UsageError

Library = Literal["torchvision", "timm", "torch"]
# Half of these networks is for training on ImageNet alone, and their input is shifted inside.
_TRANSFORMED = ("googlenet", "inception_v3")


@dataclass(frozen=True)
class Layout:
    """A network that needs nothing of impasto, and how to make it.

    Attributes:
        library: whose architecture it is; "torch" for a sequence of layers.
        architecture: the library's name of it, "sequential" for a sequence.
        network: the network, on normalised pictures B x 3 x S x S; its output is B x C logits.
        code: an expression of Python that makes it, its weights still to be filled in; ``config`` is ``config.json``.
        mean, std: of the normalisation that comes before, three numbers each.
        helpers: classes that ``code`` names, as Python.
    """

    library: Library
    architecture: str
    network: nn.Module
    code: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    helpers: str = ""

    def __call__(self, pictures: Tensor) -> Tensor:
        """Return B x C logits of pictures in 0..1."""
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.std))
        logits: Tensor = self.network((pictures - mean) / std)
        return logits


def layout_of(classifier: Classifier) -> Layout:
    """Return the layout of a classifier on the processor.

    Raises:
        UsageError: its network is neither an architecture of torchvision or timm nor a sequence of layers.
    """
    module = classifier.module()
    if isinstance(module, Foreign):
        spec = foreign_spec(classifier.config["model"])
        return _of_library(spec, module.network, len(classifier.classes), _numbers(module.mean), _numbers(module.std))
    if isinstance(module, OnFeatures | Tuned) and isinstance(module.head, LinearHead):
        layout = _with_last_layer(last_encoder(module.encoder), module.head, len(classifier.classes))
        if layout and _agree(layout, module, classifier.preprocessing.size):
            return layout
    chain = chain_of(module)
    if chain is None:
        raise UsageError(
            f"{classifier.config['model']} is no architecture of torchvision or timm and no sequence of layers.",
            "Use --format onnx, which holds any network, or train it with --head linear-mean.",
        )
    network = nn.Sequential(*chain.layers).eval()
    helpers = helpers_of(chain.layers)
    return Layout("torch", "sequential", network, code_of(chain.layers), chain.mean, chain.std, helpers)


def _with_last_layer(encoder: Encoder, head: LinearHead, classes: int) -> Layout | None:
    """Return the library's own network with the encoder's weights and the head as its last layer, if it has one."""
    name = encoder.name if encoder.name.startswith(TIMM) else f"{TORCHVISION}{encoder.name}"
    if encoder.name in ENCODERS and not isinstance(getattr(encoder.network, "fc", None), nn.Identity):
        return None
    spec = foreign_spec(name)
    with torch.random.fork_rng(devices=[]):
        network = spec.build(classes)
    found: Any = network
    last = found.get_classifier() if spec.library == TIMM else found.fc
    if not isinstance(last, nn.Linear) or last.in_features != head.linear.in_features:
        return None
    network.load_state_dict(encoder.network.state_dict(), strict=False)
    last.load_state_dict(folded(head).state_dict())
    return _of_library(spec, network.eval(), classes, _numbers(encoder.mean), _numbers(encoder.std))


def _of_library(
    spec: ForeignSpec, network: nn.Module, classes: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> Layout:
    if spec.library == TIMM:
        code = 'timm.create_model(config["architecture"], pretrained=False, num_classes=config["num_classes"])'
        return Layout("timm", spec.short, network, code, mean, std)
    extra = ", aux_logits=False, init_weights=False, transform_input=True" if spec.short in _TRANSFORMED else ""
    options = f'weights=None, num_classes=config["num_classes"]{extra}'
    code = f'torchvision.models.get_model(config["architecture"], {options})'
    return Layout("torchvision", spec.short, network, code, mean, std)


def _agree(layout: Layout, module: nn.Module, size: int) -> bool:
    """Whether both give the same logits: some of timm's networks normalise between the mean and the last layer."""
    pictures = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted, found = module(pictures), layout(pictures)
    return bool(torch.allclose(wanted, found, rtol=1e-3, atol=1e-3 * float(wanted.abs().max())))


def _numbers(values: Tensor) -> tuple[float, ...]:
    return tuple(values.flatten().tolist())
