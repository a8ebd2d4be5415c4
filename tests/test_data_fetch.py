"""Public sources: the catalogue, downloads that break, clients against a server on this machine, and the command."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.io import savemat
from typer.testing import CliRunner

from fetch_fixtures import Served, Server, picture, serving, sha256, tar_bytes, tree, zip_bytes
from impasto.cli import main
from impasto.data.fetch import catalogue, transfer
from impasto.data.fetch.catalogue import CATALOGUE, find_source
from impasto.data.fetch.downloads import downloads_folder, obtain
from impasto.data.fetch.fetching import FetchConfig, fetch_dataset
from impasto.data.fetch.public_source import PublicSource
from impasto.data.fetch.remote import RemoteFile
from impasto.data.importing.records import ImportConfig
from impasto.errors import DataError, ResourceError, RunError, UnknownNameError, UsageError
from impasto.runtime import Progress

DATA = bytes(range(256)) * 4000  # about a megabyte


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(transfer, "WAITS", (0.0, 0.0, 0.0))
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


def offer(server: Server, data: bytes = DATA, **how: object) -> RemoteFile:
    server.files["/a.bin"] = Served(data, **how)  # type: ignore[arg-type]
    return RemoteFile("a.bin", f"{server.url}/a.bin", len(data), sha256=sha256(data))


def source_of(server: Server, files: dict[str, bytes], **fields: object) -> PublicSource:
    """A record for the files, which the server has."""
    for name, data in files.items():
        server.files[f"/{name}"] = Served(data)
    remote = tuple(
        RemoteFile(name, f"{server.url}/{name}", len(data), sha256=sha256(data)) for name, data in files.items()
    )
    usual = {
        "name": "sample",
        "title": "Sample",
        "about": "a sample",
        "pictures": 4,
        "size": 1,
        "licence": "CC0",
        "terms": "None.",
        "restricted": False,
        "home": "https://example.org/sample",
        "transport": "http",
        "files": remote,
    }
    return PublicSource(**{**usual, **fields})  # type: ignore[arg-type]


# Files over HTTP


def test_a_file_is_fetched_once_and_verified(server: Server, tmp_path: Path) -> None:
    file = offer(server)
    seen: list[Progress] = []
    first = obtain(file, tmp_path, on_progress=seen.append)
    assert first.path.read_bytes() == DATA
    assert (first.size, first.sha256, first.checksum) == (len(DATA), sha256(DATA), "sha256")
    assert (seen[-1].stage, seen[-1].step, seen[-1].total) == ("a.bin", 0, 0)  # of a megabyte
    assert obtain(file, tmp_path) == first
    assert len(server.requests) == 1
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["a.bin"]


def test_progress_ends_at_its_total(server: Server, tmp_path: Path) -> None:
    seen: list[Progress] = []
    obtain(offer(server, bytes(5 * 2**20 + 3)), tmp_path, on_progress=seen.append)
    assert (seen[-1].step, seen[-1].total) == (5, 5)
    assert all(each.step <= each.total for each in seen)


def test_a_broken_connection_is_resumed_where_it_broke(server: Server, tmp_path: Path) -> None:
    file = offer(server, breaks=[300_000, 300_000])
    assert obtain(file, tmp_path).path.read_bytes() == DATA
    assert server.asked("/a.bin") == ["", "bytes=300000-", "bytes=600000-"]


def test_what_is_left_of_a_killed_run_is_resumed(server: Server, tmp_path: Path) -> None:
    file = offer(server, breaks=[300_000] + [0] * 9)
    with pytest.raises(DataError, match=r"could not be fetched.*ended after 293\.0 kB of"):
        obtain(file, tmp_path, hint="Ask a friend.")
    assert (tmp_path / "a.bin.part").read_bytes() == DATA[:300_000]
    server.files["/a.bin"].breaks.clear()
    server.requests.clear()
    assert obtain(file, tmp_path).path.read_bytes() == DATA
    assert server.asked("/a.bin") == ["bytes=300000-"]
    assert not list(tmp_path.glob("a.bin.part*"))


def test_another_version_on_the_server_starts_anew(server: Server, tmp_path: Path) -> None:
    """Also without a published checksum, which would find it out at the end: If-Range asks for the same version."""
    other = bytes(reversed(DATA))
    file = dataclasses.replace(offer(server, breaks=[300_000] + [0] * 9), sha256="", size=0)
    with pytest.raises(DataError):
        obtain(file, tmp_path)
    server.files["/a.bin"] = Served(other, etag='"two"')
    found = obtain(file, tmp_path)
    assert found.path.read_bytes() == other
    assert (found.sha256, found.checksum) == (sha256(other), "")


@pytest.mark.parametrize(
    ("how", "asked"),
    [
        ({"ranges": False}, ["bytes=300000-"]),
        ({"etag": ""}, [""]),  # without a name for the version nobody could tell that both halves are of one
        ({"etag": 'W/"weak"'}, [""]),
        ({"etag": "", "headers": {"Last-Modified": "Sat, 01 Jan 2022 00:00:00 GMT"}}, ["bytes=300000-"]),
        ({"headers": {"Content-Range": "bytes 5-9/10"}}, ["bytes=300000-", ""]),  # another part than the one asked for
    ],
)
def test_what_cannot_be_joined_is_fetched_anew(
    server: Server, tmp_path: Path, how: dict[str, object], asked: list[str]
) -> None:
    file = dataclasses.replace(offer(server, breaks=[300_000], **how), sha256="")
    assert obtain(file, tmp_path).path.read_bytes() == DATA
    assert server.asked("/a.bin") == ["", *asked]


def test_a_server_that_breaks_often_is_asked_as_long_as_it_brings_something(server: Server, tmp_path: Path) -> None:
    file = offer(server, breaks=[100_000] * 9)
    assert obtain(file, tmp_path).path.read_bytes() == DATA
    assert len(server.requests) == 10


def test_halves_of_two_versions_are_never_joined(server: Server, tmp_path: Path) -> None:
    """A server without version names: the checksum finds it out, and the file is fetched once more from the start."""
    file = offer(server, etag="")
    (tmp_path / "a.bin.part").write_bytes(bytes(1000))
    assert obtain(file, tmp_path).path.read_bytes() == DATA
    assert server.asked("/a.bin") == ["bytes=1000-", ""]


def test_a_part_that_is_complete_needs_no_request(server: Server, tmp_path: Path) -> None:
    file = offer(server)
    (tmp_path / "a.bin.part").write_bytes(DATA)
    assert obtain(file, tmp_path).path.read_bytes() == DATA
    assert server.requests == []
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.bin.part").write_bytes(DATA + b"more")  # than the server has: it says 416
    assert obtain(file, tmp_path / "b").path.read_bytes() == DATA


def test_no_length_and_passing_errors(server: Server, tmp_path: Path) -> None:
    file = dataclasses.replace(offer(server, length=False, statuses=[503, 429, 200]), size=0)
    assert obtain(file, tmp_path).path.read_bytes() == DATA
    assert len(server.requests) == 3


def test_errors_that_will_not_pass_are_told_at_once(server: Server, tmp_path: Path) -> None:
    file = RemoteFile("a.bin", f"{server.url}/gone")
    with pytest.raises(DataError, match="the server answers 404") as caught:
        obtain(file, tmp_path, hint="Ask a friend.")
    assert caught.value.hint == "Ask a friend."
    assert len(server.requests) == 1
    offer(server, statuses=[500] * 9)
    with pytest.raises(DataError, match="answers 500"):
        obtain(RemoteFile("a.bin", f"{server.url}/a.bin"), tmp_path)
    assert len(server.requests) == 1 + 3


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"<p>log in</p>", "text/html; charset=utf-8"), (b"\n<!DOCTYPE HTML>" + bytes(99), "application/zip")],
)
def test_a_web_page_is_no_archive(server: Server, tmp_path: Path, data: bytes, kind: str) -> None:
    offer(server, data, kind=kind)
    with pytest.raises(DataError, match=r"sent a web page in place of a\.bin"):
        obtain(RemoteFile("a.bin", f"{server.url}/a.bin"), tmp_path)
    assert not list(tmp_path.glob("a.bin*"))


def test_a_wrong_checksum_keeps_nothing(server: Server, tmp_path: Path) -> None:
    file = offer(server)
    for wrong, message in (
        ({"sha256": "0" * 64}, "its SHA-256 is"),
        ({"sha256": "", "md5": "1" * 32}, "its MD5 is"),
        ({"size": 7}, "offers 1,024,000 bytes, the published file has 7"),
    ):
        with pytest.raises(DataError, match=message):
            obtain(dataclasses.replace(file, **wrong), tmp_path)  # type: ignore[arg-type]
    assert not [path for path in tmp_path.iterdir() if path.name in ("a.bin", "a.bin.part")]
    right = dataclasses.replace(file, sha256="", md5=hashlib.md5(DATA, usedforsecurity=False).hexdigest())
    assert obtain(right, tmp_path).checksum == "md5"


def test_a_file_put_there_by_hand_is_verified_and_needs_no_network(tmp_path: Path) -> None:
    file = RemoteFile("a.bin", "http://127.0.0.1:9/a.bin", len(DATA), sha256=sha256(DATA))
    (tmp_path / "a.bin").write_bytes(DATA)
    assert obtain(file, tmp_path).sha256 == sha256(DATA)
    (tmp_path / "a.bin").write_bytes(DATA[:-1])
    with pytest.raises(DataError, match="has 1,023,999 bytes") as caught:
        obtain(file, tmp_path, hint="Ask a friend.")
    assert caught.value.hint == "Remove it and run the command again. Ask a friend."
    assert (tmp_path / "a.bin").is_file()


def test_without_a_network_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "WAITS", (60.0, 60.0))
    for url in ("http://127.0.0.1:9/a.bin", "http://no-such-host.invalid/a.bin"):
        with pytest.raises(DataError, match="could not be fetched"):
            obtain(RemoteFile("a.bin", url), tmp_path)


def test_the_disk_is_asked_first(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = offer(server)
    monkeypatch.setattr(transfer, "free_disk", lambda _: 1000)
    with pytest.raises(ResourceError, match=r"needs 1000\.0 kB more, .* has 1000 B free"):
        obtain(file, tmp_path)
    assert not (tmp_path / "a.bin.part").exists()


def test_a_full_disk_and_a_folder_that_cannot_be_made_are_errors_of_ours(server: Server, tmp_path: Path) -> None:
    file = offer(server)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="could not be made") as caught:
        obtain(file, tmp_path / "file" / "downloads")
    assert "IMPASTO_CACHE" in caught.value.hint
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, before[1]))
    try:
        with pytest.raises(ResourceError, match="the disk is full"):
            obtain(file, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, former)
    assert 0 < (tmp_path / "a.bin.part").stat().st_size <= 400_000
    assert obtain(file, tmp_path).path.read_bytes() == DATA


def test_an_encrypted_connection_is_not_given_up() -> None:
    request = transfer.urllib.request.Request("https://example.org/a.zip")
    handler = transfer._Redirects()
    with pytest.raises(DataError, match="not encrypted"):
        handler.redirect_request(request, io.BytesIO(), 302, "", {}, "http://example.org/b.zip")
    assert handler.redirect_request(request, io.BytesIO(), 302, "", {}, "https://example.com/b.zip")


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    offer(server)
    server.files["/old"] = Served(b"", statuses=[302], headers={"Location": f"{server.url}/a.bin"})
    assert obtain(RemoteFile("a.bin", f"{server.url}/old"), tmp_path).path.read_bytes() == DATA


def test_two_processes_do_not_write_one_file(server: Server, tmp_path: Path) -> None:
    from filelock import FileLock

    with FileLock(tmp_path / ".a.bin.part.lock"), pytest.raises(RunError, match=r"another process is fetching a\.bin"):
        obtain(offer(server), tmp_path)


# The catalogue


def test_records_are_complete_and_checksums_look_like_checksums() -> None:
    assert {"caltech101", "art-media", "wikiart", "best-artworks", "coco-val2017", "coco-train2014"} <= set(CATALOGUE)
    for name, source in CATALOGUE.items():
        assert source.name == name
        assert min(source.pictures, source.size, len(source.title), len(source.about), len(source.licence)) > 0
        assert source.home.startswith("https://")
        for file in source.files:
            assert "/" not in file.name or source.transport == "hub"
            assert re.fullmatch(r"([0-9a-f]{32})?", file.md5)
            assert re.fullmatch(r"([0-9a-f]{64})?", file.sha256)
            if source.transport in ("http", "torchvision"):
                assert file.sha256 or file.md5
                assert sum(each.size for each in source.files) == pytest.approx(source.size, rel=1e-3)
        re.compile(source.config.label_regex)


def test_checksums_agree_with_torchvision() -> None:
    """Those that it publishes under names of its own: seen here, used nowhere."""
    from torchvision import datasets

    files = {file.name: file for source in CATALOGUE.values() for file in source.files}
    assert files["dtd-r1.0.1.tar.gz"].md5 == datasets.DTD._MD5
    assert (files["images.tar.gz"].url, files["images.tar.gz"].md5) == datasets.OxfordIIITPet._RESOURCES[0]
    assert (files["imagenette2-320.tgz"].url, files["imagenette2-320.tgz"].md5) == datasets.Imagenette._ARCHIVES[
        "320px"
    ]
    for name, md5 in datasets.Flowers102._file_dict.values():
        assert (files[name].url, files[name].md5) == (datasets.Flowers102._download_url_prefix + name, md5)


def test_an_unknown_source_and_wrong_usage() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean wikiart"):
        find_source("wikiarts")
    for arguments in (["dataset", "fetch"], ["dataset", "fetch", "caltech101"]):
        assert isinstance(CliRunner().invoke(main.app, arguments).exception, UsageError)


def test_the_list_shows_every_source_with_its_terms() -> None:
    shown = CliRunner().invoke(main.app, ["dataset", "fetch", "--list"], env={"COLUMNS": "300"})
    for source in CATALOGUE.values():
        assert source.name in shown.stdout
        assert source.licence.split()[0] in shown.stdout
    told = json.loads(CliRunner().invoke(main.app, ["dataset", "fetch", "--list", "--json"]).stdout)
    assert [each["name"] for each in told] == list(CATALOGUE)
    assert told[0]["files"][0]["md5"] == "3138e1922a9193bfa496528edbbc45d0"


# From the source to the data set


def caltech(server: Server, count: int = 3) -> PublicSource:
    """The layout of the official zip: an archive inside, and another with annotations."""
    pictures = {
        f"101_ObjectCategories/{label}/image_{index:04d}.jpg": picture(10 * place + index)
        for place, label in enumerate(("crab", "scorpion", "BACKGROUND_Google"))
        for index in range(1, count + 1)
    }
    data = zip_bytes(
        {
            "caltech-101/101_ObjectCategories.tar.gz": tar_bytes(pictures),
            "caltech-101/Annotations.tar": tar_bytes({"Annotations/crab/annotation_0001.mat": b"x"}, "w"),
            "caltech-101/show_annotation.m": b"% matlab",
            "__MACOSX/caltech-101/._101_ObjectCategories.tar.gz": b"dropping",
        }
    )
    source = source_of(server, {"caltech-101.zip": data})
    return dataclasses.replace(find_source("caltech101"), files=source.files)


def test_an_archive_in_an_archive_becomes_a_data_set_with_its_origin_on_record(server: Server, tmp_path: Path) -> None:
    source = caltech(server)
    result = fetch_dataset(source, tmp_path / "out")
    assert result.dataset.counts() == {"crab": 3, "scorpion": 3}
    kinds = {each.path: each.kind for each in result.rejected if "BACKGROUND" not in each.path}
    assert kinds == {
        "caltech-101.zip/caltech-101/Annotations.tar": "no picture",
        "caltech-101.zip/caltech-101/show_annotation.m": "no picture",
    }
    origin = json.loads((tmp_path / "out" / "manifest.json").read_text())["origin"]
    assert (origin["source"], origin["licence"], origin["home"]) == ("caltech101", "CC BY 4.0", source.home)
    file = source.files[0]
    assert origin["downloads"] == [
        {
            "file": "caltech-101.zip",
            "url": file.url,
            "bytes": file.size,
            "sha256": file.sha256,
            "verified": "the published sha256",
        }
    ]
    assert downloads_folder("caltech101") == tmp_path / "cache" / "downloads" / "caltech101"
    assert (downloads_folder("caltech101") / "caltech-101.zip").is_file()


def test_a_finished_data_set_is_left_as_it_is_and_another_is_refused(server: Server, tmp_path: Path) -> None:
    source = caltech(server)
    first = fetch_dataset(source, tmp_path / "out", FetchConfig(classes=("scorpion,crab",), per_class=2))
    server.requests.clear()
    (downloads_folder("caltech101") / "caltech-101.zip").unlink()
    again = fetch_dataset(source, tmp_path / "out", FetchConfig(classes=("crab", "scorpion"), per_class=2))
    assert (again.decoded, again.dataset, server.requests) == (0, first.dataset, [])
    with pytest.raises(RunError, match="holds another data set"):
        fetch_dataset(source, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="is not empty"):
        fetch_dataset(source, tmp_path / "mine")
    assert server.requests == []


def test_some_pictures_of_some_classes(server: Server, tmp_path: Path) -> None:
    source = caltech(server, 8)
    config = FetchConfig(classes=("crab",), per_class=5, seed=3)
    result = fetch_dataset(source, tmp_path / "out", config)
    assert result.dataset.counts() == {"crab": 5}
    short = fetch_dataset(source, tmp_path / "short", dataclasses.replace(config, per_class=100))
    assert short.remarks == ("crab has 8 pictures, 92 fewer than asked for",)
    with pytest.raises(UnknownNameError, match="Did you mean crab"):
        fetch_dataset(source, tmp_path / "other", FetchConfig(classes=("crabs",)))
    with pytest.raises(UsageError, match="no columns"):
        fetch_dataset(source, tmp_path / "other", FetchConfig(label_column="artist"))


def test_offline_the_error_says_what_to_do_and_then_it_works(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the three ways it names is gone: the file put there, the same command, and the import command."""
    source = caltech(server)
    data = server.files["/caltech-101.zip"].data
    dead = dataclasses.replace(source.files[0], url="http://127.0.0.1:9/caltech-101.zip")
    monkeypatch.setitem(catalogue.CATALOGUE, "caltech101", dataclasses.replace(source, files=(dead,)))
    arguments = ["dataset", "fetch", "caltech101", "-o", str(tmp_path / "out"), "--classes", "crab", "--per-class", "2"]
    failed = CliRunner().invoke(main.app, arguments)
    assert isinstance(failed.exception, DataError)
    assert "could not be fetched from http://127.0.0.1:9/caltech-101.zip" in failed.exception.message
    folder = tmp_path / "cache" / "downloads" / "caltech101"
    hint = failed.exception.hint
    assert hint.startswith(
        f"Download caltech-101.zip ({len(data) / 1024:.1f} kB) by hand from {source.home}, put it into "
    )
    assert f"into {folder}, and run the same command again." in hint
    (folder / "caltech-101.zip").write_bytes(data)
    command = shlex.split(hint.partition("Or import what you have: ")[2])
    assert command[:4] == ["impasto", "dataset", "import", str(folder / "caltech-101.zip")]
    assert command[command.index("--rename") + 1] == "BACKGROUND_Google="
    told = CliRunner().invoke(main.app, [*command[1:], "-o", str(tmp_path / "imported"), "--json"])
    assert json.loads(told.stdout)["classes"] == {"crab": 2}
    told = CliRunner().invoke(main.app, [*arguments, "--json"])
    assert json.loads(told.stdout)["classes"] == {"crab": 2}
    assert tree(tmp_path / "out" / "crab") == tree(tmp_path / "imported" / "crab")


def test_the_command_prints_the_terms(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = dataclasses.replace(caltech(server), name="sample", restricted=True, terms="Only look.")
    monkeypatch.setitem(catalogue.CATALOGUE, "sample", source)
    arguments = ["dataset", "fetch", "sample", "-o", str(tmp_path / "out"), "--per-class", "9"]
    shown = CliRunner().invoke(main.app, arguments)
    assert shown.exit_code == 0, shown.output
    assert "licence: CC BY 4.0. Only look." in shown.stderr
    assert "research or non-commercial use only" in shown.stderr
    assert "crab has 3 pictures, 6 fewer than asked for" in shown.stderr
    assert shown.stdout.strip() == str(tmp_path / "out")


def test_killed_at_any_moment_the_same_command_goes_on(server: Server, tmp_path: Path) -> None:
    """Killed while downloading and while importing; the end has the bytes of an undisturbed run."""
    files = {f"{'crab' if index % 2 else 'bird'}/{index}.jpg": picture(index, (400, 300)) for index in range(120)}
    source = source_of(server, {"a.zip": zip_bytes(files)})
    fetch_dataset(source, tmp_path / "whole")
    (downloads_folder("sample") / "a.zip").unlink()
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, dataclasses\n"
        "from pathlib import Path\n"
        "from impasto.data.fetch.fetching import fetch_dataset\n"
        "from impasto.data.fetch.public_source import PublicSource\n"
        "from impasto.data.fetch.remote import RemoteFile\n"
        f"files = (RemoteFile('a.zip', {source.files[0].url!r}, {source.files[0].size}, "
        f"sha256={source.files[0].sha256!r}),)\n"
        "source = PublicSource('sample', 'Sample', 'a sample', 4, 1, 'CC0', 'None.', False, "
        "'https://example.org/sample', 'http', files)\n"
        f"fetch_dataset(source, Path({str(tmp_path / 'out')!r}))\n"
    )
    server.files["/a.zip"].breaks += [200_000]
    server.files["/a.zip"].statuses += [200, *[503] * 50]
    part = downloads_folder("sample") / "a.zip.part"
    kill_when(script, lambda: part.is_file() and part.stat().st_size >= 200_000)
    server.files["/a.zip"].statuses.clear()
    kill_when(script, lambda: len(list((tmp_path / "out").rglob("*.jpg"))) > 20)
    assert "bytes=200000-" in server.asked("/a.zip")
    fetch_dataset(source, tmp_path / "out")
    manifests = [json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("out", "whole")]
    assert manifests[0]["origin"] == manifests[1]["origin"]
    left, right = (
        {name: data for name, data in tree(tmp_path / each).items() if not name.endswith(".json")}
        for each in ("out", "whole")
    )
    assert left == right


def kill_when(script: Path, ready: object) -> None:
    process = subprocess.Popen([sys.executable, str(script)])
    until = time.monotonic() + 60
    while process.poll() is None and not ready() and time.monotonic() < until:  # type: ignore[operator]
        time.sleep(0.005)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


# R2's archives, and Kaggle's client


MEDIA = {
    "dataset/dataset_updated/training_set/drawings/a.jpg": picture(1),
    "dataset/dataset_updated/training_set/painting/b.jpeg": picture(2),
    "dataset/dataset_updated/validation_set/sculpture/c.jpg": picture(3),
    "dataset/dataset_updated/training_set/engraving/bad.jpg": b"GIF89a of no use",
    "dataset/dataset_updated/training_set/painting/Thumbs.db": b"x",
    "dataset/art-junk/cover.jpg": picture(9),
    "musemart/dataset_updated/training_set/drawings/a.jpg": picture(1),
    "musemart/dataset_updated/training_set/iconography/d.jpg": picture(4),
}


@pytest.fixture
def kaggle(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The real client, its requests sent to a server here: its own test environment has a fixed port."""
    from kagglesdk import kaggle_env

    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, server.url)
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kagglehub"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "none"))
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    service = "/api/v1/datasets.DatasetApiService"
    facts = json.dumps({"currentVersionNumber": 2}).encode()
    server.files[f"{service}/GetDataset"] = Served(facts, kind="application/json")
    server.files[f"{service}/DownloadDataset"] = Served(zip_bytes(MEDIA), kind="application/zip", ranges=False)
    return server


def check_media(result: object, folder: Path) -> None:
    dataset = result.dataset  # type: ignore[attr-defined]
    assert dataset.split("train").counts() == {"drawings": 1, "iconography": 1, "painting": 1}
    assert dataset.split("validation").counts() == {"sculpture": 1}
    assert result.kinds() == {"damaged": 1, "no label": 1, "copy": 1}  # type: ignore[attr-defined]
    assert (folder / "train/painting/b.jpg").read_bytes() == picture(2)


def test_kaggles_client_fetches_and_overlapping_archives_are_merged(kaggle: Server, tmp_path: Path) -> None:
    result = fetch_dataset(find_source("art-media"), tmp_path / "out")
    check_media(result, tmp_path / "out")
    handle = "thedownhill/art-images-drawings-painting-sculpture-engraving"
    assert (tmp_path / "kagglehub" / "datasets" / handle / "versions" / "2").is_dir()
    download = json.loads((tmp_path / "out" / "manifest.json").read_text())["origin"]["downloads"][0]
    assert (download["file"], len(download["sha256"])) == ("2", 64)
    assert download["verified"] == "no published checksum; the digest found is recorded"
    asked = len(kaggle.requests)
    fetch_dataset(find_source("art-media"), tmp_path / "out")
    assert len(kaggle.requests) == asked


def test_kaggles_archive_put_there_by_hand_needs_no_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    source = find_source("art-media")
    with pytest.raises(DataError, match="not installed") as caught:
        fetch_dataset(source, tmp_path / "out")
    folder = downloads_folder("art-media")
    assert f"Download archive.zip by hand from {source.home}, put it into {folder}" in caught.value.hint
    (folder / "archive.zip").write_bytes(zip_bytes(MEDIA))
    check_media(fetch_dataset(source, tmp_path / "out"), tmp_path / "out")
    # As it was once published: two archives in one.
    inner = {name: {k: v for k, v in MEDIA.items() if k.startswith(name)} for name in ("dataset", "musemart")}
    nested = {f"{name}.zip": zip_bytes(files) for name, files in inner.items()}
    (folder / "archive.zip").write_bytes(zip_bytes(nested))
    check_media(fetch_dataset(source, tmp_path / "nested"), tmp_path / "nested")


def test_kaggles_refusal_is_told_with_what_to_do(kaggle: Server, tmp_path: Path) -> None:
    kaggle.files.clear()
    with pytest.raises(DataError, match="could not be fetched from Kaggle: 404") as caught:
        fetch_dataset(find_source("best-artworks"), tmp_path / "out")
    assert "archive.zip by hand" in caught.value.hint


def test_spoilt_names_are_mended_where_they_are_there(tmp_path: Path) -> None:
    folder = downloads_folder("best-artworks")
    folder.mkdir(parents=True)
    files = {
        "images/images/Albrecht_Du╠êrer/Albrecht_Du╠êrer_1.jpg": picture(1),
        "images/images/Albrecht_DuΓòá├¬rer/Albrecht_DuΓòá├¬rer_1.jpg": picture(1),
        "images/images/Claude_Monet/Claude_Monet_1.jpg": picture(2),
        "resized/resized/Claude_Monet_1.jpg": picture(3),
    }
    (folder / "archive.zip").write_bytes(zip_bytes(files))
    result = fetch_dataset(find_source("best-artworks"), tmp_path / "out")
    assert result.dataset.counts() == {"Albrecht_Dürer": 1, "Claude_Monet": 1}
    assert result.kinds() == {"copy": 1, "no label": 1}


# torchvision


def test_torchvision_reads_its_own_labels(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real class on files of its layout; only the checksums that it knows are those of these files."""
    from torchvision import datasets

    labels, splits = io.BytesIO(), io.BytesIO()
    savemat(labels, {"labels": [[1, 1, 2, 3, 2, 1]]})
    savemat(splits, {"trnid": [[1, 3]], "valid": [[2, 4]], "tstid": [[5, 6]]})
    files = {
        "102flowers.tgz": tar_bytes({f"jpg/image_{index:05d}.jpg": picture(index) for index in range(1, 7)}),
        "imagelabels.mat": labels.getvalue(),
        "setid.mat": splits.getvalue(),
    }
    source = dataclasses.replace(find_source("flowers102"), files=source_of(server, files).files)
    known = {
        key: (name, hashlib.md5(files[name], usedforsecurity=False).hexdigest())
        for key, (name, _) in datasets.Flowers102._file_dict.items()
    }
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", known)
    scratch = downloads_folder("flowers102")
    (scratch / ".work-0").mkdir(parents=True)
    result = fetch_dataset(source, tmp_path / "out")
    by_split = {split: result.dataset.split(split).counts() for split in result.dataset.splits}
    assert by_split == {
        "train": {"hard-leaved pocket orchid": 1, "pink primrose": 1},
        "validation": {"canterbury bells": 1, "pink primrose": 1},
        "test": {"hard-leaved pocket orchid": 1, "pink primrose": 1},
    }
    assert result.rejected == ()
    assert {path.name for path in scratch.iterdir() if not path.name.startswith(".")} == set(files)
    assert (tmp_path / "out/train/pink primrose/image_00001.jpg").read_bytes() == picture(1)


def test_what_a_kill_left_of_unpacking_is_not_believed(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.data.fetch import clients as fetch_clients

    source = source_of(
        server, {"a.tgz": b"x"}, transport="torchvision", handle="Flowers102", folder="f", splits=("train",)
    )
    seen: list[bool] = []

    def labels(_: PublicSource, root: Path) -> Iterator[dict[str, str]]:
        seen.append((root / "f" / "stale.jpg").exists())
        (root / "f" / "a.jpg").write_bytes(picture(1))
        (root / "f" / "stale.jpg").write_bytes(picture(2))
        yield {"path": "a.jpg", "label": "x", "split": "train"}
        if len(seen) == 1:
            raise RuntimeError("killed, say")

    monkeypatch.setattr(fetch_clients, "_labels", labels)
    with pytest.raises(DataError, match="torchvision could not read"):
        fetch_dataset(source, tmp_path / "out")
    assert fetch_dataset(source, tmp_path / "out").dataset.counts() == {"x": 1}
    assert seen == [False, False]


# The hub


ARTISTS = ("Unknown Artist", "claude-monet", "vincent-van-gogh", "alfred-sisley")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
HANDLE = "/datasets/huggan/wikiart"


def shard_bytes(pictures: list[bytes], artists: list[int]) -> bytes:
    rows = [{"bytes": data, "path": None} for data in pictures]
    table = pa.table({"image": rows, "artist": artists, "style": [0] * len(rows), "genre": [0] * len(rows)})
    data = io.BytesIO()
    pq.write_table(table, data, row_group_size=3)
    return data.getvalue()


@pytest.fixture
def hub(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The real client on a repository of four files as huggan/wikiart has seventy-two; names are not in the schema."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    contents = {
        0: ([picture(0), picture(1), picture(2), b"damaged"], [1, 2, 1, 1]),
        1: ([picture(3), picture(0), picture(4)], [1, 1, 2]),
        2: ([picture(5), picture(6)], [0, 2]),
        3: ([picture(7), picture(8)], [3, 1]),
    }
    files = {f"data/train-{n:05d}-of-00004.parquet": shard_bytes(*content) for n, content in contents.items()}
    names = {"names": list(ARTISTS), "_type": "ClassLabel"}
    infos = {"huggan--wikiart": {"features": {"image": {"_type": "Image"}, "artist": names}}}
    files["dataset_infos.json"] = json.dumps(infos).encode()
    siblings = [
        {"rfilename": name, "size": len(data)}
        | ({"lfs": {"sha256": sha256(data), "size": len(data), "pointerSize": 9}} if "data/" in name else {})
        for name, data in files.items()
    ]
    info = Served(
        json.dumps({"id": "huggan/wikiart", "sha": COMMIT, "siblings": siblings}).encode(), "application/json"
    )
    server.files |= {f"/api{HANDLE}": info, f"/api{HANDLE}/revision/{COMMIT}": info}
    for name, data in files.items():
        server.files[f"{HANDLE}/resolve/{COMMIT}/{name}"] = Served(
            data, etag=f'"{sha256(data)}"', headers={"X-Repo-Commit": COMMIT}
        )
    return server


def shards_asked(server: Server) -> list[int]:
    found = (re.search(r"train-(\d+)-of", path) for method, path, _ in server.requests if method == "GET")
    return [int(match[1]) for match in found if match]


def test_no_more_files_are_fetched_than_are_needed(hub: Server, tmp_path: Path) -> None:
    """Three sound Monets are in the first two files, a fourth in the last; a damaged one and a copy do not count."""
    seen: list[tuple[int, int]] = []

    def look(progress: Progress) -> None:
        if progress.stage == "files":
            seen.append((progress.step, len(list(downloads_folder("wikiart").glob(".work-*/repository/data/*")))))

    config = FetchConfig(classes=("claude-monet",), per_class=3)
    result = fetch_dataset(find_source("wikiart"), tmp_path / "out", config, on_progress=look)
    assert result.dataset.counts() == {"claude-monet": 3}
    assert shards_asked(hub) == [0, 1]
    assert seen == [(1, 0), (2, 0)]  # a file goes when its rows are out
    origin = json.loads((tmp_path / "out" / "manifest.json").read_text())["origin"]
    assert origin["commit"] == COMMIT
    assert [each["verified"] for each in origin["downloads"]] == ["the published sha256"] * 2
    assert origin["downloads"][0]["url"].endswith(f"/resolve/{COMMIT}/data/train-00000-of-00004.parquet")
    assert tree(downloads_folder("wikiart")) == {}  # nothing stays
    more = fetch_dataset(find_source("wikiart"), tmp_path / "more", dataclasses.replace(config, per_class=4))
    assert more.dataset.counts() == {"claude-monet": 4}


def test_a_class_with_too_few_is_said_to_be_short(hub: Server, tmp_path: Path) -> None:
    config = FetchConfig(classes=("claude-monet,alfred-sisley",), per_class=2)
    result = fetch_dataset(find_source("wikiart"), tmp_path / "out", config)
    assert result.dataset.counts() == {"alfred-sisley": 1, "claude-monet": 2}
    assert result.remarks == ("alfred-sisley has 1 picture, 1 fewer than asked for",)
    assert shards_asked(hub) == [0, 1, 2, 3]
    assert fetch_dataset(find_source("wikiart"), tmp_path / "out", config).remarks == result.remarks


def test_everything_leaves_out_what_is_unknown(hub: Server, tmp_path: Path) -> None:
    result = fetch_dataset(find_source("wikiart"), tmp_path / "out")
    assert result.dataset.counts() == {"alfred-sisley": 1, "claude-monet": 4, "vincent-van-gogh": 3}
    assert result.kinds() == {"damaged": 1, "copy": 1}


def test_wrong_names_are_told_before_anything_large_is_fetched(hub: Server, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean claude-monet"):
        fetch_dataset(find_source("wikiart"), tmp_path / "out", FetchConfig(classes=("monet",)))
    with pytest.raises(UnknownNameError, match="Known: artist, genre, style"):
        fetch_dataset(find_source("wikiart"), tmp_path / "out", FetchConfig(label_column="medium"))
    assert shards_asked(hub) == []


def test_labels_that_are_text_need_no_table_of_names(hub: Server, tmp_path: Path) -> None:
    """Then a wrong name is found out only when everything was looked at."""
    data = io.BytesIO()
    rows = [{"bytes": picture(index), "path": None} for index in range(3)]
    pq.write_table(pa.table({"image": rows, "artist": ["monet", "klee", "monet"]}), data)
    siblings = [{"rfilename": "a.parquet", "size": len(data.getvalue())}]
    hub.files[f"/api{HANDLE}"].data = json.dumps({"id": "x", "sha": COMMIT, "siblings": siblings}).encode()
    hub.files[f"{HANDLE}/resolve/{COMMIT}/a.parquet"] = Served(data.getvalue(), headers={"X-Repo-Commit": COMMIT})
    kept: list[pq.FileMetaData] = []

    def look(progress: Progress) -> None:
        if progress.stage == "files":
            kept.extend(map(pq.read_metadata, downloads_folder("wikiart").glob(".work-*/rows/*.parquet")))

    for classes, counts in ((("monet",), {"monet": 2}), ((), {"klee": 1, "monet": 2})):
        output, config = tmp_path / f"out{len(classes)}", FetchConfig(classes=classes)
        assert fetch_dataset(find_source("wikiart"), output, config, on_progress=look).dataset.counts() == counts
    assert [each.num_rows for each in kept] == [2, 3]
    with pytest.raises(UnknownNameError, match="monte"):
        fetch_dataset(find_source("wikiart"), tmp_path / "other", FetchConfig(classes=("monet,monte",)))


def test_a_run_that_broke_off_goes_on_with_the_files_it_lacks(hub: Server, tmp_path: Path) -> None:
    third = hub.files.pop(f"{HANDLE}/resolve/{COMMIT}/data/train-00002-of-00004.parquet")
    with pytest.raises(DataError, match=r"train-00002-of-00004\.parquet could not be fetched"):
        fetch_dataset(find_source("wikiart"), tmp_path / "out")
    hub.files[f"{HANDLE}/resolve/{COMMIT}/data/train-00002-of-00004.parquet"] = third
    hub.requests.clear()
    assert len(fetch_dataset(find_source("wikiart"), tmp_path / "out").dataset) == 8
    assert shards_asked(hub) == [2, 3]
    assert hub.asked(f"/api{HANDLE}/revision/{COMMIT}") == [""]  # the same version, whatever main is by now


def test_files_put_there_by_hand_are_used_first_and_stay(hub: Server, tmp_path: Path) -> None:
    folder = downloads_folder("wikiart")
    folder.mkdir(parents=True)
    for name in ("dataset_infos.json", "data/train-00001-of-00004.parquet"):
        (folder / Path(name).name).write_bytes(hub.files[f"{HANDLE}/resolve/{COMMIT}/{name}"].data)
    config = FetchConfig(classes=("claude-monet",), per_class=2)
    fetch_dataset(find_source("wikiart"), tmp_path / "one", config)
    assert hub.requests == []
    assert "train-00001-of-00004.parquet" in tree(folder)
    fetch_dataset(find_source("wikiart"), tmp_path / "two", dataclasses.replace(config, per_class=3))
    assert shards_asked(hub) == [0]


def test_offline_the_hub_says_what_to_do(tmp_path: Path, hub: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    source = find_source("wikiart")
    shard = hub.files[f"{HANDLE}/resolve/{COMMIT}/data/train-00000-of-00004.parquet"].data
    infos = hub.files[f"{HANDLE}/resolve/{COMMIT}/dataset_infos.json"].data
    hub.files.clear()
    config = FetchConfig(classes=("vincent-van-gogh",), per_class=2)
    with pytest.raises(DataError, match="the list of its files could not be fetched") as caught:
        fetch_dataset(source, tmp_path / "out", config)
    folder = downloads_folder("wikiart")
    assert (
        "Download dataset_infos.json, data/train-00000-of-00072.parquet and as many more of its files"
        in caught.value.hint
    )
    assert f"by hand from {source.home}/tree/main, put them into {folder}" in caught.value.hint
    (folder / "dataset_infos.json").write_bytes(infos)
    (folder / "train-00000-of-00072.parquet").write_bytes(shard)
    with pytest.raises(DataError) as caught:
        fetch_dataset(source, tmp_path / "out", config)
    assert caught.value.hint.startswith("The 1 file(s) that are here hold too few pictures.")
    command = shlex.split(caught.value.hint.partition("Or import what you have: ")[2])
    told = CliRunner().invoke(main.app, [*command[1:], "--json"])
    assert json.loads(told.stdout)["classes"] == {"vincent-van-gogh": 1}
    assert json.loads(told.stdout)["remarks"] == ["vincent-van-gogh has 1 picture, 1 fewer than asked for"]


def test_a_file_of_the_hub_with_other_bytes_is_refused(hub: Server, tmp_path: Path) -> None:
    path = f"{HANDLE}/resolve/{COMMIT}/data/train-00000-of-00004.parquet"
    hub.files[path] = dataclasses.replace(hub.files[path], data=bytes(len(hub.files[path].data)))
    with pytest.raises(DataError, match="is not the published file"):
        fetch_dataset(find_source("wikiart"), tmp_path / "out")


def test_the_hub_asks_the_disk_first(hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from impasto.data.fetch import from_hub as fetch_hub

    monkeypatch.setattr(fetch_hub, "free_disk", lambda _: 10)
    with pytest.raises(ResourceError, match="10 B free") as caught:
        fetch_dataset(find_source("wikiart"), tmp_path / "out")
    assert "--per-class" in caught.value.hint
    assert shards_asked(hub) == []


def test_the_command_takes_the_hub_from_the_clients_own_variable(hub: Server, tmp_path: Path) -> None:
    """Through the real entry point: HF_ENDPOINT is the client's, not an option of ours."""
    command = [sys.executable, "-m", "impasto", "dataset", "fetch", "wikiart", "-o", str(tmp_path / "out")]
    command += ["--classes", "vincent-van-gogh", "--per-class", "2", "--json"]
    done = subprocess.run(
        command, env={**os.environ, "HF_ENDPOINT": hub.url}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["classes"] == {"vincent-van-gogh": 2}


def test_photos_without_labels_lie_in_one_folder(server: Server, tmp_path: Path) -> None:
    data = zip_bytes({f"val2017/{index:012d}.jpg": picture(index) for index in range(3)})
    files = source_of(server, {"val2017.zip": data}).files
    result = fetch_dataset(dataclasses.replace(find_source("coco-val2017"), files=files), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out" / "photo").iterdir()) == [f"{n:012d}.jpg" for n in range(3)]
    assert result.rejected == ()


@pytest.mark.parametrize(
    ("name", "inside", "counts"),
    [
        (
            "dtd",
            ["dtd/images/banded/banded_0001.jpg", "dtd/images/dotted/dotted_0002.jpg", "dtd/labels/train1.txt"],
            {"banded": 1, "dotted": 1},
        ),
        (
            "oxford-pets",
            ["images/Abyssinian_1.jpg", "images/great_pyrenees_12.jpg", "images/Abyssinian_100.mat"],
            {"Abyssinian": 1, "great_pyrenees": 1},
        ),
        (
            "imagenette",
            [
                *(f"imagenette2-320/train/{old}/{old}_1.JPEG" for old, _ in find_source("imagenette").config.rename),
                "imagenette2-320/val/n03000684/n03000684_2.JPEG",
                "imagenette2-320/noisy_imagenette.csv",
            ],
            {new: 1 + (new == "chain saw") for _, new in find_source("imagenette").config.rename},
        ),
    ],
)
def test_layouts_of_other_sources(
    server: Server, tmp_path: Path, name: str, inside: list[str], counts: dict[str, int]
) -> None:
    jpegs = (".jpg", ".JPEG")
    data = {path: picture(index) if path.endswith(jpegs) else b"x" for index, path in enumerate(inside)}
    source = find_source(name)
    files = source_of(server, {source.files[0].name: tar_bytes(data)}).files
    result = fetch_dataset(dataclasses.replace(source, files=files), tmp_path / "out")
    assert result.dataset.counts() == counts
    assert result.kinds() == {"no picture": 1}
    assert isinstance(source.config, ImportConfig)
