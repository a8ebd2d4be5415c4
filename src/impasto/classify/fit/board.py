"""TensorBoard's event files, for those who watch a training with it."""

from __future__ import annotations

import contextlib
import importlib.util
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from impasto.classify.fit.curves import CurvePoint
from impasto.errors import UsageError


@contextlib.contextmanager
def open_board(folder: Path) -> Iterator[Callable[[CurvePoint], None]]:
    """Yield what writes a row of ``curves.csv`` into event files in ``folder``.

    Raises:
        UsageError: TensorBoard is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError("--tensorboard needs the extra tensorboard.", "pip install 'impasto[tensorboard]'")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:

        def note(point: CurvePoint) -> None:
            for name, value in asdict(point).items():
                if name != "epoch" and value is not None and math.isfinite(value):
                    writer.add_scalar(name, value, point.epoch)
            writer.flush()

        yield note
