"""Every kind of model through the whole procedure, and what belongs to one kind alone."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from classify_fixtures import FakeEncoder, paint, paint_classes, paint_splits
from impasto.classify import Classifier, Proportion, TrainConfig, cross_validate, evaluate, train
from impasto.classify.features import Extractor
from impasto.classify.fit.head import solve_head
from impasto.classify.models import Tuned
from impasto.data.load.augmentations import Augmentation
from impasto.data.load.picture_set import read_pictures
from impasto.data.load.pictures import Preprocessing
from impasto.encoders import load_encoder
from impasto.errors import DataError, UsageError
from impasto.files import file_digests

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def small(data: Path, model: str, **settings: Any) -> TrainConfig:
    return TrainConfig(data, model=model, device="cpu", **{"epochs": 2, "batch_size": 8, **settings})


MODELS = [
    ("r2-cnn-a", {"image_size": 24}),
    ("r2-cnn-b", {"image_size": 24}),
    ("r4-cnn", {"image_size": 46}),
    ("r4-cnn-bn", {"image_size": 46}),
    ("impasto-cnn", {"image_size": 32}),
    ("frozen:vgg19-16x", {"weights": "random", "head": "r2", "image_size": 32}),
    ("frozen:vgg19-16x", {"weights": "random", "head": "r4", "image_size": 32, "views": 2}),
    ("frozen:vgg19-16x", {"weights": "random", "head": "r4-mean", "image_size": 32}),
    ("finetune:squeezenet1_1", {"weights": "random", "image_size": 64}),
    ("finetune:resnet18", {"weights": "random", "image_size": 64, "open_blocks": "all", "head": "r4"}),
    ("torchvision:squeezenet1_1", {"weights": "random", "image_size": 64}),
]


@pytest.mark.parametrize(("model", "settings"), MODELS)
def test_every_kind_is_trained_saved_loaded_and_judged_alike(
    tmp_path: Path, model: str, settings: dict[str, Any]
) -> None:
    data = paint_splits(tmp_path / "data")
    result = train(small(data, model, **settings), tmp_path / "run")
    again = train(small(data, model, **settings), tmp_path / "again")
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (again.folder / "model.safetensors").read_bytes()
    assert evaluate(tmp_path / "run", data, "validation", device="cpu").accuracy == result.validation
    loaded = Classifier.load(tmp_path / "run", device="cpu")
    assert loaded.config["model"] == model
    assert loaded.module()(torch.rand(2, 3, settings["image_size"], settings["image_size"])).shape == (2, 2)
    assert not any(value.is_meta for value in loaded.module().state_dict().values())


def test_fine_tuning_begins_from_the_linear_probe(tmp_path: Path) -> None:
    data = paint_splits(tmp_path / "data", ("blue", "green", "red"))
    settings: dict[str, Any] = {"weights": "random", "image_size": 64}
    probe = train(TrainConfig(data, "frozen:squeezenet1_1", device="cpu", **settings), tmp_path / "probe")
    tuned = train(small(data, "finetune:squeezenet1_1", learning_rate=1e-12, **settings), tmp_path / "tuned")
    best = rows_of(tmp_path / "probe" / "curves.csv")[probe.best_epoch - 1]
    rows = rows_of(tmp_path / "tuned" / "curves.csv")
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    for row in rows:  # at this rate nothing is learned afterwards
        assert row["validation_accuracy"] == best["validation_accuracy"]
        assert float(row["validation_loss"]) == pytest.approx(float(best["validation_loss"]), rel=1e-3)
    assert tuned.best_epoch in (0, 1, 2)
    facts = json.loads((tmp_path / "tuned" / "manifest.json").read_text())["probe"]
    assert (facts["correct"], facts["n"]) == (probe.validation.k, probe.validation.n)
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("probe", "tuned"))
    assert torch.allclose(one["linear.weight"], other["head.linear.weight"], atol=1e-6)
    train(small(data, "finetune:squeezenet1_1", probe=False, **settings), tmp_path / "random")
    assert rows_of(tmp_path / "random" / "curves.csv")[0]["epoch"] == "1"


def test_only_open_blocks_learn(tmp_path: Path) -> None:
    data = paint_splits(tmp_path / "data")
    settings: dict[str, Any] = {"weights": "random", "image_size": 64, "open_blocks": 1, "probe": False}
    train(small(data, "finetune:resnet18", learning_rate=0.01, **settings), tmp_path / "run")
    before = load_encoder("resnet18", weights="random").state_dict()
    after = load_file(tmp_path / "run" / "model.safetensors")
    changed = {name for name, value in before.items() if not torch.equal(value, after[f"encoder.{name}"])}
    assert changed
    assert all(name.startswith("network.layer4") for name in changed)
    assert not any("running" in name for name in changed)
    with pytest.raises(UsageError, match=r"resnet18 has 5 blocks, 6 are to be opened.*layer4"):
        train(small(data, "finetune:resnet18", weights="random", image_size=64, open_blocks=6), tmp_path / "more")


def test_a_fine_tuned_model_needs_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = paint_splits(tmp_path / "data")
    train(small(data, "finetune:squeezenet1_1", weights="random", image_size=64), tmp_path / "run")
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(tmp_path / "nowhere"))
    loaded = Classifier.load(tmp_path / "run", device="cpu")
    assert isinstance(loaded.network, Tuned)
    assert loaded.encoder is None
    with pytest.raises(UsageError, match="no frozen encoder"):
        Classifier.load(tmp_path / "run", device="cpu", weights="random")


def test_a_composition_cannot_be_fine_tuned(tmp_path: Path) -> None:
    config = small(paint_splits(tmp_path / "data"), "finetune:vgg19-16x+vgg19-16x", weights="random")
    with pytest.raises(UsageError, match="is a composition"):
        train(config, tmp_path / "run")


# Features of views


def extractor(folder: Path, encoder: FakeEncoder, grid: int = 1) -> Extractor:
    return Extractor(encoder, Preprocessing(16), CPU, folder, grid=grid)  # type: ignore[arg-type]


def views(extract: Extractor, paths: list[Path], **options: Any) -> torch.Tensor:
    hashes = file_digests(paths)
    settings = {"seed": 0, "count": 3, **options}
    pictures = read_pictures(paths, hashes, Preprocessing(16))
    return extract.views(pictures, hashes, Augmentation(settings.pop("augment", "crop")), **settings)


def test_views_are_computed_once_and_found_again(tmp_path: Path) -> None:
    paths = sorted(paint_classes(tmp_path / "data", 6).rglob("*.png"))
    encoder = FakeEncoder()
    found = views(extractor(tmp_path / "f", encoder), paths)
    assert found.shape == (3, 12, 6)
    assert encoder.seen == 36
    assert not torch.equal(found[0], found[1])
    assert torch.equal(views(extractor(tmp_path / "f", encoder), paths), found)
    assert encoder.seen == 36
    # Another company, the same views: fewer pictures, in another order.
    assert torch.equal(views(extractor(tmp_path / "f", encoder), paths[5:2:-1]), found[:, [5, 4, 3]])
    assert encoder.seen == 36
    assert torch.equal(views(extractor(tmp_path / "f", encoder), paths, count=4)[:3], found)
    assert encoder.seen == 48
    assert torch.equal(views(extractor(tmp_path / "new", encoder), paths), found)


@pytest.mark.parametrize("change", [{"seed": 1}, {"augment": "r4"}, {"grid": 2}, {"sha256": "11" * 32}, {"pixels": 1}])
def test_views_of_anything_else_are_not_used(tmp_path: Path, change: dict[str, Any]) -> None:
    paths = sorted(paint_classes(tmp_path / "data", 3).rglob("*.png"))
    views(extractor(tmp_path / "f", FakeEncoder()), paths, count=1)
    encoder = FakeEncoder(change.pop("sha256", "00" * 32))
    if change.pop("pixels", 0):
        paint(paths[0], "red", 4242)
        views(extractor(tmp_path / "f", encoder), paths, count=1)
        assert encoder.seen == 1
        return
    views(extractor(tmp_path / "f", encoder, change.pop("grid", 1)), paths, count=1, **change)
    assert encoder.seen == 6


def test_a_head_learns_from_views_with_the_penalty_of_one(tmp_path: Path) -> None:
    """The same picture twice is the same picture: V copies leave the solution where it was."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 2
    features = torch.randn(40, 5, generator=draw) + labels[:, None]
    held = (torch.randn(20, 5, generator=draw), torch.arange(20) % 2)
    one, points, _ = solve_head((features[None], labels), held, 2)
    many, again, _ = solve_head((features[None].repeat(4, 1, 1), labels), held, 2)
    assert torch.allclose(one.linear.weight, many.linear.weight, atol=1e-3)
    assert [point.validation_loss for point in points] == pytest.approx(
        [point.validation_loss for point in again], rel=1e-2
    )


def test_augmented_heads_through_the_procedure(tmp_path: Path) -> None:
    data, encoder = paint_splits(tmp_path / "data"), FakeEncoder()
    config = TrainConfig(data, "frozen:fake", device="cpu", augment="crop", views=3)
    result = train(config, tmp_path / "run", encoder=encoder)  # type: ignore[arg-type]
    assert result.validation == Proportion(8, 8)
    assert encoder.seen == 3 * 16 + 8
    config_file = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config_file["augment"], config_file["views"]) == ("crop", 3)


def test_rare_classes_count_as_much_when_balanced(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * 90 + [1] * 10)
    features = torch.randn(100, 2, generator=draw) + 0.5 * labels[:, None]
    held = (torch.randn(200, 2, generator=draw), torch.arange(200) % 2)
    plain, _, _ = solve_head((features[None], labels), held, 2)
    fair, _, _ = solve_head((features[None], labels), held, 2, balanced=True)
    told = [(head(held[0]).argmax(1) == 1).float().mean().item() for head in (plain, fair)]
    assert told[0] < 0.2 < told[1]


# Logs


def test_tensorboard_has_the_rows_of_the_curves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    data = paint_splits(tmp_path / "data")
    train(small(data, "r0-cnn", image_size=24, tensorboard=True), tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    rows = rows_of(tmp_path / "run" / "curves.csv")
    for name in ("train_loss", "validation_accuracy", "learning_rate"):
        told = [(event.step, event.value) for event in events.Scalars(name)]
        assert told == [(int(row["epoch"]), pytest.approx(float(row[name]), rel=1e-6)) for row in rows]


def test_without_tensorboard_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"impasto\[tensorboard\]"):
        train(small(paint_splits(tmp_path / "data"), "r0-cnn", image_size=24, tensorboard=True), tmp_path / "run")


def test_the_rate_can_be_looked_for(tmp_path: Path) -> None:
    data = paint_splits(tmp_path / "data")
    train(small(data, "r0-cnn", image_size=24, learning_rate="auto"), tmp_path / "run")
    rows = rows_of(tmp_path / "run" / "learning_rates.csv")
    found = json.loads((tmp_path / "run" / "manifest.json").read_text())["learning_rate"]
    assert float(rows[0]["learning_rate"]) < found < 1
    assert {float(row["learning_rate"]) for row in rows_of(tmp_path / "run" / "curves.csv")} == {found}


# Cross-validation


def test_every_picture_is_tested_once_in_each_repetition(tmp_path: Path) -> None:
    data, encoder = paint_classes(tmp_path / "data", 15), FakeEncoder()
    config = TrainConfig(data, "frozen:fake", device="cpu")
    result = cross_validate(config, tmp_path / "cv", 3, 2, encoder=encoder)  # type: ignore[arg-type]
    assert [(item.repeat, item.fold) for item in result.folds] == [(r, f) for r in (1, 2) for f in (1, 2, 3)]
    assert result.pooled == (Proportion(30, 30), Proportion(30, 30))
    assert encoder.seen == 30  # features are computed once for all of them
    tested: dict[int, list[str]] = {1: [], 2: []}
    for item in result.folds:
        rows = rows_of(tmp_path / "cv" / f"repeat-{item.repeat}-fold-{item.fold}" / "split.csv")
        tested[item.repeat] += [row["path"] for row in rows if row["split"] == "test"]
        assert item.taught + item.score.n == 30
    assert all(len(paths) == len(set(paths)) == 30 for paths in tested.values())
    assert tested[1] != tested[2]
    record = json.loads((tmp_path / "cv" / "crossvalidation.json").read_text())
    assert (record["n_evaluated"], record["n_available"], record["mean_accuracy"]) == (30, 30, 1.0)
    stamp = (tmp_path / "cv" / "repeat-1-fold-1" / "model.safetensors").stat().st_mtime_ns
    assert cross_validate(config, tmp_path / "cv", 3, 2, encoder=encoder) == result  # type: ignore[arg-type]
    assert (tmp_path / "cv" / "repeat-1-fold-1" / "model.safetensors").stat().st_mtime_ns == stamp


def test_a_test_split_is_left_alone_and_damaged_pictures_are_counted(tmp_path: Path) -> None:
    data, encoder = paint_splits(tmp_path / "data"), FakeEncoder()
    (data / "train" / "red" / "broken.png").write_bytes(b"?")
    result = cross_validate(TrainConfig(data, "frozen:fake", device="cpu"), tmp_path / "cv", 2, encoder=encoder)  # type: ignore[arg-type]
    assert result.evaluated == (24, 25)
    for item in result.folds:
        rows = rows_of(tmp_path / "cv" / f"repeat-1-fold-{item.fold}" / "split.csv")
        assert not any(row["path"].startswith("test/") for row in rows)


def test_too_few_for_so_many_folds(tmp_path: Path) -> None:
    data = paint_classes(tmp_path / "data", 3)
    with pytest.raises(DataError, match="5"):
        cross_validate(TrainConfig(data, "frozen:fake"), tmp_path / "cv", 5, encoder=FakeEncoder())  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="0 repetitions"):
        cross_validate(TrainConfig(data, "frozen:fake"), tmp_path / "cv", 3, 0)
