"""Feed-forward networks from files: impasto's own, and those that other programs trained.

>>> network = import_network(Path("udnie.ckpt"), licence="CC BY-NC 4.0")  # doctest: +SKIP
>>> network.architecture, network.facts["width"], network.facts["source_format"]  # doctest: +SKIP
('engstrom', 32, 'TensorFlow')
>>> save_network(network, Path("udnie.safetensors"))  # doctest: +SKIP
>>> load_network(Path("udnie.safetensors")).facts["licence"]  # doctest: +SKIP
'CC BY-NC 4.0'
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from impasto._version import __version__
from impasto.errors import WrongWeightsError
from impasto.files import file_digest, write_bytes
from impasto.style.architectures import ARCHITECTURES, ENGSTROM, EXAMPLES, IMPASTO, build, width_of
from impasto.style.foreign import deeplearnjs, ncnn, onnx_file, pytorch, recognise, tensorflow
from impasto.style.foreign.layouts import Found, Layout, by_key, by_order, by_variable
from impasto.style.foreign.source import contents, reading

METADATA = "impasto"  # the key under which architecture and facts are stored
_LARGEST_HEADER = 1 << 20  # bytes; ours have 10 kB
_FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_HINT = f"Networks of two kinds can be used: {ENGSTROM} (32 channels) and {EXAMPLES} (any number)."


@dataclass(frozen=True)
class StyleNetwork:
    """A network that repaints in one style.

    Args:
        module: float32, in evaluation mode, on the CPU. Those of one style map B x 3 x H x W, RGB in 0..1, to the same
            scale; of ``impasto`` and ``impasto-any`` the style has to be chosen first, see ``apply``.
        architecture: a name of ``ARCHITECTURES``.
        facts: what is known: name, source (a file's name), source_sha256, source_format, licence ("" when unknown),
            width (channels of the first layer), impasto (the version that imported it); of ``impasto``, styles.
    """

    module: nn.Module
    architecture: str
    facts: dict[str, Any]


def import_network(path: Path, *, name: str = "", licence: str = "") -> StyleNetwork:
    """Read a network of any known format; the format is recognised by the content.

    Args:
        path: a file, or deeplearn.js' folder; TensorFlow's version 2 also without ``.index``.
        name: what to call the style; the file's name without extensions if empty.
        licence: the terms under which the weights were published.

    Raises:
        MissingWeightsError: there is no such file, or one that belongs to it is absent.
        WrongWeightsError: of no known format, damaged, unsafe, or of another network; shapes are named.
    """
    source_format, path = recognise(path)
    read, layout = _FORMATS[source_format]
    architecture, found = layout(read(path))
    module = _filled(architecture, found, path)
    facts = {
        "name": name or path.absolute().name.split(".")[0],
        "source": path.name,
        "source_sha256": _digest(path, source_format),
        "source_format": source_format,
        "licence": licence,
        "width": width_of(architecture, module),
        "impasto": __version__,
    }
    return StyleNetwork(module, architecture, facts)


def save_network(network: StyleNetwork, path: Path) -> None:
    """Write a network as safetensors, its architecture and facts with it; the file is whole or absent."""
    about = json.dumps({"architecture": network.architecture, "facts": network.facts}, sort_keys=True)
    state = {key: value.detach().cpu().contiguous() for key, value in network.module.state_dict().items()}
    write_bytes(path, safetensors.torch.save(state, metadata={METADATA: about}))


def load_network(path: Path) -> StyleNetwork:
    """Read a network that ``save_network`` wrote.

    Raises:
        MissingWeightsError: there is no such file.
        WrongWeightsError: damaged, not written by impasto, or not of the architecture that it names.
    """
    with reading(path, "network of impasto's"):
        data = contents(path)
        architecture, facts = _about(data)
        found = {key: Found(key, tensor) for key, tensor in _tensors(data).items()}
    module = _filled(architecture, found, path)
    if architecture == IMPASTO and not _names_each(facts.get("styles"), module):
        raise WrongWeightsError(f"{path} does not name each of its styles once.", "Train or fetch it again.")
    return StyleNetwork(module, architecture, {**facts, "width": width_of(architecture, module)})


def fingerprint(network: StyleNetwork) -> str:
    """Return the SHA-256 of a network's weights, whatever file they came from."""
    state = {key: value.detach().cpu().contiguous() for key, value in network.module.state_dict().items()}
    return hashlib.sha256(safetensors.torch.save(state)).hexdigest()


def is_ours(path: Path) -> bool:
    """Whether a file says that ``save_network`` wrote it; it may still be damaged."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return f'"{METADATA}"'.encode() in file.read(_LARGEST_HEADER)
    return False


def _about(data: bytes) -> tuple[str, dict[str, Any]]:
    """Return what the header of a safetensors file says about the network."""
    try:
        length = min(int.from_bytes(data[:8], "little"), _LARGEST_HEADER)
        header = json.loads(data[8 : 8 + length])
        about = json.loads(header["__metadata__"][METADATA])
        architecture, facts = about["architecture"], about["facts"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError("it does not say which network it is; impasto network import makes such a file") from error
    if architecture not in ARCHITECTURES or not isinstance(facts, dict):
        raise ValueError(f"it says that it is {str(architecture)[:80]!r}, which this version does not know")
    return architecture, facts


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    with reading(path, "safetensors file"):
        return _tensors(contents(path))


def _tensors(data: bytes) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(str(error).splitlines()[0][:160]) from error


def _read_ncnn(path: Path) -> dict[str, Tensor]:
    return {f"tensor number {number}": tensor for number, tensor in enumerate(ncnn.read(path), 1)}


_FORMATS: dict[str, tuple[Callable[[Path], dict[str, Tensor]], Callable[[Mapping[str, Tensor]], Layout]]] = {
    "safetensors": (_read_safetensors, by_key),
    "PyTorch": (pytorch.read, by_key),
    "TensorFlow": (tensorflow.read, by_variable),
    "deeplearn.js": (deeplearnjs.read, by_variable),
    "ncnn": (_read_ncnn, by_order),
    "ONNX": (onnx_file.read, by_order),
}


def _digest(path: Path, source_format: str) -> str:
    """Return a file's SHA-256; of several files that of the list which ``sha256sum`` prints of them."""
    files = [path]
    if source_format == "deeplearn.js":
        files = deeplearnjs.files(path)
    elif source_format == "TensorFlow" and tensorflow.data_file(path).is_file():
        files = [path, tensorflow.data_file(path)]
    if len(files) == 1:
        return file_digest(path)
    lines = "".join(f"{file_digest(file)}  {file.name}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _shapes(found: Mapping[str, Found]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(each.tensor.shape) for key, each in found.items()}


def _names_each(styles: object, module: nn.Module) -> bool:
    return isinstance(styles, list) and len(set(map(str, styles))) == len(styles) == len(module.get_parameter("table"))


def _filled(architecture: str, found: Mapping[str, Found], path: Path) -> nn.Module:
    try:
        module = build(architecture, _shapes(found))
    except ValueError as error:
        raise WrongWeightsError(f"{path} does not fit {architecture}: {error}.", _HINT) from error
    wanted = module.state_dict()
    missing, extra = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    if missing or extra:
        parts = [f"lacks {_some(missing)}"] * bool(missing) + [f"has the unknown {_some(extra)}"] * bool(extra)
        raise WrongWeightsError(f"{path} does not fit {architecture}: it {' and '.join(parts)}.", _HINT)
    state = {key: _own(key, found[key], tuple(value.shape), path) for key, value in wanted.items()}
    module.load_state_dict(state, assign=True)
    return module.eval()


def _own(key: str, found: Found, shape: tuple[int, ...], path: Path) -> Tensor:
    """Return a tensor as float32 in our order of axes, once its shape is known to be right: views may be huge."""
    axes = found.axes or tuple(range(len(shape)))
    needed = tuple(shape[axes.index(axis)] for axis in range(len(shape)))
    tensor, label = found.tensor, key if key == found.source else f"{found.source} ({key})"
    if tuple(tensor.shape) != needed:
        shapes = f"{tuple(tensor.shape)} where {needed} is needed"
        raise WrongWeightsError(f"{path}: {label} has the shape {shapes}.", _HINT)
    if tensor.dtype not in _FLOATS:
        raise WrongWeightsError(f"{path}: {label} is of the type {tensor.dtype}.", "Floating-point numbers are needed.")
    # A copy, because tensors of a pickle may share memory.
    own = tensor.permute(axes).clone(memory_format=torch.contiguous_format).float()
    if not torch.isfinite(own).all():
        raise WrongWeightsError(f"{path} holds NaN or infinity in {label}.", "Fetch the file again.")
    return own


def _some(keys: set[str]) -> str:
    shown = ", ".join(key[:80] for key in sorted(keys)[:3])
    return shown + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
