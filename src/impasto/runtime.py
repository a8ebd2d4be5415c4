"""Device, precision, seeds, progress and the limits of the machine.

Nothing here imports torch before it is needed, so that ``impasto --help`` stays instant.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from impasto.errors import UsageError

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True)
class Progress:
    """One record of a running procedure. Command line, web page and trace all read this one.

    ``step`` counts from 0 (just begun) to ``total`` (finished); ``values`` holds named numbers such as losses.
    """

    stage: str
    step: int
    total: int
    values: dict[str, float] = field(default_factory=dict)
    message: str = ""


OnProgress = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """Take a progress record and do nothing: the default observer."""


def choose_device(name: str = "auto") -> torch.device:
    """Return the device for ``name``: auto, cpu, cuda, cuda:1, mps. ``auto`` takes the fastest there is."""
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"device {name!r} cannot be used: {reason}.", "Try --device auto or cpu.") from error
    return device


def choose_dtype(precision: Precision, device: torch.device, *, batches: bool = False) -> torch.dtype:
    """Return the type in which convolutions are computed; images, losses and parameters stay float32.

    ``auto`` is a rule distilled from ``python -m benchmarks precision`` and not a timing at run time, because two
    timings can disagree and the same seed must give the same bytes: bf16 where the processor multiplies it in
    hardware (AMX tiles, or a GPU of compute capability 8 and later), float32 everywhere else. With ``batches``, for
    networks that are taught, AVX-512's products of bf16 count as well: they are 1.5 to 2.2 times as fast as float32
    there, and 1.1 times on the one picture that is painted.
    """
    import torch

    if precision not in ("auto", "fp32", "bf16"):
        raise UsageError(f"precision {precision!r} is none of auto, fp32, bf16.")
    if precision == "bf16":
        return torch.bfloat16
    if precision == "auto" and _has_fast_bf16(device, "avx512_bf16" if batches else "amx_bf16"):
        return torch.bfloat16
    return torch.float32


def _has_fast_bf16(device: torch.device, least: str) -> bool:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return device.type == "cpu" and not _cpu_flags().isdisjoint({"amx_bf16", least})


def _cpu_flags() -> frozenset[str]:
    """Instruction set flags of the first processor; empty where the system does not list them."""
    with (
        contextlib.suppress(OSError),
        Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as lines,
    ):
        for line in lines:
            if line.startswith("flags"):
                return frozenset(line.split(":", 1)[1].split())
    return frozenset()


def generator(seed: int, *stream: int | str) -> torch.Generator:
    """Return a CPU generator for ``seed`` and a named stream; streams of one seed are independent.

    >>> generator(1, "noise").initial_seed() == generator(1, "noise").initial_seed()
    True
    >>> generator(1, "noise").initial_seed() == generator(1, "shuffle").initial_seed()
    False
    """
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, *stream))


def derive_seed(seed: int, *stream: int | str) -> int:
    """Return a 63-bit seed for a named stream of ``seed`` (the first bytes of a SHA-256).

    >>> derive_seed(0, "a") == derive_seed(0, "a") != derive_seed(0, "b")
    True
    """
    import hashlib

    if not 0 <= seed < 2**63:
        raise UsageError(f"seed {seed} is outside 0 .. 2^63 - 1.")
    key = "\x1f".join(str(part) for part in (seed, *stream))
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1


def available_memory() -> int:
    """Bytes of main memory that can be taken now, the limit of a container respected."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                limits.append(int(line.split()[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):  # cgroup 2; "max" is no number and means no limit
        root = Path("/sys/fs/cgroup")
        limits.append(int((root / "memory.max").read_text()) - int((root / "memory.current").read_text()))
    return max(0, min(limits))


def free_disk(path: Path) -> int:
    """Bytes that can still be written below ``path``, which need not exist yet."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


class Stopwatch:
    """Seconds since it was made, and the time a loop still needs.

    >>> watch = Stopwatch()
    >>> watch.remaining(done=0, total=10) is None
    True
    """

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since the watch was made."""
        return time.perf_counter() - self._start

    def remaining(self, done: int, total: int) -> float | None:
        """Seconds until ``total`` at the pace so far, or None before the first step."""
        return self.seconds / done * (total - done) if done else None


@contextlib.contextmanager
def deterministic(*, strict: bool = True) -> Iterator[None]:
    """Ask torch for algorithms that give the same bytes again; the former setting comes back afterwards.

    Args:
        strict: whether an operator that has none is an error. On GPUs some have none (pooling to a grid in VGG's
            classifier); there the last bits may differ from one run to the next.
    """
    import torch
    import torch.utils.deterministic

    # Typed as a module without this attribute: torch makes it a property of the module's own class.
    memory: Any = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled()
    fill = memory.fill_uninitialized_memory
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    # cuBLAS reads this once, at its first call; without it the deterministic mode raises on GPUs.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=not strict)
    # Else every new tensor is written once more than needed, lest somebody reads what was never computed.
    memory.fill_uninitialized_memory = False
    try:
        with contextlib.nullcontext() if strict else warnings.catch_warnings():
            if not strict:
                warnings.filterwarnings("ignore", ".*does not have a deterministic implementation", UserWarning)
            yield
    finally:
        memory.fill_uninitialized_memory = fill
        torch.use_deterministic_algorithms(before, warn_only=warn_only)


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Compute on one core: for small work whose last bits must not depend on how many there are."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


class _Holders:
    """How many blocks of code want freed memory to be kept; the allocator is one for the whole process."""

    count = 0


@contextlib.contextmanager
def held_memory() -> Iterator[None]:
    """Keep freed memory for the next step in place of giving it back: on a CPU, features come twice as fast.

    A batch frees hundreds of megabytes and the next takes as many again, and every page that comes from the system is
    cleared first. Only where the C library is glibc; afterwards the memory is given back.
    """
    library = _allocator()
    if library is None:
        yield
        return
    _Holders.count += 1
    library.mallopt(_M_MMAP_MAX, 0)
    library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        _Holders.count -= 1
        if not _Holders.count:
            library.mallopt(_M_MMAP_MAX, 65536)  # both as they are by default
            library.mallopt(_M_TRIM_THRESHOLD, 128 * 1024)
            library.malloc_trim(0)


def _allocator() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def human_bytes(count: float) -> str:
    """Return ``count`` bytes in a readable unit.

    >>> human_bytes(512), human_bytes(1536), human_bytes(3 * 2**30)
    ('512 B', '1.5 kB', '3.0 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TB"


def human_time(seconds: float) -> str:
    """Return a duration in a readable unit.

    >>> human_time(0.25), human_time(42), human_time(150), human_time(7260)
    ('0.2 s', '42 s', '2 min 30 s', '2 h 1 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"


def parse_time(text: str) -> float:
    """Return seconds from a number with a unit: s, m or h; a bare number is seconds.

    >>> parse_time("90"), parse_time("30m"), parse_time("1.5h")
    (90.0, 1800.0, 5400.0)

    Raises:
        UsageError: it is none.
    """
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError as error:
        raise UsageError(f"{text!r} is no time.", "Write 90s, 30m or 2h.") from error
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{text!r} is no time.", "Write 90s, 30m or 2h.")
    return seconds
