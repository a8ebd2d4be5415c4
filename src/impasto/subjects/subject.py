"""A network with named layers and named outputs, watched without being changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from impasto.data.load.pictures import Preprocessing
from impasto.encoders.encoder import canonical_layer
from impasto.errors import PictureSizeError, UnknownNameError, UsageError
from impasto.subjects.maps import Layout, is_spatial, layout_of, spatial

# A picture with shorter sides may be too small for the deepest layers (pixels).
_SAFE_SIDE = 80
# Wrappers' parts of dotted paths, which names can do without.
_FRONTS = ("", "encoder.network.", "network.")
# What passes on what it got, or only thins it out: the layer before says the same with more places.
_PASSIVE = (
    nn.Identity,
    nn.Flatten,
    nn.Dropout,
    nn.Dropout2d,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
)


class _Reached(Exception):  # noqa: N818 - no error: the deepest wanted layer is done
    """Unwinds the forward pass once everything asked for is there."""


@dataclass(frozen=True)
class Seen:
    """What a network made of a batch of pictures.

    Attributes:
        output: B x C logits (an encoder's B x D features).
        maps: B x c x h x w of each layer that was asked for.
        raw: the same as the network has it, for gradients with respect to it.
    """

    output: Tensor
    maps: dict[str, Tensor]
    raw: dict[str, Tensor]

    def map_of(self, layer: str) -> Tensor:
        """Return the map of a layer.

        Raises:
            UsageError: it has none.
        """
        if layer not in self.maps:
            raise UsageError(f"the layer {layer} has no places that could be shown.", "Choose one before the pooling.")
        return self.maps[layer]


@dataclass(frozen=True)
class Subject:
    """A network to look into. It is lent: in eval mode and without gradients on its weights, and it stays so.

    Attributes:
        name: a folder or a registry's name, for messages.
        network: B x 3 x S x S in 0..1 to B x C logits, or to B x D features of an encoder without classes.
        layers: names of layers, in order of depth -> dotted paths in ``network``. Any other dotted path is a name too.
        classes: what the logits stand for; empty for an encoder.
        preprocessing: how pictures are scaled for it.
        identity: plain values that tell these weights from any other, for provenance.
        device: where it is.
        temperature: what logits are divided by for probabilities, as the classifier itself does.
    """

    name: str
    network: nn.Module
    layers: Mapping[str, str]
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    identity: Mapping[str, Any]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    temperature: float = 1.0

    @property
    def size(self) -> int:
        """The side in pixels of the pictures it is made for."""
        return self.preprocessing.size

    def path_of(self, layer: str) -> str:
        """Return the dotted path of a layer: a name, or a path with or without the wrappers' part at its front.

        Raises:
            UnknownNameError: no such layer; the nearest names are offered.
        """
        name = canonical_layer(layer)
        path = self.layers.get(name, name)
        found = next((front + path for front in _FRONTS if path and front + path in self._modules), None)
        if found is None:
            raise UnknownNameError(f"layer of {self.name}", layer, self.layers or list(self._modules)[1:])
        return found

    def has_layer(self, layer: str) -> bool:
        """Whether ``layer`` can be asked for."""
        try:
            self.path_of(layer)
        except UnknownNameError:
            return False
        return True

    def name_of(self, path: str) -> str:
        """Return the shortest name of a dotted path."""
        names = {known: name for name, known in self.layers.items()}
        front = next((front for front in _FRONTS if front and path.startswith(front)), "")
        return names.get(path, path.removeprefix(front))

    def __call__(self, pictures: Tensor) -> Tensor:
        """Return the output for B x 3 x S x S in 0..1, with gradients where the pictures have them."""
        output: Tensor = self.network(self._placed(pictures))
        return output

    def watch(self, pictures: Tensor, layers: Iterable[str], *, cut: bool = False) -> Seen:
        """Return the output and the activations of layers, all in one graph.

        Args:
            pictures: B x 3 x S x S in 0..1.
            layers: names.
            cut: begin the graph anew at each layer: gradients reach the layers and nothing before them, which saves
                the larger part of the backward pass.

        Raises:
            UnknownNameError: no such layer. PictureSizeError: the pictures are too small for the network.
        """
        raw, output = self._run(pictures, layers, cut=cut, output=True)
        assert output is not None
        if pictures.shape[2] == pictures.shape[3]:  # they tell the layout themselves
            return Seen(output, {name: spatial(value) for name, value in raw.items() if is_spatial(value)}, raw)
        layouts = self.layouts(raw)
        return Seen(output, {name: spatial(raw[name], layout) for name, layout in layouts.items() if layout}, raw)

    def activations(self, pictures: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return the raw activations of layers for pictures B x 3 x H x W; nothing behind the deepest is computed.

        Pictures may have any size that the layers before the deepest one can take.
        """
        return self._run(pictures, layers, cut=False, output=False)[0]

    def layouts(self, layers: Iterable[str]) -> dict[str, Layout | None]:
        """Return how layers lay out their activations, None for those without places: learned once from a square.

        Raises:
            UnknownNameError: no such layer.
        """
        names = list(layers)
        unknown = [name for name in names if name not in self._known_layouts]
        if unknown:
            with torch.no_grad():
                probe = self.activations(torch.full((1, 3, self.size, self.size), 0.5), unknown)
            self._known_layouts.update({name: layout_of(value) for name, value in probe.items()})
        return {name: self._known_layouts[name] for name in names}

    def resume(self, picture: Tensor, layer: str, values: Tensor) -> Tensor:
        """Return K x C outputs for K activations put in the place of a layer's own, which all belong to one picture.

        What is before the layer is computed once and not K times, where what is behind it sees nothing of it.

        Args:
            picture: 1 x 3 x S x S in 0..1.
            layer: a name.
            values: K of its raw activations (:attr:`Seen.raw`).
        """
        module = self._modules[self.path_of(layer)]
        for pictures in (picture, picture.expand(len(values), -1, -1, -1)):
            hook = module.register_forward_hook(lambda *_: values)
            try:
                return self(pictures)
            except RuntimeError:
                # One picture met K activations on a way around the layer, as in a dense block.
                if len(pictures) == len(values):
                    raise
            finally:
                hook.remove()
        raise AssertionError("unreachable")

    @cached_property
    def map_layers(self) -> tuple[str, ...]:
        """The layers whose maps the output depends on at every place, in order of depth.

        Found by one forward and backward pass: of a vision transformer's last block only what its attention reads,
        because behind that the places of the picture are looked at no more. Layers with a map for each class are the
        output itself and left out.
        """
        order, output = self._discover()
        slopes = torch.autograd.grad(output.square().sum(), [value for _, value in order], allow_unused=True)
        found = []
        for (path, value), slope in zip(order, slopes, strict=True):
            maps = spatial(value)
            speaks = slope is not None and bool((spatial(slope).abs().amax(1) > 0).float().mean() >= 0.5)
            if speaks and not (self.classes and maps.shape[1] == output.shape[1]):
                found.append(self.name_of(path))
        return tuple(found)

    @property
    def last_layer(self) -> str:
        """The deepest of :attr:`map_layers`: where class activation maps are taken from.

        Raises:
            UsageError: there is none.
        """
        if not self.map_layers:
            raise UsageError(f"no layer of {self.name} has a map on which its output depends.", "Name one.")
        return self.map_layers[-1]

    def _discover(self) -> tuple[list[tuple[str, Tensor]], Tensor]:
        """Return the activations that have places, each once under the shortest path, and the output."""
        met: dict[int, tuple[str, Tensor]] = {}

        thinned: dict[int, Tensor] = {}

        def note(path: str, module: nn.Module, value: object) -> None:
            if not is_spatial(value):
                return
            assert isinstance(value, Tensor)
            # A projection of tokens (queries, keys and values at once) is half a step.
            if isinstance(module, nn.Linear):
                return
            if isinstance(module, _PASSIVE) and id(value) not in met:
                thinned[id(value)] = value  # what returns it as well, a sequence that ends with it, is none either
            if id(value) in thinned:
                return
            before = met.get(id(value))
            better = before is None or (before[0] not in named and (path in named or len(path) < len(before[0])))
            if better and value.requires_grad:
                met[id(value)] = (path, value)

        named = set(self.layers.values())
        generator = torch.Generator().manual_seed(0)
        picture = torch.rand(1, 3, self.size, self.size, generator=generator).to(self.device).requires_grad_()
        with ExitStack() as hooks, torch.enable_grad():
            # In place, what a convolution returns would be what its ReLU returns.
            for module in self._modules.values():
                if getattr(module, "inplace", False):
                    hooks.callback(setattr, module, "inplace", True)
                    setattr(module, "inplace", False)  # noqa: B010 - not an attribute of every module
            for path, module in self._modules.items():
                if path:
                    hook = module.register_forward_hook(lambda m, _i, value, path=path: note(path, m, value))
                    hooks.callback(hook.remove)
            output = self(picture)
        return list(met.values()), output

    def _run(
        self, pictures: Tensor, layers: Iterable[str], *, cut: bool, output: bool
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        wanted = {layer: self.path_of(layer) for layer in layers}
        found: dict[str, Tensor] = {}

        def keep(path: str, value: Tensor) -> Tensor:
            found[path] = value.detach().requires_grad_() if cut else value
            if not output and len(found) == len(set(wanted.values())):
                raise _Reached
            # A copy goes on: later code may overwrite it in place (``F.relu(x, inplace=True)``, ``out += identity``).
            return found[path].clone()

        with ExitStack() as hooks:
            for path in set(wanted.values()):
                hook = self._modules[path].register_forward_hook(lambda _m, _i, value, path=path: keep(path, value))
                hooks.callback(hook.remove)
            result = self._walk(pictures)
        return {layer: found[path] for layer, path in wanted.items()}, result

    def _walk(self, pictures: Tensor) -> Tensor | None:
        try:
            return self(pictures)
        except _Reached:
            return None
        except RuntimeError as error:
            # torch words this differently for each module; only small pictures can run out of pixels.
            if min(pictures.shape[2:]) >= _SAFE_SIDE:
                raise
            size = f"{pictures.shape[3]}x{pictures.shape[2]}"
            raise PictureSizeError(
                f"a picture of {size} pixels is too small for {self.name} ({error}).", "Choose a larger --size."
            ) from error

    def _placed(self, pictures: Tensor) -> Tensor:
        return pictures.to(self.device).contiguous(memory_format=torch.channels_last)

    @cached_property
    def _known_layouts(self) -> dict[str, Layout | None]:
        return {}

    @cached_property
    def _modules(self) -> dict[str, nn.Module]:
        return dict(self.network.named_modules())
