"""Where a data set comes from, as the tables and records in its folder tell."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from impasto.data.check.checking import CheckResult
from impasto.data.dataset import SPLIT_NAME, TABLE_NAME
from impasto.errors import RunError
from impasto.files import file_digest
from impasto.report.collect import read_dataset_record
from impasto.report.commands import commands, shell_line
from impasto.report.data_words import printable
from impasto.report.reading import read_digests, read_object, read_table
from impasto.report.wording import plural
from impasto.runs import CONFIG_NAME, MANIFEST_NAME, digest

_REJECTED = "rejected.csv"
_TABLES = (TABLE_NAME, SPLIT_NAME, _REJECTED, CONFIG_NAME, MANIFEST_NAME)
_IMPORT, _STYLIZE = "dataset import", "dataset stylize"
_PLAIN = "Labels come from the names of folders. Nothing in them says where the pictures come from."
# Files that are named of each kind of reason.
_NAMED = 20


@dataclass(frozen=True)
class SetAside:
    """Files that an import or a repaint left out for one kind of reason, the first of them with the reason."""

    kind: str
    count: int
    first: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Origin:
    """What is known of how a data set was made.

    Attributes:
        sentences: in words.
        sources: where the pictures came from, with the number of pictures; ``heading`` says what these are.
        renames: classes by their old and new name.
        set_aside: what did not become part of it.
        config, facts: what ``config.json`` and ``manifest.json`` hold.
        digests: SHA-256 of each table, and of all pictures with their labels and splits.
        commands: how to make the data set and the card again.
    """

    sentences: tuple[str, ...]
    digests: Mapping[str, str]
    commands: tuple[str, ...]
    heading: str = ""
    sources: tuple[tuple[str, int], ...] = ()
    renames: tuple[tuple[str, str], ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def read_origin(check: CheckResult, table: Path | None = None) -> Origin:
    """Read what lies beside the pictures.

    Args:
        check: of the data set.
        table: the split table it was read from, where it was one.

    Raises:
        RunError: a file that impasto wrote is damaged.
    """
    root = check.dataset.root
    has_table = (root / TABLE_NAME).is_file()
    # Without our table, files of the other names are a stranger's.
    digests = read_digests(root, _TABLES if has_table else (SPLIT_NAME,))
    splits = table or root / SPLIT_NAME
    dealt = [f"{splits.name} says which picture is in which split."] if splits.is_file() else []
    if table is not None:
        digests[table.name] = file_digest(table)
    digests["all pictures, labels and splits"] = _all_pictures(check)
    again = shell_line("impasto", "dataset", "card", _name(root, table), "-o", "card.html")
    if not has_table:
        return Origin((_PLAIN, *dealt, *_interrupted(root)), digests, (again,))
    config, facts = (_optional(root / name) for name in (CONFIG_NAME, MANIFEST_NAME))
    rows = _rows(check)
    heading, sources = _sources(rows)
    return Origin(
        sentences=(*_sentences(config, facts, rows), *dealt),
        digests=digests,
        commands=(*_making(root, config), again),
        heading=heading,
        sources=sources,
        renames=_renames(config),
        set_aside=_set_aside(root / _REJECTED),
        config=config,
        facts=facts,
    )


def _all_pictures(check: CheckResult) -> str:
    signatures, data = check.signatures, check.dataset
    kept = zip(signatures.kept, signatures.looks, strict=True)
    rows = [(data.samples[index], look.sha256) for index, look in kept]
    names = [(data.relative(sample), sha256, sample.label, sample.split) for sample, sha256 in rows]
    return digest([[printable(field) for field in row] for row in sorted(names)])


def _name(root: Path, table: Path | None) -> str:
    name = root.resolve().name
    return f"{name}/{table.name}" if table else name


def _interrupted(root: Path) -> Iterator[str]:
    """Tell of an import or a repaint that did not come to its table."""
    config: dict[str, Any] = {}
    with contextlib.suppress(RunError):  # a stranger's file of this name says nothing
        config = _optional(root / CONFIG_NAME)
    if config.get("procedure") in (_IMPORT, _STYLIZE):
        yield f"`impasto {config['procedure']}` was interrupted: this is what it had made. Run it again to go on."


def _optional(path: Path) -> dict[str, Any]:
    return read_object(path) if path.is_file() else {}


def _rows(check: CheckResult) -> list[dict[str, str]]:
    """Return the lines of ``manifest.csv`` that belong to pictures of the data set."""
    known = {check.dataset.relative(sample) for sample in check.dataset.samples}
    return [row for row in read_table(check.dataset.root / TABLE_NAME, ("output",)) if row["output"] in known]


def _sentences(config: Mapping[str, Any], facts: Mapping[str, Any], rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    procedure = config.get("procedure")
    yield f"Made by `impasto {procedure}`." if procedure else f"Its {TABLE_NAME} does not say what wrote it."
    if procedure and not facts:
        yield "It was interrupted: this is what was finished. Run it again to go on."
    if rows and {"content", "style"} <= rows[0].keys():
        painted = [row for row in rows if row.get("kind") != "original"]
        photos, styles = len({row["content"] for row in painted}), len({row["style"] for row in painted})
        originals = f" and {plural(len(rows) - len(painted), 'untouched original')}" if len(painted) < len(rows) else ""
        repaints = plural(len(painted), "repaint")
        yield f"{repaints} of {plural(photos, 'photo')} in {plural(styles, 'style')}{originals}."


def _sources(rows: Sequence[Mapping[str, str]]) -> tuple[str, tuple[tuple[str, int], ...]]:
    if rows and "source" in rows[0]:
        return "Folders and archives", tuple(Counter(_place(row["source"]) for row in rows).most_common())
    if rows and "style" in rows[0]:
        counts = Counter(row["style"] or "none: untouched originals" for row in rows)
        return "Style pictures", tuple(sorted(counts.items()))
    return "", ()


def _place(source: str) -> str:
    """Return the folder or archive of a source; one that is named by its whole path, without the class folder."""
    path = PurePosixPath(source)
    return path.parent.parent.as_posix() if path.is_absolute() else path.parts[0] if path.parts else ""


def _renames(config: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    settings = config.get("config")
    pairs = settings.get("rename") if isinstance(settings, dict) else None
    if not isinstance(pairs, list):
        return ()
    return tuple((str(pair[0]), str(pair[1])) for pair in pairs if isinstance(pair, list) and len(pair) == 2)


def _set_aside(table: Path) -> tuple[SetAside, ...]:
    rows = read_table(table, ("path", "reason")) if table.is_file() else []
    kinds: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        kinds.setdefault(row.get("kind") or "set aside", []).append((row["path"], row["reason"]))
    ordered = sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(SetAside(kind, len(files), tuple(files[:_NAMED])) for kind, files in ordered)


def _making(root: Path, config: Mapping[str, Any]) -> list[str]:
    if config.get("procedure") == _STYLIZE:
        return commands(read_dataset_record(root), [])[:-1]  # the last one makes a report
    if config.get("procedure") != _IMPORT or not isinstance(config.get("config"), dict):
        return []
    settings = config["config"]
    words = ["--table", "TABLE"] if config.get("table") else []
    columns = settings.get("columns")
    for name, column in columns.items() if isinstance(columns, dict) else ():
        words += [f"--{name}-column", str(column)] if column else []
    words += ["--label-regex", str(settings["label_regex"])] if settings.get("label_regex") else []
    for old, new in _renames(config):
        words += ["--rename", f"{old}={new}"]
    words += ["--smallest", str(settings["smallest"])] if "smallest" in settings else []
    return [shell_line("impasto", "dataset", "import", "SOURCES", "--output", root.resolve().name, *words)]
