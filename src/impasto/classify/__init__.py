"""Classifiers: train on a labelled folder, save as one folder, judge honestly, name new pictures.

>>> from impasto.classify import TrainConfig, evaluate, train
>>> train(TrainConfig(Path("styles")), Path("run")).validation            # doctest: +SKIP
Proportion(k=57, n=60)
>>> print(evaluate("run", "styles").accuracy)                             # doctest: +SKIP
55/60 = 91.7 % [81.9, 96.4]
"""

from impasto.classify.classifier import Classifier
from impasto.classify.config import TrainConfig
from impasto.classify.crossvalidate import CrossValidation, cross_validate
from impasto.classify.ensemble import AnyClassifier, Ensemble, load_classifier
from impasto.classify.estimator import ClassifierEstimator
from impasto.classify.export import export_folder, export_onnx
from impasto.classify.features import Extractor, Features
from impasto.classify.join import Joined, join
from impasto.classify.judge.calibration import Calibration, calibrate, fit_temperature
from impasto.classify.judge.confusion import ClassScore, Confusion
from impasto.classify.judge.evaluate import evaluate
from impasto.classify.judge.evaluation import Evaluation
from impasto.classify.models import DEFAULT_MODEL, MODELS
from impasto.classify.prediction import Prediction
from impasto.classify.train import TrainResult, train
from impasto.classify.views import VIEWS
from impasto.data.load.pictures import Preprocessing, Skipped
from impasto.statistics import Proportion, wilson

__all__ = [
    "DEFAULT_MODEL",
    "MODELS",
    "VIEWS",
    "AnyClassifier",
    "Calibration",
    "ClassScore",
    "Classifier",
    "ClassifierEstimator",
    "Confusion",
    "CrossValidation",
    "Ensemble",
    "Evaluation",
    "Extractor",
    "Features",
    "Joined",
    "Prediction",
    "Preprocessing",
    "Proportion",
    "Skipped",
    "TrainConfig",
    "TrainResult",
    "calibrate",
    "cross_validate",
    "evaluate",
    "export_folder",
    "export_onnx",
    "fit_temperature",
    "join",
    "load_classifier",
    "train",
    "wilson",
]
