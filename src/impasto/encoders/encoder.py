"""A network whose intermediate activations are asked for by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.errors import PictureSizeError, UnknownNameError, UsageError

# Every network here reaches its deepest layer from a picture whose sides are this long (pixels).
_SAFE_SIDE = 80


class _Reached(Exception):  # noqa: N818 - no error: the deepest wanted layer is done
    """Unwinds the forward pass once everything asked for is there."""


class Encoder(nn.Module):
    """A frozen network with named layers; normalisation is inside.

    Args:
        name: the registry's name, for messages and provenance.
        network: the network; it is owned by the encoder from now on (eval mode, no gradients on parameters).
        layers: paper's name -> dotted path of the module whose output it is, in order of depth.
        mean, std: normalisation of RGB in 0..1, three numbers each.
        recognition: name of the layer whose spatial mean is the feature vector for classifiers.
        input_size: side in pixels of the pictures the network was trained on.
        facts: what identifies the weights (file digest, source), for caches and provenance.

    Shape:
        input B x 3 x H x W, RGB in 0..1; each activation B x C x h x w.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        network: nn.Module,
        layers: Mapping[str, str],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        recognition: str,
        input_size: int,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.network = network.eval().requires_grad_(False)
        self.layers = dict(layers)
        self.recognition = recognition
        self.input_size = input_size
        self._facts = dict(facts or {})
        self._modules_by_path = dict(network.named_modules())
        # Layers that later code overwrites in place (``F.relu(x, inplace=True)``, ``out += identity``); found out
        # by watching the version counter of each returned tensor, copied from then on.
        self._overwritten: set[str] = set()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1), persistent=False)
        for module in network.modules():
            if hasattr(module, "inplace"):
                module.inplace = False  # type: ignore[assignment]

    def path_of(self, layer: str) -> str:
        """Return the dotted module path of a layer: a paper's name, an alias of it, or a dotted path itself.

        Raises:
            UnknownNameError: no such layer; the nearest names are offered.
        """
        name = canonical_layer(layer)
        path = self.layers.get(name, name)
        if path not in self._modules_by_path or path == "":
            raise UnknownNameError(f"layer of {self.name}", layer, self.layers)
        return path

    def has_layer(self, layer: str) -> bool:
        """Whether ``layer`` can be asked for."""
        name = canonical_layer(layer)
        return self.layers.get(name, name) in self._modules_by_path and name != ""

    def forward(self, x: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return the activation of each layer asked for; nothing behind the deepest of them is computed.

        Raises:
            UnknownNameError: a layer that the network does not have.
            PictureSizeError: the picture is too small to reach the deepest layer.
        """
        wanted = {layer: self.path_of(layer) for layer in layers}
        if not wanted:
            raise UsageError("no layer was asked for.")
        by_path = self._run(x, set(wanted.values()))
        return {layer: by_path[path] for layer, path in wanted.items()}

    @torch.no_grad()
    def features(self, x: Tensor, grid: int = 1) -> Tensor:
        """Return B x D feature vectors for classifiers, float32; see :meth:`pooled`."""
        return self.pooled(x, grid)

    def pooled(self, x: Tensor, grid: int = 1) -> Tensor:
        """Return the ``recognition`` layer averaged over the cells of a ``grid`` x ``grid``, flattened, float32.

        D is C for 1, the spatial mean, and C * grid^2 otherwise, channel after channel. VGG at 224 pixels has 7 x 7
        positions: with a grid of 7 every cell is one of them. A grid of 0 stands for the mean and the maximum of each
        channel, 2 C numbers: how much there is of something, and whether it is there at all.
        """
        activation: Tensor = self(x, [self.recognition])[self.recognition].float()
        if activation.ndim != 4:  # a network that pools by itself
            return activation.flatten(1)
        if grid == 0:
            return torch.cat([activation.mean((2, 3)), activation.amax((2, 3))], 1)
        return activation.mean((2, 3)) if grid == 1 else F.adaptive_avg_pool2d(activation, grid).flatten(1)

    @property
    def feature_size(self) -> int:
        """The length D of a feature vector."""
        return self.feature_count()

    def feature_count(self, grid: int = 1) -> int:
        """Return the length D of a feature vector over a ``grid``, see :meth:`pooled`."""
        side = self.input_size
        return self.features(torch.zeros(1, 3, side, side, device=self.mean.device), grid).shape[1]

    def identity(self) -> dict[str, Any]:
        """Return plain values that tell this encoder from any other: name, weights, pooling, padding."""
        return {"encoder": self.name, **self._facts}

    def _run(self, x: Tensor, paths: set[str]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        versions: dict[str, int] = {}

        def keep(path: str, value: Tensor) -> None:
            value = value.clone() if path in self._overwritten else value
            found[path], versions[path] = value, value._version
            # Exporters keep a stack of modules and cannot follow an exception; they cut off what nobody uses anyway.
            if len(found) == len(paths) and not torch.compiler.is_compiling():
                raise _Reached

        with ExitStack() as hooks:
            for path in paths:
                module = self._modules_by_path[path]
                handle = module.register_forward_hook(lambda _m, _i, value, path=path: keep(path, value))
                hooks.callback(handle.remove)
            self._walk((x - self.mean) / self.std)
        changed = {path for path, value in found.items() if value._version != versions[path]}
        if changed:
            self._overwritten |= changed
            return self._run(x, paths)
        return found

    def _walk(self, x: Tensor) -> None:
        try:
            self.network(x)
        except _Reached:
            pass
        except RuntimeError as error:
            # torch words this differently for each module; only small pictures can run out of pixels.
            if min(x.shape[2:]) >= _SAFE_SIDE:
                raise
            size = f"{x.shape[3]}x{x.shape[2]}"
            raise PictureSizeError(
                f"a picture of {size} pixels is too small for {self.name} ({error}).", "Choose a larger --size."
            ) from error


def canonical_layer(name: str) -> str:
    """Return the name used here for a layer of the Keras models, others unchanged.

    Keras' ``block5_conv2`` is the activation *after* its ReLU, hence ``relu5_2``.

    >>> canonical_layer("block5_conv2"), canonical_layer("block3_pool"), canonical_layer("relu4_2")
    ('relu5_2', 'pool3', 'relu4_2')
    """
    if match := re.fullmatch(r"block(\d)_conv(\d)", name):
        return f"relu{match[1]}_{match[2]}"
    if match := re.fullmatch(r"block(\d)_pool", name):
        return f"pool{match[1]}"
    return name


def set_pooling(network: nn.Module, pooling: str) -> None:
    """Exchange the max-pooling modules for average pooling of the same geometry when ``pooling`` is "average".

    Gatys et al. 2016 found slightly more appealing pictures with it. Pooling written as a function call inside a
    network's code (Inception v3) stays as it is.
    """
    if pooling not in ("max", "average"):
        raise UnknownNameError("pooling", pooling, ["max", "average"])
    if pooling == "max":
        return
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MaxPool2d):
                average = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode)
                setattr(parent, name, average)


def set_padding(network: nn.Module, padding: str) -> None:
    """Let every padded convolution repeat the border ("replicate") or mirror it ("reflect") in place of zeros."""
    if padding not in ("zeros", "replicate", "reflect"):
        raise UnknownNameError("padding", padding, ["zeros", "replicate", "reflect"])
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and any(side != 0 for side in module.padding):
            module.padding_mode = padding  # type: ignore[assignment]
