"""What has to be known of a data set before a score on it is believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from impasto.data.check.duplicates import Pair, near_pairs
from impasto.data.check.looks import Signatures, sign
from impasto.data.check.probes import Probe, probe
from impasto.data.dataset import Dataset, read_dataset
from impasto.data.grouping import connected
from impasto.encoders import AnyEncoder
from impasto.errors import DataError
from impasto.runtime import OnProgress, Stopwatch, ignore_progress

# A class this many times as large as another is told; so is one with fewer pictures than the second number.
UNEVEN, FEW = 3.0, 10
# A picture this many times longer than wide, or with a shorter side of so few pixels, is odd.
LONG, TINY = 4.0, 48
_HOW = {"bytes": "equal bytes", "hash": "equal at a glance", "features": "the same, scaled, recoloured or cut"}


@dataclass(frozen=True)
class Finding:
    """Something that may make a score worthless.

    Attributes:
        kind: "leak", "conflict", "damaged", "shortcut", "imbalance" or "odd".
        message: what it is, in one sentence.
        files: what is concerned, paths below the data set, or pairs of them joined by " = ".
    """

    kind: str
    message: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckResult:
    """All findings, worst first; ``probes`` tell what of the label little things alone predict.

    ``signatures`` are of the data set's samples, so are the positions in ``pairs``.
    """

    dataset: Dataset
    findings: tuple[Finding, ...]
    probes: tuple[Probe, ...]
    pairs: tuple[Pair, ...]
    signatures: Signatures
    seconds: float

    def of(self, kind: str) -> tuple[Finding, ...]:
        """Return the findings of one kind."""
        return tuple(finding for finding in self.findings if finding.kind == kind)


def check_dataset(
    dataset: Dataset | Path, *, encoder: AnyEncoder | None = None, on_progress: OnProgress = ignore_progress
) -> CheckResult:
    """Look for leaks between splits, doubtful labels, shortcuts, and what is odd.

    Args:
        dataset: or the folder of one.
        encoder: what finds near duplicates; the embedded one by default.

    Raises:
        DataError: no data set, or none of its pictures can be read.
    """
    watch = Stopwatch()
    data = dataset if isinstance(dataset, Dataset) else read_dataset(dataset)
    signatures = sign([sample.path for sample in data.samples], encoder, on_progress=on_progress)
    if not signatures.kept:
        raise DataError(f"no picture of {data.root} can be read.", f"The first: {signatures.unreadable[0][1]}")
    pairs = near_pairs(signatures, [(sample.split, sample.label) for sample in data.samples])
    probes = _probes(data, signatures, pairs)
    findings = [
        *_leaks(data, pairs),
        *_conflicts(data, pairs),
        *_damaged(data, signatures),
        *_shortcuts(probes),
        *_imbalances(data),
        *_odd(data, signatures),
    ]
    return CheckResult(data, tuple(findings), tuple(probes), tuple(pairs), signatures, watch.seconds)


def _leaks(data: Dataset, pairs: Sequence[Pair]) -> list[Finding]:
    """Tell of pictures in two splits, and of groups that were parted."""
    findings = []
    for kind, how in _HOW.items():
        across = [pair for pair in pairs if pair.kind == kind and _parted(data, pair)]
        if across:
            names = tuple(_joined(data, pair) for pair in across)
            findings.append(Finding("leak", f"{len(across)} pairs of pictures in different splits are {how}", names))
    splits: dict[str, set[str]] = {}
    for sample in data.samples:
        if sample.group and sample.split:
            splits.setdefault(sample.group, set()).add(sample.split)
    parted = tuple(sorted(group for group, found in splits.items() if len(found) > 1))
    if parted:
        findings.append(Finding("leak", f"{len(parted)} groups are in more than one split", parted))
    return findings


def _parted(data: Dataset, pair: Pair) -> bool:
    first, second = data.samples[pair.first], data.samples[pair.second]
    return bool(first.split and second.split) and first.split != second.split


def _joined(data: Dataset, pair: Pair) -> str:
    return " = ".join(data.relative(data.samples[index]) for index in (pair.first, pair.second))


def _conflicts(data: Dataset, pairs: Sequence[Pair]) -> list[Finding]:
    both = [pair for pair in pairs if data.samples[pair.first].label != data.samples[pair.second].label]
    names = tuple(_joined(data, pair) for pair in both)
    return [Finding("conflict", f"{len(both)} pairs of one picture have two labels", names)] if both else []


def _damaged(data: Dataset, signatures: Signatures) -> list[Finding]:
    if not signatures.unreadable:
        return []
    reasons = tuple(reason for _, reason in signatures.unreadable)
    return [Finding("damaged", f"{len(reasons)} of {len(data)} pictures cannot be read", reasons)]


def _probes(data: Dataset, signatures: Signatures, pairs: Sequence[Pair]) -> list[Probe]:
    """Ask what predicts the label without the picture's content; near duplicates stay in one fold."""
    samples = [data.samples[index] for index in signatures.kept]
    groups = _joined_sets(data, pairs)[list(signatures.kept)]
    looks = signatures.looks
    sizes = np.array([(look.width, look.height, look.width / look.height) for look in looks])
    weights = np.array([[sample.path.stat().st_size] for sample in samples], dtype=np.float64)
    labels = np.array([sample.label for sample in samples])
    seen = {
        "image size": sizes,
        "file size": weights,
        "border colour": np.stack([look.border for look in looks]),
        "4x4 thumbnail": np.stack([look.thumbnail for look in looks]),
    }
    found = (probe(name, values, labels, groups) for name, values in seen.items())
    return [each for each in found if each is not None]


def _joined_sets(data: Dataset, pairs: Sequence[Pair]) -> npt.NDArray[np.intp]:
    """Number what must stay in one fold: near duplicates, groups, and what is joined through both."""
    last: dict[str, int] = {}
    links = [(pair.first, pair.second) for pair in pairs]
    for index, sample in enumerate(data.samples):
        if sample.group:
            links.append((last.get(sample.group, index), index))
            last[sample.group] = index
    return connected(links, len(data))


def _shortcuts(probes: Sequence[Probe]) -> list[Finding]:
    return [
        Finding("shortcut", f"the {each.name} alone tells the label: {each}") for each in probes if each.tells_the_label
    ]


def _imbalances(data: Dataset) -> list[Finding]:
    counts = data.counts()
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    findings = []
    if counts[most] > UNEVEN * counts[least]:
        ratio = counts[most] / counts[least]
        message = f"{most} has {counts[most]} pictures, {least} has {counts[least]}: {ratio:.1f} times"
        findings.append(Finding("imbalance", message))
    few = tuple(f"{label} ({count})" for label, count in counts.items() if count < FEW)
    if few:
        findings.append(Finding("imbalance", f"{len(few)} classes have fewer than {FEW} pictures", few))
    for split in data.splits:
        absent = tuple(label for label in data.classes if label not in data.split(split).classes)
        if absent:
            findings.append(Finding("imbalance", f"{len(absent)} classes are not in {split}", absent))
    return findings


def _odd(data: Dataset, signatures: Signatures) -> list[Finding]:
    names = [data.relative(data.samples[index]) for index in signatures.kept]
    sides = [(look.width, look.height) for look in signatures.looks]
    long = tuple(name for name, side in zip(names, sides, strict=True) if max(side) > LONG * min(side))
    tiny = tuple(name for name, side in zip(names, sides, strict=True) if min(side) < TINY)
    findings = []
    if long:
        findings.append(Finding("odd", f"{len(long)} pictures are more than {LONG:g} times as long as wide", long))
    if tiny:
        findings.append(Finding("odd", f"{len(tiny)} pictures have a side of fewer than {TINY} pixels", tiny))
    modes = Counter(look.mode for look in signatures.looks)
    usual = modes.most_common(1)[0][0]
    other = tuple(name for name, look in zip(names, signatures.looks, strict=True) if look.mode != usual)
    if other:
        told = ", ".join(f"{count} {mode}" for mode, count in modes.most_common())
        findings.append(Finding("odd", f"pixels are not of one kind: {told}", other))
    return findings
