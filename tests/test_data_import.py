"""Importing folders and archives: labels, copies, damage, hostile archives, kill and resume."""

from __future__ import annotations

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
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from impasto.cli import main
from impasto.data import importing, sources
from impasto.data.dataset import read_dataset
from impasto.data.importing import ImportConfig, import_dataset
from impasto.data.labels import Columns
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


def set_aside(result: importing.ImportResult) -> dict[str, str]:
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
    monkeypatch.setattr(sources, "HARMLESS_BYTES", 2**20)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cats/a.jpg", bytes(2**22))
    tarred(tmp_path / "bomb.tgz", {"cats/a.jpg": bytes(2**22)})
    for name in ("bomb.zip", "bomb.tgz"):
        with pytest.raises(DataError, match="no pictures compress so well"):
            import_dataset([tmp_path / name], tmp_path / "out")
    monkeypatch.setattr(sources, "MOST_FILES", 2)
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
            time.sleep(0.005)
        assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True)
    assert outputs(tmp_path / "out") == outputs(tmp_path / "whole")


def test_the_command_tells_what_it_did(tmp_path: Path) -> None:
    source = fill(tmp_path / "in", TWO_CLASSES | {"cats/bad.jpg": b"x"})
    arguments = ["dataset", "import", str(source), "-o", str(tmp_path / "out")]
    shown = CliRunner().invoke(main.app, [*arguments, "--rename", "cats=felines", "--json"])
    assert shown.exit_code == 0, shown.output
    told = json.loads(shown.stdout)
    assert told["classes"] == {"dogs": 1, "felines": 2}
    assert told["set_aside"] == {"damaged": 1}
    wrong = CliRunner().invoke(main.app, [*arguments, "--rename", "cats"])
    assert isinstance(wrong.exception, UsageError)
