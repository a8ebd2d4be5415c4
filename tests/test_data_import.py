"""Importing folders and archives: labels, copies, damage, hostile archives, kill and resume."""

from __future__ import annotations

import doctest
import io
import json
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from impasto.cli import main
from impasto.data.dataset import read_dataset
from impasto.data.importing import draw, entries, importing, labels, sources
from impasto.data.importing import records as import_records
from impasto.data.importing.draw import Draw
from impasto.data.importing.importing import import_dataset
from impasto.data.importing.labels import Columns
from impasto.data.importing.records import ImportConfig
from impasto.errors import DataError, ResourceError, RunError, UnknownNameError, UsageError
from impasto.files import file_digest
from impasto.images import open_picture


def picture(seed: int, size: tuple[int, int] = (32, 24), kind: str = "JPEG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, kind)
    return data.getvalue()


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def outputs(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): file_digest(path)
        for path in folder.rglob("*")
        if path.is_file() and path.name != "config.json"
    }


def set_aside(result: import_records.ImportResult) -> dict[str, str]:
    return {each.path: each.kind for each in result.rejected}


TWO_CLASSES = {"cats/a.jpg": picture(0), "cats/b.jpg": picture(1), "dogs/a.png": picture(2, kind="PNG")}


def test_a_folder_of_classes_keeps_its_bytes(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", TWO_CLASSES)
    before = outputs(source)
    result = import_dataset([source], tmp_path / "out")
    assert result.dataset.counts() == {"cats": 2, "dogs": 1}
    for name, data in TWO_CLASSES.items():
        assert (tmp_path / "out" / name).read_bytes() == data
    assert outputs(source) == before
    row = pd.read_csv(tmp_path / "out" / "manifest.csv").set_index("output").loc["dogs/a.png"]
    assert (row["width"], row["height"], row["source"]) == (32, 24, "in/dogs/a.png")
    assert row["output_sha256"] == file_digest(source / "dogs" / "a.png")


def test_two_archives_that_overlap_become_one_data_set(tmp_path: Path) -> None:
    """R2's case: different folders around the classes, splits, most files in both."""
    first = {f"dataset/dataset_updated/training_set/{name}": data for name, data in TWO_CLASSES.items()}
    first["dataset/dataset_updated/validation_set/dogs/c.jpg"] = picture(5)
    second = {f"musemart/training_set/{name}": data for name, data in TWO_CLASSES.items()}
    second["musemart/training_set/dogs/d.jpg"] = picture(6)
    archives = [zipped(tmp_path / "one.zip", first), tarred(tmp_path / "two.tar.gz", second)]
    result = import_dataset(archives, tmp_path / "out")
    assert result.dataset.split("train").counts() == {"cats": 2, "dogs": 2}
    assert result.dataset.split("validation").counts() == {"dogs": 1}
    assert result.kinds() == {"copy": 3}
    assert result.rejected[0].reason == "it is a copy of one.zip/dataset/dataset_updated/training_set/cats/a.jpg"
    assert (tmp_path / "out/train/dogs/d.jpg").is_file()


def test_damage_of_ten_kinds_is_named_and_set_aside(tmp_path: Path) -> None:
    good = picture(0)
    png = picture(1, kind="PNG")
    bad = {
        "empty.jpg": (b"", "damaged"),
        "half.jpg": (good[: len(good) // 2], "damaged"),
        "half.png": (png[: len(png) // 2], "damaged"),
        "text.jpg": (b"<html>404 Not Found</html>", "damaged"),
        "zeros.jpg": (bytes(2000), "damaged"),
        "header.png": (png[:24], "damaged"),
        "flipped.png": (png[:60] + bytes(8) + png[68:], "damaged"),
        "dot.png": (picture(2, (4, 4), "PNG"), "too small"),
        "page.html": (b"<html>", "no picture"),
        "movie.mp4": (b"\0\0\0\x18ftypmp42", "no picture"),
    }
    files = {f"cats/{name}": data for name, (data, _) in bad.items()} | TWO_CLASSES | {"loose.jpg": picture(9)}
    result = import_dataset([zipped(tmp_path / "in.zip", files)], tmp_path / "out")
    assert len(result.dataset) == 3
    expected = {f"in.zip/cats/{name}": kind for name, (_, kind) in bad.items()} | {"in.zip/loose.jpg": "no label"}
    assert set_aside(result) == expected
    table = pd.read_csv(tmp_path / "out" / "rejected.csv")
    assert dict(zip(table["path"], table["kind"], strict=True)) == expected
    assert table["reason"].str.len().min() > 10


def test_a_wrong_extension_is_mended_and_equal_names_are_told_apart(tmp_path: Path) -> None:
    first = fill(tmp_path / "a", {"cats/x.png": picture(0), "cats/sub/y.jpg": picture(1)})
    second = fill(tmp_path / "b", {"cats/Y.jpg": picture(2)})
    import_dataset([first, second], tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out" / "cats").iterdir())
    assert names == ["Y-2.jpg", "x.jpg", "y.jpg"]


def test_one_picture_with_two_labels_is_a_conflict(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", {"cats/a.jpg": picture(0), "dogs/a.jpg": picture(0), "dogs/b.jpg": picture(1)})
    result = import_dataset([source], tmp_path / "out")
    assert set_aside(result) == {"in/dogs/a.jpg": "conflict"}
    assert "labelled cats, not dogs" in result.rejected[0].reason


def test_labels_from_file_names(tmp_path: Path) -> None:
    files = {"monet_1.jpg": picture(0), "monet_2.jpg": picture(1), "klee_1.jpg": picture(2), "77.jpg": picture(3)}
    source = fill(tmp_path / "in", files)
    result = import_dataset([source], tmp_path / "out", ImportConfig(label_regex="^([a-z]+)_"))
    assert result.dataset.counts() == {"klee": 1, "monet": 2}
    assert set_aside(result) == {"in/77.jpg": "no label"}
    for pattern in ("([a-z", "[a-z]+"):
        with pytest.raises(UsageError):
            import_dataset([source], tmp_path / "other", ImportConfig(label_regex=pattern))


@pytest.mark.parametrize(("suffix", "separator"), [("csv", ","), ("tsv", "\t")])
def test_labels_from_a_table(tmp_path: Path, suffix: str, separator: str) -> None:
    """Paths may lack the folders around; what the table does not name, and what no source has, is said."""
    files = {f"images/{name}.jpg": picture(index) for index, name in enumerate("abcd")}
    archive = zipped(tmp_path / "in.zip", files)
    lines = [["filename", "artist", "split", "group"], ["a.jpg", "Monet, Claude", "val", "g1"]]
    lines += [["images/b.jpg", "Klee", "train", ""], ["gone.jpg", "Klee", "train", ""], ["d.jpg", "", "train", ""]]
    quoted = "\n".join(separator.join(f'"{cell}"' for cell in line) for line in lines)
    table = tmp_path / f"labels.{suffix}"
    table.write_text(quoted)
    result = import_dataset([archive], tmp_path / "out", ImportConfig(table))
    assert result.dataset.counts() == {"Klee": 1, "Monet, Claude": 1}
    first = next(sample for sample in result.dataset.samples if sample.label != "Klee")
    assert (first.split, first.group) == ("validation", "g1")
    expected = {"gone.jpg": "missing", "in.zip/images/c.jpg": "no label", "in.zip/images/d.jpg": "no label"}
    assert set_aside(result) == expected


def test_a_table_that_cannot_serve(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", TWO_CLASSES)
    tables = {"columns.csv": "a,b\n1,2\n", "twice.csv": "path,label\ncats/a.jpg,x\ncats/a.jpg,y\n", "empty.csv": ""}
    for name, text in tables.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=name):
            import_dataset([source], tmp_path / "out", ImportConfig(tmp_path / name))
    (tmp_path / "odd.csv").write_text("where,what\ncats/a.jpg,x\n")
    with pytest.raises(UnknownNameError, match="wher"):
        import_dataset([source], tmp_path / "out", ImportConfig(tmp_path / "odd.csv", Columns("wher", "what")))
    found = import_dataset([source], tmp_path / "out", ImportConfig(tmp_path / "odd.csv", Columns("where", "what")))
    assert found.dataset.counts() == {"x": 1}


def test_classes_are_renamed_merged_and_left_out(tmp_path: Path) -> None:
    files = {
        f"{name}/{name}.jpg": picture(index) for index, name in enumerate(("drawings", "engraving", "junk", "oil"))
    }
    source = fill(tmp_path / "in", files)
    rename = (("drawings", "graphic"), ("engraving", "graphic"), ("junk", ""))
    result = import_dataset([source], tmp_path / "out", ImportConfig(rename=rename))
    assert result.dataset.counts() == {"graphic": 2, "oil": 1}
    assert set_aside(result) == {"in/junk/junk.jpg": "no label"}
    with pytest.raises(UnknownNameError, match="oil"):
        import_dataset([source], tmp_path / "other", ImportConfig(rename=(("oill", "x"),)))


def test_labels_from_strangers_lead_nowhere(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", {"a.jpg": picture(0), "b.jpg": picture(1)})
    (tmp_path / "t.csv").write_text("path,label\na.jpg,../../evil\nb.jpg,/etc\n")
    result = import_dataset([source], tmp_path / "deep" / "out", ImportConfig(tmp_path / "t.csv"))
    assert set(result.dataset.classes) == {"../../evil", "/etc"}
    assert {path.name for path in tmp_path.iterdir()} == {"in", "t.csv", "deep"}
    assert all(sample.path.resolve().is_relative_to(tmp_path / "deep" / "out") for sample in result.dataset.samples)
    (tmp_path / "t.csv").write_text("path,label\na.jpg,x/y\nb.jpg,x_y\n")
    with pytest.raises(DataError, match="share the folder"):
        import_dataset([source], tmp_path / "out", ImportConfig(tmp_path / "t.csv"))


def test_hostile_members_of_archives_are_refused(tmp_path: Path) -> None:
    place = tmp_path / "work"
    evil = {"../cats/up.jpg": picture(10), "/cats/root.jpg": picture(11), "C:\\cats\\drive.jpg": picture(12)}
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for name, data in (evil | TWO_CLASSES).items():
            archive.writestr(name, data)
        link = zipfile.ZipInfo("cats/link.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        for name, kind in (
            ("cats/soft.jpg", tarfile.SYMTYPE),
            ("cats/hard.jpg", tarfile.LNKTYPE),
            ("cats/dev.jpg", tarfile.CHRTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        member = tarfile.TarInfo("../cats/tar.jpg")
        member.size = len(picture(13))
        archive.addfile(member, io.BytesIO(picture(13)))
    before = {path.name for path in tmp_path.iterdir()}
    result = import_dataset([tmp_path / "z.zip", tmp_path / "t.tar"], place / "out")
    assert len(result.dataset) == 3
    assert result.kinds() == {"unsafe": 8}
    assert {path.name for path in tmp_path.iterdir()} == before | {"work"}
    assert {path.name for path in place.iterdir()} == {"out"}


def test_archives_that_claim_too_much_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "HARMLESS_BYTES", 2**20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cats/a.jpg", bytes(2**22))
    tarred(tmp_path / "bomb.tgz", {"cats/a.jpg": bytes(2**22)})
    for name in ("bomb.zip", "bomb.tgz"):
        with pytest.raises(DataError, match="no pictures compress so well"):
            import_dataset([tmp_path / name], tmp_path / "out")
    monkeypatch.setattr(entries, "MOST_FILES", 2)
    for archive in (zipped(tmp_path / "many.zip", TWO_CLASSES), tarred(tmp_path / "many.tar.gz", TWO_CLASSES)):
        with pytest.raises(DataError, match="more than 2 files"):
            import_dataset([archive], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_archives_and_absent_sources(tmp_path: Path) -> None:
    whole = zipped(tmp_path / "whole.zip", TWO_CLASSES).read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    packed = tarred(tmp_path / "whole.tar.gz", TWO_CLASSES).read_bytes()
    (tmp_path / "half.tar.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "text.zip").write_text("no archive")
    for name in ("half.zip", "half.tar.gz", "text.zip", "absent.zip", "absent"):
        with pytest.raises(DataError, match=name):
            import_dataset([tmp_path / name], tmp_path / "out")
    at = whole.index(TWO_CLASSES["cats/a.jpg"]) + 200
    (tmp_path / "flipped.zip").write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
    result = import_dataset([tmp_path / "flipped.zip"], tmp_path / "out")
    assert set_aside(result) == {"flipped.zip/cats/a.jpg": "damaged"}


def test_nothing_usable_is_an_error_that_counts_why(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", {"a.jpg": picture(0), "notes.txt": b"x"})
    with pytest.raises(DataError, match="1 no label, 1 no picture"):
        import_dataset([source], tmp_path / "out")
    with pytest.raises(UsageError, match="lies in"):
        import_dataset([source], source / "out")


def test_a_second_run_does_nothing_and_other_sources_are_refused(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", TWO_CLASSES | {"cats/bad.jpg": b"x"})
    first = import_dataset([source], tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    again = import_dataset([source], tmp_path / "out")
    assert (first.decoded, again.decoded) == (4, 0)
    assert again.rejected == first.rejected
    assert again.dataset == first.dataset == read_dataset(tmp_path / "out")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before
    (source / "cats" / "new.jpg").write_bytes(picture(50))
    with pytest.raises(RunError, match="sources"):
        import_dataset([source], tmp_path / "out")


def test_a_full_disk_leaves_whole_files_and_the_import_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = fill(tmp_path / "in", {f"cats/{index}.jpg": picture(index) for index in range(30)})
    whole = importing.write_bytes
    written = []

    def full(path: Path, data: bytes) -> None:
        if len(written) == 10:
            raise ResourceError("the disk is full")
        written.append(path)
        whole(path, data)

    monkeypatch.setattr(importing, "write_bytes", full)
    with pytest.raises(ResourceError, match="full"):
        import_dataset([source], tmp_path / "out")
    monkeypatch.setattr(importing, "write_bytes", whole)
    left = [open_picture(path).image.size for path in (tmp_path / "out").rglob("*.jpg")]
    assert left == [(32, 24)] * 10
    result = import_dataset([source], tmp_path / "out")
    assert len(result.dataset) == 30
    assert result.decoded <= 20
    monkeypatch.setattr(importing, "free_disk", lambda _: 100)
    with pytest.raises(ResourceError, match="100 B free"):
        import_dataset([source], tmp_path / "third")


def test_killed_twice_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    files = {f"{'cats' if index % 2 else 'dogs'}/{index}.jpg": picture(index, (400, 300)) for index in range(300)}
    files |= {"cats/copy.jpg": picture(1, (400, 300)), "dogs/bad.jpg": b"bad"}
    archive = zipped(tmp_path / "in.zip", files)
    import_dataset([archive], tmp_path / "whole")
    command = [
        sys.executable,
        "-m",
        "impasto",
        "dataset",
        "import",
        str(archive),
        "-o",
        str(tmp_path / "out"),
        "--quiet",
    ]
    for count in (30, 120):
        process = subprocess.Popen(command)
        until = time.monotonic() + 60
        while (
            process.poll() is None and len(list((tmp_path / "out").rglob("*.jpg"))) < count and time.monotonic() < until
        ):
            time.sleep(0.02)
        assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    import_dataset([archive], tmp_path / "out")
    assert outputs(tmp_path / "out") == outputs(tmp_path / "whole")


def test_archives_inside_archives_and_folders_are_sources_of_their_own(tmp_path: Path) -> None:
    """Their class folders are found as if they lay alone; one that holds no picture counts as one file."""
    inner = tarred(tmp_path / "inner.tar.gz", {f"101_Categories/{name}": data for name, data in TWO_CLASSES.items()})
    notes = tarred(tmp_path / "notes.tar", {"cats/a.mat": b"x", "dogs/a.mat": b"y"})
    files = {"set/pictures.tar.gz": inner.read_bytes(), "set/notes.tar": notes.read_bytes(), "set/readme.txt": b"hello"}
    by_zip = import_dataset([zipped(tmp_path / "outer.zip", files)], tmp_path / "by-zip")
    by_tar = import_dataset([tarred(tmp_path / "outer.tgz", files)], tmp_path / "by-tar")
    by_folder = import_dataset([fill(tmp_path / "outer", files)], tmp_path / "by-folder")
    for result, name in ((by_zip, "outer.zip"), (by_tar, "outer.tgz"), (by_folder, "outer")):
        assert result.dataset.counts() == {"cats": 2, "dogs": 1}
        assert set_aside(result) == {f"{name}/set/notes.tar": "no picture", f"{name}/set/readme.txt": "no picture"}
    row = pd.read_csv(tmp_path / "by-zip" / "manifest.csv").set_index("output").loc["cats/a.jpg"]
    assert row["source"] == "outer.zip/set/pictures.tar.gz/101_Categories/cats/a.jpg"
    again = import_dataset([tmp_path / "outer.zip"], tmp_path / "by-zip")
    assert again.decoded == 0


def test_an_archive_inside_is_read_as_carefully_as_one_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = zipped(tmp_path / "whole.zip", TWO_CLASSES).read_bytes()
    deep = zipped(tmp_path / "deep.zip", {"whole.zip": whole, "cats/top.jpg": picture(7)}).read_bytes()
    result = import_dataset([zipped(tmp_path / "deeper.zip", {"deep.zip": deep})], tmp_path / "out")
    assert result.dataset.counts() == {"cats": 1}
    assert {each.path: each.reason for each in result.rejected} == {
        "deeper.zip/deep.zip/whole.zip": "it is an archive in an archive in another source"
    }
    half = zipped(tmp_path / "half.zip", {"a/half.zip": whole[: len(whole) // 2]})
    with pytest.raises(DataError, match=r"half\.zip/a/half\.zip is a damaged archive"):
        import_dataset([half], tmp_path / "other")
    evil = zipped(tmp_path / "evil.zip", {"../cats/up.jpg": picture(8), **TWO_CLASSES}).read_bytes()
    hostile = import_dataset([zipped(tmp_path / "hostile.zip", {"evil.zip": evil})], tmp_path / "hostile")
    assert set_aside(hostile) == {"hostile.zip/evil.zip/../cats/up.jpg": "unsafe"}
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cats/a.jpg", bytes(2**22))
    outer = zipped(tmp_path / "outer.zip", {"bomb.zip": (tmp_path / "bomb.zip").read_bytes()})
    monkeypatch.setattr(entries, "HARMLESS_BYTES", 2**20)
    with pytest.raises(DataError, match=r"outer\.zip/bomb\.zip .* no pictures compress so well"):
        import_dataset([outer], tmp_path / "third")
    monkeypatch.setattr(sources, "free_disk", lambda _: 100)
    with pytest.raises(ResourceError, match="TMPDIR"):
        import_dataset([outer], tmp_path / "fourth")


def test_a_regex_may_name_the_split_too(tmp_path: Path) -> None:
    files = {"one/training_set/cats/a.jpg": picture(0), "two/validation_set/cats/b.jpg": picture(1)}
    config = ImportConfig(label_regex="(?P<split>[a-z]+_set)/(?P<label>[a-z]+)/")
    result = import_dataset([fill(tmp_path / "in", files)], tmp_path / "out", config)
    assert {each.split: each.label for each in result.dataset.samples} == {"train": "cats", "validation": "cats"}


def many(tmp_path: Path, **classes: int) -> Path:
    names = {f"{label}/{label}-{index}.jpg" for label, count in classes.items() for index in range(count)}
    return fill(tmp_path / "in", {name: picture(seed) for seed, name in enumerate(sorted(names))})


def test_some_classes_and_so_many_pictures_of_each(tmp_path: Path) -> None:
    source = many(tmp_path, crab=6, crayfish=9, scorpion=3, lobster=2)
    config = ImportConfig(classes=("crab,scorpion", "crayfish"), per_class=5, seed=1)
    result = import_dataset([source], tmp_path / "out", config)
    assert result.dataset.counts() == {"crab": 5, "crayfish": 5, "scorpion": 3}
    assert result.remarks == ("scorpion has 3 pictures, 2 fewer than asked for",)
    assert import_dataset([source], tmp_path / "out", config).remarks == result.remarks
    assert result.rejected == ()
    with pytest.raises(RunError, match="config"):
        import_dataset([source], tmp_path / "out", ImportConfig(classes=("crab,scorpion", "crayfish"), per_class=4))
    with pytest.raises(UnknownNameError, match="Did you mean crab"):
        import_dataset([source], tmp_path / "other", ImportConfig(classes=("crap",)))
    with pytest.raises(UsageError, match="0 pictures"):
        ImportConfig(per_class=0)
    everything = import_dataset([source], tmp_path / "all", ImportConfig(seed=5))
    assert (len(everything.dataset), everything.remarks) == (20, ())
    assert import_dataset([source], tmp_path / "all", ImportConfig(seed=6)).decoded == 0  # a seed of nothing


def drawn(source: Path, output: Path, count: int, seed: int = 0) -> set[str]:
    result = import_dataset([source], output, ImportConfig(per_class=count, seed=seed))
    return {sample.sha256 for sample in result.dataset.samples}


def test_what_is_drawn_depends_on_names_and_seed_and_not_on_the_order(tmp_path: Path) -> None:
    source = many(tmp_path, crab=12, fish=12)
    files = {path.relative_to(source).as_posix(): path.read_bytes() for path in sorted(source.rglob("*.jpg"))}
    backwards = zipped(tmp_path / "back.zip", dict(reversed(files.items())))
    four = drawn(source, tmp_path / "four", 4)
    assert four == drawn(backwards, tmp_path / "back", 4)
    assert four < drawn(source, tmp_path / "seven", 7)
    assert four != drawn(source, tmp_path / "other", 4, seed=1)


def test_what_is_no_use_is_replaced_by_another(tmp_path: Path) -> None:
    """Damaged files and copies do not count, however many are drawn first; few files are read."""
    bad = {f"crab/bad-{index}.jpg": b"bad" + bytes([index]) for index in range(8)}
    copies = {f"crab/copy-{index}.jpg": picture(0) for index in range(8)}
    good = {f"crab/good-{index}.jpg": picture(index) for index in range(100)}
    source = fill(tmp_path / "in", bad | copies | good)
    for seed in range(3):
        result = import_dataset([source], tmp_path / f"out-{seed}", ImportConfig(per_class=20, seed=seed))
        assert result.dataset.counts() == {"crab": 20}
        assert len({sample.sha256 for sample in result.dataset.samples}) == 20
        assert set(result.kinds()) <= {"damaged", "copy"}
        assert result.decoded < 40
        assert result.remarks == ()
    everything = import_dataset([source], tmp_path / "all", ImportConfig(per_class=101))
    assert everything.remarks == ("crab has 100 pictures, 1 fewer than asked for",)
    assert everything.kinds() == {"damaged": 8, "copy": 8}


@given(
    st.lists(st.sampled_from("abc"), max_size=30),
    st.integers(1, 6),
    st.integers(0, 3),
    st.sets(st.integers(0, 29)),
)
def test_a_draw_ends_with_as_many_as_there_are(classes: list[str], count: int, seed: int, useless: set[int]) -> None:
    drawing = Draw([(f"{place}.jpg", label) for place, label in enumerate(classes)], count, seed)
    kept: Counter[str] = Counter()
    tried: list[int] = []
    while places := drawing.next_round(kept):
        assert places == sorted(places)
        tried += places
        kept.update(classes[place] for place in places if place not in useless)
    assert len(tried) == len(set(tried))
    there = Counter(label for place, label in enumerate(classes) if place not in useless)
    assert {label: kept[label] for label in there} == {label: min(count, number) for label, number in there.items()}
    short = [label for label in sorted(set(classes)) if kept[label] < count]
    assert [remark.split()[0] for remark in drawing.shortages(kept)] == short


def test_doctests_of_drawing_and_labels() -> None:
    for module in (draw, labels):
        assert doctest.testmod(module).failed == 0


def test_the_command_tells_what_it_did(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", TWO_CLASSES | {"cats/bad.jpg": b"x"})
    arguments = ["dataset", "import", str(source), "-o", str(tmp_path / "out")]
    shown = CliRunner().invoke(main.app, [*arguments, "--rename", "cats=felines", "--json"])
    assert shown.exit_code == 0, shown.output
    told = json.loads(shown.stdout)
    assert told["classes"] == {"dogs": 1, "felines": 2}
    assert told["set_aside"] == {"damaged": 1}
    options = ["-o", str(tmp_path / "some"), "--classes", "cats", "--per-class", "5", "--seed", "1", "--json"]
    some = json.loads(CliRunner().invoke(main.app, [*arguments[:3], *options]).stdout)
    assert some["classes"] == {"cats": 2}
    assert some["remarks"] == ["cats has 2 pictures, 3 fewer than asked for"]
    wrong = CliRunner().invoke(main.app, [*arguments, "--rename", "cats"])
    assert isinstance(wrong.exception, UsageError)


def test_a_copy_of_a_damaged_file_is_damaged_and_no_conflict(tmp_path: Path) -> None:
    """Empty files of two classes have equal bytes, and nobody disagrees about their label."""
    source = fill(tmp_path / "in", {"a/1.jpg": b"", "b/2.jpg": b"", "a/3.jpg": picture(1), "b/4.jpg": picture(2)})
    result = import_dataset([source], tmp_path / "out")
    assert result.kinds() == {"damaged": 2}
    assert "copy of in/a/1.jpg" in result.rejected[1].reason
