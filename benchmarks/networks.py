"""Style networks as impasto runs them, against the same network in plain PyTorch: seconds, memory, whole folders."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.data.repaint.records import RepaintConfig
from impasto.data.repaint.repainting import repaint_folder
from impasto.images import open_picture, resize_long, to_tensor
from impasto.runtime import Stopwatch, human_bytes
from impasto.samples.photos import sample_photos
from impasto.style.apply import FastPainter, Network, apply_network
from impasto.style.brush import Mixture
from impasto.style.config import DEFAULT_NETWORK, FastConfig
from impasto.style.networks import Stage

SIZES = ((256, 256), (712, 474))
ROUNDS = {1: 9, 16: 3}  # batch size: in how many turns each is timed
READ_SIZE = 384


class Plain:
    """A network as its formulas say it, with torch's usual operations in float32."""

    def __init__(self, network: Network) -> None:
        self.network, self.stages = network, network.stages()

    def __call__(self, image: Tensor) -> Tensor:
        """Repaint B x 3 x H x W in 0..1, sides multiples of the network's."""
        outputs = [self.network.enter(image)]
        for stage in self.stages:
            x = _plain(stage, outputs[len(outputs) - stage.back])
            if stage.bridge:
                x = x + outputs[len(outputs) - stage.bridge]
            outputs.append(x)
        return self.network.leave(outputs[-1])


def _plain(stage: Stage, x: Tensor) -> Tensor:
    """Compute a stage of an ``ImpastoNet``."""
    if stage.enlarge:
        x = F.interpolate(x, scale_factor=2, mode="nearest")
    pixels = stage.kernel.shape[-1] // 2
    x = F.pad(x, (pixels,) * 4, mode="reflect")
    x = F.conv2d(x, stage.kernel, stage.bias, stride=1 if stage.enlarge else stage.stride)
    if stage.norm is not None:
        x = F.instance_norm(x, weight=stage.norm.weight, bias=stage.norm.bias, eps=stage.norm.eps)
    return x.relu() if stage.relu else x


def networks(style: Path, name: str = DEFAULT_NETWORK) -> None:
    """Print seconds and peak memory of one forward pass, ours and plain."""
    print(f"networks: {name}, as it is painted with, against the same in plain PyTorch in float32")
    plain, ours = (_painting(name, style, each) for each in (False, True))
    for width, height in SIZES:
        for batch, rounds in ROUNDS.items():
            shape = (width, height, batch)
            image = _image(*shape)
            turns = [(_seconds(plain, image), _seconds(ours, image)) for _ in range(rounds)]
            slow, fast = (min(column) for column in zip(*turns, strict=True))
            memory = [human_bytes(_peak_apart(name, style, each, shape)) for each in (False, True)]
            print(
                f"  {width}x{height} batch {batch:2d}: plain {slow:7.3f} s {memory[0]:>7s}, "
                f"ours {fast:7.3f} s {memory[1]:>7s}, ratio {slow / fast:4.1f}",
                flush=True,
            )
    photo = to_tensor(resize_long(open_picture(style).image, READ_SIZE).resize((256, 256)))
    with torch.no_grad():
        difference = (ours(photo) - plain(photo)).abs()
    print(f"  values of 0..1 differ by {difference.mean():.4f} in the mean, {difference.max():.3f} at most")
    whole_folder(name, style)


def whole_folder(name: str, style: Path, size: int = 256, photos: int = 96) -> None:
    """Print pictures a second of a whole data set: photos of 500 px read, painted, written."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        _photos(root / "photos", photos)
        (root / "styles").mkdir()
        shutil.copy(style, root / "styles")
        config = RepaintConfig(FastConfig(name, size=size))
        watch, spent = Stopwatch(), time.process_time()
        result = repaint_folder(root / "photos", root / "styles", root / "out", config)
        seconds, busy = watch.seconds, time.process_time() - spent
    cores = len(os.sched_getaffinity(0))
    speed = f"{result.painted} pictures of {size} px in {seconds:.1f} s, {result.painted / seconds:.1f} a second"
    print(f"  a folder: {speed}; {busy / seconds:.2f} of {cores} cores busy")


def _photos(target: Path, count: int) -> None:
    """Cut photos out of the sample photos, all different."""
    target.mkdir()
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        samples = [open_picture(path).image for path in sample_photos(Path(place))]
    for index in range(count):
        image = samples[index % len(samples)]
        left, top = (int(random.integers(0, side // 4)) for side in image.size)
        cut = image.crop((left, top, left + image.width * 3 // 4, top + image.height * 3 // 4))
        resize_long(cut, 500).save(target / f"{index}.jpg", quality=92)


def _load(name: str, style: Path, dtype: torch.dtype | None) -> Network:
    """Return the network of a style; by default in the type that it is painted with."""
    painter = FastPainter(FastConfig(name))
    view = to_tensor(painter.brush.style_view(open_picture(style).image, READ_SIZE))
    styles = [view] if painter.brush.reads_pictures else []
    network: Network = painter.brush.networks(styles, Mixture((), 1.0, lambda: view, dtype or painter.dtype)).network
    return network


def _painting(name: str, style: Path, as_painted: bool) -> Callable[[Tensor], Tensor]:
    if as_painted:
        return partial(apply_network, _load(name, style, None))
    return Plain(_load(name, style, torch.float32))


def _image(width: int, height: int, batch: int) -> Tensor:
    """Return noise whose sides are multiples of 8: plain networks cannot do others."""
    return torch.rand(batch, 3, -(-height // 8) * 8, -(-width // 8) * 8, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def _seconds(painting: Callable[[Tensor], Tensor], image: Tensor) -> float:
    watch = Stopwatch()
    painting(image)
    return watch.seconds


def _peak(name: str, style: Path, as_painted: bool, shape: tuple[int, int, int]) -> int:
    """Return by how many bytes one pass raises this process's peak; the process has to be a new one."""
    painting, image = _painting(name, style, as_painted), _image(*shape)
    before = _peak_until_now()
    _seconds(painting, image)
    return _peak_until_now() - before


def _peak_until_now() -> int:
    # Not getrusage's ru_maxrss, in which a new process begins with what its parent had.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def _peak_apart(*of: Any) -> int:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_peak, *of).result()
