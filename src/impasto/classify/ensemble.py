"""Several classifiers that answer together: a model folder that holds copies of its members.

The probabilities of an ensemble are the weighted mean of its members', each with its own preprocessing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from impasto.classify.classifier import Classifier, is_frozen, read_config
from impasto.classify.prediction import Prediction
from impasto.encoders import AnyEncoder
from impasto.errors import UsageError, WrongWeightsError
from impasto.files import file_digests
from impasto.runs import CONFIG_NAME, read_json, to_plain
from impasto.runtime import OnProgress, Progress, ignore_progress

ENSEMBLE = "ensemble"


class Ensemble:
    """Classifiers of the same classes, and what each of them counts.

    Args:
        config: what ``config.json`` holds: ``classes``, and under ``members`` name, weight and files of each.
        members: in that order.
    """

    # Each member has its own.
    temperature = None

    def __init__(self, config: Mapping[str, Any], members: Sequence[Classifier]) -> None:
        self.config = dict(to_plain(config))
        self.classes: tuple[str, ...] = tuple(config["classes"])
        self.members = tuple(members)
        self.weights = tuple(float(member["weight"]) for member in config["members"])

    @property
    def encoders(self) -> tuple[AnyEncoder, ...]:
        """The frozen encoders of the members."""
        return tuple(encoder for member in self.members for encoder in member.encoders)

    def predict(
        self,
        paths: Sequence[str | Path],
        *,
        batch_size: int = 32,
        views: str = "whole",
        cached: bool = False,
        on_progress: OnProgress = ignore_progress,
    ) -> list[Prediction]:
        """Return a prediction for each picture, as :meth:`Classifier.predict` does.

        One that any of the members cannot read has its ``error`` set.
        """
        said = [
            member.predict(paths, batch_size=batch_size, views=views, cached=cached, on_progress=watch)
            for member, watch in zip(self.members, self._watches(on_progress), strict=True)
        ]
        return [blend(answers, self.weights, self.classes) for answers in zip(*said, strict=True)]

    def _watches(self, on_progress: OnProgress) -> Iterator[OnProgress]:
        """Let the stages of different members be told apart: each has its own bar."""
        for number in range(1, len(self.members) + 1):

            def watch(progress: Progress, name: str = f"member {number}") -> None:
                on_progress(replace(progress, stage=f"{name}: {progress.stage}"))

            yield watch


AnyClassifier = Classifier | Ensemble


def blend(answers: Sequence[Prediction], weights: Sequence[float], classes: Sequence[str]) -> Prediction:
    """Return the weighted mean of predictions of one picture, which know the same classes in any order."""
    for answer in answers:
        if answer.error:
            return answer
    total = sum(weights)
    shares = {
        name: sum(weight * answer.probabilities[name] for weight, answer in zip(weights, answers, strict=True)) / total
        for name in classes
    }
    return Prediction(answers[0].path, shares)


def load_classifier(
    folder: str | Path,
    *,
    device: str = "auto",
    weights: str | Path | None = None,
    lent: Sequence[AnyEncoder] = (),
) -> AnyClassifier:
    """Read a model folder of any kind: what ``impasto train`` or ``impasto ensemble`` wrote.

    Args:
        folder: the model.
        device, weights: see :meth:`Classifier.load`. ``weights`` are for the members with an encoder.
        lent: encoders that are already loaded and on ``device``, used where a model was built on one of them.

    Raises:
        RunError, WrongWeightsError, MissingWeightsError: see :meth:`Classifier.load`; a member is missing or changed.
    """
    folder = Path(folder)
    if not is_ensemble(folder):
        return _load_one(folder, device, weights, lent)
    config = _read_ensemble(folder)
    members: list[Classifier] = []
    for place in _members(folder, config):
        known = (*lent, *(encoder for member in members for encoder in member.encoders))
        its_weights = weights if is_frozen(read_config(place)) else None
        members.append(_load_one(place, device, its_weights, known))
        if set(members[-1].classes) != set(config["classes"]):
            raise WrongWeightsError(f"{place} knows other classes than {folder}.", "Make the ensemble again.")
    if weights and not any(member.encoder for member in members):
        raise UsageError(f"the models in {folder} have no frozen encoder.", "Leave the weights out.")
    return Ensemble(config, members)


def is_ensemble(folder: Path) -> bool:
    """Tell whether ``impasto ensemble`` wrote a folder.

    Raises:
        RunError: no ``config.json``, or a damaged one.
    """
    config = read_json(folder / CONFIG_NAME)
    return isinstance(config, dict) and config.get("model") == ENSEMBLE


def member_folder(folder: Path, number: int) -> Path:
    """Return where an ensemble keeps its member ``number``, counted from 0."""
    return folder / "members" / str(number)


def _load_one(folder: Path, device: str, weights: str | Path | None, lent: Sequence[AnyEncoder]) -> Classifier:
    config = read_config(folder)
    found = (item for item in lent if is_frozen(config) and to_plain(item.identity()) == config["encoder"])
    encoder = next(found, None)
    return Classifier.load(folder, device=device, weights=None if encoder else weights, encoder=encoder)


def _read_ensemble(folder: Path) -> dict[str, Any]:
    config = read_json(folder / CONFIG_NAME)
    try:
        is_sound = (
            len(set(config["classes"])) > 1
            and all(isinstance(name, str) for name in config["classes"])
            and len(config["members"]) > 0
            and all(member["weight"] >= 0 and isinstance(member["files"], dict) for member in config["members"])
            and sum(member["weight"] for member in config["members"]) > 0
        )
    except (KeyError, TypeError):
        is_sound = False
    if not is_sound:
        raise WrongWeightsError(
            f"{folder / CONFIG_NAME} describes no ensemble.", "Give a folder that `impasto ensemble` wrote."
        )
    return dict(config)


def _members(folder: Path, config: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the members' folders, each after its files were found as they were when the ensemble was made."""
    for number, member in enumerate(config["members"]):
        place = member_folder(folder, number)
        names = list(member["files"])
        found = dict(zip(names, file_digests([place / Path(name).name for name in names]), strict=True))
        changed = sorted(name for name in names if found[name] != member["files"][name])
        if changed:
            raise WrongWeightsError(
                f"{place} has changed since the ensemble was made: {', '.join(changed)}.", "Make the ensemble again."
            )
        yield place
