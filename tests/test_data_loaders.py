"""Decoded pictures on disk, and batches that are the same whatever fetches them."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from classify_fixtures import paint
from impasto.data.load import picture_cache
from impasto.data.load.augmentations import NONE, Augmentation
from impasto.data.load.loaders import Loader, Side, choose_workers
from impasto.data.load.picture_set import Pictures, read_pictures
from impasto.data.load.pictures import Preprocessing, read_batches, scaled
from impasto.errors import ResourceError, UnreadablePictureError, UsageError
from impasto.files import file_digests
from impasto.runtime import Progress

CPU = torch.device("cpu")
SQUARE = Preprocessing(16)
R4 = Augmentation("r4")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of packs of five pictures of 16 pixels."""
    monkeypatch.setattr(picture_cache, "PACK_BYTES", 5 * 3 * 16**2)
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pictures"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [paint(tmp_path / "data" / f"{i}.png", "red", i) for i in range(23)]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were decoded, in order."""
    seen: list[Path] = []
    module = sys.modules["impasto.data.load.pictures"]
    whole = module.open_picture

    def spy(path: Path) -> object:
        seen.append(path)
        return whole(path)

    monkeypatch.setattr(module, "open_picture", spy)
    return seen


def read(files: Sequence[Path], preprocessing: Preprocessing = SQUARE) -> Pictures:
    return read_pictures(files, file_digests(files), preprocessing)


def everything(pictures: Pictures) -> Side:
    return Side(torch.arange(len(pictures)), torch.arange(len(pictures)))


def pixels(pictures: Pictures) -> Tensor:
    """All pictures in order, as training sees them."""
    with Loader(pictures, 4, CPU, workers=0) as loader:
        return torch.cat([batch for batch, _ in loader.in_order(everything(pictures))])


def plainly(files: Sequence[Path], preprocessing: Preprocessing = SQUARE) -> Tensor:
    """The same as prediction sees them."""
    return torch.cat([scaled(batch.pictures) for batch in read_batches(files, preprocessing, 4)])


def packs(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.safetensors"))


def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_cache, "free_disk", lambda _: 0)


def stream(pictures: Pictures, workers: int, seed: int = 0, epochs: Sequence[int] = (1, 2)) -> str:
    """The digest of every byte of two epochs, with a look at the last third after each."""
    state = hashlib.sha256()
    train, validation = torch.arange(len(pictures)).tensor_split([len(pictures) * 2 // 3])
    with Loader(pictures, 4, CPU, workers) as loader:
        for epoch in epochs:
            for side, batches in (
                (train, loader.shuffled(Side(train, train), seed=seed, epoch=epoch, augmentation=R4)),
                (validation, loader.in_order(Side(validation, validation))),
            ):
                labels = []
                for batch, own in batches:
                    state.update(batch.numpy().tobytes() + own.numpy().tobytes())
                    labels += own.tolist()
                assert sorted(labels) == side.tolist()
    return state.hexdigest()


@pytest.mark.parametrize("kept", [True, False])
def test_the_bytes_are_the_same_for_any_number_of_workers(
    cache: Path, files: list[Path], kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not kept:
        no_room(monkeypatch)
    pictures = read(files)
    assert pictures.is_cached is kept
    before = torch.random.get_rng_state()
    digests = {stream(pictures, workers) for workers in (0, 1, 4)}
    assert len(digests) == 1
    assert torch.equal(before, torch.random.get_rng_state())
    assert not multiprocessing.active_children()


def test_epochs_and_seeds_differ_and_the_same_ones_do_not(cache: Path, files: list[Path]) -> None:
    pictures = read(files)
    runs = [(0, (1,)), (0, (2,)), (1, (1,))]
    assert len({stream(pictures, 0, seed, epochs) for seed, epochs in runs}) == 3
    assert stream(pictures, 0) == stream(read(files), 0)


def test_order_and_augmentation_belong_to_epoch_and_picture(cache: Path, files: list[Path]) -> None:
    pictures = read(files)
    with Loader(pictures, 4, CPU, workers=0) as loader:
        side = everything(pictures)
        plain = {int(label): x for batch, own in loader.in_order(side) for x, label in zip(batch, own, strict=True)}
        for epoch in (1, 2):
            for batch, own in loader.shuffled(side, seed=0, epoch=epoch, augmentation=R4):
                chosen = torch.stack([plain[int(label)] for label in own])
                expected = R4(chosen, seed=0, epoch=epoch, indices=own.tolist())
                assert torch.equal(batch, expected)
        orders = [[int(i) for _, own in loader.shuffled(side, seed=0, epoch=epoch) for i in own] for epoch in (1, 2)]
        assert orders[0] != orders[1] != sorted(orders[1])
        assert loader.count(side) == 6


@pytest.mark.parametrize("size", [16, 40])
def test_training_sees_the_pixels_that_prediction_sees(cache: Path, files: list[Path], size: int) -> None:
    preprocessing = Preprocessing(size)
    expected = plainly(files, preprocessing)
    assert torch.equal(pixels(read(files, preprocessing)), expected)
    assert torch.equal(pixels(read(files, preprocessing)), expected)  # from the cache
    assert len({path.parent for path in packs(cache)}) == 1


def test_nothing_is_decoded_twice(cache: Path, files: list[Path], decoded: list[Path]) -> None:
    expected = pixels(read(files[:12]))
    assert len(decoded) == 12
    moved = [path.rename(path.with_name(f"new-{path.name}")) for path in files[:12]]
    assert torch.equal(pixels(read(moved)), expected)
    assert len(decoded) == 12
    others = [files[20], *moved[3:5], files[21]]  # another split, another data set, another order
    assert torch.equal(pixels(read(others)), plainly(others))
    assert decoded[12:14] == [files[20], files[21]]


def test_unreadable_pictures_are_set_aside_and_named(cache: Path, files: list[Path]) -> None:
    files[1].write_bytes(files[1].read_bytes()[:100])
    files[22].unlink()
    for _ in range(2):
        pictures = read(files)
        assert pictures.kept == [0, *range(2, 22)]
        assert [item.path for item in pictures.skipped] == [files[1], files[22]]
        assert "cannot be read as a picture" in pictures.skipped[0].reason
        assert pictures.skipped[1].reason == "cannot be read as a picture: it does not exist."
        assert torch.equal(pixels(pictures), plainly([files[i] for i in pictures.kept]))


def test_a_picture_that_changes_is_decoded_anew(cache: Path, files: list[Path]) -> None:
    first = pixels(read(files))
    paint(files[3], "blue", 99)
    second = pixels(read(files))
    assert torch.equal(second, plainly(files))
    assert [i for i in range(23) if not torch.equal(first[i], second[i])] == [3]


def test_a_picture_that_changes_after_it_was_hashed_is_kept_as_what_it_is(cache: Path, files: list[Path]) -> None:
    hashes, former = file_digests(files), files[3].read_bytes()
    paint(files[3], "blue", 99)
    read_pictures(files, hashes, SQUARE)
    files[3].write_bytes(former)
    assert torch.equal(pixels(read(files)), plainly(files))


@pytest.mark.parametrize("harm", ["header", "hash", "pixel", "half", "empty", "other"])
def test_a_damaged_pack_is_noticed_and_made_again(
    cache: Path, files: list[Path], decoded: list[Path], harm: str
) -> None:
    expected = pixels(read(files))
    pack = packs(cache)[0]
    data = bytearray(pack.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    if harm == "other":
        shutil.copy(packs(cache)[1], pack)
    elif harm in ("half", "empty"):
        pack.write_bytes(data[: len(data) // 2 if harm == "half" else 0])
    else:
        data[{"header": start // 2, "hash": start + 40, "pixel": start + 1000}[harm]] ^= 1
        pack.write_bytes(data)
    decoded.clear()
    assert torch.equal(pixels(read(files)), expected)
    assert 3 <= len(decoded) <= 5
    decoded.clear()
    assert torch.equal(pixels(read(files)), expected)
    assert not decoded


def test_packs_of_another_preprocessing_or_version_are_not_used(
    cache: Path, files: list[Path], decoded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Preprocessing(17)
    read(files, other)
    read(files)
    ours, foreign = sorted({path.parent for path in packs(cache)}, key=lambda folder: folder.stat().st_mtime)[::-1]
    for pack in ours.iterdir():
        pack.unlink()
    for pack in foreign.iterdir():
        shutil.copy(pack, ours)
    decoded.clear()
    assert torch.equal(pixels(read(files)), plainly(files))
    assert len(decoded) >= 23
    monkeypatch.setattr(picture_cache, "__version__", "9")
    decoded.clear()
    read(files)
    assert len(decoded) == 23


def test_interrupted_it_goes_on_where_it_stopped(cache: Path, decoded: list[Path], tmp_path: Path) -> None:
    files = [paint(tmp_path / f"{i}.png", "red", i) for i in range(30)]

    def interrupt(progress: Progress) -> None:
        if progress.step >= 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_pictures(files, file_digests(files), SQUARE, interrupt)
    decoded.clear()
    assert torch.equal(pixels(read(files)), plainly(files))
    assert len(decoded) - 30 == 15  # the other thirty are those of ``plainly``


def test_killed_it_leaves_whole_packs_only(cache: Path, files: list[Path], decoded: list[Path]) -> None:
    script = (
        "from test_data_loaders import *\n"
        "import os, sys, impasto.data.load.picture_cache as cache\n"
        "cache.PACK_BYTES = 5 * 3 * 16**2\n"
        "written = []\n"
        "@contextlib.contextmanager\n"
        "def dying(path):\n"
        "    written.append(path)\n"
        "    with whole(path) as temporary:\n"
        "        yield temporary\n"
        "        len(written) == 3 and os.kill(os.getpid(), 9)\n"
        "whole, cache.atomic_path = cache.atomic_path, dying\n"
        "read([Path(name) for name in sys.argv[1:]])\n"
    )
    command = [sys.executable, "-c", script, *map(str, files)]
    ended = subprocess.run(command, cwd=Path(__file__).parent, timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(packs(cache)) == 3  # two whole ones and a part
    assert torch.equal(pixels(read(files)), plainly(files))
    assert len(decoded) == 23 + 13


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


@pytest.mark.parametrize("reason", ["full", "no room", "no folder"])
def test_without_room_pictures_are_decoded_each_time(
    cache: Path, files: list[Path], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason == "no room":
        no_room(monkeypatch)
    if reason == "no folder":
        cache.parent.write_bytes(b"a file where a folder should be")
    messages: list[str] = []
    with file_size_limit(1000) if reason == "full" else contextlib.nullcontext():
        hashes = file_digests(files)
        pictures = read_pictures(files, hashes, SQUARE, lambda progress: messages.append(progress.message))
    assert not pictures.is_cached
    assert "every epoch" in messages[-1]
    assert not list(cache.rglob("*.*")) if cache.exists() else True
    assert torch.equal(pixels(pictures), plainly(files))


def test_room_for_a_part_keeps_a_part(cache: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    read(files[:5])
    one = packs(cache)[0].stat().st_size
    monkeypatch.setattr(picture_cache, "LIMIT", 3 * one)
    pictures = read(files)
    assert len(packs(cache)) == 3
    assert not pictures.is_cached
    assert torch.equal(pixels(pictures), plainly(files))


def test_the_cache_is_bounded_and_what_was_not_used_longest_goes(
    cache: Path, tmp_path: Path, decoded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = [[paint(tmp_path / str(k) / f"{i}.png", "red", 10 * k + i) for i in range(5)] for k in range(4)]
    for age, own in zip((30, 20, 10), sets, strict=False):
        read(own)
        newest = max(packs(cache), key=lambda path: path.stat().st_mtime)
        os.utime(newest, (newest.stat().st_mtime - age * 1000,) * 2)
    one = packs(cache)[0].stat().st_size
    monkeypatch.setattr(picture_cache, "LIMIT", 3 * one)
    read(sets[0])  # the oldest, used again
    read(sets[3])
    assert len(packs(cache)) == 3
    decoded.clear()
    for own in (sets[0], sets[2], sets[3]):
        read(own)
    assert not decoded
    monkeypatch.setattr(picture_cache, "LIMIT", 1 << 40)
    monkeypatch.setattr(picture_cache, "free_disk", lambda _: one)
    read(sets[1])  # half of what would be free without the cache are two packs
    assert len(packs(cache)) == 2


def test_a_pack_that_another_run_removed_is_done_without(cache: Path, files: list[Path]) -> None:
    pictures = read(files)
    for pack in packs(cache):
        pack.unlink()
    assert torch.equal(pixels(pictures), plainly(files))


def test_pictures_travel_to_another_process_without_their_pixels(cache: Path, files: list[Path]) -> None:
    pictures = read(files)
    pixels(pictures)
    data = pickle.dumps(pictures)
    assert len(data) < 6000 < 23 * 3 * 16**2
    assert torch.equal(pixels(pickle.loads(data)), pixels(pictures))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux' own figures")
def test_memory_does_not_grow_with_the_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs are mapped: what is counted here is memory that belongs to the process alone."""
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(picture_cache, "PACK_BYTES", 1 << 20)
    files = [paint(tmp_path / f"{i}.png", "red", i) for i in range(200)]

    def own() -> int:
        gc.collect()
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

    def epoch(pictures: Pictures) -> None:
        with Loader(pictures, 1, CPU, workers=0) as loader:
            for _ in loader.shuffled(everything(pictures), seed=0, epoch=1):
                pass

    big = Preprocessing(384)  # 200 pictures are 88 MB
    epoch(read(files[:20], big))
    before = own()
    epoch(read(files, big))
    assert own() - before < 40_000


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_vanishes_during_training_is_named(
    cache: Path, files: list[Path], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_room(monkeypatch)
    pictures = read(files)
    files[7].unlink()
    with pytest.raises(UnreadablePictureError) as caught, Loader(pictures, 4, CPU, workers) as loader:
        list(loader.in_order(everything(pictures)))
    assert caught.value.message == f"{files[7]} cannot be read as a picture: it does not exist."
    assert not multiprocessing.active_children()


def go_through(pictures: Pictures, workers: int, each_time: Callable[[], None]) -> None:
    with Loader(pictures, 2, CPU, workers) as loader:
        for _ in loader.in_order(everything(pictures)):
            each_time()


def test_a_worker_that_dies_is_an_error_of_ours(cache: Path, files: list[Path]) -> None:
    pictures = read(files)

    def kill() -> None:
        os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)
        time.sleep(20)  # torch interrupts it

    with pytest.raises(ResourceError) as caught:
        go_through(pictures, 2, kill)
    assert not multiprocessing.active_children()
    assert "--workers" in caught.value.hint


@pytest.mark.parametrize("error", [ConnectionResetError(104, "Connection reset by peer"), EOFError()])
def test_so_is_one_that_dies_while_it_hands_over_a_batch(cache: Path, files: list[Path], error: Exception) -> None:
    def fail() -> Iterator[Tensor]:
        raise error
        yield

    with Loader(read(files), 2, CPU, workers=1) as loader:
        loader._fetched = fail()
        with pytest.raises(ResourceError, match="has died") as caught:
            loader._next()
    assert caught.value.__cause__ is error


def test_other_errors_pass_and_leave_no_processes(cache: Path, files: list[Path]) -> None:
    def fail() -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        go_through(read(files), 2, fail)
    assert not multiprocessing.active_children()


def test_interrupted_while_it_waits_for_a_worker_it_leaves_no_processes(
    cache: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = read(files)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Pictures, "__getitems__", lambda *_: time.sleep(0.6))
    former = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    with pytest.raises(KeyboardInterrupt) as caught:
        go_through(pictures, 1, lambda: None)
    signal.signal(signal.SIGALRM, former)
    assert any("dataloader" in str(entry.path) for entry in caught.traceback)  # it came while torch was waiting
    assert not multiprocessing.active_children()


def test_workers_are_chosen_where_decoding_would_keep_a_gpu_waiting(
    cache: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = read(files)
    shutil.rmtree(cache)
    no_room(monkeypatch)
    lost = read(files)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    cuda = torch.device("cuda")
    assert [choose_workers(kept, CPU), choose_workers(kept, cuda), choose_workers(lost, CPU)] == [0, 0, 0]
    assert choose_workers(lost, cuda) == 8
    with pytest.raises(UsageError, match="-1 workers"):
        Loader(kept, 4, CPU, workers=-1)


def test_batches_without_augmentation_are_bytes_over_255(cache: Path, tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), (0, 51, 255)).save(tmp_path / "a.png")
    batch = pixels(read([tmp_path / "a.png"]))
    assert batch.dtype == torch.float32
    assert batch[0, :, 3, 3].tolist() == pytest.approx([0, 0.2, 1])
    assert NONE(batch, seed=0, epoch=1, indices=[0]) is batch


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_gets_the_same_pictures(cache: Path, files: list[Path]) -> None:
    pictures = read(files)
    with Loader(pictures, 4, torch.device("cuda"), workers=1) as loader:
        drawn = [batch for batch, _ in loader.in_order(everything(pictures))]
    assert all(batch.is_cuda for batch in drawn)
    assert torch.equal(torch.cat(drawn).cpu(), pixels(pictures))
