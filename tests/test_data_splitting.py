"""Splitting by number, folds and repeats, what stays together, and what is written."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from impasto.cli import main
from impasto.data.dataset import SPLITS, Dataset, Sample, read_dataset
from impasto.data.split import output as split_output
from impasto.data.split.splits import REST, counted_split, fold_splits
from impasto.data.split.splitting import SplitConfig, split_dataset
from impasto.errors import DataError, ResourceError, RunError, UnknownNameError, UsageError

ROOT = Path("photos")


def dataset_of(rows: list[tuple[str, str]]) -> Dataset:
    """Samples from (label, group) pairs."""
    pictures = enumerate(rows)
    return Dataset(ROOT, tuple(Sample(ROOT / f"{i:04}.png", label, "", group) for i, (label, group) in pictures))


def singles(**sizes: int) -> Dataset:
    return dataset_of([(label, "") for label, size in sizes.items() for _ in range(size)])


def paint(path: Path, seed: int) -> None:
    """A picture that no other is like: patches of its own colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    patches = np.random.default_rng(seed).integers(0, 256, (17, 17, 3), dtype=np.uint8)
    Image.fromarray(patches).resize((64, 64), Image.Resampling.BICUBIC).save(path)


def folder_of(root: Path, **sizes: int) -> Path:
    for number, (label, size) in enumerate(sizes.items()):
        for index in range(size):
            paint(root / label / f"{label}-{index:03}.png", 1000 * number + index)
    return root


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def test_r4_has_240_30_and_30_of_each_artist() -> None:
    split = counted_split(singles(monet=400, sisley=300), (240, 30, 30))
    for name, count in zip(SPLITS, (240, 30, 30), strict=True):
        assert split.split(name).counts() == {"monet": count, "sisley": count}


def test_r1_wants_more_crabs_than_there_are() -> None:
    caltech = singles(scorpion=84, crab=73, butterfly=91)
    with pytest.raises(DataError, match=r"crab has 73 pictures, 7 too few\.") as caught:
        counted_split(caltech, (10, 0, 70))
    assert "scorpion" not in caught.value.message
    left = counted_split(caltech, (10, 0, REST))
    assert left.split("train").counts() == {"butterfly": 10, "crab": 10, "scorpion": 10}
    assert left.split("test").counts() == {"butterfly": 81, "crab": 63, "scorpion": 74}


def test_groups_that_do_not_come_out_say_so() -> None:
    pairs = dataset_of([("a", str(i // 20)) for i in range(40)])
    assert counted_split(pairs, (15, 0, 15)).split("train").counts() == {"a": 15}
    with pytest.raises(DataError, match="a has 40 pictures in 2 groups that stay whole, 5 too few"):
        counted_split(pairs, (15, 5, 15))


# Up to ninety pictures of three classes in up to twenty groups that may hold all of them.
grouped = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("0123456789ABCDEFGHIJ")), min_size=30, max_size=90)


@settings(max_examples=60)
@given(grouped, st.integers(0, 3))
def test_numbers_are_exact_and_no_group_straddles(rows: list[tuple[str, str]], seed: int) -> None:
    dataset = dataset_of(rows)
    try:
        split = counted_split(dataset, (4, 2, 2), seed)
    except DataError:  # whether rightly is the next test's question
        return
    for name, count in zip(SPLITS, (4, 2, 2), strict=True):
        assert split.split(name).counts() == dict.fromkeys(dataset.classes, count)
    sides: dict[str, set[str]] = {}
    for sample in split.samples:
        sides.setdefault(sample.group, set()).add(sample.split)
    assert all(len(found - {""}) <= 1 for found in sides.values())


@settings(max_examples=40)
@given(st.lists(st.integers(1, 6), min_size=6, max_size=12), st.integers(2, 4), st.integers(2, 4))
def test_what_is_possible_is_found(sizes: list[int], train: int, test: int) -> None:
    """Against every way of dealing the groups of one class to two splits and to none."""
    dataset = dataset_of([("a", str(group)) for group, size in enumerate(sizes) for _ in range(size)])
    sums = {(0, 0)}
    for size in sizes:
        sums |= {(left + size, right) for left, right in sums} | {(left, right + size) for left, right in sums}
    possible = any(left >= train * 3 and right >= test * 3 for left, right in sums)
    try:
        split = counted_split(dataset, (train * 3, 0, test * 3))
    except DataError:
        assert not possible
    else:
        assert possible
        assert Counter(s.split for s in split.samples)["train"] == train * 3


def test_seeds_choose_other_pictures_of_every_class() -> None:
    first, again, second = (counted_split(singles(a=60, b=60), (10, 0, REST), seed) for seed in (1, 1, 2))
    assert first == again
    for label in "ab":
        chosen = [{s.path for s in each.split("train").samples if s.label == label} for each in (first, second)]
        assert len(chosen[0] & chosen[1]) < 8


@pytest.mark.parametrize("counts", [(0, 1, 1), (1, -2, 1), (REST, REST, 1), (5, 0)])
def test_impossible_numbers(counts: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="numbers of pictures"):
        counted_split(singles(a=9), counts)  # type: ignore[arg-type]


@settings(max_examples=40)
@given(st.lists(st.integers(5, 30), min_size=1, max_size=4), st.integers(2, 5))
def test_each_picture_is_tested_in_one_fold_and_folds_are_even(sizes: list[int], folds: int) -> None:
    dataset = singles(**{f"class{number}": size for number, size in enumerate(sizes)})
    splits = list(fold_splits(dataset, folds))
    tested = Counter(sample.path for split in splits for sample in split.split("test").samples)
    assert set(tested.values()) == {1}
    assert len(tested) == len(dataset)
    for label, size in dataset.counts().items():
        held = [split.split("test").counts()[label] for split in splits]
        assert max(held) - min(held) <= 2
        assert min(held) >= size // folds - 1


def test_too_few_groups_for_the_folds() -> None:
    with pytest.raises(DataError, match="rare has 3 pictures in 3 groups, 2 too few"):
        list(fold_splits(singles(common=50, rare=3), 5))


def test_a_table_beside_the_pictures_is_the_data_set_from_then_on(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", crab=20, lobster=20)
    result = split_dataset(root, SplitConfig(counts=(10, 4, 4)))
    assert result.places == (root / "split.csv",)
    data = read_dataset(root)
    assert data == result.datasets[0]
    assert [len(data.split(name)) for name in SPLITS] == [20, 8, 8]
    assert len(rows_of(root / "split.csv")) == 40  # what is left out is listed, without a split
    record = json.loads((root / "split.json").read_text())
    assert record["config"]["counts"] == [10, 4, 4]


def test_the_same_split_again_is_the_same_bytes_and_another_is_refused(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", crab=20, lobster=20)
    split_dataset(root, SplitConfig(near_duplicates=False))
    before = (root / "split.csv").read_bytes()
    split_dataset(root, SplitConfig(near_duplicates=False))
    assert (root / "split.csv").read_bytes() == before
    with pytest.raises(RunError, match="holds another split"):
        split_dataset(root, SplitConfig(near_duplicates=False, seed=1))
    assert (root / "split.csv").read_bytes() == before


def test_pictures_that_came_later_are_not_ignored(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", crab=20, lobster=20)
    split_dataset(root, SplitConfig(near_duplicates=False))
    paint(root / "crab" / "new.png", 7)
    with pytest.raises(DataError, match=r"does not know 1 pictures of its folder, the first crab/new\.png"):
        read_dataset(root)
    (root / "crab" / "new.png").unlink()
    (root / "crab" / "crab-000.png").unlink()
    with pytest.raises(DataError, match="names 1 pictures that are not there"):
        read_dataset(root)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path,split\na,train\n", "lacks the columns"),
        ("path,sha256,split,label,group\n../a.png,,train,a,\n", "outside"),
        ("path,sha256,split,label,group\n/a.png,,train,a,\n", "outside"),
        ("path,sha256,split,label,group\na.png,,practice,a,\n", "practice"),
        ("path,sha256,split,label,group\na.png,,train\n", "damaged"),
        ("path,sha256,split,label,group\n", "no pictures"),
        ("\0\0", "lacks"),
    ],
)
def test_damaged_tables(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(DataError, match=told):
        read_dataset(tmp_path / "split.csv")


def test_near_duplicates_stay_together_unless_ignored(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", crab=12, lobster=12)
    for index in range(6):
        with Image.open(root / "crab" / f"crab-{index:03}.png") as image:
            image.resize((60, 60)).save(root / "crab" / f"again-{index}.jpg", quality=92)
    for config in (SplitConfig(), SplitConfig(folds=3)):
        result = split_dataset(root, config, tmp_path / f"out-{config.folds}")
        assert result.pairs >= 6
        for data in result.datasets:
            side = {sample.path.name: sample.split for sample in data.samples}
            assert all(side[f"again-{index}.jpg"] == side[f"crab-{index:03}.png"] for index in range(6))
    apart = split_dataset(root, SplitConfig(near_duplicates=False), tmp_path / "apart").datasets[0]
    side = {sample.path.name: sample.split for sample in apart.samples}
    assert any(side[f"again-{index}.jpg"] != side[f"crab-{index:03}.png"] for index in range(6))


def test_pictures_are_grouped_by_columns_and_by_names(tmp_path: Path) -> None:
    root = tmp_path / "data"
    lines = ["output,label,split,group,artist,year"]
    for index in range(40):
        paint(root / "ab"[index % 2] / f"{index // 4:02}_{index % 4}.png", index)
        lines.append(f"{'ab'[index % 2]}/{index // 4:02}_{index % 4}.png,{'ab'[index % 2]},,,artist {index // 8},1900")
    by_name = split_dataset(root, SplitConfig(group_regex=r"/(\d+)_"), tmp_path / "named").datasets[0]
    sides: dict[str, set[str]] = {}
    for sample in by_name.samples:
        sides.setdefault(sample.path.name[:2], set()).add(sample.split)
    assert all(len(found) == 1 for found in sides.values())
    with pytest.raises(DataError, match=r"has no manifest\.csv"):
        split_dataset(root, SplitConfig(group_by=("artist",)))
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    by_artist = split_dataset(root, SplitConfig(group_by=("artist",), fractions=(0.6, 0.2, 0.2))).datasets[0]
    assert Counter(sample.split for sample in by_artist.samples) == {"train": 24, "validation": 8, "test": 8}
    with pytest.raises(UnknownNameError, match="Did you mean artist"):
        split_dataset(root, SplitConfig(group_by=("artists",)))
    with pytest.raises(UsageError, match="no regular expression"):
        split_dataset(root, SplitConfig(group_regex="("))
    with pytest.raises(DataError, match=r"of 1 group\(s\) .* none is left"):
        split_dataset(root, SplitConfig(group_by=("year",), fractions=(0.6, 0.2, 0.2)))


def test_names_that_merely_count_are_no_groups_and_repaints_are(tmp_path: Path) -> None:
    for label, count in (("crab", 12), ("lobster", 9)):
        for index in range(1, count + 1):
            paint(tmp_path / "caltech" / label / f"image_{index:04}.png", index)
    assert {sample.group for sample in read_dataset(tmp_path / "caltech").samples} == {""}
    for style in ("wave", "scream"):
        for photo in ("image_0001", "image_0002"):
            paint(tmp_path / "repaints" / style / f"{photo}.png", 3)
    assert {sample.group for sample in read_dataset(tmp_path / "repaints").samples} == {"image_0001", "image_0002"}


@pytest.mark.parametrize("files", ["link", "copy"])
def test_a_tree_is_an_image_folder(tmp_path: Path, files: str) -> None:
    from torchvision.datasets import ImageFolder

    root, output = folder_of(tmp_path / "data", crab=20, lobster=20), tmp_path / "tree"
    split_dataset(root, SplitConfig(near_duplicates=False), output, files=files)  # type: ignore[arg-type]
    assert ImageFolder(str(output / "train")).classes == ["crab", "lobster"]
    some = next((output / "train" / "crab").iterdir())
    assert some.is_symlink() == (files == "link")
    assert some.read_bytes() == (root / "crab" / some.name).read_bytes()
    data = read_dataset(output)
    assert data.splits == SPLITS
    assert {sample.split: sample.path.parent.parent.name for sample in data.samples} == {name: name for name in SPLITS}
    (output / "manifest.json").unlink()  # killed before the end
    some.unlink()
    split_dataset(root, SplitConfig(near_duplicates=False), output, files=files)  # type: ignore[arg-type]
    assert some.is_file()
    with pytest.raises(RunError, match="differs in"):
        split_dataset(root, SplitConfig(near_duplicates=False, seed=1), output)


def test_former_splits_with_files_of_one_name(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "test")):
        for index in range(10):
            for label in "ab":
                paint(tmp_path / "data" / split / label / f"{index}.png", 100 * number + index + 50 * (label == "a"))
    result = split_dataset(
        tmp_path / "data", SplitConfig(near_duplicates=False, counts=(8, 0, REST)), tmp_path / "tree"
    )
    assert len(list((tmp_path / "tree").rglob("*.png"))) == len(result.datasets[0]) == 40


def test_copies_that_do_not_fit_are_refused_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder_of(tmp_path / "data", crab=20, lobster=20)
    monkeypatch.setattr(split_output, "free_disk", lambda path: 100)
    with pytest.raises(ResourceError, match="copies need"):
        split_dataset(root, SplitConfig(near_duplicates=False), tmp_path / "tree", files="copy")
    assert not list((tmp_path / "tree").rglob("*.png"))


def test_unreadable_pictures_are_in_no_split(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", crab=20, lobster=20)
    (root / "crab" / "broken.png").write_bytes(b"nothing")
    result = split_dataset(root)
    assert [path.name for path, _ in result.skipped] == ["broken.png"]
    assert len(read_dataset(root)) == 40


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main.app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout


def test_the_command(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", crab=24, lobster=24)
    code, text = run("dataset", "split", root, "--counts", "10,0,rest", "--repeats", "12")
    assert code == 0
    assert text.split()[-12:] == [str(root / f"repeat-{number:02}-of-12.csv") for number in range(1, 13)]
    tables = [
        frozenset(row["path"] for row in rows_of(Path(name)) if row["split"] == "train") for name in text.split()[-12:]
    ]
    assert len(set(tables)) == 12
    assert (root / "repeat-of-12.json").is_file()
    code, text = run("dataset", "split", root, "--folds", 4, "--json")
    assert json.loads(text)["counts"][0] == {"train": {"crab": 18, "lobster": 18}, "test": {"crab": 6, "lobster": 6}}
    assert run("dataset", "split", root, "--counts", "10,x")[0] != 0
    assert run("dataset", "split", root, "--folds", 4, "--counts", "1,1,1")[0] != 0
    assert not os.path.lexists(root / "split.csv")
