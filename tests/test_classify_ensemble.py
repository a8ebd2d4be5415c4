"""Ensembles: the mean of their members, one folder that can be moved, and members that were chosen fairly."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from classify_fixtures import FakeEncoder, paint_classes, paint_splits
from impasto.classify import Classifier, Ensemble, Prediction, Preprocessing, TrainConfig, evaluate, join, train
from impasto.classify import load_classifier as load
from impasto.classify.ensemble import blend
from impasto.classify.models import R0CNN
from impasto.classify.prepare import read_hashed, write_split
from impasto.errors import DataError, RunError, UsageError, WrongWeightsError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return paint_splits(tmp_path / "data")


def member(folder: Path, data: Path, seed: int = 0, size: int = 24, classes: tuple[str, ...] = ("blue", "red")) -> Path:
    """A network with random weights, and the split of a data set."""
    config = {"model": "r0-cnn", "classes": classes, "preprocessing": Preprocessing(size).record(), "encoder": None}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        Classifier(config, R0CNN(len(classes), size).requires_grad_(False)).save(folder)
    write_split(folder, read_hashed(data))
    return folder


def pictures(data: Path) -> list[Path]:
    return sorted((data / "test").rglob("*.png"))


shares = st.tuples(st.floats(0, 1), st.floats(0.1, 5))


@given(st.lists(shares, min_size=1, max_size=6))
def test_an_answer_is_the_weighted_mean_and_copies_change_nothing(members: list[tuple[float, float]]) -> None:
    answers = [Prediction(Path("x"), {"a": share, "b": 1 - share}) for share, _ in members]
    weights = [weight for _, weight in members]
    mean = sum(share * weight for share, weight in members) / sum(weights)
    found = blend(answers, weights, "ab")
    assert found.probabilities == pytest.approx({"a": mean, "b": 1 - mean})
    copies = blend([answers[0]] * len(members), weights, "ab")
    assert copies.probabilities == pytest.approx(answers[0].probabilities)


def test_classes_are_matched_by_name() -> None:
    one, other = Prediction(Path("x"), {"a": 0.9, "b": 0.1}), Prediction(Path("x"), {"b": 0.9, "a": 0.1})
    assert blend([one, other], [0.5, 0.5], "ab").probabilities == pytest.approx({"a": 0.5, "b": 0.5})
    assert list(blend([other, one], [1, 1], "ab").probabilities) == ["a", "b"]


def test_each_member_has_its_own_preprocessing_and_counts_the_same(data: Path, tmp_path: Path) -> None:
    runs = [member(tmp_path / "a", data, 1), member(tmp_path / "b", data, 2, size=36)]
    joined = join(runs, tmp_path / "both")
    assert joined.weights == {"a": 0.5, "b": 0.5}
    ensemble = load(tmp_path / "both", device="cpu")
    assert isinstance(ensemble, Ensemble)
    apart = [load(run, device="cpu").predict(pictures(data)) for run in runs]
    for found, one, other in zip(ensemble.predict(pictures(data)), *apart, strict=True):
        for name in ("blue", "red"):
            assert found.probabilities[name] == pytest.approx((one.probabilities[name] + other.probabilities[name]) / 2)


def test_copies_of_one_model_are_the_model_also_for_views(data: Path, tmp_path: Path) -> None:
    run = member(tmp_path / "a", data)
    join([run, run, run], tmp_path / "three")
    alone = load(run, device="cpu").predict(pictures(data), views="mirror")
    together = load(tmp_path / "three", device="cpu").predict(pictures(data), views="mirror")
    assert [item.probabilities for item in together] == [pytest.approx(item.probabilities) for item in alone]


def test_it_can_be_moved_and_outlives_its_members(data: Path, tmp_path: Path) -> None:
    runs = [member(tmp_path / name, data, seed) for seed, name in enumerate("ab")]
    join(runs, tmp_path / "both")
    before = load(tmp_path / "both", device="cpu").predict(pictures(data))
    for run in runs:
        shutil.rmtree(run)
    (tmp_path / "both").rename(tmp_path / "moved")
    assert load(tmp_path / "moved", device="cpu").predict(pictures(data)) == before


def test_one_unreadable_picture_does_not_stop_the_others(data: Path, tmp_path: Path) -> None:
    join([member(tmp_path / name, data, seed) for seed, name in enumerate("ab")], tmp_path / "both")
    found = load(tmp_path / "both", device="cpu").predict([tmp_path / "absent.png", *pictures(data)])
    assert [bool(item.error) for item in found] == [True] + [False] * 10


def test_a_member_that_was_changed_is_found_out(data: Path, tmp_path: Path) -> None:
    join([member(tmp_path / name, data, seed) for seed, name in enumerate("ab")], tmp_path / "both")
    place = tmp_path / "both" / "members" / "1" / "model.safetensors"
    place.write_bytes((tmp_path / "a" / "model.safetensors").read_bytes())
    with pytest.raises(WrongWeightsError, match=r"1 has changed .*model\.safetensors"):
        load(tmp_path / "both")
    place.unlink()
    with pytest.raises(WrongWeightsError, match="has changed"):
        load(tmp_path / "both")


@pytest.mark.parametrize(
    "change", [{"members": []}, {"members": [{}]}, {"classes": ["one"]}, {"members": None}, {"classes": 3}]
)
def test_a_configuration_that_is_no_ensembles(data: Path, tmp_path: Path, change: dict[str, object]) -> None:
    join([member(tmp_path / name, data, seed) for seed, name in enumerate("ab")], tmp_path / "both")
    path = tmp_path / "both" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(WrongWeightsError, match="describes no ensemble"):
        load(tmp_path / "both")


def test_who_cannot_answer_together(data: Path, tmp_path: Path) -> None:
    run = member(tmp_path / "a", data)
    other = member(tmp_path / "c", data, classes=("blue", "green"))
    with pytest.raises(DataError, match=r"a knows the classes blue, red, but .*c knows blue, green"):
        join([run, other], tmp_path / "out")
    with pytest.raises(UsageError, match="two models or more"):
        join([run], tmp_path / "out")
    join([run, run], tmp_path / "pair")
    with pytest.raises(UsageError, match="pair is an ensemble itself"):
        join([run, tmp_path / "pair"], tmp_path / "out")
    (other / "model.safetensors").unlink()
    with pytest.raises(WrongWeightsError, match=r"holds no model\.safetensors"):
        join([other, run], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_ensemble_is_not_written_over(data: Path, tmp_path: Path) -> None:
    runs = [member(tmp_path / name, data, seed) for seed, name in enumerate("abc")]
    join(runs, tmp_path / "out")
    stamp = (tmp_path / "out" / "manifest.json").stat().st_mtime_ns
    join(runs, tmp_path / "out")
    assert (tmp_path / "out" / "manifest.json").stat().st_mtime_ns == stamp
    with pytest.raises(RunError, match="differs in candidates, members"):
        join(runs[:2], tmp_path / "out")


def test_greedy_weights_are_counts_and_only_what_was_chosen_is_copied(data: Path, tmp_path: Path) -> None:
    runs = [member(tmp_path / f"m{seed}", data, seed) for seed in range(5)]
    joined = join(runs, tmp_path / "out", data, device="cpu")
    added = [f"m{step.member}" for step in joined.steps]
    assert joined.weights == {f"m{seed}": added.count(f"m{seed}") / len(added) for seed in range(5)}
    record = json.loads((tmp_path / "out" / "config.json").read_text())
    assert {item["name"] for item in record["members"]} == set(added)
    assert len(list((tmp_path / "out" / "members").iterdir())) == len(set(added))
    assert [item["added"] for item in record["selection"]] == added
    last = evaluate(tmp_path / "out", data, "validation", device="cpu")
    assert last.accuracy == joined.steps[-1].right
    assert last.nll == pytest.approx(joined.steps[-1].nll)
    alone = [evaluate(run, data, "validation", device="cpu").accuracy.k for run in runs]
    assert last.accuracy.k >= max(alone)


def test_the_test_split_is_not_even_opened_by_the_choice(data: Path, tmp_path: Path) -> None:
    runs = [member(tmp_path / f"m{seed}", data, seed) for seed in range(3)]
    before = join(runs, tmp_path / "one", data, device="cpu")
    for path in pictures(data):
        path.write_bytes(b"?")
    assert join(runs, tmp_path / "two", data, device="cpu").steps == before.steps


def test_models_validated_on_other_pictures_do_not_choose_between_each_other(data: Path, tmp_path: Path) -> None:
    whole = paint_classes(tmp_path / "whole", 20)
    runs = []
    for seed in (0, 1):
        config = TrainConfig(whole, model="frozen:fake", seed=seed, device="cpu")
        runs.append(train(config, tmp_path / f"s{seed}", encoder=FakeEncoder()).folder)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"s1 was not validated on the same pictures as .*s0"):
        join(runs, tmp_path / "out", whole)
    run = member(tmp_path / "a", data)
    (run / "split.csv").unlink()
    with pytest.raises(DataError, match="not validated on the same"):
        join([run, run], tmp_path / "out", data)


def test_data_without_the_validation_pictures(data: Path, tmp_path: Path) -> None:
    runs = [member(tmp_path / name, data, seed) for seed, name in enumerate("ab")]
    other = paint_classes(tmp_path / "other", 3, first=700)
    with pytest.raises(DataError, match="none of the 8 pictures"):
        join(runs, tmp_path / "out", other)


def test_what_taught_any_member_is_not_new_to_the_ensemble(tmp_path: Path) -> None:
    """Two models that dealt the same pictures differently: the test pictures of one taught the other."""
    whole = paint_classes(tmp_path / "whole", 20)
    tables = []
    runs = []
    for seed in (0, 2):
        config = TrainConfig(whole, model="frozen:fake", seed=seed, device="cpu")
        runs.append(train(config, tmp_path / f"s{seed}", encoder=FakeEncoder()).folder)  # type: ignore[arg-type]
        found = evaluate(runs[-1], whole, device="cpu", encoder=FakeEncoder())  # type: ignore[arg-type]
        tables.append({item.name for item in found.judged})
    join(runs, tmp_path / "both")
    found = evaluate(tmp_path / "both", whole, device="cpu", encoder=FakeEncoder())  # type: ignore[arg-type]
    assert tables[0] & tables[1] < tables[0]
    assert {item.name for item in found.judged} == tables[0] & tables[1]
    assert not found.leaked


def test_frozen_members_share_one_encoder(data: Path, tmp_path: Path) -> None:
    config = TrainConfig(data, model="frozen:fake", device="cpu")
    run = train(config, tmp_path / "frozen", encoder=FakeEncoder()).folder  # type: ignore[arg-type]
    join([run, member(tmp_path / "net", data), run], tmp_path / "three")
    encoder = FakeEncoder()
    ensemble = load(tmp_path / "three", device="cpu", lent=[encoder])  # type: ignore[list-item]
    assert ensemble.encoders == (encoder, encoder)
    assert not ensemble.predict(pictures(data)[:1])[0].error


def test_weights_without_an_encoder_to_take_them(data: Path, tmp_path: Path) -> None:
    join([member(tmp_path / name, data, seed) for seed, name in enumerate("ab")], tmp_path / "both")
    with pytest.raises(UsageError, match="no frozen encoder"):
        load(tmp_path / "both", weights="vgg.safetensors")


def test_members_that_number_their_classes_differently_can_be_judged(data: Path, tmp_path: Path) -> None:
    runs = [member(tmp_path / "a", data, 1), member(tmp_path / "b", data, 2, classes=("red", "blue"))]
    join(runs, tmp_path / "both")
    found = evaluate(tmp_path / "both", data, device="cpu")
    other = load(runs[1], device="cpu").predict([found.judged[0].sample.path])[0]
    one = load(runs[0], device="cpu").predict([found.judged[0].sample.path])[0]
    mean = (one.probabilities["red"] + other.probabilities["red"]) / 2
    assert found.judged[0].prediction.probabilities["red"] == pytest.approx(mean)
