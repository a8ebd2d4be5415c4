"""Where pretrained weights come from: a file, the package, a folder of the user's, or torchvision's hub."""

from __future__ import annotations

import os
import pickle
import urllib.error
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_data_path
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from impasto.assets import ASSETS
from impasto.encoders.registry import DEFAULT_ENCODER, EncoderSpec
from impasto.errors import MissingWeightsError, WrongWeightsError

SUFFIXES = (".safetensors", ".pth", ".pt")


def weights_folders() -> list[Path]:
    """Folders that are searched for ``<encoder>.safetensors``: $IMPASTO_WEIGHTS, then the user's data folder."""
    named = os.environ.get("IMPASTO_WEIGHTS", "")
    return [Path(part) for part in named.split(os.pathsep) if part] + [user_data_path("impasto") / "weights"]


def find_weights(spec: EncoderSpec) -> Path | None:
    """Return the file with a network's weights if one is on this machine: embedded, in a folder, or cached."""
    if spec.embedded:
        return ASSETS / f"{spec.name}.safetensors"
    return _find_file((spec.name, f"{spec.name}-features"), spec.url)


def _find_file(stems: Iterable[str], url: str) -> Path | None:
    for folder in weights_folders():
        for stem in stems:
            for suffix in SUFFIXES:
                if (path := folder / f"{stem}{suffix}").is_file():
                    return path
    cached = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    return cached if url and cached.is_file() else None


def obtain_file(name: str, url: str) -> Path:
    """Return the file with the weights of a whole classifier, downloading it into torch's own cache if need be.

    Raises:
        MissingWeightsError: no file and no network.
    """
    if path := _find_file((name,), url):
        return path
    try:
        return _download(url)
    except (urllib.error.URLError, OSError, RuntimeError) as error:
        raise MissingWeightsError(
            f"no weights of {name} are on this machine and {url} could not be fetched ({error}).",
            f"Put {name}.safetensors or {name}.pth into {weights_folders()[0]}, give the file with --weights FILE, "
            "or learn from nothing with --weights random.",
        ) from error


def obtain_weights(spec: EncoderSpec) -> Path:
    """Return the file with a network's weights, downloading it into torch's own cache if need be.

    Raises:
        MissingWeightsError: no file and no network.
    """
    if path := find_weights(spec):
        return path
    if spec.url:
        try:
            return _download(spec.url)
        except (urllib.error.URLError, OSError, RuntimeError) as error:
            raise _missing(spec, f" and {spec.url} could not be fetched ({error})") from error
    raise _missing(spec, "")


def _download(url: str) -> Path:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / url.rsplit("/", 1)[-1]
    # The name carries the first digits of the file's SHA-256, as in torch.hub.
    prefix = path.stem.rsplit("-", 1)[-1]
    torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix, progress=False)
    return path


def _missing(spec: EncoderSpec, why: str) -> MissingWeightsError:
    folder = weights_folders()[0]
    names = f"{spec.name}.safetensors" + (f" or {spec.name}.pth" if spec.url else "")
    origin = f" (from {spec.url})" if spec.url else ""
    return MissingWeightsError(
        f"no weights of {spec.name} are on this machine{why}.",
        f"Put {names}{origin} into {folder}, or give the file with --weights FILE, "
        f"or use the embedded encoder {DEFAULT_ENCODER}, which needs no download.",
    )


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a file of tensors as float32: safetensors, or a pickle that holds nothing but tensors.

    Raises:
        WrongWeightsError: not there, not such a file, NaN or infinity in it, or a pickle that wants to run code.
    """
    if not path.is_file():
        raise WrongWeightsError(f"{path} does not exist.", "Give a .safetensors or .pth file.")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _read_pickle(path)
    except (
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        OSError,
    ) as error:
        with path.open("rb") as file:
            beginning = file.read(12)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WrongWeightsError(
            f"{path} is no file of weights that is safe to load: it begins with {beginning!r} ({reason[:160]}).",
            "Downloads that failed are often web pages: fetch it again, or convert it to safetensors.",
        ) from error
    for key, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise WrongWeightsError(f"{path} holds NaN or infinity in {key}.", "Fetch the file again.")
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def _read_pickle(path: Path) -> dict[str, Tensor]:
    state: Any = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError("it holds something other than named tensors")
    return dict(state)


def fill(network: nn.Module, spec: EncoderSpec, path: Path) -> None:
    """Put the weights of a file into ``network`` (which may be on the meta device).

    Raises:
        WrongWeightsError: a tensor is missing, left over, or of another shape; both shapes are named.
    """
    state = {_own_key(key, spec): value for key, value in read_state(path).items() if not key.startswith(spec.dropped)}
    wanted = network.state_dict()
    for key, value in wanted.items():
        if key.endswith("num_batches_tracked"):  # a counter that inference never reads; older files lack it
            state.setdefault(key, torch.zeros(value.shape, dtype=value.dtype))
    missing, extra = wanted.keys() - state.keys(), state.keys() - wanted.keys()
    if missing or extra:
        parts = [f"lacks {_some(missing)}"] * bool(missing) + [f"has the unknown {_some(extra)}"] * bool(extra)
        raise WrongWeightsError(f"{path} does not fit {spec.name}: it {' and '.join(parts)}.", _FIT_HINT)
    for key, value in wanted.items():
        if value.shape != state[key].shape:
            shapes = f"{tuple(state[key].shape)} where {tuple(value.shape)} is needed"
            raise WrongWeightsError(f"{path} does not fit {spec.name}: {key} has the shape {shapes}.", _FIT_HINT)
    network.load_state_dict(state, assign=True)


_FIT_HINT = "Choose the encoder that the file was made for; impasto encoders lists them."


def _own_key(key: str, spec: EncoderSpec) -> str:
    module, _, kind = key.rpartition(".")
    if module in spec.renamed:
        return f"{spec.renamed[module]}.{kind}"
    return key.removeprefix(spec.key_prefix)


def _some(keys: set[str]) -> str:
    return ", ".join(sorted(keys)[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
