"""What a study cost, and how it is run again: command, study file, digests."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from impasto.report.reading import read_digests, read_object
from impasto.report.wording import plural
from impasto.runs import CONFIG_NAME, MANIFEST_NAME, REJECTED_NAME
from impasto.study.reading import bundled, study_table
from impasto.study.result import ANSWERS_NAME, CELLS_NAME, DRAWS_NAME, ITEMS_NAME, StudyResult
from impasto.study.spec import Study

_FILES = (CONFIG_NAME, MANIFEST_NAME, ITEMS_NAME, DRAWS_NAME, CELLS_NAME, ANSWERS_NAME, REJECTED_NAME)
_KINDS = {"repaint": "repaints", "features": "feature extraction", "cell": "teaching and testing"}


class Work(NamedTuple):
    """A kind of work: how many units, and seconds of one core together and each."""

    kind: str
    units: int
    seconds: str
    each: str


class Again(NamedTuple):
    """How a study is run again."""

    command: str
    is_bundled: bool
    toml: str
    version: str
    seed: int
    recorded: tuple[tuple[str, Any], ...]
    digests: Mapping[str, str]


def work(result: StudyResult) -> list[Work]:
    """Return what was worked, kind by kind."""
    cost = result.cost
    rows = []
    for kind, name in _KINDS.items():
        units, seconds = cost.get("units", {}).get(kind, 0), cost.get("work", {}).get(kind, 0.0)
        rows.append(Work(name, units, duration(seconds), f"{seconds / units:.2g} s" if units else "–"))
    return rows


def totals(result: StudyResult) -> list[tuple[str, str]]:
    """Return wall time, processes, memory and disk."""
    cost = result.cost
    return [
        ("wall time of the last run", duration(cost.get("seconds", 0))),
        ("processes", str(cost.get("workers", 1))),
        ("memory of the largest process", size(cost.get("memory", 0))),
        ("on disk", size(cost.get("disk", 0))),
        ("cells", f"{len(result.cells):,}"),
        ("cells that failed", f"{len(result.failed):,}"),
    ]


def duration(seconds: float) -> str:
    """Return seconds as a reader says them.

    >>> duration(3.21), duration(754), duration(9000), duration(0)
    ('3.2 s', '12 min 34 s', '2 h 30 min', '0 s')
    """
    if seconds < 60:
        return f"{seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    """Return a number of bytes in MB or GB.

    >>> size(46_123_456), size(2_345_678_901)
    ('46 MB', '2.3 GB')
    """
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def failures(result: StudyResult) -> list[tuple[str, str]]:
    """Return every failed cell with its error."""
    return [(f"{cell.arm}, draw {cell.replicate}, fold {cell.fold}", cell.error) for cell in result.failed]


def again(result: StudyResult) -> Again:
    """Return how the study is run again.

    Raises:
        RunError: a file of the study is damaged.
    """
    config, manifest = (read_object(result.folder / name) for name in (CONFIG_NAME, MANIFEST_NAME))
    is_bundled = bundled().get(result.study.name) == result.study
    words = ["impasto", "study", "run", result.study.name if is_bundled else f"{result.study.name}.toml"]
    words += ["--data", str(manifest.get("data", "DATA"))]
    words += ["--styles", str(manifest["styles"])] if manifest.get("styles") else []
    kept = ("pictures", "draws", "networks")
    return Again(
        command=shlex.join([*words, "-o", Path(result.folder).resolve().name]),
        is_bundled=is_bundled,
        toml=to_toml(result.study),
        version=str(config.get("version", "unknown")),
        seed=result.study.seed,
        recorded=tuple((name, config[name]) for name in kept if config.get(name)),
        digests=read_digests(result.folder, _FILES),
    )


def failed_told(result: StudyResult) -> str:
    """Return how many cells failed, in a sentence."""
    failed = len(result.failed)
    if not failed:
        return f"None of {plural(len(result.cells), 'cell')} failed."
    return f"{failed:,} of {plural(len(result.cells), 'cell')} failed; the same command tries again."


def to_toml(study: Study) -> str:
    """Return a study as the file that ``impasto study run`` reads."""
    return "\n".join(_table(study_table(study), "")).strip() + "\n"


def _table(table: Mapping[str, Any], name: str) -> Iterator[str]:
    rows = {key: value for key, value in table.items() if value is not None}
    lists = {key: value for key, value in rows.items() if _is_tables(value)}
    inner = {key: value for key, value in rows.items() if isinstance(value, dict)}
    for key, value in rows.items():
        if key not in lists and key not in inner:
            yield f"{_key(key)} = {_value(value)}"
    for key, value in inner.items():
        yield from ("", f"[{name}{_key(key)}]")
        yield from _table(value, f"{name}{_key(key)}.")
    for key, value in lists.items():
        for item in value:
            yield from ("", f"[[{name}{_key(key)}]]")
            yield from _table(item, f"{name}{_key(key)}.")


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("-", "").replace("_", "").isalnum() else _value(key)


def _value(value: Any) -> str:
    # A string of JSON is one of TOML, but for DEL; numbers, booleans and lists are alike.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
