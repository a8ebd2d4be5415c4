"""What determines attribution maps besides the network and the pictures."""

from __future__ import annotations

from dataclasses import dataclass

from impasto.errors import UsageError
from impasto.explain.attribution import method_of
from impasto.explain.targets import PREDICTED


@dataclass(frozen=True)
class ExplainConfig:
    """How maps are made and checked.

    Attributes:
        method: a name of :data:`impasto.explain.attribution.METHODS`.
        target: what is asked about, see :func:`impasto.explain.targets.parse_target`.
        layer: whose places the map shows; "" for the deepest with places. Methods of pixels have none.
        check: how many pictures, evenly chosen, the verdict is made from; 0 for no verdict.
        batch_size: pictures that go through the network together.
        seed: of what the checks draw.
    """

    method: str = "grad-cam"
    target: str = PREDICTED
    layer: str = ""
    check: int = 16
    batch_size: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if self.layer and not method_of(self.method).of_layer:
            raise UsageError(f"{self.method} makes maps of pixels and has no layer.", "Leave --layer out.")
        if self.check < 0:
            raise UsageError(f"{self.check} pictures cannot be checked.", "0 is for no verdict.")
        if self.batch_size < 1:
            raise UsageError(f"a batch of {self.batch_size} pictures cannot be.", "Choose 1 or more.")

    @property
    def signed(self) -> bool:
        """Whether the target sets classes against each other, so that both signs are shown."""
        return " - " in self.target
