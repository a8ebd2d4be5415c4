"""What octaves cost: a dream against its finest octave, and against plain ascent at full size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from impasto.dream import DreamConfig, Dreamer
from impasto.images import open_picture

_SIZE, _STEPS, _ROUNDS = 1024, 4, 3


def dream(photo: Path, network: str) -> None:
    """Dream at 1024 pixels with and without octaves, in turns; best of each, seconds."""
    print(f"dream: {network} at {_SIZE} px, {_STEPS} steps at each octave, best of {_ROUNDS} in turns")
    config = DreamConfig(network=network, size=_SIZE, steps=_STEPS)
    dreamer = Dreamer(config)
    plain = Dreamer(replace(config, octaves=1), dreamer.subject)
    picture = open_picture(photo)
    whole, finest, single = [], [], []
    for _ in range(_ROUNDS):
        result = dreamer.dream(picture)
        trace = result.trace
        whole.append(result.seconds)
        finest.append(sum(each["seconds"] for each in trace if each["octave"] == trace[-1]["octave"]))
        single.append(plain.dream(picture).seconds)
    pixels = [each["height"] * each["width"] for each in trace]
    print(f"  all {config.octaves} octaves          {min(whole):6.1f}")
    print(f"  its finest octave      {min(finest):6.1f}  ratio {min(whole) / min(finest):4.2f}")
    print(f"  plain ascent, {_STEPS} steps  {min(single):6.1f}  ratio {min(whole) / min(single):4.2f}")
    print(f"  by pixels              {'':6s}  ratio {sum(pixels) / (pixels[-1] * _STEPS):4.2f}")
