"""R2's case at full size: two archives that overlap, with one file in a hundred damaged in one of ten ways."""

from __future__ import annotations

import io
import json
import random
import resource
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from impasto.images import find_pictures
from impasto.runtime import Stopwatch, human_bytes

_TOTAL, _OVERLAP, _SHARE = 8000, 1000, 0.01


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _claims(data: bytes) -> bytes:
    """Return a PNG that says that it has 60000 x 60000 pixels."""
    png = bytearray(_png(Image.new("RGB", (8, 8))))
    png[16:24] = (60000).to_bytes(4, "big") * 2
    return bytes(png)


def _broken_png(data: bytes) -> bytes:
    png = bytearray(_png(Image.open(io.BytesIO(data)).convert("RGB")))
    png[len(png) // 2] ^= 0xFF
    return bytes(png)


def _tiny(data: bytes) -> bytes:
    return _png(Image.new("RGB", (3, 3), random.Random(data).choice(["red", "blue", "green"])))


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "ends at a tenth": lambda data: data[: len(data) // 10],
    "ends at nine tenths": lambda data: data[: 9 * len(data) // 10],
    "only its header": lambda data: data[:20],
    "a web page": lambda data: b"<!DOCTYPE html><title>404</title>" + data[:9],
    "text": lambda data: b"see the other folder " + str(len(data)).encode(),
    "zeros": lambda data: bytes(len(data)),
    "claims 60000x60000": _claims,
    "a broken PNG": _broken_png,
    "3x3 pixels": _tiny,
}


def importing(folder: Path) -> None:
    """Pack pictures of a labelled folder into a zip and a tar.gz, damage some, import both, print what came of it."""
    paths = find_pictures(folder)
    if len(paths) < _TOTAL:
        print(f"importing: {folder} has {len(paths)} pictures, {_TOTAL} are needed; left out")
        return
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        damaged = _pack(folder, paths[:_TOTAL], place)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        watch = Stopwatch()
        command = ["-m", "impasto", "dataset", "import", "first.zip", "second.tar.gz", "-o", "out", "--json"]
        shown = subprocess.run([sys.executable, *command], cwd=place, check=True, capture_output=True, text=True)
        seconds, peak = watch.seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        told = json.loads(shown.stdout)
        print(
            f"importing: {_TOTAL} files, {_OVERLAP} of them in both archives, {damaged} damaged in {len(DAMAGES)} ways"
        )
        print(f"  kept {told['pictures']} in {len(told['classes'])} classes; set aside {told['set_aside']}")
        rate = (_TOTAL + _OVERLAP) / seconds
        memory = f"{human_bytes(1024 * peak)}" if peak > usage else f"below {human_bytes(1024 * usage)}"
        print(f"  {seconds:.1f} s, {rate:.0f} files a second, peak memory {memory}")


def _pack(folder: Path, paths: list[Path], place: Path) -> int:
    """Write the archives; return how many different files in them are damaged."""
    chosen = random.Random(0).sample(range(len(paths)), int(_SHARE * len(paths)))
    ways = dict(zip(chosen, list(DAMAGES.values()) * len(chosen), strict=False))
    middle = len(paths) // 2
    with zipfile.ZipFile(place / "first.zip", "w") as first, tarfile.open(place / "second.tar.gz", "w:gz") as second:
        for index, path in enumerate(paths):
            data, inside = path.read_bytes(), path.relative_to(folder).as_posix()
            data = ways[index](data) if index in ways else data
            if index < middle + _OVERLAP // 2:
                first.writestr(f"dataset/{inside}", data)
            if index >= middle - _OVERLAP // 2:
                member = tarfile.TarInfo(f"more/{inside}")
                member.size = len(data)
                second.addfile(member, io.BytesIO(data))
    return len(ways)
