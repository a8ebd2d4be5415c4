"""Parquet: tables of paths and labels, and files with the pictures inside, as Hugging Face's datasets writes them."""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from fetch_fixtures import picture
from impasto.cli import main
from impasto.data.importing import entries, parquet
from impasto.data.importing.importing import import_dataset
from impasto.data.importing.labels import Columns
from impasto.data.importing.parquet import Shard, copy_rows
from impasto.data.importing.records import ImportConfig
from impasto.errors import DataError, UnknownNameError, UsageError

ARTISTS = ("Unknown Artist", "claude-monet", "vincent-van-gogh")
STYLES = ("Cubism", "Impressionism")


def features(**columns: tuple[str, ...]) -> dict[str, object]:
    labels = {name: {"names": list(names), "_type": "ClassLabel"} for name, names in columns.items()}
    return {"image": {"_type": "Image"}, **labels}


def write_shard(
    path: Path,
    pictures: list[bytes | None],
    *,
    paths: list[str | None] | None = None,
    named: bool = True,
    row_group: int = 100,
    **columns: list[object],
) -> Path:
    """Write a file as ``datasets.Dataset.to_parquet`` does; with ``named`` the classes' names are in its schema."""
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    places = paths or [None] * len(pictures)
    rows = [{"bytes": data, "path": place} for data, place in zip(pictures, places, strict=True)]
    table = pa.table({"image": pa.array(rows, image), **{name: pa.array(values) for name, values in columns.items()}})
    if named:
        known = features(artist=ARTISTS, style=STYLES)
        info = {"info": {"features": {name: known[name] for name in ("image", *columns) if name in known}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=row_group)
    return path


def test_pictures_inside_become_classes_by_the_names_of_the_schema(tmp_path: Path) -> None:
    data = [picture(index, kind="PNG" if index == 2 else "JPEG") for index in range(4)]
    shard = write_shard(tmp_path / "train-00000-of-00001.parquet", data, artist=[1, 2, 1, 2], style=[0, 0, 1, 1])
    by_artist = import_dataset([shard], tmp_path / "artists", ImportConfig(columns=Columns(label="artist")))
    assert by_artist.dataset.counts() == {"claude-monet": 2, "vincent-van-gogh": 2}
    assert (tmp_path / "artists/claude-monet/train-00000-of-00001-000000.jpg").read_bytes() == data[0]
    assert (tmp_path / "artists/claude-monet/train-00000-of-00001-000002.png").read_bytes() == data[2]
    by_style = import_dataset([shard], tmp_path / "styles", ImportConfig(columns=Columns(label="style")))
    assert by_style.dataset.counts() == {"Cubism": 2, "Impressionism": 2}


def test_the_command_takes_a_shard_and_a_column(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a.parquet", [picture(0), picture(1)], artist=[1, 2], style=[0, 1])
    arguments = ["dataset", "import", str(shard), "-o", str(tmp_path / "out"), "--json"]
    told = CliRunner().invoke(main.app, [*arguments, "--label-column", "artist"])
    assert json.loads(told.stdout)["classes"] == {"claude-monet": 1, "vincent-van-gogh": 1}


def test_rows_bring_splits_groups_and_their_own_names(tmp_path: Path) -> None:
    shard = write_shard(
        tmp_path / "a.parquet",
        [picture(0), picture(1), picture(2)],
        paths=["deep/er/wave.jpg", None, "../../evil.jpg"],
        label=["sea", "land", "land"],
        split=["train", "val", "test"],
        group=[7, 7, 8],
    )
    result = import_dataset([shard], tmp_path / "out")
    found = {result.dataset.relative(each): (each.label, each.split, each.group) for each in result.dataset.samples}
    assert found == {
        "train/sea/wave.jpg": ("sea", "train", "7"),
        "validation/land/a-000001.jpg": ("land", "validation", "7"),
        "test/land/evil.jpg": ("land", "test", "8"),
    }


def test_several_columns_that_could_be_labels_are_not_guessed(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "a.parquet", [picture(0)], artist=[1], style=[0])
    with pytest.raises(DataError, match=r"a\.parquet has several .*style, artist"):
        import_dataset([shard], tmp_path / "out")
    with pytest.raises(UnknownNameError, match="Did you mean artist"):
        import_dataset([shard], tmp_path / "out", ImportConfig(columns=Columns(label="artits")))
    odd = write_shard(tmp_path / "b.parquet", [picture(0)], who=["x"])
    with pytest.raises(DataError, match=r"no column named as labels are.*who"):
        import_dataset([odd], tmp_path / "out")
    found = import_dataset([odd], tmp_path / "out", ImportConfig(columns=Columns(label="who")))
    assert found.dataset.counts() == {"x": 1}
    with pytest.raises(UsageError, match="no table"):
        import_dataset([odd], tmp_path / "third", ImportConfig(columns=Columns(path="who")))


def test_rows_that_hold_no_picture_or_no_label_are_set_aside(tmp_path: Path) -> None:
    data: list[bytes | None] = [picture(0), None, b"", b"<html>", picture(0), picture(1), picture(2)]
    shard = write_shard(tmp_path / "a.parquet", data, artist=[1, 1, 1, 1, 1, None, 9], style=[0] * 7)
    result = import_dataset([shard], tmp_path / "out", ImportConfig(columns=Columns(label="artist")))
    assert len(result.dataset) == 1
    kinds = {each.path.removeprefix("a.parquet/a-"): each.kind for each in result.rejected}
    expected = {"000001": "damaged", "000002": "damaged", "000003": "damaged", "000004": "copy"}
    assert kinds == expected | {"000005": "no label", "000006": "no label"}


def test_names_of_old_repositories_lie_beside_the_files(tmp_path: Path) -> None:
    """As in huggan/wikiart: the shards know numbers only, dataset_infos.json above their folder has the names."""
    shard = write_shard(tmp_path / "data" / "a.parquet", [picture(0), picture(1)], named=False, artist=[1, 2])
    infos = tmp_path / "dataset_infos.json"
    infos.write_text(json.dumps({"huggan--wikiart": {"features": features(artist=ARTISTS)}}))
    result = import_dataset([shard], tmp_path / "out")
    assert result.dataset.counts() == {"claude-monet": 1, "vincent-van-gogh": 1}
    infos.write_text("[]")
    with pytest.raises(DataError, match=r"dataset_infos\.json"):
        import_dataset([shard], tmp_path / "other")
    infos.unlink()
    assert import_dataset([shard], tmp_path / "third").dataset.counts() == {"1": 1, "2": 1}


def test_listing_reads_no_pictures_and_reading_goes_a_row_group_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = [picture(index) for index in range(30)]
    path = write_shard(tmp_path / "a.parquet", data, row_group=10, label=["x"] * 30)
    read: list[list[int]] = []
    whole = pq.ParquetFile.iter_batches

    def watched(file: pq.ParquetFile, *args: object, row_groups: list[int], **options: object) -> object:
        read.append(row_groups)
        return whole(file, *args, row_groups=row_groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    with ExitStack() as stack:
        listed = list(parquet.list_rows(path, "a.parquet", stack))
        assert [entry.columns["label"] for entry in listed if entry.columns] == ["x"] * 30
        assert read == []
        assert listed[25].read() == data[25]
        assert read == [[2]]
        assert [entry.read() for entry in listed] == data
    assert read == [[2], [0], [1], [2]]


@given(st.lists(st.integers(0, 22), min_size=1, max_size=12), st.integers(1, 7))
def test_rows_can_be_read_in_any_order(order: list[int], row_group: int) -> None:
    table = pa.table({"image": [{"bytes": bytes([row]), "path": None} for row in range(23)]})
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        pq.write_table(table, Path(folder) / "a.parquet", row_group_size=row_group)
        shard = Shard(Path(folder) / "a.parquet", stack)
        assert [shard.picture(row) for row in order] == [bytes([row]) for row in order]


def test_copied_rows_are_a_file_of_the_same_kind(tmp_path: Path) -> None:
    data: list[bytes | None] = [picture(index) for index in range(5)]
    data[3] = None
    path = write_shard(tmp_path / "a.parquet", data, paths=[f"{row}.jpg" for row in range(5)], artist=[0, 1, 2, 1, 1])
    with ExitStack() as stack:
        shard = Shard(path, stack)
        copy_rows(shard, [1, 3, 4], {"artist": shard.texts("artist")}, tmp_path / "b.parquet")
        copy = Shard(tmp_path / "b.parquet", stack)
        assert copy.texts("artist") == ["claude-monet"] * 3
        assert copy.titles == ["1.jpg", "3.jpg", "4.jpg"]
        assert (copy.picture(0), copy.picture(2)) == (data[1], data[4])
        with pytest.raises(ValueError, match="no picture"):
            copy.picture(1)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    whole = write_shard(tmp_path / "whole.parquet", [picture(0)] * 3, label=["x"] * 3).read_bytes()
    files = {
        "half": whole[: len(whole) // 2],
        "text": b"<html>no</html>",
        "empty": b"",
        "tail": bytes(50) + whole[-60:],
    }
    for name, data in files.items():
        (tmp_path / f"{name}.parquet").write_bytes(data)
        with pytest.raises(DataError, match=rf"{name}\.parquet is a damaged Parquet file"):
            import_dataset([tmp_path / f"{name}.parquet"], tmp_path / "out")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "numbers.parquet")
    with pytest.raises(DataError, match=r"numbers\.parquet has no column of pictures: a"):
        import_dataset([tmp_path / "numbers.parquet"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_row_group_costs_its_own_rows_only(tmp_path: Path) -> None:
    data = [picture(index) for index in range(6)]
    path = write_shard(tmp_path / "a.parquet", data, row_group=2, label=["x"] * 6)
    raw = bytearray(path.read_bytes())
    offset = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    raw[offset : offset + 30] = bytes(30)
    path.write_bytes(bytes(raw))
    result = import_dataset([path], tmp_path / "out")
    assert [each.path for each in result.rejected] == ["a.parquet/a-000002", "a.parquet/a-000003"]
    assert {each.kind for each in result.rejected} == {"damaged"}
    assert len(result.dataset) == 4
    with ExitStack() as stack:
        shard = Shard(path, stack)
        with pytest.raises(ValueError, match=r".+"):
            shard.picture(2)
        with pytest.raises(ValueError, match="a row before it cannot be read"):
            shard.picture(3)
        copy_rows(shard, range(6), {"label": ["x"] * 6}, tmp_path / "b.parquet")
    assert len(import_dataset([tmp_path / "b.parquet"], tmp_path / "copied").dataset) == 4


def test_files_that_claim_too_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.parquet"
    rows = [{"bytes": bytes(2**22), "path": None}, {"bytes": picture(0), "path": None}]
    table = pa.table({"image": rows, "label": ["x", "x"]})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    monkeypatch.setattr(entries, "HARMLESS_BYTES", 2**20)
    with pytest.raises(DataError, match="no pictures compress so well"):
        import_dataset([path], tmp_path / "out")
    monkeypatch.setattr(entries, "HARMLESS_BYTES", 2**30)
    monkeypatch.setattr(entries, "MOST_FILE_BYTES", 2**20)
    rejected = import_dataset([path], tmp_path / "out").rejected
    assert [each.reason for each in rejected] == ["it cannot be read: it has 4.0 MB, more than 1.0 MB"]
    monkeypatch.setattr(entries, "MOST_FILES", 0)
    with pytest.raises(DataError, match="more than 0 files"):
        import_dataset([path], tmp_path / "other")


def test_a_table_of_paths_and_labels(tmp_path: Path) -> None:
    """Numbers stay whole beside nothing; nothing is no label."""
    for name in "abc":
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{name}.jpg").write_bytes(picture(ord(name)))
    frame = pd.DataFrame({"file": ["a.jpg", "b.jpg", "c.jpg"], "label": pd.array([3, None, 4], "Int64")})
    frame.to_parquet(tmp_path / "t.parquet")
    result = import_dataset([tmp_path / "in"], tmp_path / "out", ImportConfig(tmp_path / "t.parquet"))
    assert result.dataset.counts() == {"3": 1, "4": 1}
    assert [each.reason for each in result.rejected] == ["the table gives it no label"]
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"bad\.parquet cannot be read"):
        import_dataset([tmp_path / "in"], tmp_path / "other", ImportConfig(tmp_path / "bad.parquet"))


def test_without_pyarrow_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = write_shard(tmp_path / "a.parquet", [picture(0)], label=["x"])
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match=r"impasto\[sources\]"):
        import_dataset([shard], tmp_path / "out")
