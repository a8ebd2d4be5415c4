"""Making a subject from what a user names: a model folder, a classifier of another library, an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from impasto.classify.classifier import Classifier
from impasto.classify.ensemble import Ensemble, load_classifier, member_folder
from impasto.classify.models import Foreign, OnFeatures, Tuned
from impasto.classify.models.foreign import TIMM, TORCHVISION, foreign_classes, foreign_spec, load_foreign
from impasto.data.load.pictures import Preprocessing
from impasto.encoders import ENCODERS, AnyEncoder, ComposedEncoder, Encoder, load_encoder
from impasto.errors import UnknownNameError, UsageError
from impasto.runtime import choose_device
from impasto.subjects.subject import Subject


class _Features(nn.Module):
    """An encoder as a network: B x 3 x H x W in 0..1 to B x D features."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.encoder.pooled(pictures)


def load_subject(
    name: str | Path, *, device: str = "auto", weights: str | Path | None = None, seed: int = 0
) -> Subject:
    """Return the network that ``name`` stands for.

    Args:
        name: a folder that ``impasto train`` wrote; ``torchvision:<name>`` or ``timm:<name>`` with the classes it was
            taught by its library; or a name of ``impasto encoders``, which has layers and no classes.
        device: auto, cpu, cuda, cuda:1, mps.
        weights: a file, or "random"; None finds them as everywhere.
        seed: of random weights.

    Raises:
        UnknownNameError: nothing of that name. UsageError: an ensemble, which is several networks.
        WeightsError, RunError: weights or a folder that cannot be used.
    """
    text = str(name)
    if text.startswith((TORCHVISION, TIMM)):
        return _foreign(text, weights, device)
    if text in ENCODERS:
        return _encoder(text, weights, seed, device)
    if not Path(name).exists():
        known = [*ENCODERS, f"{TORCHVISION}<name>", f"{TIMM}<name>"]
        hint = f"Give a model folder, {TORCHVISION}<name>, {TIMM}<name>, or one of {', '.join(ENCODERS)}."
        raise UnknownNameError("network", text, known, hint)
    model = load_classifier(name, device=device, weights=weights)
    if isinstance(model, Ensemble):
        raise ensemble_error(Path(name))
    return subject_of(model, text)


def ensemble_error(folder: Path) -> UsageError:
    """Return what is said of an ensemble, which is several networks."""
    one = member_folder(folder, 0)
    return UsageError(f"{folder} is an ensemble of several networks.", f"Look into one of its members, such as {one}.")


def subject_of(classifier: Classifier, name: str = "") -> Subject:
    """Return a loaded classifier as a subject.

    The network is given back its former state by who changes it; nobody here does.
    """
    network = classifier.module().eval()
    facts = {"model": classifier.config.get("model"), "encoder": classifier.config.get("encoder")}
    return Subject(
        name=name or str(classifier.config.get("model")),
        network=network,
        layers=_layers(network),
        classes=classifier.classes,
        preprocessing=classifier.preprocessing,
        identity=facts,
        device=classifier.device,
        temperature=classifier.temperature,
    )


def _encoder(name: str, weights: str | Path | None, seed: int, device: str) -> Subject:
    place = choose_device(device)
    encoder = load_encoder(name, weights=weights, seed=seed)
    assert isinstance(encoder, Encoder)  # one name of the table
    network = _Features(encoder).to(place)
    preprocessing = Preprocessing(encoder.input_size)
    return Subject(name, network, _layers(network), (), preprocessing, encoder.identity(), place)


def _foreign(name: str, weights: str | Path | None, device: str) -> Subject:
    place = choose_device(device)
    classes, size = foreign_classes(name), foreign_spec(name).input_size
    network, facts = load_foreign(name, len(classes), weights)
    network = network.eval().requires_grad_(False).to(place)
    identity = {"model": name, **facts}
    return Subject(name, network, _layers(network), classes, Preprocessing(size), identity, place)


def _layers(network: nn.Module) -> Mapping[str, str]:
    """Return the papers' names of layers, where the network has such, else names by kind and order."""
    if isinstance(network, OnFeatures | Tuned | _Features):
        return _encoder_layers(network.encoder)
    if isinstance(network, Foreign) and network.name.removeprefix(TORCHVISION) in ENCODERS:
        front = "network.features." if hasattr(network.network, "features") else "network."
        layers = ENCODERS[network.name.removeprefix(TORCHVISION)].layers
        return {layer: front + path for layer, path in layers.items()}
    return _counted_layers(network)


def _encoder_layers(encoder: AnyEncoder) -> dict[str, str]:
    if isinstance(encoder, ComposedEncoder):  # recognition runs its last part alone
        front, part = f"encoder.parts.{len(encoder.parts) - 1}.network.", encoder.parts[-1]
        assert isinstance(part, Encoder)
        return {layer: front + path for layer, path in part.layers.items()}
    return {layer: f"encoder.network.{path}" for layer, path in encoder.layers.items()}


_KINDS: tuple[tuple[type[nn.Module], str], ...] = (
    (nn.Conv2d, "conv"),
    (nn.BatchNorm2d, "norm"),
    (nn.ReLU, "relu"),
    (nn.MaxPool2d, "pool"),
    (nn.Linear, "dense"),
)


def _counted_layers(network: nn.Module) -> dict[str, str]:
    """Name the layers of a plain stack as papers do: conv1, relu1, pool1, conv2 ...; of other networks, none.

    Only where every module is met once and in its order, which a stack of sequences is.
    """
    leaves = [(path, module) for path, module in network.named_modules() if not list(module.children())]
    containers = [module for path, module in network.named_modules() if path and list(module.children())]
    if not all(isinstance(module, nn.Sequential) for module in containers):
        return {}
    found: dict[str, str] = {}
    counts: dict[str, Any] = {}
    block = 0
    for path, module in leaves:
        kind = next((text for kind, text in _KINDS if isinstance(module, kind)), None)
        if kind is None:
            continue
        block += kind == "conv"
        counts[kind] = block if kind in ("norm", "relu", "pool") else counts.get(kind, 0) + 1
        found.setdefault(f"{kind}{counts[kind]}", path)
    return found
