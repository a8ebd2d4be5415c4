"""Devices, precision, seeds and the limits of the machine."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto import runtime
from impasto.errors import UsageError
from impasto.runtime import Progress, Stopwatch, choose_device, choose_dtype, derive_seed, generator

CPU = torch.device("cpu")


def test_auto_takes_the_fastest_device(monkeypatch: pytest.MonkeyPatch) -> None:
    for cuda, mps, expected in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda answer=cuda: answer)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda answer=mps: answer)
        assert choose_device("auto").type == expected


def test_a_named_device_is_taken() -> None:
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["gpu", "", "cuda:99", "cpu cpu"])
def test_a_device_that_cannot_be_used_is_named_with_a_way_out(name: str) -> None:
    with pytest.raises(UsageError, match=f"device '{name}'") as caught:
        choose_device(name)
    assert "--device" in caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("precision", "flags", "expected"),
    [
        ("auto", {"avx2"}, torch.float32),
        ("auto", {"avx512_bf16", "amx_bf16"}, torch.bfloat16),
        ("fp32", {"amx_bf16"}, torch.float32),
        ("bf16", set(), torch.bfloat16),
    ],
)
def test_precision_follows_the_processor_unless_it_is_given(
    precision: runtime.Precision, flags: set[str], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "_cpu_flags", lambda: frozenset(flags))
    assert choose_dtype(precision, CPU) is expected


def test_batches_gain_from_bf16_where_single_pictures_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_cpu_flags", lambda: frozenset({"avx512_bf16"}))
    assert choose_dtype("auto", CPU) is torch.float32
    assert choose_dtype("auto", CPU, batches=True) is torch.bfloat16
    assert choose_dtype("fp32", CPU, batches=True) is torch.float32


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), torch.float32), ((9, 0), torch.bfloat16)])
def test_precision_on_gpus_follows_their_generation(
    capability: tuple[int, int], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_dtype("auto", torch.device("cuda")) is expected


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match="fp8"):
        choose_dtype("fp8", CPU)  # type: ignore[arg-type]


@given(st.integers(0, 2**63 - 1), st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=3))
def test_derived_seeds_are_stable_and_within_63_bits(seed: int, stream: list[int | str]) -> None:
    derived = derive_seed(seed, *stream)
    assert derived == derive_seed(seed, *stream)
    assert 0 <= derived < 2**63
    assert derived != derive_seed(seed, *stream, "more")


def test_derived_seeds_never_change_between_versions() -> None:
    """These numbers are in users' results: whoever changes them breaks "same seed, same bytes"."""
    assert derive_seed(0, "noise") == 7958856190608717080
    assert derive_seed(2**63 - 1) == 6459584738176465759


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_outside_the_range_are_refused(seed: int) -> None:
    with pytest.raises(UsageError, match=str(seed)):
        derive_seed(seed)


def test_generators_repeat_and_leave_the_global_state_alone() -> None:
    before = torch.random.get_rng_state()
    draws = [torch.rand(4, generator=generator(7, stream)) for stream in ("a", "a", "b")]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_available_memory_is_less_than_the_machine_has() -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < runtime.available_memory() <= total


def test_available_memory_without_proc_and_cgroups(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(path: Path, *arguments: object, **options: object) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", absent)
    assert runtime.available_memory() == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_available_memory_respects_the_limit_of_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"meminfo": "MemTotal: 9 kB\nMemAvailable: 8000000 kB\n", "memory.max": "5000", "memory.current": "2000"}
    monkeypatch.setattr(Path, "read_text", lambda path, *arguments, **options: files[path.name])
    assert runtime.available_memory() == 3000
    files["memory.max"] = "max\n"
    assert runtime.available_memory() == min(8_000_000 * 1024, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def test_free_disk_of_a_folder_that_is_still_to_be_made(tmp_path: Path) -> None:
    assert runtime.free_disk(tmp_path / "a" / "b") > 0


def test_the_stopwatch_extrapolates(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(runtime.time, "perf_counter", lambda: clock[0])
    watch = Stopwatch()
    clock[0] += 8
    assert watch.seconds == 8
    assert watch.remaining(done=2, total=10) == 32
    assert watch.remaining(done=10, total=10) == 0


def fail_while_deterministic() -> None:
    with runtime.deterministic():
        assert torch.are_deterministic_algorithms_enabled()
        raise RuntimeError("boom")


@pytest.mark.parametrize("before", [False, True])
def test_deterministic_gives_back_the_former_setting(before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    original = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(before)
    try:
        with pytest.raises(RuntimeError, match="boom"):
            fail_while_deterministic()
        assert torch.are_deterministic_algorithms_enabled() is before
    finally:
        torch.use_deterministic_algorithms(original)


def test_progress_is_a_plain_record() -> None:
    record = Progress("paint", 1, 10, {"loss": 0.5})
    assert record == Progress("paint", 1, 10, {"loss": 0.5})
    runtime.ignore_progress(record)


@pytest.mark.parametrize("module", ["errors", "runtime", "runs", "files"])
def test_importing_it_does_not_load_torch(module: str) -> None:
    code = f"import sys, impasto.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_examples_in_the_docstrings() -> None:
    outcome = doctest.testmod(runtime)
    assert outcome.attempted >= 6
    assert outcome.failed == 0


def test_held_memory_may_be_nested_and_survives_errors() -> None:
    import torch

    from impasto.runtime import _Holders, held_memory

    for _ in range(2):
        with pytest.raises(ZeroDivisionError), held_memory():  # noqa: PT012
            with held_memory():
                assert torch.rand(2**20).sum() > 0
            assert _Holders.count in (0, 1)
            raise ZeroDivisionError
        assert _Holders.count == 0
