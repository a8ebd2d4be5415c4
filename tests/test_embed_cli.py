"""``impasto embed`` through the entry point: what is written, read again, refused and found."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from classify_fixtures import FakeEncoder, paint, paint_classes
from cli_fixtures import Program
from impasto.classify import Classifier, Preprocessing
from impasto.classify.models import R0CNN
from impasto.embed import EmbedConfig, embed, nearest_pictures, read_map
from impasto.embed.seeing import extractor
from impasto.errors import DataError, RunError
from impasto.subjects import load_subject

FILES = {
    "config.json",
    "duplicates.csv",
    "features.safetensors",
    "manifest.json",
    "map.csv",
    "map.html",
    "map.json",
    "map.png",
    "rejected.csv",
    "suspects.csv",
}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_model(folder: Path, seed: int = 3) -> Path:
    config = {"model": "r0-cnn", "classes": ("a", "b"), "preprocessing": Preprocessing(24).record(), "encoder": None}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        Classifier(config, R0CNN(2, 24).requires_grad_(False)).save(folder)
    return folder


@pytest.fixture
def impasto(program: Program) -> Program:
    """Run the program beside 24 pictures in three classes, one of them damaged, and a small network."""
    paint_classes(Path("data"), 8, ("blue", "green", "red"))
    Path("data/red/bad.png").write_bytes(b"?")
    write_model(Path("run"))
    return program


def run(program: Program, *arguments: object) -> dict[str, object]:
    result = program("embed", "data", "--network", "run", "--neighbours", 3, "--json", *arguments)
    assert result.code == 0, result.err
    return dict(json.loads(result.out))


def test_everything_is_written_and_says_the_same(impasto: Program) -> None:
    said = run(impasto, "-o", "map")
    assert {path.name for path in Path("map").iterdir()} == FILES
    table, record = rows(Path("map/map.csv")), json.loads(Path("map/map.json").read_text(encoding="utf-8"))
    assert [row["path"] for row in table] == sorted(path for path in (row["path"] for row in table))
    assert (len(table), said["pictures"]) == (24, 24)
    assert [row["path"] for row in rows(Path("map/rejected.csv"))] == ["data/red/bad.png"]
    facts = record["facts"]
    assert facts == said["facts"]
    agreement = np.mean([float(row["agreement"]) for row in table])
    assert agreement == pytest.approx(facts["purity"], abs=1e-5)
    assert facts["chance"] == pytest.approx(7 / 23)
    assert list(facts["maps"]) == ["tsne", "pca"]
    assert facts["tsne"]["perplexity"] == pytest.approx(23 / 3)
    assert facts["features"]["network"] == "run"
    assert record["config"]["seed"] == 0
    found = read_map(Path("map"))
    assert found.tsne is not None
    np.testing.assert_allclose([[float(row["x"]), float(row["y"])] for row in table], found.tsne.numpy(), rtol=1e-5)
    np.testing.assert_allclose([float(row["pca_x"]) for row in table], found.pca[:, 0].numpy(), rtol=1e-5)
    with Image.open("map/map.png") as image:
        assert min(image.size) > 600


def test_the_same_seed_gives_the_same_bytes(impasto: Program) -> None:
    for folder in ("one", "two"):
        run(impasto, "-o", folder)
    for name in FILES:
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes(), name


def test_a_finished_map_is_read_and_another_is_refused(impasto: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(impasto, "-o", "map")
    monkeypatch.setattr("impasto.embed.embedding.map_features", lambda *_: pytest.fail("computed again"))
    assert run(impasto, "-o", "map") == first
    result = impasto("embed", "data", "--network", "run", "-o", "map", "--seed", 1)
    assert (result.code, "differs in" in result.err) == (1, True)
    paint(Path("data/red/new.png"), "red", 77)
    assert impasto("embed", "data", "--network", "run", "--neighbours", 3, "-o", "map").code == 1


def test_the_neighbours_of_a_picture(impasto: Program) -> None:
    picture = sorted(Path("data/blue").iterdir())[0]
    shutil.copy(picture, "copy.png")
    for query in (picture, "copy.png"):  # its bytes are on the map: it is not its own neighbour
        near = run(impasto, "--query", query)["nearest"]
        assert isinstance(near, list)
        assert len(near) == 3
        assert f"blue/{picture.name}" not in [item["path"] for item in near]
        assert [item["similarity"] for item in near] == sorted((i["similarity"] for i in near), reverse=True)
    paint(Path("new.png"), "red", 900)
    found = read_map(Path("map-data"))
    features = extractor(EmbedConfig(Path("data"), network="run"))([Path("new.png")], [""]).values[0]
    expected = [f"{found.names[item.index]} {item.similarity:.3f}" for item in found.nearest(features, 3)]
    told = impasto("embed", "data", "--network", "run", "--neighbours", 3, "--query", "new.png").out
    for line in expected:
        assert all(part in told for part in line.split())
    bad = impasto("embed", "data", "--network", "run", "--neighbours", 3, "--query", "data/red/bad.png")
    assert (bad.code, "bad.png" in bad.err) == (1, True)


def test_pictures_without_labels(impasto: Program) -> None:
    for index in range(6):
        paint(Path(f"flat/{index}.png"), "grey", index)
    shutil.copy("flat/0.png", "flat/again.png")
    result = impasto("embed", "flat", "--network", "run", "--neighbours", 9, "--no-page")
    assert result.code == 0, result.err
    assert "trustworthiness" in result.out
    found = read_map(Path("map-flat"))
    assert (found.labelled, found.facts.purity, found.suspects, found.agreement) == (False, None, (), ())
    assert found.neighbours.shape == (7, 6)
    assert [(found.names[twin.first], found.names[twin.second]) for twin in found.twins if twin.kind == "bytes"] == [
        ("0.png", "again.png")
    ]
    assert not Path("map-flat/map.html").exists()


def test_one_split_one_layer_principal_components_only(impasto: Program) -> None:
    for split in ("train", "test"):
        paint_classes(Path("parts", split), 4, ("blue", "red"), first=50 * (split == "test"))
    options = ("--split", "test", "--method", "pca", "--layer", "conv1", "--neighbours", 2)
    assert impasto("embed", "parts", "--network", "run", *options).code == 0
    found = read_map(Path("map-parts"))
    assert {sample.split for sample in found.dataset.samples} == {"test"}
    assert (found.tsne, list(found.facts.maps), found.features.shape) == (None, ["pca"], (8, 32))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("data", "--perplexity", "many"), 2, "perplexity"),
        (("data", "--perplexity", "99"), 1, "perplexity 99"),
        (("data", "--split", "test"), 1, "no pictures in test"),
        (("data", "--network", "vgg91"), 2, "vgg"),
        (("data", "--layer", "conv99"), 2, "conv99"),
        (("nowhere",), 1, "nowhere"),
        (("data/red", "--network", "run", "--query", "absent.png", "--neighbours", "2"), 1, "absent.png"),
    ],
)
def test_wrong_usage(impasto: Program, arguments: tuple[str, ...], code: int, message: str) -> None:
    network = () if "--network" in arguments else ("--network", "run")
    result = impasto("embed", *arguments, *network)
    assert (result.code, message in result.err) == (code, True), result.err


def test_features_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, encoder = paint_classes(tmp_path / "data", 6), FakeEncoder()
    config = EmbedConfig(data, neighbours=3)
    with monkeypatch.context() as patch:
        patch.setattr("impasto.embed.embedding.tsne", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            embed(config, tmp_path / "map", encoder=encoder)  # type: ignore[arg-type]
    assert encoder.seen == 12
    found = embed(config, tmp_path / "map", encoder=encoder)  # type: ignore[arg-type]
    assert encoder.seen == 12
    assert found.facts.purity == 1
    picture = found.dataset.samples[0].path
    assert len(nearest_pictures(config, found, picture, 4, encoder=encoder)) == 4  # type: ignore[arg-type]
    (tmp_path / "map/map.json").write_text("{}")
    with pytest.raises(RunError, match="damaged"):
        embed(config, tmp_path / "map", encoder=encoder)  # type: ignore[arg-type]


def test_nothing_readable_and_too_few(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for index in range(5):
        (tmp_path / f"data/bad{index}.png").write_bytes(b"?")
    with pytest.raises(DataError, match="no picture of"):
        embed(EmbedConfig(tmp_path / "data"), tmp_path / "map", encoder=FakeEncoder())  # type: ignore[arg-type]
    for index in range(3):
        paint(tmp_path / f"few/{index}.png", "red", index)
    with pytest.raises(DataError, match="3 pictures make no map"):
        embed(EmbedConfig(tmp_path / "few"), tmp_path / "other", encoder=FakeEncoder())  # type: ignore[arg-type]
    assert not (tmp_path / "other").exists()  # more pictures would be another run, and refused


def test_features_of_any_network_are_means_of_its_last_map(tmp_path: Path) -> None:
    network = write_model(tmp_path / "run")
    subject = load_subject(network)
    paths = [paint(tmp_path / f"{index}.png", "blue", index) for index in range(3)]
    extract = extractor(EmbedConfig(tmp_path, network=str(network)))
    batch = torch.stack([extract.preprocessing(Image.open(path)) for path in paths]).float() / 255
    maps = subject.watch(batch, [subject.last_layer]).maps[subject.last_layer]
    torch.testing.assert_close(extract(paths, [""] * 3).values, maps.mean((2, 3)))
    other = extractor(EmbedConfig(tmp_path, network=str(write_model(tmp_path / "other", seed=4))))
    assert other.encoder.identity() != extract.encoder.identity()
    same = extractor(EmbedConfig(tmp_path, network=str(write_model(tmp_path / "again"))))
    assert same.encoder.identity()["weights"] == extract.encoder.identity()["weights"]


@pytest.mark.shared
def test_known_copies_are_pairs(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_WEIGHTS", str(shared / "weights"))
    known = [("butterfly", 1, 31), ("crayfish", 1, 23), ("lobster", 1, 4), ("scorpion", 72, 76)]
    for label, *numbers in known:
        for number in (*numbers, 10, 11, 12):
            name = f"{label}/image_{number:04}.jpg"
            (tmp_path / "data" / label).mkdir(parents=True, exist_ok=True)
            shutil.copy(shared / "data/caltech101" / name, tmp_path / "data" / name)
    config = EmbedConfig(tmp_path / "data", network="squeezenet1_0", method="pca", neighbours=3, device="cpu")
    found = embed(config, tmp_path / "map")
    names = found.names
    pairs = {(names[twin.first], names[twin.second]) for twin in found.twins}
    assert pairs == {(f"{label}/image_{a:04}.jpg", f"{label}/image_{b:04}.jpg") for label, a, b in known}
