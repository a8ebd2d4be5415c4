"""Training: what is learned, what is written, and that the same seed gives the same bytes."""

from __future__ import annotations

import csv
import importlib
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from classify_fixtures import FakeEncoder, paint, paint_classes, paint_splits
from impasto.classify import Classifier, Proportion, TrainConfig, TrainResult, evaluate, train
from impasto.classify.fit.head import PENALTIES, solve_head
from impasto.data.load.loaders import Loader, Side
from impasto.data.load.picture_set import read_pictures
from impasto.errors import DataError, NumericalError, RunError, UnknownNameError, UsageError
from impasto.files import file_digests
from impasto.runtime import Progress

FILES = {
    "config.json",
    "model.safetensors",
    "calibration.json",
    "curves.csv",
    "split.csv",
    "README.md",
    "manifest.json",
}


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))


def frozen(data: Path, output: Path, encoder: FakeEncoder | None = None, **settings: Any) -> TrainResult:
    config = TrainConfig(data, model="frozen:fake", device="cpu", **settings)
    return train(config, output, encoder=encoder or FakeEncoder())  # type: ignore[arg-type]


def network_config(data: Path, **settings: Any) -> TrainConfig:
    return TrainConfig(
        data, **{"model": "r0-cnn", "device": "cpu", "image_size": 24, "batch_size": 4, "epochs": 6, **settings}
    )


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("model", ["frozen", "r0-cnn"])
def test_separable_colours_are_learned_completely(tmp_path: Path, model: str) -> None:
    data, run = paint_splits(tmp_path / "data", ("blue", "green", "red")), tmp_path / "run"
    encoder = FakeEncoder() if model == "frozen" else None
    result = frozen(data, run, encoder) if encoder else train(network_config(data, epochs=15), run)
    assert result.validation == Proportion(12, 12)
    assert result.pictures == {"train": 24, "validation": 12}
    score = evaluate(run, data, encoder=encoder, device="cpu").accuracy  # type: ignore[arg-type]
    assert score == Proportion(15, 15)


def test_permuted_labels_are_not_learned(tmp_path: Path) -> None:
    """Labels without meaning: the test score stays at chance, whatever the training score says."""
    pictures = [paint(tmp_path / "pool" / f"{i}.png", "grey", i) for i in range(160)]
    random.Random(0).shuffle(pictures)
    for i, path in enumerate(pictures):
        split = "train" if i < 60 else "validation" if i < 80 else "test"
        target = tmp_path / "data" / split / ("left" if i % 2 else "right") / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    frozen(tmp_path / "data", tmp_path / "run")
    score = evaluate(tmp_path / "run", tmp_path / "data", encoder=FakeEncoder(), device="cpu").accuracy  # type: ignore[arg-type]
    assert score.n == 80
    assert score.interval[0] < 0.5 < score.interval[1]


def test_the_folder_is_complete_and_names_no_place_of_this_machine(tmp_path: Path) -> None:
    result = train(network_config(paint_splits(tmp_path / "data")), tmp_path / "run")
    assert {path.name for path in result.folder.iterdir()} == FILES
    config = json.loads((result.folder / "config.json").read_text())
    assert config["classes"] == ["blue", "red"]
    assert config["preprocessing"]["size"] == 24
    assert config["data"]["pictures"] == {"train": 16, "validation": 8, "test": 10}
    assert all(str(tmp_path) not in path.read_text(errors="replace") for path in result.folder.iterdir())
    card = (result.folder / "README.md").read_text()
    assert "blue, red" in card
    assert str(result.validation) in card


@pytest.mark.parametrize("model", ["frozen", "r0-cnn"])
def test_same_seed_same_bytes(tmp_path: Path, model: str) -> None:
    data = paint_splits(tmp_path / "data")

    def learned(name: str, seed: int) -> bytes:
        if model == "frozen":
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)
            frozen(data, tmp_path / name, seed=seed)
        else:
            train(network_config(data, epochs=2, seed=seed), tmp_path / name)
        return (tmp_path / name / "model.safetensors").read_bytes()

    first = learned("one", 3)
    torch.manual_seed(99)  # what others do to the global generator is without effect
    assert learned("two", 3) == first
    if model == "r0-cnn":
        assert learned("three", 4) != first


@pytest.mark.parametrize("augment", ["none", "r4+crop"])
def test_same_bytes_for_any_number_of_workers(tmp_path: Path, augment: str) -> None:
    data = paint_splits(tmp_path / "data")
    runs = [(0, "one"), (2, "two"), (None, "three")]
    for workers, name in runs:
        train(network_config(data, epochs=2, augment=augment, workers=workers), tmp_path / name)
    for name in FILES:
        assert len({(tmp_path / run / name).read_bytes() for _, run in runs}) == 1
    train(network_config(data, epochs=2), tmp_path / "r0")
    assert len({(tmp_path / run / "model.safetensors").read_bytes() for run in ("one", "r0")}) == 2


@pytest.mark.parametrize("said", ["label", "insist", "by the data set"])
def test_an_augmentation_that_changes_what_labels_say_is_refused_or_insisted_on(tmp_path: Path, said: str) -> None:
    data, run = paint_splits(tmp_path / "data"), tmp_path / "run"
    with pytest.raises(UsageError, match=r"colour changes what a label of the kind style.*--labels subject.*--insist"):
        train(network_config(data, augment="colour"), run)
    assert not run.exists()
    if said == "by the data set":
        (data / "config.json").write_text(json.dumps({"config": {"label": "content"}}))
    settings = {"label": {"labels": "subject"}, "insist": {"insist": True}}.get(said, {})
    train(network_config(data, augment="colour", epochs=1, **settings), run)
    config = json.loads((run / "config.json").read_text())
    insisted = said == "insist"
    assert (config["augment"], config["insist"]) == ("colour", insisted)
    assert config["labels"] == ("style" if insisted else "subject")
    card = (run / "README.md").read_text()
    assert "colour: brightness, contrast" in card
    assert ("does not preserve" in card) is insisted


def test_a_picture_looks_the_same_in_training_and_in_prediction(tmp_path: Path) -> None:
    """Scores of the network on what it was trained on, by the training's own loader and by the saved model."""
    data = paint_splits(tmp_path / "data")
    result = train(network_config(data, epochs=1, image_size=40), tmp_path / "run")
    model = Classifier.load(result.folder, device="cpu")
    paths = sorted((data / "train").rglob("*.png"))
    pictures = read_pictures(paths, file_digests(paths), model.preprocessing)
    assert pictures.is_cached
    with Loader(pictures, 5, torch.device("cpu")) as loader, torch.no_grad():
        everything = Side(torch.arange(len(paths)), torch.arange(len(paths)))
        logits = torch.cat(
            [
                model.network(batch.contiguous(memory_format=torch.channels_last))
                for batch, _ in loader.in_order(everything)
            ]
        )
    predicted = [list(item.probabilities.values()) for item in model.predict(paths, batch_size=5)]
    expected = (logits.double() / model.temperature).softmax(1)
    assert torch.equal(expected, torch.tensor(predicted, dtype=torch.float64))


def test_a_finished_run_is_not_repeated(tmp_path: Path) -> None:
    data, encoder = paint_splits(tmp_path / "data"), FakeEncoder()
    first = frozen(data, tmp_path / "run", encoder)
    shutil.rmtree(tmp_path / "cache")
    seen, stamp = encoder.seen, (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns
    assert frozen(data, tmp_path / "run", encoder) == first
    assert (encoder.seen, (tmp_path / "run" / "model.safetensors").stat().st_mtime_ns) == (seen, stamp)


def test_a_second_training_on_the_same_pictures_asks_no_encoder(tmp_path: Path) -> None:
    data, encoder = paint_splits(tmp_path / "data"), FakeEncoder()
    frozen(data, tmp_path / "one", encoder)
    seen = encoder.seen
    frozen(data, tmp_path / "two", encoder, seed=1)
    assert encoder.seen == seen


@pytest.mark.parametrize("stage", ["reading pictures", "training"])
def test_an_interrupted_run_leaves_no_model_and_begins_again(tmp_path: Path, stage: str) -> None:
    data = paint_splits(tmp_path / "data")
    train(network_config(data), tmp_path / "whole")

    def interrupt(progress: Progress) -> None:
        if progress.stage == stage and progress.step >= progress.total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(network_config(data), tmp_path / "run", interrupt)
    assert {path.name for path in (tmp_path / "run").iterdir()} <= {"config.json", "curves.csv"}
    train(network_config(data), tmp_path / "run")
    for name in FILES:
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_run_that_ends_while_it_is_written_is_not_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = paint_splits(tmp_path / "data")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(importlib.import_module("impasto.classify.train"), "card", stop)  # the last before the manifest
        with pytest.raises(KeyboardInterrupt):
            frozen(data, tmp_path / "run")
    assert not (tmp_path / "run" / "manifest.json").exists()
    assert frozen(data, tmp_path / "run").validation == Proportion(8, 8)
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES


def test_seeds_draw_different_first_weights(tmp_path: Path) -> None:
    data = paint_splits(tmp_path / "data")
    weights = []
    for seed in (0, 1):
        train(network_config(data, epochs=1, learning_rate=1e-12, seed=seed), tmp_path / str(seed))
        weights.append(load_file(tmp_path / str(seed) / "model.safetensors")["0.weight"])
    assert not torch.allclose(*weights, atol=0.01)


def test_another_configuration_or_other_pictures_are_refused(tmp_path: Path) -> None:
    data = paint_splits(tmp_path / "data")
    train(network_config(data, epochs=1), tmp_path / "run")
    with pytest.raises(RunError, match="differs in epochs"):
        train(network_config(data, epochs=2), tmp_path / "run")
    paint(min((data / "train" / "red").iterdir()), "red", 12345)
    with pytest.raises(RunError, match="differs in data"):
        train(network_config(data, epochs=1), tmp_path / "run")


def test_damaged_pictures_are_set_aside_and_reported(tmp_path: Path) -> None:
    data = paint_splits(tmp_path / "data")
    (data / "train" / "red" / "broken.png").write_bytes(b"not a picture")
    (data / "validation" / "blue" / "empty.jpg").touch()
    expected = ["train/red/broken.png", "validation/blue/empty.jpg"]
    for result in (frozen(data, tmp_path / "a"), train(network_config(data, epochs=1), tmp_path / "b")):
        assert [item.path.as_posix() for item in result.skipped] == expected
        assert "cannot be read" in result.skipped[0].reason
        assert result.pictures == {"train": 16, "validation": 8}
        manifest = json.loads((result.folder / "manifest.json").read_text())
        assert [item["path"] for item in manifest["skipped"]] == expected


def test_a_class_that_cannot_be_read_at_all(tmp_path: Path) -> None:
    data = paint_splits(tmp_path / "data")
    for path in (data / "train" / "red").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="of red in train can be read"):
        frozen(data, tmp_path / "run")


def test_a_class_missing_in_validation_does_not_shift_labels(tmp_path: Path) -> None:
    data = paint_splits(tmp_path / "data", ("blue", "green", "red"))
    shutil.rmtree(data / "validation" / "blue")
    shutil.rmtree(data / "test" / "green")
    encoder = FakeEncoder()
    assert frozen(data, tmp_path / "run", encoder).validation == Proportion(8, 8)
    evaluation = evaluate(tmp_path / "run", data, encoder=encoder, device="cpu")  # type: ignore[arg-type]
    assert evaluation.confusion.counts == ((5, 0, 0), (0, 0, 0), (0, 0, 5))


def test_data_without_splits_are_dealt_and_tested_on_what_was_set_aside(tmp_path: Path) -> None:
    data, encoder = paint_classes(tmp_path / "data", 20), FakeEncoder()
    result = frozen(data, tmp_path / "run", encoder)
    assert result.pictures == {"train": 28, "validation": 6}
    split = {row["path"]: row["split"] for row in rows_of(tmp_path / "run" / "split.csv")}
    evaluation = evaluate(tmp_path / "run", data, encoder=encoder, device="cpu")  # type: ignore[arg-type]
    assert {item.name for item in evaluation.judged} == {path for path, name in split.items() if name == "test"}
    assert not evaluation.leaked


def test_dealing_parts_no_group(tmp_path: Path) -> None:
    """The same photo repainted in two styles has one name in two classes: never on two sides."""
    for name in ("blue", "red"):
        for i in range(20):
            paint(tmp_path / "data" / name / f"photo{i}.png", name, 50 * (name == "red") + i)
    frozen(tmp_path / "data", tmp_path / "run")
    sides: dict[str, set[str]] = {}
    for row in rows_of(tmp_path / "run" / "split.csv"):
        sides.setdefault(Path(row["path"]).stem, set()).add(row["split"])
    assert len(sides) == 20
    assert all(len(side) == 1 for side in sides.values())


def test_validation_is_carved_from_train_and_test_stays_untouched(tmp_path: Path) -> None:
    data = paint_classes(tmp_path / "data" / "train", 20).parent
    paint_classes(data / "test", 5, first=500)
    assert frozen(data, tmp_path / "run").pictures == {"train": 34, "validation": 6}
    rows = rows_of(tmp_path / "run" / "split.csv")
    assert {row["split"] for row in rows if row["path"].startswith("test/")} == {"test"}
    assert {row["split"] for row in rows if row["path"].startswith("train/")} == {"train", "validation"}


def test_curves_of_a_network_and_its_best_epoch(tmp_path: Path) -> None:
    result = train(network_config(paint_splits(tmp_path / "data"), epochs=8, patience=3), tmp_path / "run")
    rows = rows_of(tmp_path / "run" / "curves.csv")
    assert [row["epoch"] for row in rows] == [str(i) for i in range(1, len(rows) + 1)]
    assert {row["learning_rate"] for row in rows} == {"0.001"}
    ranks = [(float(row["validation_accuracy"]), -float(row["validation_loss"])) for row in rows]
    assert result.best_epoch == ranks.index(max(ranks)) + 1
    assert result.validation.value == float(rows[result.best_epoch - 1]["validation_accuracy"])


def test_training_stops_early_with_the_best_weights(tmp_path: Path) -> None:
    """At this learning rate the network never gets better than after its first epochs."""
    config = network_config(paint_splits(tmp_path / "data"), epochs=30, patience=2, learning_rate=0.05, augment="none")
    result = train(config, tmp_path / "run")
    rows = rows_of(tmp_path / "run" / "curves.csv")
    assert len(rows) == result.best_epoch + 2 < 30
    score = evaluate(tmp_path / "run", config.data, "validation", device="cpu").accuracy
    assert score == result.validation


def test_curves_of_a_head_go_from_strong_to_weak_penalties(tmp_path: Path) -> None:
    frozen(paint_splits(tmp_path / "data"), tmp_path / "run")
    rows = rows_of(tmp_path / "run" / "curves.csv")
    assert [float(row["c"]) for row in rows] == list(PENALTIES)
    losses = [float(row["train_loss"]) for row in rows]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_is_scikit_learns_regression(classes: int) -> None:
    from sklearn.linear_model import LogisticRegression

    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % classes
    features = torch.randn(60, 5, generator=draw) * 3 + labels[:, None] * torch.tensor([1.0, 0, 2, -1, 0])
    features[:, 4] = 7  # a feature that never changes
    head, points, best = solve_head((features[None], labels), (features[:30], labels[:30]), classes)
    deviation = features.std(0, correction=0)
    deviation[4] = 1
    standard = (features - features.mean(0)) / deviation
    model = LogisticRegression(C=best.c, max_iter=1000).fit(standard.double().numpy(), labels.numpy())
    expected = torch.from_numpy(model.predict_proba(standard.double().numpy())).float()
    assert torch.allclose(head(features).softmax(1), expected, atol=1e-4)
    assert best.rank == max(point.rank for point in points)


def test_the_head_carries_the_statistics_of_train_alone(tmp_path: Path) -> None:
    data = paint_splits(tmp_path / "data")
    frozen(data, tmp_path / "run")
    state = load_file(tmp_path / "run" / "model.safetensors")
    for i, path in enumerate([*(data / "validation").rglob("*.png"), *(data / "test").rglob("*.png")]):
        paint(path, path.parent.name, 5000 + i)
    frozen(data, tmp_path / "other")
    other = load_file(tmp_path / "other" / "model.safetensors")
    assert torch.equal(state["mean"], other["mean"])
    assert torch.equal(state["scale"], other["scale"])


def test_a_loss_that_is_no_number_says_what_to_do(tmp_path: Path) -> None:
    config = network_config(paint_splits(tmp_path / "data"), learning_rate=1e30, epochs=10)
    with pytest.raises(NumericalError, match=r"epoch \d+.*was 1e\+30: choose a tenth"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_progress_ends_at_its_total_and_carries_numbers(tmp_path: Path) -> None:
    steps: list[Progress] = []
    train(network_config(paint_splits(tmp_path / "data"), epochs=3), tmp_path / "run", steps.append)
    training = [step for step in steps if step.stage == "training"]
    assert [step.step for step in training] == sorted(step.step for step in training)
    assert (training[0].step, training[-1].step) == (0, training[-1].total)
    assert set(training[-1].values) == {"loss", "validation_accuracy"}
    assert {step.stage for step in steps} == {"hashing", "reading pictures", "training"}


def test_the_global_generator_is_left_alone(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    train(network_config(paint_splits(tmp_path / "data"), epochs=1), tmp_path / "run")
    Classifier.load(tmp_path / "run", device="cpu")
    assert torch.equal(before, torch.random.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()


def test_bad_data_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    one_class = paint_classes(tmp_path / "one", 10, ("red",))
    only_test = paint_classes(tmp_path / "only" / "test", 4).parent
    strange = paint_splits(tmp_path / "strange")
    paint(strange / "test" / "green" / "g.png", "green", 0)
    for data, message in ((one_class, "has one class"), (only_test, "no train split"), (strange, "train on for green")):
        with pytest.raises(DataError, match=message):
            frozen(data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_output_inside_the_data_is_refused(tmp_path: Path) -> None:
    data = paint_splits(tmp_path / "data")
    with pytest.raises(UsageError, match="inside the data set"):
        frozen(data, data / "run")


def test_a_file_name_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    data = paint_splits(tmp_path / "data")
    path = min((data / "train" / "red").iterdir())
    try:
        path.rename(path.parent / "bad\udcff.png")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    with pytest.raises(DataError, match="no valid UTF-8"):
        frozen(data, tmp_path / "run")


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"patience": -1},
        {"accumulate": 33},
        {"warmup": 30.0},
        {"label_smoothing": 1.0},
        {"layer_decay": 0.0},
        {"ema": -0.1},
        {"optimiser": "adma"},
        {"schedule": "cosin"},
        {"image_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"workers": -1},
        {"labels": "colour"},
    ],
)
def test_impossible_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(settings))):
        TrainConfig(Path(), model="r0-cnn", **settings)


def test_settings_without_effect_are_refused() -> None:
    with pytest.raises(UsageError, match="with the head linear has no workers, epochs"):
        TrainConfig(Path(), epochs=5, workers=2)
    with pytest.raises(UsageError, match="r4-cnn has no head, weights, views"):
        TrainConfig(Path(), model="r4-cnn", weights="random", head="r4", views=3)
    with pytest.raises(UsageError, match="head r4 has no layer_decay"):
        TrainConfig(Path(), model="frozen:vgg16", head="r4", layer_decay=0.5, epochs=3)
    with pytest.raises(UsageError, match="has no open_blocks, probe"):
        TrainConfig(Path(), model="torchvision:resnet18", open_blocks=2, probe=False)


def test_an_unknown_model_or_augmentation() -> None:
    with pytest.raises(UnknownNameError, match="r0-cnn"):
        TrainConfig(Path(), model="r0-cn")
    with pytest.raises(UnknownNameError, match="Did you mean colour"):
        TrainConfig(Path(), model="r0-cnn", augment="r4+color")


def test_a_lent_encoder_must_be_the_one_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="was given the encoder fake"):
        train(TrainConfig(tmp_path / "data"), tmp_path / "run", encoder=FakeEncoder())  # type: ignore[arg-type]


def test_with_a_real_encoder_by_name(tmp_path: Path) -> None:
    """The whole way through ``load_encoder``, with untrained weights and no file."""
    data = paint_splits(tmp_path / "data")
    config = TrainConfig(data, model="frozen:vgg19-16x", weights="random", device="cpu")
    result = train(config, tmp_path / "run")
    assert Classifier.load(tmp_path / "run", device="cpu").config["encoder"]["encoder"] == "vgg19-16x"
    assert evaluate(tmp_path / "run", data, "validation", device="cpu").accuracy == result.validation
