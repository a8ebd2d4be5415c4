"""Splitting a data set: what stays together is found, pictures are dealt, tables or a tree are written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from impasto.data.check.duplicates import near_pairs
from impasto.data.check.looks import sign
from impasto.data.dataset import Dataset, read_columns, read_dataset
from impasto.data.grouping import together
from impasto.data.split.output import write_tables, write_trees
from impasto.data.split.splits import counted_split, fold_splits, grouped_split, require_every_class
from impasto.errors import UsageError
from impasto.files import file_digests
from impasto.runtime import OnProgress, derive_seed, ignore_progress


@dataclass(frozen=True)
class SplitConfig:
    """How a data set is split.

    Attributes:
        fractions: shares of train, validation and test, of every class as far as groups allow.
        counts: pictures of each class in them in place of shares; ``REST`` for what is left (R4: 240, 30, 30; R1: 10,
            0, REST). What is not needed is left out.
        folds: so many splits into train and test in place of one; each picture is in one test split.
        repeats: so many random splits in place of one (R1's subsets).
        group_by: columns of ``manifest.csv``; pictures that agree in one of them stay together.
        group_regex: searched in each path; pictures in which its groups find the same stay together.
        near_duplicates: whether near duplicates stay together, too.
        seed: of the dealing.
    """

    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15)
    counts: tuple[int, int, int] | None = None
    folds: int = 0
    repeats: int = 1
    group_by: tuple[str, ...] = ()
    group_regex: str = ""
    near_duplicates: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.folds and (self.counts is not None or self.repeats != 1 or self.fractions != (0.7, 0.15, 0.15)):
            raise UsageError("folds have no fractions, numbers or repeats.", "Leave the others out.")
        if self.repeats < 1:
            raise UsageError(f"{self.repeats} repeats cannot be.", "One or more.")

    def names(self) -> list[str]:
        """Return the names of the tables, or of the folders of a tree."""
        if self.folds:
            return [f"fold-{number}-of-{self.folds}" for number in range(1, self.folds + 1)]
        width = len(str(self.repeats))
        many = [f"repeat-{number:0{width}}-of-{self.repeats}" for number in range(1, self.repeats + 1)]
        return many if self.repeats > 1 else ["split"]


@dataclass(frozen=True)
class SplitResult:
    """What came of a split.

    Attributes:
        places: the tables or folders written; each can be given to ``impasto train`` as its data.
        datasets: what they hold, in the same order; samples without a split are left out of them.
        groups: sets of two or more pictures that stay together.
        pairs: near duplicates found.
        skipped: pictures that cannot be read, with reasons; they are in no split.
    """

    places: tuple[Path, ...]
    datasets: tuple[Dataset, ...]
    groups: int
    pairs: int
    skipped: tuple[tuple[Path, str], ...]


def split_dataset(
    data: Path,
    config: SplitConfig | None = None,
    output: Path | None = None,
    *,
    files: Literal["link", "copy"] = "link",
    on_progress: OnProgress = ignore_progress,
) -> SplitResult:
    """Split a data set; the pictures stay where they are.

    Args:
        data: its folder; former splits, of folders or of a ``split.csv``, are ignored.
        config: how.
        output: a new folder for a tree ``train|validation|test/<class>/`` of links or copies; None writes a table
            beside the pictures, ``split.csv``, which from then on belongs to the data set.
        files: what a tree is made of.
        on_progress: told while near duplicates are sought, and while a tree is written.

    Raises:
        DataError: what is asked is impossible: by how many pictures, in which class.
        RunError: another table of that name is there, or ``output`` holds something else.
        UsageError: contradictory settings. UnknownNameError: no such column.
        ResourceError: the disk is too small.
    """
    settings = config or SplitConfig()
    if files not in ("link", "copy"):
        raise UsageError(f"files are linked or copied, not {files!r}.")
    whole = read_dataset(data, dealt=False)
    dataset, pairs, skipped = _readable(whole, settings, on_progress)
    belongs = together(dataset, _marks(dataset, settings), pairs)
    sizes = Counter(belongs)
    dealt = list(_deals(_grouped(dataset, belongs, sizes), belongs, settings))
    if output is None:
        places = write_tables(whole, dealt, settings.names(), asdict(settings))
    else:
        places = write_trees(output, dealt, settings.names(), asdict(settings), files, on_progress)
    used = tuple(replace(each, samples=tuple(sample for sample in each.samples if sample.split)) for each in dealt)
    several = sum(size > 1 for size in sizes.values())
    return SplitResult(tuple(places), used, several, len(pairs), skipped)


def _readable(
    dataset: Dataset, config: SplitConfig, on_progress: OnProgress
) -> tuple[Dataset, list[tuple[int, int]], tuple[tuple[Path, str], ...]]:
    """Return the readable samples with the hashes of their files, near duplicates among them, and the others."""
    paths = [sample.path for sample in dataset.samples]
    if not config.near_duplicates:
        return _hashed(dataset), [], ()
    signatures = sign(paths, on_progress=on_progress)
    position = {index: row for row, index in enumerate(signatures.kept)}
    samples = (
        replace(dataset.samples[index], sha256=look.sha256)
        for index, look in zip(signatures.kept, signatures.looks, strict=True)
    )
    pairs = [(position[pair.first], position[pair.second]) for pair in near_pairs(signatures)]
    return replace(dataset, samples=tuple(samples)), pairs, signatures.unreadable


def _hashed(dataset: Dataset) -> Dataset:
    digests = file_digests([sample.path for sample in dataset.samples])
    samples = (replace(sample, sha256=sha256) for sample, sha256 in zip(dataset.samples, digests, strict=True))
    return replace(dataset, samples=tuple(samples))


def _marks(dataset: Dataset, config: SplitConfig) -> list[list[str]]:
    """Return for each sample the names that columns and the regex give it."""
    marks: list[list[str]] = [[] for _ in dataset.samples]
    names = [dataset.relative(sample) for sample in dataset.samples]
    if config.group_by:
        values = read_columns(dataset.root, config.group_by)
        for own, name in zip(marks, names, strict=True):
            own += [f"{column} {value}" for column, value in zip(config.group_by, values[name], strict=True) if value]
    if config.group_regex:
        try:
            regex = re.compile(config.group_regex)
        except re.error as error:
            raise UsageError(f"{config.group_regex!r} is no regular expression: {error}.") from error
        for own, name in zip(marks, names, strict=True):
            if match := regex.search(name):
                own.append(f"regex {match.groups() or match[0]}")
    return marks


def _grouped(dataset: Dataset, belongs: Sequence[str], sizes: Mapping[str, int]) -> Dataset:
    """Return the samples with the set that they belong to as group; one that is alone keeps what it had."""
    pairs = zip(dataset.samples, belongs, strict=True)
    samples = (
        sample if sizes[name] == 1 else replace(sample, group=name.removeprefix("group ")) for sample, name in pairs
    )
    return replace(dataset, samples=tuple(samples))


def _deals(dataset: Dataset, belongs: Sequence[str], config: SplitConfig) -> Iterator[Dataset]:
    if config.folds:
        yield from fold_splits(dataset, config.folds, config.seed, belongs=belongs)
        return
    for number in range(config.repeats):
        seed = config.seed if config.repeats == 1 else derive_seed(config.seed, "repeat", number)
        if config.counts is not None:
            yield counted_split(dataset, config.counts, seed, belongs=belongs)
        else:
            dealt = grouped_split(dataset, config.fractions, seed, belongs=belongs)
            wanted = sum(share > 0 for share in config.fractions)
            require_every_class(dealt, [sample.split for sample in dealt.samples], belongs, wanted)
            yield dealt
