"""The features that pictures are compared by: one vector for each, of any network."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from impasto.caches import cache_folder
from impasto.classify.classifier import Classifier, is_frozen, read_config
from impasto.classify.ensemble import is_ensemble
from impasto.classify.features import Extractor
from impasto.data.load.pictures import Preprocessing
from impasto.embed.config import EmbedConfig
from impasto.encoders import ENCODERS, AnyEncoder, load_encoder
from impasto.runtime import choose_device
from impasto.subjects import Subject, is_spatial, load_subject, spatial


class LayerFeatures:
    """One layer of any network, seen by an :class:`Extractor` like an encoder.

    A map becomes its mean over the picture; a vector stays as it is.
    """

    def __init__(self, subject: Subject, layer: str) -> None:
        self.name, self.layer = subject.name, layer
        self.subject = subject
        self.weights = _digest(subject.network)

    @torch.no_grad()
    def features(self, pictures: Tensor, grid: int = 1) -> Tensor:
        """Return B x D for B x 3 x S x S pictures in 0..1; an encoder's finer grids are not asked for."""
        value = self.subject.activations(pictures, [self.layer])[self.layer].float()
        return spatial(value).mean((2, 3)) if is_spatial(value) else value.flatten(1)

    def identity(self) -> dict[str, Any]:
        """Return plain values that tell these features from any other."""
        return {**self.subject.identity, "layer": self.layer, "weights": self.weights}


def extractor(config: EmbedConfig, encoder: AnyEncoder | None = None) -> Extractor:
    """Return what makes one vector of each picture.

    An encoder, and a head on a frozen one, is asked for the means that heads learn from, so that what classifiers
    cached is used. Of any other network it is the mean of its last map
    (:attr:`impasto.subjects.Subject.last_layer`) and not what goes into its last linear layer: that rule needs no
    knowledge of the network, fits those without a linear layer (SqueezeNet), and gives the same as for encoders.

    Args:
        config: names network and layer.
        encoder: in place of the one that ``config`` names; lent.

    Raises:
        UnknownNameError: no such network or layer. UsageError: an ensemble; a network without maps.
        WeightsError, RunError: weights or a folder that cannot be used.
    """
    place, folder = choose_device(config.device), cache_folder("features")
    if encoder is not None:
        return Extractor(encoder, Preprocessing(encoder.input_size), place, folder)
    if not config.layer and config.network in ENCODERS:
        encoder = load_encoder(config.network, weights=config.weights, seed=config.seed).to(place)
        return Extractor(encoder, Preprocessing(encoder.input_size), place, folder)
    if not config.layer and _is_frozen_run(config.network):
        classifier = Classifier.load(config.network, device=config.device, weights=config.weights)
        return Extractor(classifier.encoders[0], classifier.preprocessing, classifier.device, folder)
    subject = load_subject(config.network, device=config.device, weights=config.weights, seed=config.seed)
    layer = subject.name_of(subject.path_of(config.layer)) if config.layer else subject.last_layer
    # An Extractor asks its encoder for features and identity, and for nothing else.
    source = cast(AnyEncoder, LayerFeatures(subject, layer))
    return Extractor(source, subject.preprocessing, subject.device, folder)


def _is_frozen_run(network: str) -> bool:
    folder = Path(network)
    return folder.is_dir() and not is_ensemble(folder) and is_frozen(read_config(folder))


def _digest(network: nn.Module) -> str:
    """Return the SHA-256 of all weights: two trainings of one model have the same name and other features."""
    found = hashlib.sha256()
    for name, value in network.state_dict().items():
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()
