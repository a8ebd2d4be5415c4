"""Pictures named on the command line: files, folders, patterns, and paths on standard input."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.errors import DataError

if TYPE_CHECKING:
    from impasto.data.dataset import Sample

STANDARD_INPUT = "-"


def named_pictures(arguments: Sequence[str]) -> Iterable[Path]:
    """Return the files meant, each once: files as they are, pictures of folders, matches of patterns, lines of input.

    With ``-`` among the arguments the paths come as they are read; otherwise as a list.

    Raises:
        DataError: there are none; with ``-``, once all is read.
    """
    paths = _each(arguments)
    return paths if STANDARD_INPUT in arguments else list(paths)


def labelled_pictures(arguments: Sequence[str]) -> list[Sample]:
    """Return the pictures meant with their labels, where an argument is a folder of ``<class>/`` folders.

    Raises:
        DataError: there are none.
    """
    from impasto.data.dataset import Sample, read_dataset

    found: list[Sample] = []
    for argument in arguments:
        folder = Path(argument)
        if folder.is_dir() and any(child.is_dir() for child in folder.iterdir()):
            found += read_dataset(folder).samples
        else:
            found += [Sample(path, "") for path in named_pictures([argument])]
    return found


def _each(arguments: Sequence[str]) -> Iterator[Path]:
    from impasto.images import find_pictures

    seen: set[Path] = set()
    for argument in arguments:
        for place in _places(argument):
            for path in find_pictures(place) if place.is_dir() else [place]:
                if path not in seen:
                    seen.add(path)
                    yield path
    if not seen:
        raise DataError(f"no pictures in {', '.join(arguments)}.", "Give picture files, folders or patterns.")


def _places(argument: str) -> Iterator[Path]:
    if argument == STANDARD_INPUT:
        lines = (line.rstrip(b"\r\n") for line in sys.stdin.buffer)
        yield from (Path(os.fsdecode(line)) for line in lines if line)
    elif Path(argument).exists() or not glob.has_magic(argument):
        yield Path(argument)
    else:
        yield from map(Path, sorted(glob.glob(argument, recursive=True)))  # noqa: PTH207 - Path.glob takes no absolute
