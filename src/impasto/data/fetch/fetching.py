"""From the name of a public source to a data set: downloaded, verified, imported, with its terms on record."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from impasto.data.fetch.clients import fetch_from_kaggle, unpack_with_torchvision
from impasto.data.fetch.downloads import downloads_folder, make_folder, obtain
from impasto.data.fetch.from_hub import RowPicker
from impasto.data.fetch.public_source import PublicSource
from impasto.data.fetch.remote import Download, RemoteFile
from impasto.data.importing.importing import Origin, import_dataset, read_import
from impasto.data.importing.labels import Columns
from impasto.data.importing.records import ImportConfig, ImportResult
from impasto.errors import RunError, UnknownNameError, UsageError
from impasto.runs import CONFIG_NAME, MANIFEST_NAME, digest, read_json, to_plain
from impasto.runtime import OnProgress, human_bytes, ignore_progress

_UNPUBLISHED = "no published checksum; the digest found is recorded"


@dataclass(frozen=True)
class FetchConfig:
    """What is wanted of a public source.

    Attributes:
        label_column: hub: the column that is the label; "" for the usual one.
        classes: those to take, also several with commas between; empty for all.
        per_class: pictures of each class; None for all.
        seed: another seed, other pictures.
    """

    label_column: str = ""
    classes: tuple[str, ...] = ()
    per_class: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class _Obtained:
    """What is to be imported, how, from which downloads; ``classes`` that were asked for, where they are known."""

    sources: tuple[Path, ...]
    config: ImportConfig
    downloads: tuple[Download, ...]
    commit: str = ""
    classes: tuple[str, ...] = ()


def fetch_dataset(
    source: PublicSource,
    output: Path,
    config: FetchConfig | None = None,
    *,
    on_progress: OnProgress = ignore_progress,
) -> ImportResult:
    """Make a data set of a public source.

    What is downloaded lies in the downloads folder and stays there (of Parquet files only the rows that are wanted are
    kept, and those until the data set is there). A file that was put there by hand is verified and used without any
    network. Killed at any moment, the same call goes on; a finished data set is left as it is. Its manifest says where
    it is from, with the terms and the digests of the downloads.

    Raises:
        DataError: a file cannot be fetched, or is another than the published one; the hint says what to do by hand.
        UnknownNameError: a class or a column that the source does not have.
        RunError: ``output`` holds something else.
        ResourceError: the disk is too small.
    """
    settings = config or FetchConfig()
    request, wanted = _request(source, settings), _import_config(source, settings)
    folder = downloads_folder(source.name)
    scratch = folder / f".work-{digest(request)[:12]}"
    result = _finished(output, request)
    if result is None:
        make_folder(folder)  # where a user is told to put files
        got = _obtain(source, wanted, folder, scratch, _by_hand(source, wanted, folder, output), on_progress)
        facts = _facts(source, got, request)
        origin = Origin(facts, source.mend, got.classes)
        result = import_dataset(got.sources, output, got.config, origin=origin, on_progress=on_progress)
    shutil.rmtree(scratch, ignore_errors=True)
    return result


def _request(source: PublicSource, settings: FetchConfig) -> dict[str, Any]:
    """Return what was asked for, in one form however it was written."""
    classes = sorted({name.strip() for value in settings.classes for name in value.split(",")})
    seed = 0 if settings.per_class is None else settings.seed
    label = settings.label_column or next(iter(source.label_columns), "")
    return {"source": source.name, "label": label, "classes": classes, "per_class": settings.per_class, "seed": seed}


def _import_config(source: PublicSource, settings: FetchConfig) -> ImportConfig:
    label = settings.label_column or next(iter(source.label_columns), "")
    if settings.label_column and not source.label_columns:
        raise UsageError(f"{source.name} has no columns to choose from.", "Leave --label-column out.")
    if label and label not in source.label_columns:
        raise UnknownNameError("column", label, source.label_columns)
    return replace(
        source.config,
        columns=Columns(label=label),
        classes=settings.classes,
        per_class=settings.per_class,
        seed=settings.seed,
    )


def _finished(output: Path, request: dict[str, Any]) -> ImportResult | None:
    """Return the data set that is there, if it is the one that was asked for.

    Raises:
        RunError: something else is there. Better now than after an hour of downloading.
    """
    if (output / MANIFEST_NAME).is_file():
        facts = read_json(output / MANIFEST_NAME)
        origin = facts.get("origin") if isinstance(facts, dict) else None
        if isinstance(origin, dict) and origin.get("request") == request:
            return read_import(output)
        raise RunError(f"{output} holds another data set.", "Choose another output folder, or remove this one.")
    if output.is_dir() and any(output.iterdir()) and not (output / CONFIG_NAME).is_file():
        raise RunError(f"{output} is not empty and holds no run.", "Choose another output folder.")
    return None


def _obtain(
    source: PublicSource, config: ImportConfig, folder: Path, scratch: Path, hint: str, on_progress: OnProgress
) -> _Obtained:
    if source.transport == "hub":
        picker = RowPicker(source, config.columns.label, config, folder, scratch, hint, on_progress)
        rows = picker.pick()
        config = replace(config, classes=()) if rows.classes else config  # known ones were chosen already
        return _Obtained(rows.files, config, rows.downloads, rows.commit, rows.classes)
    if source.transport == "kaggle":
        download = fetch_from_kaggle(source, folder, hint)
        return _Obtained((download.path,), config, (download,))
    downloads = tuple(obtain(file, folder, hint=hint, on_progress=on_progress) for file in source.files)
    if source.transport == "torchvision":
        unpacked, table = unpack_with_torchvision(source, downloads, scratch)
        return _Obtained((unpacked / source.folder,), replace(config, table=table), downloads)
    return _Obtained(tuple(each.path for each in downloads), config, downloads)


def _facts(source: PublicSource, got: _Obtained, request: dict[str, Any]) -> dict[str, Any]:
    """Return what the manifest says of where the data set is from."""
    downloads = [
        {
            "file": each.path.name,
            "url": each.url or source.home,
            "bytes": each.size,
            "sha256": each.sha256,
            "verified": f"the published {each.checksum}" if each.checksum else _UNPUBLISHED,
        }
        for each in got.downloads
    ]
    about = {"title": source.title, "home": source.home, "licence": source.licence, "terms": source.terms}
    commit = {"commit": got.commit} if got.commit else {}
    return dict(to_plain({"source": source.name, **about, **commit, "downloads": downloads, "request": request}))


def _by_hand(source: PublicSource, config: ImportConfig, folder: Path, output: Path) -> str:
    """Say which files to download by hand, where to put them, and how to import them without this command."""
    missing = [file for file in source.files if not (folder / Path(file.name).name).is_file()] or source.files
    more = " and as many more of its files as are needed" if source.transport == "hub" else ""
    those = "them" if len(missing) > 1 or more else "it"
    page = f"{source.home}/tree/main" if source.transport == "hub" else source.home
    text = (
        f"Download {_listed(missing)}{more} by hand from {page}, put {those} into {folder}, "
        "and run the same command again."
    )
    if source.transport == "torchvision":  # the labels are in files that only torchvision reads
        return text
    command = import_command([folder / Path(file.name).name for file in source.files if _is_data(file)], config, output)
    return f"{text} Or import what you have: {command}"


def _listed(files: Sequence[RemoteFile]) -> str:
    sizes = (f" ({human_bytes(file.size)})" if file.size else "" for file in files)
    return ", ".join(f"{file.name}{size}" for file, size in zip(files, sizes, strict=True))


def _is_data(file: RemoteFile) -> bool:
    return not file.name.endswith(".json")


def import_command(sources: Sequence[Path], config: ImportConfig, output: Path) -> str:
    """Return the command that imports files as ``config`` says, to be pasted into a shell."""
    options: list[tuple[str, Any]] = [("--label-column", config.columns.label), ("--label-regex", config.label_regex)]
    options += [("--rename", f"{old}={new}") for old, new in config.rename]
    options += [("--classes", name) for name in config.classes]
    options += [("--per-class", config.per_class), ("--seed", config.per_class and config.seed)]
    words = [str(word) for option, value in options if value for word in (option, value)]
    return shlex.join(["impasto", "dataset", "import", *map(str, sources), "-o", str(output), *words])
