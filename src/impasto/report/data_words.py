"""Sentences on a data set: whether a score on it can be believed, what was found to be fine, what stays unknown."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from impasto.data.check.checking import FEW, LONG, TINY, UNEVEN, CheckResult, Finding
from impasto.data.check.probes import FOLDS, Probe
from impasto.data.dataset import SPLITS, Dataset
from impasto.report.wording import NBSP, listing, percent, plural
from impasto.statistics import wilson

# What a finding of each kind is called, and what it means for a score.
TITLES = {
    "leak": ("Leak", "A model that remembers the one names the other: the score counts it as understood."),
    "conflict": ("Two labels", "In each pair at least one label is doubtful, and no model can be right on both."),
    "damaged": ("Damaged", "They count as part of their class and are shown nowhere; no training can use them."),
    "shortcut": ("Shortcut", "A model may learn this in place of what is shown, so a score counts only above it."),
    "imbalance": ("Imbalance", "Look at the balanced accuracy and at each class: rare ones hardly move the accuracy."),
    "odd": ("Odd", "They are scaled and cut like all others: look whether they belong."),
}
_SEES = {
    "image size": "the size in pixels",
    "file size": "the number of bytes",
    "border colour": "the colour of the border",
    "4x4 thumbnail": "a thumbnail of 4x4 pixels",
}
# What is usually set aside.
_TEST_SHARE = 0.15
# What no HTML may hold: control characters, halves of letters from file names of other encodings, non-characters. And
# what turns the direction of writing: with it a name can look like another, and disturb what stands beside it.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
# Messages count in the plural.
_ONE = re.compile(r"^1 (class|group|pair|picture)e?s\b(.*?)\b(are|have)\b")
_SINGULAR = {"are": "is", "have": "has"}


@dataclass(frozen=True)
class Exposure:
    """How many pictures of a split are in ``earlier`` splits, too: ``certain`` by equal bytes, ``likely`` by looks."""

    split: str
    certain: int
    likely: int
    total: int
    earlier: tuple[str, ...]

    @property
    def points(self) -> float:
        """By how much a score on the split may be too high."""
        return 100 * (self.certain + self.likely) / self.total


def printable(text: str) -> str:
    """Return text with a question mark in a lozenge for all that it may not hold on a page.

    >>> printable("a\\x07b\\udcff\\n")
    'a\ufffdb\ufffd\\n'
    """
    return _UNPRINTABLE.sub("\ufffd", text)


def split_names(data: Dataset) -> tuple[str, ...]:
    """Return the splits in use: train, validation, test, then any other; "" stands for none."""
    present = {sample.split for sample in data.samples}
    return (*data.splits, *sorted(present - set(SPLITS)))


def exposures(check: CheckResult) -> list[Exposure]:
    """Return the splits that hold what an earlier split holds, or what looks like it."""
    samples = check.dataset.samples
    order = {name: place for place, name in enumerate(split_names(check.dataset))}
    found: defaultdict[str, dict[int, bool]] = defaultdict(dict)
    early: defaultdict[str, set[str]] = defaultdict(set)
    for pair in check.pairs:
        first, second = sorted((pair.first, pair.second), key=lambda index: order[samples[index].split])
        before, late = samples[first].split, samples[second].split
        if before and late and before != late:
            found[late][second] = found[late].get(second, False) or pair.kind == "bytes"
            early[late].add(before)
    return [
        _exposure(check, name, found[name], sorted(early[name], key=order.__getitem__)) for name in order if found[name]
    ]


def _exposure(check: CheckResult, split: str, found: dict[int, bool], earlier: Sequence[str]) -> Exposure:
    certain = sum(found.values())
    return Exposure(split, certain, len(found) - certain, len(check.dataset.split(split)), tuple(earlier))


def sentence(finding: Finding) -> str:
    """Return a finding's message as a sentence.

    >>> sentence(Finding("leak", "1 groups are in more than one split"))
    '1 group is in more than one split.'
    >>> sentence(Finding("shortcut", "the file size alone tells the label"))
    'The file size alone tells the label.'
    """
    message = _ONE.sub(lambda match: f"1 {match[1]}{match[2]}{_SINGULAR[match[3]]}", finding.message)
    if finding.kind != "imbalance":  # it may begin with the name of a class
        message = message[:1].upper() + message[1:]
    return f"{message.replace(' %', NBSP + '%')}."


def verdict(check: CheckResult) -> list[str]:
    """Return what may make a score worthless, or that nothing was found; then what else to know.

    What moves a score by less than a point comes after what moves it by more.
    """
    ranked = [*_leaks(check), *_conflicts(check), *_shortcuts(check)]
    grave = [text for _, text in sorted(ranked, key=lambda item: item[0] < 1)]
    others = [sentence(finding) for kind in ("damaged", "imbalance", "odd") for finding in check.of(kind)]
    if len(check.dataset.classes) == 1:
        grave.insert(0, "There is one class: nothing is to be told apart, so no score means anything.")
    return [*(grave or [_nothing(check)]), *others]


def _leaks(check: CheckResult) -> Iterator[tuple[float, str]]:
    for found in exposures(check):
        of_split = f"of the {found.total:,} {found.split} pictures"
        earlier = " or ".join(found.earlier)
        points = f"up to {_points(found.points)} too high"
        if found.certain:
            more = f", and {found.likely:,} look as if they were" if found.likely else ""
            text = (
                f"There is a leak: {found.certain:,} {of_split} are in {earlier}, too{more}. "
                f"A score on {found.split} may be {points}."
            )
        else:
            text = (
                f"There may be a leak: {found.likely:,} {of_split} look like pictures in {earlier}. "
                f"If they are copies, a score on {found.split} may be {points}: look at the pairs below."
            )
        yield found.points, text
    pairs = {joined(check, index) for index in range(len(check.pairs))}
    for finding in check.of("leak"):
        if not pairs.issuperset(finding.files):
            yield 100, f"There is a leak: {sentence(finding)}"


def _conflicts(check: CheckResult) -> Iterator[tuple[float, str]]:
    samples = check.dataset.samples
    pairs = [pair for pair in check.pairs if samples[pair.first].label != samples[pair.second].label]
    if pairs:
        points = 100 * len({end for pair in pairs for end in (pair.first, pair.second)}) / len(samples)
        look = "looks like one picture and has" if len(pairs) == 1 else "look like one picture and have"
        yield points, f"{plural(len(pairs), 'pair')} {look} two labels."


def _shortcuts(check: CheckResult) -> Iterator[tuple[float, str]]:
    found = sorted((probe for probe in check.probes if probe.tells_the_label), key=lambda probe: -probe.correct)
    if found:
        told = [f"{_SEES.get(probe.name, probe.name)} {probe.correct:,} ({percent(_share(probe))})" for probe in found]
        told[0] = told[0].replace(f" {found[0].correct:,} ", f" alone tells {found[0].correct:,} ")
        text = f"Of {found[0].total:,} labels, {listing(told)}; chance is {percent(found[0].chance)}"
        yield 100 * (_share(found[0]) - found[0].chance), f"{text}. A score counts only above that."


def _share(probe: Probe) -> float:
    return probe.correct / probe.total


def _nothing(check: CheckResult) -> str:
    found = [
        "no picture is in two splits" if check.dataset.splits else "there are no splits yet that could share a picture",
        "no two pictures that look alike differ in their label",
        f"none of {len(check.probes)} shortcuts tells the label"
        if check.probes
        else "the classes are too small to be probed for shortcuts",
    ]
    pictures = plural(len(check.dataset), "picture")
    return f"Nothing was found that makes a score on these {pictures} worthless: {listing(found)}."


def fine(check: CheckResult) -> list[str]:
    """Return what was looked for and not found."""
    sound = {
        "leak": "No picture is in two splits, and no group of pictures that belong together."
        if check.dataset.splits
        else "There are no splits yet, so none can leak. `impasto dataset split` keeps what looks alike together.",
        "conflict": "No two pictures that look like one have different labels.",
        "damaged": "Every picture can be read.",
        "shortcut": f"{plural(len(check.probes), 'probe')} could not tell the label." if check.probes else "",
        "imbalance": f"No class is more than {UNEVEN:g} times as large as another or has fewer than {FEW} pictures, "
        "and none is absent from a split.",
        "odd": f"No picture is more than {LONG:g} times as long as wide or has a side of fewer than {TINY} pixels, and "
        "the pixels of all are of one kind.",
    }
    return [text for kind, text in sound.items() if text and not check.of(kind)]


def verdict_on(probe: Probe) -> str:
    """Return in words what a probe showed."""
    if probe.tells_the_label:
        return "tells the label"
    if probe.low > probe.chance:
        return "a little above chance"
    return "does not tell the label"


def limits(check: CheckResult) -> list[str]:
    """Return what a score on this data set, and this page, cannot tell."""
    return [
        *_precision(check.dataset),
        "Copies are found where a picture was scaled, compressed anew or cut a little; mirrored, recoloured or "
        "strongly cut ones can pass. What has like parts in like places, two portraits say, can be taken for a copy.",
        "A wrong label shows only where a copy has another one.",
        *_unprobed(check),
    ]


def _precision(data: Dataset) -> Iterator[str]:
    scored = [name for name in split_names(data) if name and name != "train"]
    if not scored:
        count = max(1, round(_TEST_SHARE * len(data)))
        yield (
            f"Nothing is set aside for testing yet. With {percent(_TEST_SHARE)} that is {plural(count, 'picture')}, "
            f"which tell a score to within {_uncertainty(count)}."
        )
        return
    part = data.split(scored[-1])
    least, count = min(part.counts().items(), key=lambda item: item[1])
    yield (
        f"The {plural(len(part), f'{scored[-1]} picture')} tell a score to within {_uncertainty(len(part))}: smaller "
        f"differences between models mean nothing. The smallest class there, {least}, has {plural(count, 'picture')}: "
        f"one more or less moves its recall by {_points(100 / count)}."
    )


def _uncertainty(count: int) -> str:
    low, high = wilson(count // 2, count)
    return f"{_points(50 * (high - low))} either way at worst (95{NBSP}% interval)"


def _points(value: float) -> str:
    """Return points of a percentage.

    >>> _points(100), _points(3.46), _points(1.0)
    ('100 points', '3.5 points', '1 point')
    """
    text = f"{value:.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")
    return f"{text} point" if text == "1" else f"{text} points"


def _unprobed(check: CheckResult) -> Iterator[str]:
    if not check.probes:
        yield f"Shortcuts were not probed: that takes two classes of at least {FOLDS} separate pictures or groups each."
        return
    names = listing([probe.name for probe in check.probes])
    left_out = len(check.signatures.kept) - min(probe.total for probe in check.probes)
    some = f" {plural(left_out, 'picture')} of smaller classes had no part in it." if left_out else ""
    yield f"Shortcuts were probed in the {names} only: a watermark, a camera or a background can be one, too.{some}"


def joined(check: CheckResult, pair: int) -> str:
    """Return the pair of that position as findings name it."""
    data = check.dataset
    return " = ".join(data.relative(data.samples[end]) for end in (check.pairs[pair].first, check.pairs[pair].second))
