"""What the training of a style network is made of, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from impasto.encoders import DEFAULT_ENCODER
from impasto.errors import UsageError
from impasto.runtime import Precision


@dataclass(frozen=True)
class NetworkTrainConfig:
    """What determines a trained network besides the pictures.

    Attributes:
        name: what to call the network.
        steps: batches to learn from; None trains as long as ``budget`` says.
        budget: seconds, everything included. With a budget the result depends on the speed of the machine; with steps
            the same seed gives the same bytes.
        look_every: seconds between two looks at the held-out photos, each with a sample sheet; of a run of steps the
            looks come at eight equal distances.
        size: side of the training crops in pixels.
        batch: crops a step.
        strength: 0 .. 1 exclusive, as in ``StylizeConfig``, but lower as a rule: at 0.5 a network gives up faces for
            strokes, where an optimisation, which knows the one picture, finds room for both.
        style_size: longer side of the style pictures as a share of ``size``.
        rate: highest learning rate of Adam; styles learn ten times as fast as convolutions.
        encoder, weights: the network that judges, see ``load_encoder``.
        precision, device, seed: see ``runtime``.
    """

    name: str
    steps: int | None = None
    budget: float = 1800.0
    look_every: float = 180.0
    size: int = 256
    batch: int = 4
    strength: float = 0.2
    style_size: float = 1.0
    rate: float = 5e-4
    encoder: str = DEFAULT_ENCODER
    weights: str | None = None
    precision: Precision = "auto"
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, holds, allowed in (
            ("steps", self.steps is None or self.steps > 0, "1 or more"),
            ("budget", self.budget >= 1, "one second or more"),
            ("look_every", self.look_every > 0, "more than 0 seconds"),
            ("size", 64 <= self.size <= 1024 and self.size % 8 == 0, "64 .. 1024 pixels, a multiple of 8"),
            ("batch", self.batch > 0, "1 or more"),
            ("strength", 0 < self.strength < 1, "between 0 and 1, both excluded"),
            ("style_size", 0.1 <= self.style_size <= 4, "0.1 .. 4"),
            ("rate", 0 < self.rate < 1, "between 0 and 1"),
        ):
            if not holds:
                raise UsageError(f"{name} {getattr(self, name)!r} is not allowed.", f"Allowed: {allowed}.")


@dataclass(frozen=True)
class NetworkTrainResult:
    """A trained network.

    Attributes:
        network: its file.
        styles: names of its styles.
        steps, seconds: what was spent in all, also before interruptions.
        held_out: loss on photos that were not learned from, at the best look; ``before`` the one at the start.
        stopped: why it ended: "steps", "budget", or "no gain".
        rejected: photos that could not be read, with the reason.
    """

    network: Path
    styles: tuple[str, ...]
    steps: int
    seconds: float
    held_out: float
    before: float
    stopped: str
    rejected: tuple[tuple[str, str], ...]
