"""What a map is made of, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from impasto.data.dataset import SPLITS
from impasto.encoders import DEFAULT_ENCODER
from impasto.errors import UnknownNameError, UsageError

Method = Literal["tsne", "pca"]
# "all" for --split: every picture.
ALL = "all"


@dataclass(frozen=True)
class EmbedConfig:
    """Settings of a map.

    Attributes:
        data: a labelled folder (see :func:`impasto.data.dataset.read_dataset`), or one of pictures without labels.
        network: what sees the pictures: a name of ``impasto encoders``, a folder that ``impasto train`` wrote,
            ``torchvision:<name>`` or ``timm:<name>``.
        layer: of the network; "" for an encoder's recognition layer, and for other networks the deepest one whose map
            the output depends on.
        split: train, validation, test or all.
        method: how the map is drawn; the principal components are there in both cases.
        perplexity: of t-SNE, about how many neighbours each picture keeps; None chooses by the number of pictures.
        neighbours: how many are looked at by the measures of quality, the votes on labels, and the page.
        weights: a file, "random", or None, see :func:`impasto.encoders.load_encoder`.
        device: auto, cpu, cuda, cuda:1, mps.
        seed: of t-SNE, of the folds that judge labels, and of random weights.

    Raises:
        UnknownNameError: no such split or method. UsageError: a number that cannot be.
    """

    data: Path
    network: str = DEFAULT_ENCODER
    layer: str = ""
    split: str = ALL
    method: Method = "tsne"
    perplexity: float | None = None
    neighbours: int = 10
    weights: str | None = None
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.split not in (*SPLITS, ALL):
            raise UnknownNameError("split", self.split, [*SPLITS, ALL])
        if self.method not in get_args(Method):
            raise UnknownNameError("method", self.method, get_args(Method))
        if self.perplexity is not None and not self.perplexity >= 1:
            raise UsageError(f"perplexity {self.perplexity:g} cannot be.", "Choose 5 .. 50, or auto.")
        if self.neighbours < 1:
            raise UsageError(f"{self.neighbours} neighbours cannot be.", "One or more.")
        if self.seed < 0:
            raise UsageError(f"seed {self.seed} is below 0.")

    def effective(self) -> dict[str, Any]:
        """Return the settings that the result depends on; where the data are and on what device is none of them."""
        means = ("data", "device", "weights")
        return {name: value for name, value in vars(self).items() if name not in means}
