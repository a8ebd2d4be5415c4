"""Networks that tell classes apart, and their names."""

from impasto.classify.models.build import empty_network, fresh_network
from impasto.classify.models.foreign import Foreign
from impasto.classify.models.heads import (
    HEADS,
    LinearHead,
    LinearPoolHead,
    OnFeatures,
    R2Head,
    R4Head,
    R4MeanHead,
    Tuned,
    grid_of,
)
from impasto.classify.models.names import DEFAULT_MODEL, MODELS, ModelName, parse_model, small_network
from impasto.classify.models.small import R0CNN, R4CNN, ImpastoCNN, R2CNNa, R2CNNb

__all__ = [
    "DEFAULT_MODEL",
    "HEADS",
    "MODELS",
    "R0CNN",
    "R4CNN",
    "Foreign",
    "ImpastoCNN",
    "LinearHead",
    "LinearPoolHead",
    "ModelName",
    "OnFeatures",
    "R2CNNa",
    "R2CNNb",
    "R2Head",
    "R4Head",
    "R4MeanHead",
    "Tuned",
    "empty_network",
    "fresh_network",
    "grid_of",
    "parse_model",
    "small_network",
]
