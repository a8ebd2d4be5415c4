"""The blocks of a pretrained network, in order of depth: what is opened for fine-tuning, and by how much it learns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import torch
from torch import nn

from impasto.encoders.encoder import Encoder


def blocks(encoder: Encoder) -> dict[str, list[str]]:
    """Return the names of the parameters of each block that recognition needs, the block nearest the picture first.

    Blocks are what papers call so: ``block1`` .. ``block5`` of a VGG, ``layer4`` of a ResNet, ``fire9`` of a
    SqueezeNet, ``stage3`` of a timm network. What the paper has no name for belongs to the block before it.

    >>> list(blocks(load_encoder("vgg19-16x", weights="random")))              # doctest: +SKIP
    ['input', 'block1', 'block2', 'block3', 'block4', 'block5']
    """
    names = {path: name for name, path in encoder.layers.items()}
    found: dict[str, list[str]] = {}
    block = parent = ""
    for path in _in_order_of_use(encoder):
        own = _named(path, names)
        if own or not block or path.rpartition(".")[0] != parent:
            block = own or path
        parent = path.rpartition(".")[0]
        module = encoder.network.get_submodule(path)
        found.setdefault(block, []).extend(f"{path}.{name}" for name, _ in module.named_parameters(recurse=False))
    return found


def _named(path: str, names: dict[str, str]) -> str:
    """Return the block of a module: that of the nearest module around it which has a paper's name."""
    while path:
        if path in names:
            name = names[path]
            vgg = re.fullmatch(r"(?:conv|relu)(\d)_\d", name)
            return f"block{vgg[1]}" if vgg else name
        path = path.rpartition(".")[0]
    return ""


def _in_order_of_use(encoder: Encoder) -> list[str]:
    """Return the paths of the modules that recognition learns by, as a picture meets them."""
    met: dict[str, None] = {}
    own = dict(_with_parameters(encoder.network))
    with ExitStack() as hooks, torch.random.fork_rng(devices=[]):
        for path, module in own.items():
            hooks.callback(module.register_forward_pre_hook(_noting(met, path)).remove)
        for parameter in encoder.network.parameters():
            hooks.callback(parameter.requires_grad_, parameter.requires_grad)
            parameter.requires_grad_(True)
        side = encoder.input_size
        output = encoder.pooled(torch.rand(1, 3, side, side).to(encoder.mean.device)).sum()
        firsts = [next(own[path].parameters(recurse=False)) for path in met]
        # Some are only passed by: the embedded encoder leaves its stack at relu3_4.
        slopes = torch.autograd.grad(output, firsts, allow_unused=True)
    return [path for path, slope in zip(met, slopes, strict=True) if slope is not None]


def _with_parameters(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for path, module in network.named_modules():
        if next(module.parameters(recurse=False), None) is not None:
            yield path, module


def _noting(met: dict[str, None], path: str) -> Callable[[nn.Module, object], None]:
    def note(_module: nn.Module, _inputs: object) -> None:
        met.setdefault(path)

    return note
