"""The estimator behaves as scikit-learn's do: cloning, cross-validation, columns, errors."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score

from classify_fixtures import paint
from impasto.classify import ClassifierEstimator, TrainConfig
from impasto.errors import DataError, UnknownNameError, UnreadablePictureError, UsageError

SETTINGS: dict[str, Any] = {"model": "r0-cnn", "image_size": 24, "epochs": 8, "batch_size": 4, "device": "cpu"}


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[list[Path], list[str]]:
    """Twelve blue and twelve red pictures in turn, in one folder."""
    labels = ["red", "blue"] * 12
    return [paint(tmp_path / "pictures" / f"{i}.png", label, i) for i, label in enumerate(labels)], labels


def test_parameters_are_those_of_a_training() -> None:
    estimator = ClassifierEstimator(**SETTINGS)
    names = {item.name for item in fields(TrainConfig) if item.init} - {"data"}
    assert set(estimator.get_params()) == names | {"output"}
    assert {name: estimator.get_params()[name] for name in SETTINGS} == SETTINGS
    assert is_classifier(estimator)
    assert "epochs=8" in repr(estimator)


def test_clones_are_equal_and_independent() -> None:
    estimator = ClassifierEstimator(**SETTINGS, seed=3)
    copy = clone(estimator)
    assert copy.get_params() == estimator.get_params()
    assert copy.set_params(seed=4, output="x") is copy
    assert (copy.seed, copy.output, estimator.seed, estimator.output) == (4, "x", 3, None)


def test_an_unknown_setting_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean epochs"):
        ClassifierEstimator(epoch=3)
    with pytest.raises(UnknownNameError, match="image_size"):
        ClassifierEstimator().set_params(imagesize=3)


def test_cross_validation(pictures: tuple[list[Path], list[str]]) -> None:
    paths, labels = pictures
    scores = cross_val_score(ClassifierEstimator(**SETTINGS), paths, labels, cv=3, error_score="raise")
    assert scores.shape == (3,)
    assert scores.mean() > 0.9


def test_folds_do_not_see_what_they_are_judged_on(pictures: tuple[list[Path], list[str]]) -> None:
    """Labels without meaning are not learnt."""
    paths, _ = pictures
    labels = np.random.default_rng(0).permutation(["a", "b"] * 12)
    found = cross_val_predict(ClassifierEstimator(**SETTINGS), np.array(paths, dtype=object), labels, cv=3)
    assert (found == labels).mean() < 0.85


def test_a_grid_is_searched(pictures: tuple[list[Path], list[str]]) -> None:
    search = GridSearchCV(ClassifierEstimator(**SETTINGS), {"learning_rate": [1e-9, 1e-3]}, cv=2, error_score="raise")
    search.fit(*pictures)
    assert search.best_params_ == {"learning_rate": 1e-3}


def test_columns_follow_the_labels_also_where_their_names_sort_otherwise(
    pictures: tuple[list[Path], list[str]],
) -> None:
    paths, colours = pictures
    labels = [10 if colour == "red" else 9 for colour in colours]
    estimator = ClassifierEstimator(**SETTINGS).fit(paths, labels)
    assert estimator.classes_.tolist() == [9, 10]
    assert estimator.classifier_.classes == ("10", "9")
    shares = estimator.predict_proba(paths)
    assert shares.shape == (24, 2)
    assert shares.sum(1) == pytest.approx(np.ones(24))
    assert estimator.predict(paths).tolist() == labels
    assert shares[np.arange(24), [labels[i] - 9 for i in range(24)]].min() > 0.5
    assert estimator.score(paths, labels) == 1.0
    assert estimator.predict_proba([]).shape == (0, 2)


def test_output_is_a_model_folder(pictures: tuple[list[Path], list[str]], tmp_path: Path) -> None:
    estimator = ClassifierEstimator(**SETTINGS, output=tmp_path / "run").fit(*pictures)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["classes"] == ["blue", "red"]
    assert sum(estimator.result_.pictures.values()) == 24
    assert (tmp_path / "run" / "manifest.json").is_file()


def test_groups_stay_together(pictures: tuple[list[Path], list[str]], tmp_path: Path) -> None:
    paths, labels = pictures
    groups = [f"photo {i // 4}" for i in range(24)]
    ClassifierEstimator(**SETTINGS, output=tmp_path / "run").fit(paths, labels, groups=groups)
    rows = (line.split(",") for line in (tmp_path / "run" / "split.csv").read_text().splitlines()[1:])
    sides: dict[str, set[str]] = {}
    for row in rows:
        sides.setdefault(row[4], set()).add(row[2])
    assert len(sides) == 6
    assert all(len(splits) == 1 for splits in sides.values())


def test_unreadable_pictures_are_named(pictures: tuple[list[Path], list[str]], tmp_path: Path) -> None:
    estimator = ClassifierEstimator(**SETTINGS).fit(*pictures)
    bad = [tmp_path / f"bad{i}.png" for i in range(5)]
    for path in bad[:4]:
        path.write_bytes(b"?")
    with pytest.raises(UnreadablePictureError, match=r"bad0\.png cannot be read.*and 2 more"):
        estimator.predict([pictures[0][0], *bad])


def test_before_fitting_and_wrong_arguments(pictures: tuple[list[Path], list[str]]) -> None:
    paths, labels = pictures
    estimator = ClassifierEstimator(**SETTINGS)
    with pytest.raises(NotFittedError):
        estimator.predict(paths)
    with pytest.raises(UsageError, match="inconsistent numbers"):
        estimator.fit(paths, labels[:-1])
    with pytest.raises(UsageError, match="continuous"):
        estimator.fit(paths, [0.5 + i for i in range(24)])
    with pytest.raises(DataError):
        estimator.fit(paths, ["red"] * 24)
    with pytest.raises(DataError, match="not there"):
        estimator.fit([*paths[:-1], "absent.png"], labels)
