"""The numbers of a data card: pictures of each class and split, sizes, kinds of files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import median

from impasto.data.check.checking import CheckResult
from impasto.data.dataset import Dataset
from impasto.report.data_figures import ClassCount
from impasto.report.data_words import split_names
from impasto.report.wording import percent
from impasto.runtime import human_bytes

_PIXELS = {
    "1": "black and white",
    "L": "grey",
    "LA": "grey with opacity",
    "P": "palette",
    "PA": "palette with opacity",
    "RGB": "colour",
    "RGBA": "colour with opacity",
    "CMYK": "colour for print",
    "YCbCr": "colour",
    "LAB": "colour",
    "I;16": "grey, 16 bit",
    "I;16B": "grey, 16 bit",
    "I": "grey, 32 bit",
    "F": "grey, floating point",
}


@dataclass(frozen=True)
class Kind:
    """Files of one ending whose pixels are of one kind."""

    ending: str
    pixels: str
    count: int


@dataclass(frozen=True)
class Facts:
    """What the readable files are: ``sizes`` are width and height, ``table`` holds names and values in words."""

    sizes: tuple[tuple[int, int], ...]
    table: tuple[tuple[str, str], ...]
    kinds: tuple[Kind, ...]


def class_counts(data: Dataset) -> list[ClassCount]:
    """Return the pictures of each class and split, classes by name, splits in the order of ``split_names``."""
    counts = Counter((sample.label, sample.split) for sample in data.samples)
    return [ClassCount(label, tuple(counts[label, split] for split in split_names(data))) for label in data.classes]


def balance(data: Dataset) -> str:
    """Return how uneven the classes are, as a sentence."""
    counts = data.counts()
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[most] == counts[least]:
        return f"All classes have {counts[most]:,} pictures: guessing one of them scores {percent(1 / len(counts), 1)}."
    return (
        f"The largest class, {most}, has {counts[most]:,} pictures, the smallest, {least}, {counts[least]:,}: "
        f"{counts[most] / counts[least]:.1f} times as many. Always naming the largest scores "
        f"{percent(counts[most] / len(data), 1)}."
    )


def file_facts(check: CheckResult) -> Facts:
    """Return what the readable files of a data set are."""
    data, signatures = check.dataset, check.signatures
    samples = [data.samples[index] for index in signatures.kept]
    sizes = tuple((look.width, look.height) for look in signatures.looks)
    kinds = Counter(
        (sample.path.suffix.lower(), look.mode) for sample, look in zip(samples, signatures.looks, strict=True)
    )
    weights = {data.relative(sample): sample.path.stat().st_size for sample in samples}
    largest = max(weights, key=weights.__getitem__)
    shorter, longer = ([side(size) for size in sizes] for side in (min, max))
    aspects = [width / height for width, height in sizes]
    table = (
        ("shorter side", _span(shorter)),
        ("longer side", _span(longer)),
        ("width : height", _ratios(aspects)),
        ("size of a file", f"median {human_bytes(median(weights.values()))}"),
        ("largest file", f"{human_bytes(weights[largest])}, {largest}"),
        ("all files", human_bytes(sum(weights.values()))),
    )
    return Facts(
        sizes,
        table,
        tuple(Kind(ending, _named(mode), count) for (ending, mode), count in sorted(kinds.items(), key=_largest_first)),
    )


def _largest_first(item: tuple[tuple[str, str], int]) -> tuple[int, tuple[str, str]]:
    return -item[1], item[0]


def _span(sides: list[int]) -> str:
    if min(sides) == max(sides):
        return f"{sides[0]:,} pixels, all of them"
    return f"median {median(sides):,.0f} pixels, from {min(sides):,} to {max(sides):,}"


def _ratios(aspects: list[float]) -> str:
    if min(aspects) == max(aspects):
        return f"{aspects[0]:.3g}, all of them"
    return f"median {median(aspects):.3g}, from {min(aspects):.2g} to {max(aspects):.2g}"


def _named(mode: str) -> str:
    return f"{mode}, {_PIXELS[mode]}" if mode in _PIXELS else mode
