"""A saved classifier gives the same probabilities again, and a damaged one is an error, not a wrong answer."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from classify_fixtures import FakeEncoder, paint, paint_splits
from impasto.classify import Classifier, TrainConfig, train
from impasto.classify.judge.calibration import calibrate
from impasto.errors import RunError, UsageError, WrongWeightsError


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return paint_splits(tmp_path / "data")


@pytest.fixture
def network_run(data: Path, tmp_path: Path) -> Path:
    config = TrainConfig(data, model="r0-cnn", device="cpu", image_size=24, epochs=2, batch_size=4)
    return train(config, tmp_path / "network").folder


@pytest.fixture
def frozen_run(data: Path, tmp_path: Path) -> Path:
    config = TrainConfig(data, model="frozen:fake", device="cpu")
    return train(config, tmp_path / "frozen", encoder=FakeEncoder()).folder  # type: ignore[arg-type]


def load(folder: Path, encoder: FakeEncoder | None = None) -> Classifier:
    return Classifier.load(folder, device="cpu", encoder=encoder)  # type: ignore[arg-type]


def test_saved_and_loaded_gives_identical_probabilities(
    data: Path, network_run: Path, frozen_run: Path, tmp_path: Path
) -> None:
    pictures = sorted(data.rglob("*.png"))
    for folder, encoder in ((network_run, None), (frozen_run, FakeEncoder())):
        classifier = load(folder, encoder)
        classifier.save(tmp_path / "copy" / folder.name)
        again = load(tmp_path / "copy" / folder.name, encoder)
        assert classifier.predict(pictures) == again.predict(pictures)
        assert (tmp_path / "copy" / folder.name / "config.json").read_bytes() == (folder / "config.json").read_bytes()


def test_a_prediction(data: Path, frozen_run: Path) -> None:
    path = min((data / "test" / "red").iterdir())
    prediction = load(frozen_run, FakeEncoder()).predict([str(path)])[0]
    assert (prediction.path, prediction.label, prediction.error) == (path, "red", "")
    assert list(prediction.probabilities) == ["blue", "red"]
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert prediction.probability == prediction.probabilities["red"]
    assert prediction.top(1) == [("red", prediction.probability)]
    assert [label for label, _ in prediction.top(9)] == ["red", "blue"]


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_unreadable_pictures_do_not_stop_the_others(
    data: Path, network_run: Path, frozen_run: Path, tmp_path: Path, batch_size: int
) -> None:
    pictures = sorted((data / "test").rglob("*.png"))
    (tmp_path / "text.png").write_text("no picture")
    mixed = [tmp_path / "absent.jpg", *pictures[:4], tmp_path / "text.png", *pictures[4:], tmp_path / "absent.jpg"]
    for classifier in (load(network_run), load(frozen_run, FakeEncoder())):
        predictions = classifier.predict(mixed, batch_size=batch_size)
        assert [item.path for item in predictions] == mixed
        bad = [index for index, item in enumerate(predictions) if item.error]
        assert bad == [0, 5, len(mixed) - 1]
        assert predictions[0].error == "cannot be read as a picture: it does not exist."
        assert (predictions[0].label, predictions[0].probability, predictions[0].top(3)) == ("", 0.0, [])
        plain = {item.path: item.probabilities for item in classifier.predict(pictures)}
        for item in predictions:
            assert item.error or item.probabilities == pytest.approx(plain[item.path], abs=1e-6)


def test_nothing_to_predict(network_run: Path, frozen_run: Path) -> None:
    assert load(network_run).predict([]) == load(frozen_run, FakeEncoder()).predict([]) == []


def test_predicting_leaves_the_cache_alone_unless_asked(data: Path, frozen_run: Path, tmp_path: Path) -> None:
    new = paint(tmp_path / "new.png", "red", 77)
    encoder = FakeEncoder()
    classifier = load(frozen_run, encoder)
    for cached, seen in ((False, 1), (True, 1), (True, 0)):
        before = encoder.seen
        classifier.predict([new], cached=cached)
        assert encoder.seen - before == seen


def test_other_weights_of_the_encoder_are_refused(frozen_run: Path) -> None:
    with pytest.raises(WrongWeightsError, match=r"another encoder.*sha256"):
        load(frozen_run, FakeEncoder(sha256="11" * 32))


def test_an_encoder_that_cannot_be_found_is_named(data: Path, tmp_path: Path) -> None:
    config = TrainConfig(data, model="frozen:vgg19-16x", weights="random", device="cpu")
    run = train(config, tmp_path / "run").folder
    with pytest.raises(WrongWeightsError, match=r"moved\.safetensors does not exist"):
        Classifier.load(run, device="cpu", weights=tmp_path / "moved.safetensors")


def test_a_network_takes_no_encoder(network_run: Path) -> None:
    with pytest.raises(UsageError, match="has no frozen encoder"):
        load(network_run, FakeEncoder())
    with pytest.raises(UsageError, match="has no frozen encoder"):
        Classifier.load(network_run, device="cpu", weights="vgg.safetensors")


def change(path: Path, how: Callable[[dict[str, Any]], Any]) -> None:
    """Load tensors or JSON, change them, write them back."""
    if path.suffix == ".json":
        record = json.loads(path.read_text())
        how(record)
        path.write_text(json.dumps(record))
    else:
        state = load_file(path)
        how(state)
        save_file(state, path)


@pytest.mark.parametrize(
    "how",
    [
        lambda state: state.pop("0.bias"),
        lambda state: state.update(more=torch.zeros(1)),
        lambda state: state.update({"0.bias": torch.zeros(31)}),
        lambda state: state.update({"0.bias": torch.zeros(32, dtype=torch.float64)}),
        lambda state: state.update({"0.bias": torch.full((32,), torch.nan)}),
    ],
)
def test_tensors_that_do_not_fit_are_refused(network_run: Path, how: Callable[[dict[str, Any]], Any]) -> None:
    change(network_run / "model.safetensors", how)
    with pytest.raises(WrongWeightsError, match=r"model\.safetensors"):
        load(network_run)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_truncated_model_is_refused(network_run: Path, keep: int) -> None:
    path = network_run / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(WrongWeightsError, match=r"model\.safetensors is damaged"):
        load(network_run)


def test_a_pickle_is_not_opened(network_run: Path) -> None:
    torch.save({"0.bias": torch.zeros(32)}, network_run / "model.safetensors")
    with pytest.raises(WrongWeightsError, match="is damaged"):
        load(network_run)


def test_a_training_that_was_killed_is_no_model(network_run: Path) -> None:
    (network_run / "model.safetensors").unlink()
    with pytest.raises(WrongWeightsError, match="not finished"):
        load(network_run)


@pytest.mark.parametrize(
    "how",
    [
        lambda config: config.pop("classes"),
        lambda config: config.pop("preprocessing"),
        lambda config: config.update(classes=["one"]),
        lambda config: config.update(classes=["same", "same"]),
        lambda config: config.update(classes=[1, 2]),
        lambda config: config.update(classes=5),
        lambda config: config.update(model="no-such"),
        lambda config: config.update(model=7),
        lambda config: config.update(model="frozen:fake"),
        lambda config: config.update(encoder={"name": "fake"}),
    ],
)
def test_a_configuration_that_is_no_classifiers_is_refused(
    network_run: Path, how: Callable[[dict[str, Any]], Any]
) -> None:
    change(network_run / "config.json", how)
    with pytest.raises(WrongWeightsError, match="describes no classifier"):
        load(network_run)


@pytest.mark.parametrize("text", ["[]", "null", '"text"', "7"])
def test_json_of_another_kind(network_run: Path, text: str) -> None:
    (network_run / "config.json").write_text(text)
    with pytest.raises(WrongWeightsError, match="describes no classifier"):
        load(network_run)


def test_more_classes_than_the_network_has(network_run: Path) -> None:
    change(network_run / "config.json", lambda config: config.update(classes=["a", "b", "c"]))
    with pytest.raises(WrongWeightsError, match="does not fit"):
        load(network_run)


def test_no_folder_and_no_json(tmp_path: Path, network_run: Path) -> None:
    with pytest.raises(RunError, match="does not exist"):
        load(tmp_path / "absent")
    (network_run / "config.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        load(network_run)


def test_a_lent_encoder_is_not_changed(frozen_run: Path, data: Path) -> None:
    encoder = FakeEncoder().train()
    load(frozen_run, encoder).predict(sorted(data.rglob("*.png")))
    assert encoder.training


def test_a_temperature_is_saved_and_changes_how_sure_it_is_but_no_answer(
    data: Path, network_run: Path, tmp_path: Path
) -> None:
    pictures = sorted((data / "test").rglob("*.png"))
    (network_run / "calibration.json").unlink(missing_ok=True)
    plain = load(network_run)
    labels = torch.arange(8) % 2
    calibration = calibrate(torch.randn(8, 2, generator=torch.Generator().manual_seed(0)), labels)
    plain.calibration = replace(calibration, temperature=3.0)
    plain.save(tmp_path / "warm")
    warm = load(tmp_path / "warm")
    assert (plain.temperature, warm.temperature, load(network_run).temperature) == (3.0, 3.0, 1.0)
    for cold, hot in zip(load(network_run).predict(pictures), warm.predict(pictures), strict=True):
        assert hot.label == cold.label
        odds = [math.log(item.probabilities["red"] / item.probabilities["blue"]) for item in (cold, hot)]
        assert odds[0] == pytest.approx(3 * odds[1])


@pytest.mark.parametrize("text", ["[]", "{}", '{"temperature": 0}', "null"])
def test_a_damaged_calibration_is_no_calibration(network_run: Path, text: str) -> None:
    (network_run / "calibration.json").write_text(text)
    with pytest.raises(RunError, match=r"calibration\.json is damaged"):
        load(network_run)
