"""Gradients through units that are off: without them, a channel that is silent can never be woken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

# Share of the gradient that passes a ReLU which is off, as in a leaky one.
LEAK = 0.1
_RELUS: tuple[Any, ...] = (F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)


class _LeakyBackward(torch.autograd.Function):
    """ReLU forwards; backwards, units that are off pass a share of the gradient."""

    @staticmethod
    def forward(context: Any, value: Tensor, leak: Tensor) -> Tensor:
        result = value.clamp(min=0)
        context.save_for_backward(result, leak)
        return result

    @staticmethod
    def backward(context: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        result, leak = context.saved_tensors
        (slope,) = slopes
        return torch.where(result > 0, slope, slope * leak.to(slope)), None


def leaking(leaks: Sequence[float]) -> AbstractContextManager[object]:
    """Return :class:`LeakyReLUs`, or nothing where no gradient leaks."""
    return LeakyReLUs(leaks) if any(leaks) else nullcontext()


class LeakyReLUs(TorchFunctionMode):
    """While it is active, every ReLU passes a share of the gradient where it is off; what it returns is unchanged.

    The network is not touched: calls are caught on their way to torch, those that modules make and those in code.
    A ReLU that works in place returns a new tensor here.

    Args:
        leaks: for each picture of the batch, 0 .. 1; 0 for a true ReLU.

    >>> x = torch.tensor([[-1.0]], requires_grad=True)
    >>> with LeakyReLUs([0.1]):
    ...     x.relu().backward()
    >>> x.grad
    tensor([[0.1000]])
    """

    def __init__(self, leaks: Sequence[float]) -> None:
        super().__init__()
        self.leaks = torch.tensor(leaks)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace ReLUs, and let everything else pass."""
        if func not in _RELUS:
            return func(*args, **(kwargs or {}))
        value: Tensor = args[0] if args else (kwargs or {})["input"]
        if len(value) != len(self.leaks):  # parts of pictures as a batch of their own
            return func(*args, **(kwargs or {}))
        leak = self.leaks.to(value.device).view(-1, *(1,) * (value.ndim - 1))
        return _LeakyBackward.apply(value, leak)
