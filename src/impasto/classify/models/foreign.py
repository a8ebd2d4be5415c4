"""Any classifier of torchvision or timm, its last layer exchanged for the classes of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.encoders.registry import IMAGENET_MEAN, IMAGENET_STD
from impasto.encoders.timm_models import timm_record
from impasto.encoders.weights import obtain_file, read_state
from impasto.errors import MissingWeightsError, UnknownNameError, UsageError, WrongWeightsError
from impasto.files import file_digest

TORCHVISION, TIMM = "torchvision:", "timm:"
# Their outputs half way up are for training from nothing on ImageNet and nobody uses them afterwards; the published
# weights expect the transformation of their first authors.
_INCEPTION = {"aux_logits": False, "init_weights": True, "transform_input": True}
_OPTIONS = {"googlenet": _INCEPTION, "inception_v3": _INCEPTION}


@dataclass(frozen=True)
class ForeignSpec:
    """What has to be known of a classifier of another library."""

    name: str
    input_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    url: str

    @property
    def library(self) -> str:
        """``torchvision:`` or ``timm:``."""
        return TIMM if self.name.startswith(TIMM) else TORCHVISION

    @property
    def short(self) -> str:
        """The library's own name for it."""
        return self.name.removeprefix(self.library)

    def build(self, classes: int) -> nn.Module:
        """Return the network with ``classes`` outputs and weights of its library's drawing."""
        if self.library == TIMM:
            import timm

            network: nn.Module = timm.create_model(self.short, pretrained=False, num_classes=classes)
            return network
        import torchvision

        options = _OPTIONS.get(self.short, {})
        network = torchvision.models.get_model(self.short, weights=None, num_classes=classes, **options)
        return network


def foreign_spec(name: str) -> ForeignSpec:
    """Return the record of ``torchvision:<name>`` or ``timm:<name>``.

    Raises:
        UnknownNameError: the library has no such classifier.
        UsageError: timm is not installed.
    """
    return _timm_spec(name) if name.startswith(TIMM) else _torchvision_spec(name)


def _torchvision_spec(name: str) -> ForeignSpec:
    import torchvision

    short = name.removeprefix(TORCHVISION)
    known = torchvision.models.list_models(module=torchvision.models)
    if short not in known:
        raise UnknownNameError("torchvision classifier", short, known)
    weights = torchvision.models.get_model_weights(short).DEFAULT
    shown = weights.transforms()
    return ForeignSpec(name, int(shown.crop_size[0]), tuple(shown.mean), tuple(shown.std), weights.url)


def _timm_spec(name: str) -> ForeignSpec:
    record = timm_record(name)
    if record is None:
        return ForeignSpec(name, 224, IMAGENET_MEAN, IMAGENET_STD, "")
    return ForeignSpec(name, record.input_size[1], tuple(record.mean), tuple(record.std), record.url or "")


def foreign_classes(name: str) -> tuple[str, ...]:
    """Return the classes that a library taught its ``torchvision:<name>`` or ``timm:<name>``.

    Raises:
        UnknownNameError: the library has no such classifier.
        UsageError: timm is not installed, or has no names for the classes of this network.
    """
    if not name.startswith(TIMM):
        import torchvision

        weights = torchvision.models.get_model_weights(foreign_spec(name).short).DEFAULT
        return tuple(weights.meta["categories"])
    record = timm_record(name)
    count = record.num_classes if record else 1000
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({**(record.to_dict() if record else {}), "num_classes": count})
    info = ImageNetInfo(subset) if subset else None
    if info is None or info.num_classes() != count:
        raise UsageError(f"{name} has {count} classes whose names timm does not tell.", "Train it on your own data.")
    return tuple(info.index_to_description(index) for index in range(count))


class Foreign(nn.Module):
    """A classifier of another library behind its own normalisation.

    Batch normalisation of pretrained weights keeps its statistics, see :class:`impasto.classify.models.heads.Tuned`.

    Args:
        network: the classifier.
        spec: its record.
        pretrained: whether its weights were taught by others.

    Shape:
        input B x 3 x S x S, RGB in 0..1; output B x ``classes`` logits.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, spec: ForeignSpec, *, pretrained: bool) -> None:
        super().__init__()
        self.name = spec.name
        self.network = network
        self.pretrained = pretrained
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.network((pictures - self.mean) / self.std)
        return logits

    def train(self, mode: bool = True) -> Foreign:
        """Set the mode; normalisation whose statistics others measured stays as in prediction."""
        super().train(mode)
        if self.pretrained:
            for module in self.network.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self


def load_foreign(name: str, classes: int, weights: str | Path | None) -> tuple[Foreign, dict[str, Any]]:
    """Return a classifier for ``classes`` classes, and what identifies its weights.

    Args:
        name: ``torchvision:<name>`` or ``timm:<name>``.
        classes: how many.
        weights: "random"; a file; None for a file in the user's folders, else the library's own download. The last
            layer is new unless the file has one of as many classes.

    Raises:
        MissingWeightsError, WrongWeightsError: no weights, or some that do not fit.
    """
    spec = foreign_spec(name)
    network = spec.build(classes)
    if weights == "random":
        return Foreign(network, spec, pretrained=False), {"weights": "random"}
    path = Path(weights) if weights is not None else _find(spec)
    _take_over(network, read_state(path), spec, path)
    return Foreign(network, spec, pretrained=True), {"weights": "file", "sha256": file_digest(path)}


def _find(spec: ForeignSpec) -> Path:
    if spec.library == TIMM and not spec.url:
        raise MissingWeightsError(
            f"the weights of {spec.name} are on a hub that only timm can read.",
            f"Give the file with --weights FILE, 'random' to learn from nothing, or take finetune:{spec.name}.",
        )
    return obtain_file(spec.short, spec.url)


def _take_over(network: nn.Module, state: Mapping[str, Tensor], spec: ForeignSpec, path: Path) -> None:
    """Put weights of others into a network; the last layer, of another number of classes, stays as it is."""
    own = network.state_dict()
    unfit = {key for key, value in own.items() if key in state and state[key].shape != value.shape}
    last = _last_layer(network)
    lacking = {key for key in own.keys() - state.keys() if not key.endswith("num_batches_tracked")}
    wrong = sorted(key for key in unfit | lacking if key.rpartition(".")[0] != last)
    if wrong:
        raise WrongWeightsError(
            f"{path} does not fit {spec.name}: {', '.join(wrong[:3])} {'is' if len(wrong) == 1 else 'are'} missing or "
            "of another shape.",
            "Give the file that was made for this network.",
        )
    fitting = {key: value for key, value in state.items() if key in own and key not in unfit}
    network.load_state_dict(fitting, strict=False)


def _last_layer(network: nn.Module) -> str:
    """Return the path of the layer that names classes: the last one that multiplies."""
    paths: list[str] = [name for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    return paths[-1]


def depths(network: Foreign) -> list[list[str]]:
    """Return the names of the parameters, from the picture's side to the last layer, as discriminative rates need.

    A step is a child of the network, or a child of a child that is a sequence (``features.5``).
    """
    found: dict[str, list[str]] = {}
    for name, _ in network.network.named_parameters():
        first, _, rest = name.partition(".")
        inner = isinstance(network.network.get_submodule(first), nn.Sequential) if rest else False
        step = f"{first}.{rest.partition('.')[0]}" if inner else first
        found.setdefault(step, []).append(f"network.{name}")
    return list(found.values())
