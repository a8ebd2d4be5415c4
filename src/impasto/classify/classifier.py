"""A trained classifier: one folder, which carries its preprocessing and its class names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from impasto.caches import cache_folder
from impasto.classify.features import Extractor
from impasto.classify.judge.calibration import CALIBRATION_NAME, Calibration
from impasto.classify.models import OnFeatures, empty_network, grid_of, parse_model
from impasto.classify.prediction import Prediction
from impasto.classify.views import check_views, read_squares
from impasto.data.load.pictures import Preprocessing, read_batches, scaled
from impasto.encoders import AnyEncoder, load_encoder
from impasto.errors import RunError, UnknownNameError, UsageError, WrongWeightsError
from impasto.files import file_digests, write_bytes
from impasto.runs import CONFIG_NAME, read_json, to_plain, write_json
from impasto.runtime import OnProgress, Progress, choose_device, held_memory, ignore_progress

MODEL_NAME = "model.safetensors"


class Classifier:
    """Class names, preprocessing and network (and frozen encoder) in one.

    Args:
        config: what ``config.json`` holds: ``model``, ``classes``, ``preprocessing``, ``encoder`` and the settings
            of the training.
        network: the network, or the head of a frozen encoder, on ``device``.
        encoder: the frozen encoder on ``device``, None for a network that sees pixels.
        device: where both are.
        calibration: how probabilities are made from logits; None for a plain softmax.

    >>> classifier = Classifier.load("run")                                   # doctest: +SKIP
    >>> classifier.predict(["photo.jpg"])[0].top(2)                           # doctest: +SKIP
    [('wave', 0.93), ('scream', 0.05)]
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        network: nn.Module,
        encoder: AnyEncoder | None = None,
        device: torch.device | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.config = dict(to_plain(config))
        self.classes: tuple[str, ...] = tuple(config["classes"])
        self.preprocessing = Preprocessing.from_record(config["preprocessing"])
        self.network = network.eval()
        self.encoder = encoder
        self.device = device or torch.device("cpu")
        self.calibration = calibration

    @property
    def temperature(self) -> float:
        """What logits are divided by before the softmax: 1 for a classifier that was not calibrated."""
        return self.calibration.temperature if self.calibration else 1.0

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str = "auto",
        weights: str | Path | None = None,
        encoder: AnyEncoder | None = None,
    ) -> Classifier:
        """Read a folder that :meth:`save` or ``impasto train`` wrote.

        A frozen encoder is not in the folder but named there with the digest of its weights, and these are found
        again.

        Args:
            folder: holds ``config.json`` and ``model.safetensors``, and ``calibration.json`` if it was calibrated.
            device: auto, cpu, cuda, cuda:1, mps.
            weights: a file with the encoder's weights, if they have moved since the training.
            encoder: the encoder, already loaded and on ``device``; lent.

        Raises:
            RunError: no ``config.json``, or a damaged one; a damaged ``calibration.json``.
            WrongWeightsError: no model, a damaged one, or one of another shape; other encoder weights.
            MissingWeightsError: the encoder's weights cannot be found.
        """
        folder, place = Path(folder), choose_device(device)
        config = read_config(folder)
        if is_frozen(config):
            encoder = encoder or _find_encoder(config, weights).to(place)
            _check_encoder(folder, config, encoder)
        elif encoder is not None or weights is not None:
            raise UsageError(f"the model in {folder} has no frozen encoder.", "Leave the weights out.")
        network = _fill(folder / MODEL_NAME, config)
        return cls(config, network.to(place), encoder, place, _read_calibration(folder))

    @property
    def encoders(self) -> tuple[AnyEncoder, ...]:
        """The frozen encoder, or none."""
        return () if self.encoder is None else (self.encoder,)

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors``, ``config.json`` and any ``calibration.json``; each is whole or absent."""
        state = {name: value.cpu().contiguous() for name, value in self.network.state_dict().items()}
        write_bytes(folder / MODEL_NAME, save(state))
        write_json(folder / CONFIG_NAME, self.config)
        if self.calibration:
            write_json(folder / CALIBRATION_NAME, self.calibration.record())

    @torch.no_grad()
    def logits(self, pictures: Tensor) -> Tensor:
        """Return B x C logits, float64 on the CPU, of B x 3 x size x size pictures in 0..1."""
        batch = pictures.to(self.device).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.module()(batch)
        # In float64, so that probabilities close to 1 keep their order.
        return logits.cpu().double()

    def module(self) -> nn.Module:
        """Return the whole way from pictures B x 3 x size x size in 0..1 to B x C logits, on ``device``."""
        return self.network if self.encoder is None else OnFeatures(self.encoder, self.network)

    def predict(
        self,
        paths: Sequence[str | Path],
        *,
        batch_size: int = 32,
        views: str = "whole",
        cached: bool = False,
        on_progress: OnProgress = ignore_progress,
    ) -> list[Prediction]:
        """Return a prediction for each picture, in order; one that cannot be read has its ``error`` set.

        Args:
            paths: picture files.
            batch_size: how many are read and sent through the network together.
            views: what of each picture is looked at, see :data:`impasto.classify.views.VIEWS`; the probabilities of
                several views are averaged.
            cached: whether the features of a frozen encoder are looked up in the cache, and kept there; with more
                views than the whole there is no cache.
            on_progress: told after every batch.

        Raises:
            UnknownNameError: no such views.
        """
        files = [Path(path) for path in paths]
        with held_memory():
            if views != "whole":
                return self._from_views(files, views, batch_size, on_progress)
            if self.encoder is None:
                return self._from_pixels(files, batch_size, on_progress)
            return self._from_features(self.encoder, files, batch_size, cached, on_progress)

    def _from_pixels(self, paths: list[Path], batch_size: int, on_progress: OnProgress) -> list[Prediction]:
        predictions: list[Prediction] = []
        for batch in read_batches(paths, self.preprocessing, batch_size):
            found = {index: Prediction(paths[index], error=text) for index, text in batch.failures.items()}
            if batch.pictures:
                rows = self._named(self.logits(scaled(batch.pictures)))
                pairs = zip(batch.indices, rows, strict=True)
                found |= {index: Prediction(paths[index], row) for index, row in pairs}
            predictions += [found[index] for index in sorted(found)]
            on_progress(Progress("predicting", len(predictions), len(paths)))
        return predictions

    def _from_views(self, paths: list[Path], views: str, batch_size: int, on_progress: OnProgress) -> list[Prediction]:
        check_views(views)
        predictions: list[Prediction] = []
        for path, found in zip(paths, read_squares(paths, self.preprocessing, views), strict=True):
            if isinstance(found, str):
                predictions.append(Prediction(path, error=found))
            else:
                starts = range(0, len(found), batch_size)
                logits = torch.cat([self.logits(scaled(found[start : start + batch_size])) for start in starts])
                mean = (logits / self.temperature).softmax(1).mean(0)
                predictions.append(Prediction(path, dict(zip(self.classes, mean.tolist(), strict=True))))
            on_progress(Progress("predicting", len(predictions), len(paths)))
        return predictions

    def _from_features(
        self, encoder: AnyEncoder, paths: list[Path], batch_size: int, cached: bool, on_progress: OnProgress
    ) -> list[Prediction]:
        folder = cache_folder("features") if cached else None
        extract = Extractor(encoder, self.preprocessing, self.device, folder, batch_size, grid_of(self.network))
        features = extract(paths, file_digests(paths) if cached else [""] * len(paths), on_progress)
        rows = iter(self._named(self._head(features.values)) if features.kept else ())
        errors = {skipped.path: skipped.reason for skipped in features.skipped}
        kept = set(features.kept)
        return [
            Prediction(path, next(rows)) if index in kept else Prediction(path, error=errors[path])
            for index, path in enumerate(paths)
        ]

    @torch.no_grad()
    def _head(self, features: Tensor) -> Tensor:
        logits: Tensor = self.network(features.to(self.device))
        return logits.cpu().double()

    def _named(self, logits: Tensor) -> list[dict[str, float]]:
        return [dict(zip(self.classes, row, strict=True)) for row in (logits / self.temperature).softmax(1).tolist()]


def read_config(folder: Path) -> dict[str, Any]:
    """Return what ``config.json`` of a model folder says.

    Raises:
        RunError: there is none, or it is damaged. WrongWeightsError: it is no classifier's.
    """
    path = folder / CONFIG_NAME
    config = read_json(path)
    try:
        has_encoder = parse_model(config["model"]).encoder is not None
        is_sound = (
            isinstance(config["preprocessing"], dict)
            and isinstance(config["encoder"], dict if has_encoder else type(None))
            and all(isinstance(name, str) for name in config["classes"])
            and len(set(config["classes"])) == len(config["classes"]) > 1
        )
    except (KeyError, TypeError, AttributeError, UnknownNameError):
        is_sound = False
    if not is_sound:
        hint = "Give a folder that `impasto train` wrote; an ensemble is read by load_classifier."
        raise WrongWeightsError(f"{path} describes no classifier.", hint)
    return dict(config)


def is_frozen(config: Mapping[str, Any]) -> bool:
    """Tell whether a model was built on an encoder that its folder does not hold."""
    return parse_model(config["model"]).kind == "frozen"


def _read_calibration(folder: Path) -> Calibration | None:
    path = folder / CALIBRATION_NAME
    if not path.is_file():
        return None
    try:
        return Calibration.from_record(read_json(path))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path} is damaged.", "Train the model again.") from error


def _find_encoder(config: Mapping[str, Any], weights: str | Path | None) -> AnyEncoder:
    name = parse_model(config["model"]).encoder
    assert name is not None
    return load_encoder(name, weights=weights or config.get("weights"), seed=config.get("seed", 0))


def _check_encoder(folder: Path, config: Mapping[str, Any], encoder: AnyEncoder) -> None:
    expected, found = config["encoder"], to_plain(encoder.identity())
    different = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
    if different:
        facts = "; ".join(f"{key}: {expected.get(key)!r}, here {found.get(key)!r}" for key in different)
        raise WrongWeightsError(
            f"{folder} was trained on another encoder than the one found ({facts}).",
            "Give the file with the former weights by --weights, or train again.",
        )


def _fill(path: Path, config: Mapping[str, Any]) -> nn.Module:
    """Return the network that ``config`` describes, with the tensors of ``path``."""
    state = _read_tensors(path)
    network = empty_network(config, state)
    wanted = {name: (value.shape, value.dtype) for name, value in network.state_dict().items()}
    if wanted != {name: (value.shape, value.dtype) for name, value in state.items()}:
        raise WrongWeightsError(f"{path} does not fit the model in {CONFIG_NAME} beside it.", "Train it again.")
    if not all(bool(value.isfinite().all()) for value in state.values()):
        raise WrongWeightsError(f"{path} is damaged: it holds NaN or infinity.", "Train it again.")
    network.load_state_dict(state, assign=True)
    return network.requires_grad_(False)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load(path.read_bytes())
    except FileNotFoundError as error:
        raise WrongWeightsError(
            f"{path} does not exist: the training was not finished.", "Run the same `impasto train` again."
        ) from error
    except (SafetensorError, OSError) as error:
        raise WrongWeightsError(f"{path} is damaged: {error}.", "Train the model again.") from error
