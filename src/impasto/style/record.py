"""What a repaint by optimisation writes into its file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from impasto.encoders import AnyEncoder
from impasto.images import Picture
from impasto.runs import to_plain
from impasto.style.config import StylizeConfig
from impasto.style.dream import Dream


def picture_facts(content: Picture, styles: Sequence[Picture]) -> dict[str, Any]:
    """Return names and hashes of the pictures."""
    return {
        "content": {"name": content.path.name, "sha256": content.sha256},
        "styles": [{"name": picture.path.name, "sha256": picture.sha256} for picture in styles],
    }


def painting_facts(
    config: StylizeConfig, encoder: AnyEncoder, layers: dict[str, list[str]], dtype: torch.dtype, dream: Dream
) -> dict[str, Any]:
    """Return how it is painted: configuration, encoder, layers; of a dream only where there is one."""
    plain = to_plain(config)
    if not config.dream:  # as in files made before there were dreams, byte for byte
        plain = {name: value for name, value in plain.items() if name not in ("dream", "dream_strength")}
    silent = {each.layer: list(each.channels) for each in dream.silent}
    dreamt = {"dream": {"of": str(dream), "chosen": dream.chosen, "silent_channels": silent}} if config.dream else {}
    return {
        "config": plain,
        **dreamt,
        "encoder": encoder.identity(),
        "layers": layers,
        "computed_in": str(dtype).removeprefix("torch."),
        "torch": torch.__version__,
    }
