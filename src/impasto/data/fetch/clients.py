"""Sources that other people's code reads or fetches: torchvision's classes, and Kaggle's client."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from impasto.data.fetch.public_source import PublicSource
from impasto.data.fetch.remote import Download, verified
from impasto.errors import DataError, ResourceError
from impasto.files import file_digest
from impasto.runs import write_csv
from impasto.runtime import free_disk, human_bytes

LABELS_NAME = "labels.csv"


def unpack_with_torchvision(source: PublicSource, downloads: Sequence[Download], scratch: Path) -> tuple[Path, Path]:
    """Let torchvision check, unpack and read its own files; return the folder of pictures and a table of labels.

    Its classes take a folder that is there for a whole one: everything is made in another, which is then renamed.

    Raises:
        DataError: this torchvision cannot read the files.
    """
    done = scratch / "unpacked"
    if not done.is_dir():
        part = scratch / "unpacked.part"
        shutil.rmtree(part, ignore_errors=True)
        (part / source.folder).mkdir(parents=True)
        lent = [_lend(each.path, part / source.folder) for each in downloads]
        try:
            rows = list(_labels(source, part))
        except (RuntimeError, OSError, ValueError, TypeError, AttributeError) as error:
            raise DataError(
                f"torchvision could not read {source.name}: {error}.", "pip install --upgrade torchvision"
            ) from error
        for path in lent:
            path.unlink()
        write_csv(part / LABELS_NAME, rows, ["path", "label", "split"])
        part.rename(done)
    return done, done / LABELS_NAME


def _lend(path: Path, folder: Path) -> Path:
    """Put a file into another folder, without a second copy of its bytes where that is possible."""
    target = folder / path.name
    try:
        target.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, target)
    return target


def _labels(source: PublicSource, root: Path) -> Iterator[dict[str, str]]:
    from torchvision import datasets

    for split in source.splits:
        # A loader that leaves the path as it is: nothing is decoded here.
        pictures: Any = getattr(datasets, source.handle)(root=root, split=split, download=True, loader=str)
        for index in range(len(pictures)):
            path, label = pictures[index]
            place = Path(path).relative_to(root / source.folder).as_posix()
            yield {"path": place, "label": str(pictures.classes[label]), "split": split}


def fetch_from_kaggle(source: PublicSource, folder: Path, hint: str) -> Download:
    """Return what lies at Kaggle: the archive that was put into ``folder`` by hand, or what Kaggle's client fetched.

    The client has its own cache (``$KAGGLEHUB_CACHE``), resumes there, and asks for the credentials it needs.

    Raises:
        DataError: it cannot be fetched.
        ResourceError: the disk is too small.
    """
    archive = source.files[0]
    if (folder / archive.name).is_file():
        return verified(archive, folder / archive.name, hint)
    try:
        import kagglehub
    except ImportError as error:
        raise DataError(
            f"{source.name} needs a package that is not installed.", f"pip install 'impasto[sources]'. Or: {hint}"
        ) from error
    _require_room(source)
    try:
        path = Path(kagglehub.dataset_download(source.handle))
    except Exception as error:  # it has errors of its own, and passes on those of three other packages
        reason = str(error).strip().splitlines()
        raise DataError(
            f"{source.handle} could not be fetched from Kaggle: {reason[0] if reason else type(error).__name__}.", hint
        ) from error
    files = sorted(each for each in path.rglob("*") if each.is_file())
    return Download(path, source.home, sum(each.stat().st_size for each in files), _tree_digest(path, files))


def _require_room(source: PublicSource) -> None:
    """The client keeps an archive and what was in it, until all of it is unpacked."""
    cache = Path(os.environ.get("KAGGLEHUB_CACHE") or Path.home() / ".cache" / "kagglehub")
    if (cache / "datasets" / source.handle).is_dir():
        return
    if 2 * source.size > free_disk(cache):
        raise ResourceError(
            f"{source.name} needs {human_bytes(2 * source.size)} in {cache}, {human_bytes(free_disk(cache))} are free.",
            "Name a folder on another disk in the variable KAGGLEHUB_CACHE.",
        )


def _tree_digest(root: Path, files: Sequence[Path]) -> str:
    """Return one SHA-256 for all files of a folder: of the lines that sha256sum would print."""
    lines = (f"{file_digest(path)}  {path.relative_to(root).as_posix()}\n" for path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
