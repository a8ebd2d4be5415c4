"""Features are computed once; a cache that is stale, foreign or damaged is never used."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from classify_fixtures import FakeEncoder, paint
from impasto.caches import cache_folder
from impasto.classify import features as module
from impasto.classify.features import Extractor, Features
from impasto.data.load.pictures import Preprocessing
from impasto.errors import NumericalError
from impasto.files import file_digests
from impasto.runtime import Progress

CPU = torch.device("cpu")


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return [paint(tmp_path / "photos" / f"{i}.png", "red" if i % 2 else "blue", i) for i in range(7)]


def extractor(folder: Path | None, encoder: FakeEncoder | None = None, size: int = 16) -> Extractor:
    return Extractor(encoder or FakeEncoder(), Preprocessing(size), CPU, folder, batch_size=3)  # type: ignore[arg-type]


def run(extract: Extractor, paths: list[Path]) -> tuple[Features, int]:
    """Features, and how many pictures the encoder had to see for them."""
    before = extract.encoder.seen  # type: ignore[union-attr]
    features = extract(paths, file_digests(paths))
    return features, extract.encoder.seen - before  # type: ignore[union-attr]


def test_the_second_run_never_asks_the_encoder(paths: list[Path], tmp_path: Path) -> None:
    first, seen = run(extractor(tmp_path / "cache"), paths)
    assert seen == 7
    second, seen = run(extractor(tmp_path / "cache"), paths)
    assert seen == 0
    assert torch.equal(first.values, second.values)
    assert first.kept == second.kept == list(range(7))


def test_values_are_those_of_the_encoder_in_the_order_asked_for(paths: list[Path], tmp_path: Path) -> None:
    run(extractor(tmp_path), paths[:2])
    mixed, _ = run(extractor(tmp_path), paths[::-1])
    plain, _ = run(extractor(None), paths)
    assert torch.equal(mixed.values, plain.values.flip(0))


def test_pictures_without_a_hash_are_not_kept(paths: list[Path], tmp_path: Path) -> None:
    extract = extractor(tmp_path)
    for seen in (7, 14):
        assert len(extract(paths, [""] * 7).values) == 7
        assert extract.encoder.seen == seen  # type: ignore[union-attr]


def test_without_a_folder_nothing_is_kept(paths: list[Path], tmp_path: Path) -> None:
    extract = extractor(None)
    assert [run(extract, paths)[1] for _ in range(2)] == [7, 7]


def test_only_new_pictures_are_computed(paths: list[Path], tmp_path: Path) -> None:
    run(extractor(tmp_path), paths[:4])
    assert run(extractor(tmp_path), paths)[1] == 3


def test_a_changed_picture_is_stale_and_a_renamed_one_is_not(paths: list[Path], tmp_path: Path) -> None:
    run(extractor(tmp_path), paths)
    paint(paths[0], "green", 99)
    renamed = paths[1].rename(paths[1].with_name("renamed.png"))
    assert run(extractor(tmp_path), [paths[0], renamed, *paths[2:]])[1] == 1


def test_other_weights_other_sizes_other_devices_do_not_share(paths: list[Path], tmp_path: Path) -> None:
    run(extractor(tmp_path), paths)
    assert run(extractor(tmp_path, FakeEncoder(sha256="11" * 32)), paths)[1] == 7
    assert run(extractor(tmp_path, size=8), paths)[1] == 7
    keys = {extractor(tmp_path).cache().path}  # type: ignore[union-attr]
    keys.add(Extractor(FakeEncoder(), Preprocessing(16), torch.device("cuda"), tmp_path).cache().path)  # type: ignore[union-attr, arg-type]
    assert len(keys) == 2


def test_another_version_of_impasto_computes_anew(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(extractor(tmp_path), paths)
    monkeypatch.setattr(module, "__version__", "999")
    assert run(extractor(tmp_path), paths)[1] == 7


def test_a_foreign_cache_under_our_name_is_not_used(paths: list[Path], tmp_path: Path) -> None:
    foreign = extractor(tmp_path, FakeEncoder(sha256="11" * 32))
    run(foreign, paths)
    own = extractor(tmp_path)
    shutil.copytree(foreign.cache().path, own.cache().path)  # type: ignore[union-attr]
    assert run(own, paths)[1] == 7


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "garbage", "rewritten", "folder"])
def test_a_damaged_cache_is_not_used_and_is_repaired(paths: list[Path], tmp_path: Path, damage: str) -> None:
    expected, _ = run(extractor(tmp_path), paths)
    cache = extractor(tmp_path).cache()
    assert cache
    (file,) = cache.path.iterdir()
    data = file.read_bytes()
    if damage == "rewritten":  # valid safetensors, but with values that nobody computed
        tensors = {**load_file(file), "rows": torch.zeros(7, 6)}
        with safe_open(file, framework="pt") as former:
            note = former.metadata()
        save_file(tensors, file, metadata=note)
    elif damage == "folder":
        file.unlink()
        file.mkdir()
    else:
        flipped = data[:-40] + bytes([data[-40] ^ 1]) + data[-39:]
        file.write_bytes({"truncated": data[:-9], "flipped": flipped, "empty": b""}.get(damage, b"\xff" * 99))
    found, seen = run(extractor(tmp_path), paths)
    assert 1 <= seen <= 7
    assert torch.equal(found.values, expected.values)
    assert run(extractor(tmp_path), paths)[1] == (0 if damage != "folder" else 7)


def test_a_cache_that_cannot_be_written_does_not_stop_the_run(paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert len(run(extractor(tmp_path / "file" / "cache"), paths)[0].values) == 7


def test_what_another_process_adds_is_kept(paths: list[Path], tmp_path: Path) -> None:
    one, other = extractor(tmp_path), extractor(tmp_path)
    run(one, paths[:3])
    run(other, paths[3:5])
    assert run(one, paths[:5])[1] == 0


def test_a_killed_run_keeps_what_it_has_done(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 3)

    def interrupt(progress: Progress) -> None:
        if progress.step == 6:
            raise KeyboardInterrupt

    extract = extractor(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        extract(paths, file_digests(paths), interrupt)
    assert run(extractor(tmp_path), paths)[1] == 4
    assert not list(tmp_path.glob(".partial-*"))


def test_unreadable_pictures_are_set_aside_and_tried_again(paths: list[Path], tmp_path: Path) -> None:
    paths[2].write_bytes(b"no picture")
    missing = [*paths, tmp_path / "absent.png"]
    for _ in range(2):
        features = extractor(tmp_path)(missing, file_digests(missing))
        assert features.kept == [0, 1, 3, 4, 5, 6]
        assert len(features.values) == 6
        assert [item.path.name for item in features.skipped] == ["2.png", "absent.png"]
    paint(paths[2], "green", 5)
    assert run(extractor(tmp_path), paths)[1] == 1


def test_nothing_readable_is_no_crash(tmp_path: Path) -> None:
    features = extractor(tmp_path)([tmp_path / "absent.png"], [""])
    assert (features.kept, len(features.values), len(features.skipped)) == ([], 0, 1)


def test_features_that_are_no_numbers_are_an_error_and_not_kept(paths: list[Path], tmp_path: Path) -> None:
    class Broken(FakeEncoder):
        def features(self, x: torch.Tensor, grid: int = 1) -> torch.Tensor:
            return super().features(x, grid) / 0 * 0

    with pytest.raises(NumericalError, match="features of fake"):
        run(extractor(tmp_path, Broken()), paths)
    assert run(extractor(tmp_path), paths)[1] == 7


def test_the_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    assert cache_folder("features") == tmp_path / "features"
    monkeypatch.delenv("IMPASTO_CACHE")
    assert "impasto" in str(cache_folder("features"))


def test_progress_counts_cached_pictures_too(paths: list[Path], tmp_path: Path) -> None:
    run(extractor(tmp_path), paths[:3])
    steps: list[Progress] = []
    extractor(tmp_path)(paths, file_digests(paths), steps.append)
    assert [(step.step, step.total) for step in steps] == [(6, 7), (7, 7)]
