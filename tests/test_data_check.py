"""Checking a data set: near duplicates, leaks, conflicts, shortcuts; what is planted is found and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from impasto.cli import main
from impasto.data.check import duplicates, looks
from impasto.data.check.checking import check_dataset
from impasto.data.check.duplicates import near_pairs
from impasto.data.check.looks import gradient_hash, sign
from impasto.data.check.probes import probe
from impasto.data.dataset import Dataset, Sample, read_dataset
from impasto.data.grouping import connected
from impasto.errors import DataError
from impasto.images import open_picture
from impasto.samples.photos import sample_photos


def noise(seed: int, size: tuple[int, int] = (96, 72)) -> Image.Image:
    """A smooth random picture."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def save(image: Image.Image, path: Path, **options: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return sample_photos(tmp_path_factory.mktemp("photos"))


def test_scaled_recompressed_and_cut_copies_are_found_and_no_others(photos: list[Path], tmp_path: Path) -> None:
    """With the embedded encoder: of each sample photo three copies of other bytes."""
    paths = []
    for index, photo in enumerate(photos):
        image = Image.open(photo).convert("RGB")
        image.thumbnail((320, 320))
        width, height = image.size
        versions = (
            image,
            image.resize((width * 2 // 3, height * 2 // 3)),
            image.crop((3, 3, width - 3, height - 3)),
        )
        paths += [
            save(each, tmp_path / f"{index}-{number}.jpg", quality=90 - 20 * number)
            for number, each in enumerate(versions)
        ]
    pairs = near_pairs(sign(paths))
    assert {(pair.first, pair.second) for pair in pairs} == {
        (3 * photo + one, 3 * photo + other) for photo in range(len(photos)) for one, other in ((0, 1), (0, 2), (1, 2))
    }
    assert all(pair.kind in ("features", "hash") for pair in pairs)


def test_even_textures_are_not_all_one_picture(tmp_path: Path) -> None:
    """What the encoder makes of them is mostly the border, which is the same for all."""
    random = np.random.default_rng(0)
    pixels = [np.clip(random.normal(120, 25, (20, 24, 3)), 0, 255).astype(np.uint8) for _ in range(12)]
    paths = [save(Image.fromarray(each), tmp_path / f"{index}.png") for index, each in enumerate(pixels)]
    assert near_pairs(sign(paths)) == []
    grey = [save(Image.new("RGB", (40 + index, 40), "grey"), tmp_path / f"grey{index}.png") for index in range(2)]
    assert len(near_pairs(sign(grey))) == 1


def test_of_very_many_alike_pictures_the_most_alike_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(1 + 0.3 * torch.randn(300, 8, generator=generator), dim=1)
    cosines = (rows @ rows.T)[tuple(torch.triu_indices(300, 300, 1))]
    assert duplicates._least_cosine(rows) == duplicates.ALIKE
    for most in (50, 2000):
        monkeypatch.setattr(duplicates, "MOST_COMPARED", most)
        least = duplicates._least_cosine(rows)
        assert (cosines >= least).sum() <= most
        assert (cosines >= least - 0.002).sum() > most - 160  # the diagonal is counted, too


def test_what_was_looked_at_once_is_not_opened_again(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = sign(photos[:3])
    opened = []
    monkeypatch.setattr(looks, "open_picture", lambda path: opened.append(path) or open_picture(path))
    renamed = tmp_path / "renamed.jpg"
    renamed.write_bytes(photos[1].read_bytes())
    again = sign([renamed, photos[0], photos[3], tmp_path / "absent.jpg"])
    assert opened == [photos[3], tmp_path / "absent.jpg"]
    assert torch.equal(again.sketches[:2], first.sketches[[1, 0]])
    assert again.looks[1].mode == first.looks[0].mode == "RGB"
    assert np.array_equal(again.looks[0].small, first.looks[1].small)
    assert again.kept == (0, 1, 2)
    with Image.open(photos[3]) as image:
        assert (again.looks[2].width, again.looks[2].height) == image.size


def test_pairs_across_two_sides_only(photos: list[Path], tmp_path: Path) -> None:
    copies = [save(Image.open(photo).convert("RGB"), tmp_path / f"{photo.stem}.jpg") for photo in photos[:3]]
    signatures = sign([*photos[:3], *copies])
    assert len(near_pairs(signatures)) == 3
    assert not near_pairs(signatures, "aaaaaa", across=True)
    assert [(p.first, p.second) for p in near_pairs(signatures, "abaccb", across=True)] == [(0, 3), (1, 4), (2, 5)]
    assert [(p.first, p.second) for p in near_pairs(signatures, "abcaac", across=True)] == [(1, 4)]


def test_many_copies_make_few_pairs_and_none_is_forgotten(photos: list[Path], tmp_path: Path) -> None:
    """A thousand files of "this picture is not available" would be half a million pairs."""
    data = photos[0].read_bytes()
    paths = [tmp_path / f"{index}.jpg" for index in range(40)]
    for path in paths:
        path.write_bytes(data)
    assert len(near_pairs(sign(paths))) == 39
    sides = ["train"] * 30 + ["test"] * 10
    across = near_pairs(sign(paths), sides, across=True)
    assert {position for pair in across for position in (pair.first, pair.second)} == set(range(40))
    assert len(across) < 60
    similar = save(Image.open(photos[0]).convert("RGB"), tmp_path / "similar.jpg", quality=80)
    near = near_pairs(sign([*paths, similar]), ["test"] * 40 + ["train"], across=True)
    assert {(pair.first, pair.second) for pair in near} == {(position, 40) for position in range(40)}


def test_equal_bytes_are_said_to_be_so(photos: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(photos[0].read_bytes())
    assert [(p.first, p.second, p.kind) for p in near_pairs(sign([photos[0], photos[1], copy]))] == [(0, 2, "bytes")]


def test_the_gradient_hash_says_where_it_becomes_darker() -> None:
    ramp = Image.fromarray(np.tile(np.linspace(255, 0, 90, dtype=np.uint8), (80, 1)))
    assert torch.equal(gradient_hash(ramp), torch.full((64,), 0.125))
    assert torch.equal(gradient_hash(ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT)), torch.full((64,), -0.125))


@given(seed=st.integers(0, 50), count=st.integers(1, 40), block=st.integers(1, 12))
def test_blocks_find_what_the_whole_matrix_shows(seed: int, count: int, block: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    hashes = torch.where(torch.rand(count, 64, generator=generator) < 0.05, -0.125, 0.125)
    whole, bits = rows @ rows.T, 32 * (1 - hashes @ hashes.T)
    near = (whole >= duplicates.NOT_UNLIKE) & (bits.round() <= duplicates.HASH_BITS)
    wanted = (whole >= duplicates.ALIKE) | near
    expected = {(i, j) for i in range(count) for j in range(i + 1, count) if wanted[i, j]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BLOCK", block)
        patch.setattr(duplicates, "_CANDIDATES", 3)
        found = [tuple(pair) for part in duplicates._candidates(rows, hashes) for pair in part.tolist()]
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_clusters_join_what_is_joined_through_others() -> None:
    numbers = connected([(0, 3), (3, 4)], 6)
    assert numbers[0] == numbers[3] == numbers[4]
    assert len(set(numbers)) == 4


def test_unreadable_pictures_are_named_and_the_others_keep_their_places(tmp_path: Path) -> None:
    paths = [save(noise(0), tmp_path / "a.png"), tmp_path / "b.png", save(noise(1), tmp_path / "c.png")]
    paths[1].write_bytes(b"no picture")
    signatures = sign(paths)
    assert signatures.kept == (0, 2)
    assert [path for path, _ in signatures.unreadable] == [paths[1]]
    (tmp_path / "set" / "x").mkdir(parents=True)
    (tmp_path / "set" / "x" / "b.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="no picture of"):
        check_dataset(tmp_path / "set")


@pytest.fixture
def split_set(tmp_path: Path) -> Path:
    """Two classes of smooth noise in two splits, nothing wrong with them."""
    for index in range(48):
        label, split = "ab"[index % 2], "train" if index < 36 else "test"
        save(noise(index), tmp_path / "set" / split / label / f"{index}.png")
    return tmp_path / "set"


def test_a_sound_set_has_no_leak_no_conflict_and_no_shortcut(split_set: Path) -> None:
    result = check_dataset(split_set)
    assert [finding for finding in result.findings if finding.kind != "imbalance"] == []
    assert {each.name for each in result.probes} == {"image size", "file size", "border colour", "4x4 thumbnail"}


def test_r2s_mistake_training_pictures_in_the_test_split_are_listed(split_set: Path) -> None:
    """A tenth of the training pictures, some as they are, some compressed anew."""
    for name, place in (("train/a/0.png", "test/a/x.png"), ("train/b/1.png", "test/b/y.png")):
        (split_set / place).write_bytes((split_set / name).read_bytes())
    Image.open(split_set / "train/a/2.png").save(split_set / "test/a/z.jpg", quality=80)
    leaks = check_dataset(split_set).of("leak")
    pairs = {name for finding in leaks for name in finding.files}
    assert {"test/a/x.png = train/a/0.png", "test/b/y.png = train/b/1.png", "test/a/z.jpg = train/a/2.png"} == pairs
    assert any("equal bytes" in finding.message for finding in leaks)


def test_a_group_in_two_splits_is_a_leak(split_set: Path) -> None:
    data = read_dataset(split_set)
    samples = [replace(each, group="monet") if each.path.name in ("0.png", "46.png") else each for each in data.samples]
    leaks = check_dataset(Dataset(split_set, tuple(samples))).of("leak")
    assert [finding.files for finding in leaks] == [("monet",)]


def test_one_picture_with_two_labels_is_a_conflict(split_set: Path) -> None:
    (split_set / "train/b/copy.png").write_bytes((split_set / "train/a/0.png").read_bytes())
    assert check_dataset(split_set).of("conflict")[0].files == ("train/a/0.png = train/b/copy.png",)


@pytest.mark.parametrize("shortcut", ["image size", "file size", "border colour"])
def test_each_shortcut_is_flagged(tmp_path: Path, shortcut: str) -> None:
    random = np.random.default_rng(0)
    for index in range(60):
        label = "ab"[index % 2]
        size = (96, 72 + 4 * int(random.integers(4)) + (8 if shortcut == "image size" and label == "b" else 0))
        image = noise(index, size)
        if shortcut == "border colour" and label == "b":
            framed = Image.new("RGB", size, "white")
            framed.paste(image.crop((2, 2, size[0] - 2, size[1] - 2)), (2, 2))
            image = framed
        quality = 95 if shortcut == "file size" and label == "b" else 60
        save(image, tmp_path / label / f"{label}{index}.jpg", quality=quality)
    flagged = {each.name for each in check_dataset(tmp_path).probes if each.tells_the_label}
    assert shortcut in flagged


@pytest.mark.parametrize("seed", range(8))
def test_labels_at_random_are_not_accused(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = np.array(["ab"[value] for value in random.integers(0, 2, 200)])
    found = probe("noise", random.normal(size=(200, 3)), labels, np.arange(200), seed)
    assert found is not None
    assert not found.tells_the_label


def test_a_probe_cannot_learn_from_a_copy_in_another_fold() -> None:
    """Values that identify a pair of copies and nothing else: apart in folds they would give the label away."""
    random = np.random.default_rng(0)
    values = np.repeat(random.normal(size=(60, 4)), 4, axis=0)
    labels = np.repeat(random.permutation(["a", "b"] * 30), 4)
    together = probe("copies", values, labels, np.repeat(np.arange(60), 4))
    apart = probe("copies", values, labels, np.arange(240))
    assert together is not None
    assert apart is not None
    assert not together.tells_the_label
    assert apart.correct > 0.95 * apart.total


def test_small_and_single_classes_are_left_out_of_probes() -> None:
    values = np.arange(12, dtype=np.float64)[:, None]
    assert probe("x", values, np.array(["a"] * 9 + ["b"] * 3), np.arange(12)) is None


def test_imbalance_and_odd_pictures_are_told(tmp_path: Path) -> None:
    for index in range(40):
        save(noise(index), tmp_path / ("many" if index < 33 else "few") / f"{index}.png")
    save(noise(50, (300, 30)), tmp_path / "many" / "strip.png")
    save(noise(51).convert("L"), tmp_path / "many" / "grey.png")
    result = check_dataset(tmp_path)
    messages = " ".join(finding.message for finding in result.findings)
    assert "many has 35 pictures, few has 7: 5.0 times" in messages
    assert {name for finding in result.of("odd") for name in finding.files} == {"many/strip.png", "many/grey.png"}
    assert ("few (7)",) in [finding.files for finding in result.of("imbalance")]


def test_the_command(split_set: Path) -> None:
    (split_set / "test/a/x.png").write_bytes((split_set / "train/a/0.png").read_bytes())
    shown = CliRunner().invoke(main.app, ["dataset", "check", str(split_set)])
    assert shown.exit_code == 0, shown.output
    assert "leak: 1 pairs of pictures in different splits are equal bytes" in shown.stdout
    assert "test/a/x.png = train/a/0.png" in shown.stdout
    told = json.loads(CliRunner().invoke(main.app, ["dataset", "check", str(split_set), "--json"]).stdout)
    assert told["pictures"] == 49
    assert told["findings"][0]["kind"] == "leak"


def test_samples_without_splits_do_not_leak(tmp_path: Path) -> None:
    paths = [save(noise(index % 20), tmp_path / "a" / f"{index}.png") for index in range(40)]
    data = Dataset(tmp_path, tuple(Sample(path, "a") for path in paths))
    result = check_dataset(data)
    assert not result.of("leak")
    assert len(result.pairs) == 20
