"""Whole files or none, and run folders that resume."""

from __future__ import annotations

import contextlib
import dataclasses
import doctest
import errno
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto import runs
from impasto.errors import ResourceError, RunError, UsageError
from impasto.files import atomic_path, file_digest, write_bytes, write_text
from impasto.images import save_picture
from impasto.runs import RunFolder, digest, read_json, to_plain, write_csv, write_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let the system refuse to write beyond ``size`` bytes of a file, as a full disk or quota does."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_appears_whole_with_its_folders(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "b" / "c.bin", b"123")
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"123"
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["c.bin"]


def test_nobody_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    write_text(path, "before")
    with atomic_path(path) as temporary:
        temporary.write_text("aft")
        assert path.read_text() == "before"
        assert temporary.parent == path.parent
        assert temporary.suffix == path.suffix
        temporary.write_text("after")
        before = path.stat().st_ino
    assert path.read_text() == "after"
    assert path.stat().st_ino != before  # who still reads the former file reads it to its end


def write_half(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise KeyError


def test_a_failure_leaves_the_former_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    write_text(path, "before")
    with pytest.raises(KeyError):
        write_half(path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "x.txt", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.txt").stat().st_mode) == 0o640


def test_killed_in_the_middle(tmp_path: Path) -> None:
    """After SIGKILL the former file is whole; the next run takes the debris away."""
    RunFolder(tmp_path / "run", {"seed": 1}, "test")
    write_text(tmp_path / "run" / "x.txt", "before")
    code = (
        "import os, sys; from pathlib import Path; from impasto.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('ha'); os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", code, tmp_path / "run" / "x.txt"], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "run" / "x.txt").read_text() == "before"
    assert len(list((tmp_path / "run").glob(".partial-*"))) == 1
    RunFolder(tmp_path / "run", {"seed": 1}, "test")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.json", "x.txt"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    write_text(tmp_path / "x.txt", "before")
    with file_size_limit(1000), pytest.raises(ResourceError, match=r"x\.txt") as caught:
        write_bytes(tmp_path / "x.txt", bytes(5000))
    assert "space" in caught.value.hint
    assert (tmp_path / "x.txt").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]


@pytest.mark.parametrize("name", ["p.png", "p.jpg", "p.webp", "p.tif"])
def test_a_picture_on_a_full_disk(tmp_path: Path, name: str) -> None:
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with file_size_limit(1000), pytest.raises(ResourceError, match=name):
        save_picture(noise, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_every_kind_of_full_is_recognised(tmp_path: Path, number: int) -> None:
    with pytest.raises(ResourceError, match="full"), atomic_path(tmp_path / "x"):
        raise OSError(number, os.strerror(number))


def test_trouble_of_the_caller_passes_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="other"), atomic_path(tmp_path / "x"):
        (tmp_path / "other").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_places_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "x.txt", tmp_path / "folder", tmp_path / ("n" * 300) / "x"):
        with pytest.raises(UsageError, match="could not be written"):
            write_text(path, "x")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


def test_the_digest_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc" * 99999)
    assert file_digest(tmp_path / "x") == hashlib.sha256(b"abc" * 99999).hexdigest()


@dataclasses.dataclass
class Config:
    style: Path
    layers: tuple[str, ...]


def test_json_holds_records_paths_and_any_letters(tmp_path: Path) -> None:
    write_json(tmp_path / "c.json", {"config": Config(Path("é.jpg"), ("relu1_1",)), 3: None})
    assert read_json(tmp_path / "c.json") == {"config": {"style": "é.jpg", "layers": ["relu1_1"]}, "3": None}
    assert "é" in (tmp_path / "c.json").read_text(encoding="utf-8")


def test_sets_have_an_order_in_json() -> None:
    """Text hashes differ from process to process, so a set of names comes in any order."""
    assert to_plain(set("impasto")) == sorted(set("impasto"))


def test_an_unreadable_json_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_bytes(b'{"a": \xff')
    with pytest.raises(RunError, match=r"c\.json is damaged"):
        read_json(tmp_path / "c.json")
    with pytest.raises(RunError, match=r"d\.json does not exist"):
        read_json(tmp_path / "d.json")


def test_tables_are_quoted_and_their_columns_checked(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", [{"path": 'a,"b".jpg', "n": 1}], ["path", "n"])
    assert (tmp_path / "t.csv").read_text() == 'path,n\n"a,""b"".jpg",1\n'
    with pytest.raises(ValueError, match="other"):
        write_csv(tmp_path / "u.csv", [{"path": "a", "other": 1}], ["path"])
    assert not (tmp_path / "u.csv").exists()


@given(st.dictionaries(st.text(max_size=5), JSON, min_size=1, max_size=5), st.randoms())
def test_the_digest_does_not_depend_on_the_order_of_keys(config: dict[str, object], random: object) -> None:
    keys = list(config)
    random.shuffle(keys)  # type: ignore[attr-defined]
    assert digest({key: config[key] for key in keys}) == digest(config)


@given(JSON)
def test_a_value_and_its_json_have_one_digest(value: object) -> None:
    assert digest(json.loads(json.dumps(to_plain(value)))) == digest(value)


@given(JSON, JSON)
def test_different_values_have_different_digests(first: object, second: object) -> None:
    assert (json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)) == (
        digest(first) == digest(second)
    )


def test_the_configuration_comes_first_and_the_manifest_last(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", {"seed": 1, "style": Path("s.jpg")}, "stylize")
    config = read_json(tmp_path / "run" / "config.json")
    assert config["procedure"] == "stylize"
    assert (config["seed"], config["style"]) == (1, "s.jpg")
    assert not run.finished
    run.finish(steps=200)
    assert run.finished
    manifest = read_json(tmp_path / "run" / "manifest.json")
    assert (manifest["steps"], manifest["config"]) == (200, digest(config))


def test_the_same_configuration_goes_on_where_it_stopped(tmp_path: Path) -> None:
    config = {"seed": 1, "layers": ("relu1_1", "relu2_1"), "weights": {"a": 0.1}}
    RunFolder(tmp_path / "run", config, "train")
    write_text(tmp_path / "run" / "half.csv", "1")
    assert not RunFolder(tmp_path / "run", config, "train").finished
    assert (tmp_path / "run" / "half.csv").read_text() == "1"


def test_another_configuration_is_refused_and_the_difference_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RunFolder(tmp_path / "run", {"seed": 1, "steps": 5, "size": 64}, "train")
    before = (tmp_path / "run" / "config.json").read_bytes()
    monkeypatch.setattr(runs, "__version__", "0.0.0")
    with pytest.raises(RunError, match="differs in seed, strength, version") as caught:
        RunFolder(tmp_path / "run", {"seed": 2, "steps": 5, "size": 64, "strength": 1}, "train")
    assert "steps" not in caught.value.message
    assert (tmp_path / "run" / "config.json").read_bytes() == before


def test_the_run_of_another_procedure_is_refused(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run", {"seed": 1}, "train")
    with pytest.raises(RunError, match="differs in procedure"):
        RunFolder(tmp_path / "run", {"seed": 1}, "evaluate")


def test_a_folder_with_other_peoples_files_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match="not empty"):
        RunFolder(tmp_path, {"seed": 1}, "train")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_empty_folder_is_taken_and_a_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    RunFolder(tmp_path / "empty", {}, "train")
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="is a file"):
        RunFolder(tmp_path / "file", {}, "train")


@pytest.mark.parametrize("content", ["", "{", "[1, 2]"])
def test_a_damaged_configuration_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(RunError, match=r"config\.json"):
        RunFolder(tmp_path, {"seed": 1}, "train")


def test_leftovers_of_a_crash_are_removed_in_folders_below_too(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run", {}, "train")
    (tmp_path / "run" / "below").mkdir()
    for name in (".partial-a.png", "below/.partial-b.csv"):
        (tmp_path / "run" / name).touch()
    RunFolder(tmp_path / "run", {}, "train")
    assert list((tmp_path / "run").rglob(".partial-*")) == []


def test_a_crash_before_the_configuration_was_written_does_not_block_the_folder(tmp_path: Path) -> None:
    (tmp_path / ".partial-x.json").touch()
    RunFolder(tmp_path, {"seed": 1}, "train")
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_the_examples_in_the_docstrings() -> None:
    outcome = doctest.testmod(runs)
    assert outcome.attempted >= 1
    assert outcome.failed == 0


def test_names_that_are_no_utf8_come_back_from_json(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    write_json(tmp_path / "a.json", {"path": Path(name)})
    assert read_json(tmp_path / "a.json") == {"path": name}
    assert digest(name) != digest("caf?.png")
