"""A classifier as scikit-learn knows them: ``fit``, ``predict``, ``score``, for cross-validation and pipelines."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from impasto.classify.classifier import Classifier
from impasto.classify.config import TrainConfig
from impasto.classify.models.names import DEFAULT_MODEL
from impasto.classify.train import train
from impasto.data.dataset import Dataset, Sample, write_split_table
from impasto.errors import UnknownNameError, UnreadablePictureError, UsageError

# Every setting of a training; "data" is what fit is given.
_SETTINGS = {
    item.name: item.default for item in fields(TrainConfig) if item.init and item.name not in ("data", "model")
}
_NAMED = 3


class ClassifierEstimator(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of pictures that is fitted to paths and labels.

    Args:
        model: a name in :data:`impasto.classify.MODELS`.
        output: the folder that :meth:`fit` writes, as ``impasto train`` does; None for none.
        settings: of the training, by the names of :class:`impasto.classify.TrainConfig`.

    Attributes:
        classes_: the labels in the order of :meth:`predict_proba`'s columns.
        classifier_: the trained :class:`impasto.classify.Classifier`.
        result_: what the training came to.

    >>> estimator = ClassifierEstimator("frozen:impasto-vgg", seed=1)
    >>> estimator.get_params()["seed"]
    1
    >>> cross_val_score(estimator, paths, labels, cv=5)                       # doctest: +SKIP
    array([0.91, 0.94, 0.92, 0.89, 0.93])
    """

    def __init__(self, model: str = DEFAULT_MODEL, *, output: str | Path | None = None, **settings: Any) -> None:
        self.model = model
        self.output = output
        for name, default in _SETTINGS.items():
            setattr(self, name, default)
        self.set_params(**settings)  # which refuses unknown ones

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return all settings by name; ``deep`` is there because scikit-learn asks for it."""
        return {name: getattr(self, name) for name in ("model", "output", *_SETTINGS)}

    def set_params(self, **params: Any) -> ClassifierEstimator:
        """Set settings by name.

        Raises:
            UnknownNameError: there is no such setting.
        """
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise UnknownNameError("setting", name, known)
            setattr(self, name, value)
        return self

    def fit(
        self, X: Sequence[str | Path], y: Sequence[Any], groups: Sequence[Any] | None = None
    ) -> ClassifierEstimator:
        """Train on pictures and labels; 15 % of them are set aside to choose the weights.

        Args:
            X: N picture files.
            y: N labels, strings or integers.
            groups: N names of what must stay on one side of the split (the content photo of a repaint).

        Raises:
            UsageError: ``X``, ``y`` and ``groups`` are of different lengths, or a label cannot be.
            ImpastoError: whatever :func:`impasto.classify.train` raises.
        """
        labels = np.asarray(y)
        _check(X, labels, groups)
        names = [str(group) for group in groups] if groups is not None else [""] * len(X)
        with tempfile.TemporaryDirectory() as place:
            data = Path(place) / "data"
            samples = [
                Sample(_link(Path(path), data, index), str(label), "train", group)
                for index, (path, label, group) in enumerate(zip(X, labels.tolist(), names, strict=True))
            ]
            table = data / "table.csv"
            write_split_table(table, Dataset(data, tuple(samples)))
            config = TrainConfig(table, self.model, **{name: getattr(self, name) for name in _SETTINGS})
            run = Path(self.output) if self.output is not None else Path(place) / "run"
            self.result_ = train(config, run)
            self.classifier_ = Classifier.load(run, device=config.device, weights=self._encoder_weights(config))
        self.classes_ = np.unique(labels)
        return self

    def predict(self, X: Sequence[str | Path]) -> npt.NDArray[Any]:
        """Return the most probable label of each picture; see :meth:`predict_proba`."""
        best = self.predict_proba(X).argmax(axis=1)
        labels: npt.NDArray[Any] = self.classes_[best]
        return labels

    def predict_proba(self, X: Sequence[str | Path]) -> npt.NDArray[np.float64]:
        """Return N x C probabilities, columns in the order of ``classes_``.

        Raises:
            UnreadablePictureError: a picture cannot be read; the result could not have a row for each.
            sklearn.exceptions.NotFittedError: before :meth:`fit`.
        """
        check_is_fitted(self)
        predictions = self.classifier_.predict(list(X))
        bad = [item for item in predictions if item.error]
        if bad:
            named = "; ".join(f"{item.path} {item.error}" for item in bad[:_NAMED])
            more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
            raise UnreadablePictureError(f"{named}{more}.", "Leave them out: every picture needs a row.")
        names = [str(label) for label in self.classes_.tolist()]
        return np.array([[item.probabilities[name] for name in names] for item in predictions]).reshape(-1, len(names))

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn whether :meth:`fit` has ended."""
        return hasattr(self, "classes_")

    def _encoder_weights(self, config: TrainConfig) -> str | None:
        return config.weights if config.name.kind == "frozen" else None


def _check(paths: Sequence[str | Path], labels: npt.NDArray[Any], groups: Sequence[Any] | None) -> None:
    try:
        check_consistent_length(paths, labels, groups)
        check_classification_targets(labels)
    except ValueError as error:
        raise UsageError(f"these pictures and labels cannot be fitted: {error}") from error


def _link(path: Path, folder: Path, index: int) -> Path:
    """Put a picture into the folder of a data set, under a name of its own; copied only where links cannot be made."""
    folder.mkdir(exist_ok=True)
    place = folder / f"{index:06d}-{path.name}"
    try:
        place.symlink_to(path.resolve())
    except OSError:  # Windows lets not everybody make links
        shutil.copyfile(path, place)
    return place
