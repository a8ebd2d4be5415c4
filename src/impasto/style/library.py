"""The style networks at hand: those that were imported or trained, by name, and files by path."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from platformdirs import user_data_path

from impasto.assets import ASSETS
from impasto.errors import ImpastoError, UnknownNameError
from impasto.style.checkpoints import StyleNetwork, import_network, is_ours, load_network
from impasto.style.config import DEFAULT_NETWORK

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Entry:
    """One file of the library; ``problem`` says why it cannot be used, and is "" where it can."""

    path: Path
    network: StyleNetwork | None
    problem: str = ""

    @property
    def name(self) -> str:
        """What it is called in ``--network``."""
        return self.path.stem


def network_folders() -> list[Path]:
    """Folders that are searched for networks: those of $IMPASTO_NETWORKS, then the user's data folder."""
    named = os.environ.get("IMPASTO_NETWORKS", "")
    return [Path(part) for part in named.split(os.pathsep) if part] + [user_data_path("impasto") / "networks"]


def home_of(name: str) -> Path:
    """Return the file in the first folder of the library that a network of this name is kept in."""
    return network_folders()[0] / f"{name}{SUFFIX}"


def list_networks() -> list[Entry]:
    """Return all networks of the library, sorted by name; files that cannot be read are listed with the reason."""
    return sorted(map(_entry, _files().values()), key=lambda entry: entry.name)


def open_network(name: str) -> StyleNetwork:
    """Return a network by its name in the library or by the path of a file of any known format.

    Raises:
        UnknownNameError: neither; the nearest names are offered.
        WeightsError: the file cannot be used.
    """
    files = _files()
    path = files.get(name, Path(name))
    if not path.exists():
        raise UnknownNameError("style network", name, files)
    return read_network(path)


def read_network(path: Path, *, name: str = "", licence: str = "") -> StyleNetwork:
    """Return the network in a file: one of impasto's, or one of any known format; see ``import_network``."""
    if not (path.suffix == SUFFIX and is_ours(path)):  # safetensors that impasto did not write: a foreign layout
        return import_network(path, name=name, licence=licence)
    network = load_network(path)
    given = {key: value for key, value in (("name", name), ("licence", licence)) if value}
    return replace(network, facts={**network.facts, **given})


def _files() -> dict[str, Path]:
    """Return name -> file; of two with one name the folder named first has it, the package comes last."""
    found: dict[str, Path] = {}
    for folder in network_folders():
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            found.setdefault(path.stem, path)
    found.setdefault(DEFAULT_NETWORK, ASSETS / f"{DEFAULT_NETWORK}{SUFFIX}")
    return found


def _entry(path: Path) -> Entry:
    try:
        return Entry(path, load_network(path))
    except ImpastoError as error:
        return Entry(path, None, error.message)
