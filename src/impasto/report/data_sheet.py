"""The pictures of a data card: a row for each class, and near duplicates side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from impasto.data.check.checking import CheckResult, Finding
from impasto.data.check.duplicates import Pair
from impasto.data.dataset import Sample
from impasto.report.data_words import TITLES, joined, sentence, split_names
from impasto.report.sheet import Cell, spread
from impasto.report.thumbnails import Thumbnails

MAX_CLASSES = 30
MAX_PAIRS = 12
MAX_FILES = 20
# Pictures of a class, and where there are only a few classes.
_A_ROW, _TWO_ROWS, _FEW_CLASSES = 10, 20, 8
_HOW = {"bytes": "equal bytes", "hash": "equal at a glance", "features": "alike to the encoder"}


@dataclass(frozen=True)
class ClassRow:
    """Some pictures of a class, how many it has, and by name those that are damaged."""

    label: str
    count: int
    cells: tuple[Cell, ...]
    damaged: tuple[str, ...]


@dataclass(frozen=True)
class End:
    """One picture of a pair."""

    image: str | None
    name: str
    label: str
    split: str


@dataclass(frozen=True)
class Twins:
    """Two pictures that count as one, and why."""

    ends: tuple[End, End]
    how: str


@dataclass(frozen=True)
class FindingView:
    """A finding: what it is, what it means for a score, the first of its files, and pictures of some pairs.

    ``total`` counts its files.
    """

    kind: str
    title: str
    sentence: str
    meaning: str
    files: tuple[str, ...]
    total: int
    twins: tuple[Twins, ...]


class CardPictures:
    """Takes the pictures of a checked data set from their files.

    Args:
        check: says which files can be read, and their digests.
        limit: bytes of one thumbnail.
        side: its side in pixels.
    """

    def __init__(self, check: CheckResult, side: int, limit: int) -> None:
        self.check = check
        self.cut, self.whole = Thumbnails(side, limit), Thumbnails(side, limit, whole=True)
        signatures = check.signatures
        self._digests = {place: look.sha256 for place, look in zip(signatures.kept, signatures.looks, strict=True)}
        self._pairs = {joined(check, index): pair for index, pair in enumerate(check.pairs)}

    @property
    def lost(self) -> list[str]:
        """The names of files that changed or vanished after they were checked."""
        return sorted({*self.cut.missing, *self.cut.changed, *self.whole.missing, *self.whole.changed})

    def row(self, label: str) -> ClassRow:
        """Return a class, its pictures evenly chosen, the splits in their order."""
        data = self.check.dataset
        order = {name: place for place, name in enumerate(split_names(data))}
        members = [index for index, sample in enumerate(data.samples) if sample.label == label]
        members.sort(key=lambda index: (order[data.samples[index].split], data.relative(data.samples[index])))
        good = [index for index in members if index in self._digests]
        count = _TWO_ROWS if len(data.classes) <= _FEW_CLASSES else _A_ROW
        damaged = tuple(data.samples[index].path.name for index in members if index not in self._digests)
        return ClassRow(label, len(members), tuple(self._cell(index) for index in spread(good, count)), damaged)

    def _cell(self, index: int) -> Cell:
        sample = self.check.dataset.samples[index]
        alt = ", ".join(filter(None, (sample.label, sample.path.name, sample.split)))
        return Cell(self.cut.data_uri(sample.path, self._digests[index]), alt, sample.split)

    def finding(self, finding: Finding) -> FindingView:
        """Return a finding with pictures of the pairs that it names."""
        title, meaning = TITLES.get(finding.kind, (finding.kind.capitalize(), ""))
        pairs = [self._pairs[name] for name in finding.files if name in self._pairs]
        if finding.kind == "leak" and any(pair.kind != "bytes" for pair in pairs):
            title = "Possible leak"
        return FindingView(
            finding.kind,
            title,
            sentence(finding),
            meaning,
            self._names(finding)[:MAX_FILES],
            len(finding.files),
            self.twins(pairs),
        )

    def _names(self, finding: Finding) -> tuple[str, ...]:
        """Return a finding's files; the reasons of damaged ones hold whole paths, which are shortened here."""
        if finding.kind != "damaged":
            return finding.files
        root = self.check.dataset.root
        found = self.check.signatures.unreadable
        return tuple(reason.replace(str(path), path.relative_to(root).as_posix()) for path, reason in found)

    def harmless(self) -> list[Pair]:
        """Return the near duplicates that share split and label."""
        samples = self.check.dataset.samples
        return [pair for pair in self.check.pairs if _side(samples[pair.first]) == _side(samples[pair.second])]

    def twins(self, pairs: Sequence[Pair]) -> tuple[Twins, ...]:
        """Return some of the pairs, evenly chosen, with their pictures, which are not cut."""
        return tuple(
            Twins((self._end(pair.first), self._end(pair.second)), _HOW.get(pair.kind, pair.kind))
            for pair in spread(pairs, MAX_PAIRS)
        )

    def _end(self, index: int) -> End:
        data, sample = self.check.dataset, self.check.dataset.samples[index]
        image = self.whole.data_uri(sample.path, self._digests[index])
        return End(image, data.relative(sample), sample.label, sample.split)


def _side(sample: Sample) -> tuple[str, str]:
    return sample.split, sample.label


def most_pictures(check: CheckResult) -> int:
    """Return how many thumbnails a card has at most."""
    classes = len(check.dataset.classes)
    a_class = _TWO_ROWS if classes <= _FEW_CLASSES else _A_ROW
    galleries = 1 + len(check.of("leak")) + len(check.of("conflict"))
    return min(classes, MAX_CLASSES) * a_class + 2 * MAX_PAIRS * galleries
