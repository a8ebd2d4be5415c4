"""Exported models against the classifier they come from, on pictures of every kind: agreement, size and speed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image

from impasto.classify import Classifier, TrainConfig, train
from impasto.classify.export import Check, export_folder, export_onnx
from impasto.classify.export.checking import answers, onnx_answers, open_session
from impasto.data.load.pictures import scaled
from impasto.errors import MissingWeightsError, UsageError
from impasto.images import find_pictures, open_picture
from impasto.runtime import Stopwatch
from impasto.samples.photos import sample_photos

MODELS = ("frozen:squeezenet1_0", "frozen:impasto-vgg")
COUNT = 200
ROUNDS = 15


def export(folder: Path) -> None:
    """Train on the labelled ``folder`` and compare what is exported with the classifier.

    The pictures are made from those of the folder and the sample photos in all formats, modes and shapes there are.
    """
    with tempfile.TemporaryDirectory() as place:
        sources = [*sample_photos(Path(place) / "photos"), *find_pictures(folder)]
        files = pictures_of_every_kind(sources, Path(place) / "kinds", COUNT)
        print(f"export: {len(files)} pictures of {len(KINDS)} kinds, {torch.get_num_threads()} threads")
        for name in MODELS:
            run = Path(place) / name.replace(":", "-")
            try:
                result = train(TrainConfig(folder, name, device="cpu"), run)
            except MissingWeightsError as error:
                print(f"  {name}: left out, {error.message}")
                continue
            print(f"  {name}, validation {result.validation}")
            _compare(Classifier.load(run, device="cpu"), Path(place), files)


def _compare(classifier: Classifier, place: Path, files: Sequence[Path]) -> None:
    expected = answers(classifier, files)
    for int8 in (False, True):
        path = place / f"{'int8' if int8 else 'float32'}.onnx"
        size = export_onnx(classifier, path, int8=int8).size
        _say(path.name, size, Check.of(expected, onnx_answers(path.read_bytes(), files)))
    try:
        written = export_folder(classifier, place / "folder", pictures=files)
        _say(f"safetensors ({written.architecture})", written.size, written.check)
    except UsageError as error:
        print(f"    safetensors: {error.message}")
    _race(classifier, (place / "float32.onnx").read_bytes())


def _say(name: str, size: int, check: Check) -> None:
    worst = f"probabilities differ by {check.largest_difference:.2g} at most"
    print(f"    {name:28s}{size:12,} bytes  {worst}, {check.changed_labels} of {check.pictures} labels change")


def _race(classifier: Classifier, data: bytes) -> None:
    """Time both from decoded pixels to probabilities, in turns, one thread each, best of all rounds."""
    session, threads = open_session(data, threads=1), torch.get_num_threads()
    torch.set_num_threads(1)
    for width, height in ((224, 224), (640, 480), (4000, 3000)):
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        image = Image.fromarray(pixels)
        ways: tuple[Callable[[], object], ...] = (
            lambda image=image: classifier.logits(scaled([classifier.preprocessing(image)])),
            lambda pixels=pixels: session.run(None, {"image": pixels}),
        )
        rounds = [[_seconds(way) for way in ways] for _ in range(ROUNDS)]
        theirs, ours = (min(column) for column in zip(*rounds, strict=True))
        print(f"    {width} x {height}: torch {theirs:.4f} s, onnxruntime {ours:.4f} s, ratio {theirs / ours:.2f}")
    torch.set_num_threads(threads)


def _seconds(way: Callable[[], object]) -> float:
    watch = Stopwatch()
    way()
    return watch.seconds


def pictures_of_every_kind(sources: Sequence[Path], folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Write ``count`` pictures, all kinds in turn, each from another source, into a new folder."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    chosen = random.choice(len(sources), count, replace=count > len(sources))
    paths = []
    for number, source in enumerate(chosen.tolist()):
        name, write = list(KINDS.items())[number % len(KINDS)]
        image = open_picture(sources[source]).image
        width, height = (int(side) for side in random.integers(30, 700, 2))
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        path = folder / f"{number:04d}-{name}"
        write(image, path)
        paths.append(path)
    return paths


def _plain(**options: object) -> Callable[[Image.Image, Path], None]:
    return lambda image, path: image.save(path, **options)


def _as(mode: str, **options: object) -> Callable[[Image.Image, Path], None]:
    return lambda image, path: image.convert(mode).save(path, **options)


def _shaped(width: int, height: int) -> Callable[[Image.Image, Path], None]:
    return lambda image, path: image.resize((width, height), Image.Resampling.BICUBIC).save(path)


def _translucent(image: Image.Image, path: Path) -> None:
    slope = np.linspace(0, 255, image.width, dtype=np.uint8)[None].repeat(image.height, 0)
    image.putalpha(Image.fromarray(slope))
    image.save(path)


def _deep(image: Image.Image, path: Path) -> None:
    Image.fromarray(np.asarray(image.convert("L"), dtype=np.uint16) * 257).save(path)


def _turned(orientation: int) -> Callable[[Image.Image, Path], None]:
    def write(image: Image.Image, path: Path) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        image.save(path, exif=exif)

    return write


KINDS: dict[str, Callable[[Image.Image, Path], None]] = {
    "jpeg.jpg": _plain(quality=85),
    "grey.jpg": _as("L"),
    "cmyk.jpg": _as("CMYK"),
    "progressive.jpg": _plain(progressive=True, quality=40),
    "turned3.jpg": _turned(3),
    "turned6.jpg": _turned(6),
    "mirrored.jpg": _turned(5),
    "rgb.png": _plain(),
    "alpha.png": _translucent,
    "palette.png": _as("P"),
    "grey.png": _as("L"),
    "one-bit.png": _as("1"),
    "deep.png": _deep,
    "lossy.webp": _plain(quality=80),
    "lossless.webp": _plain(lossless=True),
    "plain.tiff": _plain(),
    "packed.tiff": _plain(compression="tiff_lzw"),
    "picture.bmp": _plain(),
    "picture.gif": _as("P"),
    "thin.png": _shaped(1, 200),
    "flat.png": _shaped(333, 1),
    "dot.png": _shaped(1, 1),
    "tiny.png": _shaped(3, 2),
    "exact.png": _shaped(224, 224),
    "panorama.png": _shaped(2001, 97),
    "large.jpg": _shaped(2403, 1801),
}
