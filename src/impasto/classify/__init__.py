"""Classifiers: train on a labelled folder, save as one folder, judge honestly, name new pictures.

>>> from impasto.classify import TrainConfig, evaluate, train
>>> train(TrainConfig(Path("styles")), Path("run")).validation            # doctest: +SKIP
Proportion(k=57, n=60)
>>> print(evaluate("run", "styles").accuracy)                             # doctest: +SKIP
55/60 = 91.7 % [81.9, 96.4]
"""

from impasto.classify.classifier import Classifier, Prediction
from impasto.classify.config import TrainConfig
from impasto.classify.evaluate import Evaluation, evaluate
from impasto.classify.features import Extractor, Features
from impasto.classify.models import DEFAULT_MODEL, MODELS
from impasto.classify.statistics import ClassScore, Confusion
from impasto.classify.train import TrainResult, train
from impasto.data.load.pictures import Preprocessing, Skipped
from impasto.statistics import Proportion, wilson

__all__ = [
    "DEFAULT_MODEL",
    "MODELS",
    "ClassScore",
    "Classifier",
    "Confusion",
    "Evaluation",
    "Extractor",
    "Features",
    "Prediction",
    "Preprocessing",
    "Proportion",
    "Skipped",
    "TrainConfig",
    "TrainResult",
    "evaluate",
    "train",
    "wilson",
]
