"""A data set repository of the Hugging Face hub, through its own client."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from impasto.data.fetch.public_source import PublicSource
from impasto.data.fetch.remote import RemoteFile
from impasto.data.importing.parquet import INFOS_NAME, PARQUET_SUFFIX, read_names
from impasto.errors import DataError
from impasto.runs import read_json, write_json
from impasto.runtime import OnProgress, Progress


class Repository:
    """A data set repository, at one commit for as long as ``scratch`` is there."""

    def __init__(self, source: PublicSource, scratch: Path, hint: str) -> None:
        self.source, self.scratch, self.hint = source, scratch, hint
        self._hub = _client(source, hint)
        pinned = scratch / "commit.json"
        former = read_json(pinned)["commit"] if pinned.is_file() else None
        info = self._asked("the list of its files", self._info, former)
        self.commit = str(info.sha)
        write_json(pinned, {"commit": self.commit})
        self._all = [_file_of(each, self.source, self.commit) for each in info.siblings or ()]
        self.files = sorted(
            (each for each in self._all if each.name.endswith(PARQUET_SUFFIX)), key=lambda each: each.name
        )

    def _info(self, commit: str | None) -> Any:
        api = self._hub.HfApi()
        return api.dataset_info(self.source.handle, revision=commit, files_metadata=True)

    def names(self, label: str) -> tuple[str, ...]:
        """Return the classes of a column by the repository's own table, empty where it has none."""
        infos = [each for each in self._all if each.name == INFOS_NAME]
        return read_names(self._get(infos[0].name, None)).get(label, ()) if infos else ()

    def fetch(self, file: RemoteFile, on_progress: OnProgress) -> Path:
        """Download a file; one that broke off is resumed by the client."""
        return self._get(file.name, _bar(Path(file.name).name, on_progress))

    def _get(self, name: str, bar: Any) -> Path:
        def get() -> str:
            return str(
                self._hub.hf_hub_download(
                    self.source.handle,
                    name,
                    repo_type="dataset",
                    revision=self.commit,
                    local_dir=self.scratch / "repository",
                    **({"tqdm_class": bar} if bar else {}),
                )
            )

        return Path(self._asked(name, get))

    def _asked(self, what: str, function: Any, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:  # the client passes on the errors of whatever HTTP package it uses
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise DataError(
                f"{what} could not be fetched from {self.source.home}: {reason.rstrip('.')}.", self.hint
            ) from error


def _client(source: PublicSource, hint: str) -> Any:
    try:
        import huggingface_hub
        import pyarrow  # noqa: F401 - asked for now, and not after the first half gigabyte
    except ImportError as error:
        raise DataError(
            f"{source.name} needs packages that are not installed.", f"pip install 'impasto[sources]'. Or: {hint}"
        ) from error
    return huggingface_hub


def _file_of(sibling: Any, source: PublicSource, commit: str) -> RemoteFile:
    """Return a file of the repository; large ones have a published SHA-256."""
    lfs: Mapping[str, Any] = sibling.lfs or {}
    url = f"{source.home}/resolve/{commit}/{sibling.rfilename}"
    return RemoteFile(sibling.rfilename, url, int(sibling.size or 0), sha256=str(lfs.get("sha256", "")))


def _bar(name: str, on_progress: OnProgress) -> Any:
    """Return a progress bar that draws nothing and tells our observer."""
    from tqdm.auto import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._done, self._whole = int(options.get("initial") or 0), int(options.get("total") or 0)
            options.pop("name", None)  # of the client's own bars
            super().__init__(*arguments, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            self._done += int(n or 0)
            whole = max(self._done, self._whole)
            on_progress(Progress(name, self._done >> 20, whole >> 20, {}, "MB"))
            return None

    return Bar
