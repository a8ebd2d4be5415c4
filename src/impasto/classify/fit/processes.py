"""Several processes that teach one network, as torchrun starts them.

>>> # torchrun --nproc-per-node 2 -m impasto train data -o run --model r4-cnn

Every process takes its share of each batch; gradients are summed before the step, so that the network is the one that
a single process would have taught, but for the order of additions.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from impasto.data.load.loaders import Share
from impasto.errors import UsageError
from impasto.runtime import choose_device


@dataclass(frozen=True)
class Crew:
    """The processes of one training, seen from one of them.

    Attributes:
        device: that of this process.
        rank: its number; 0 is the one that writes.
        world: how many there are.
    """

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and tells of progress."""
        return self.rank == 0

    @property
    def share(self) -> Share:
        """What this process takes of a batch."""
        return Share(self.rank, self.world)

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return a network whose gradients are averaged over all processes; its weights become those of the first."""
        if self.world == 1:
            return network
        return DistributedDataParallel(network, [self.device.index] if self.device.type == "cuda" else None)

    def sum(self, numbers: list[float]) -> list[float]:
        """Add numbers up over all processes."""
        if self.world == 1:
            return numbers
        total = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return cast(list[float], total.tolist())

    def agree(self, tensors: list[Tensor]) -> None:
        """Give every process the tensors of the first."""
        for tensor in tensors if self.world > 1 else ():
            dist.broadcast(tensor, 0)

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.world > 1:
            dist.barrier()


@contextlib.contextmanager
def crew(device: str) -> Iterator[Crew]:
    """Join the processes that torchrun started, or be the only one.

    Raises:
        UsageError: one GPU was named for all of them.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1 or dist.is_initialized():
        yield Crew(choose_device(device))
        return
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    if ":" in device:
        raise UsageError(f"device {device} cannot be that of {world} processes.", "Say --device cuda, or auto.")
    place = choose_device(device)
    if place.type == "cuda":
        place = torch.device("cuda", local)
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo", rank=rank, world_size=world)
    try:
        yield Crew(place, rank, world)
    finally:
        dist.destroy_process_group()
