"""Pictures that a network makes much of: DeepDream, and what a single channel or class answers to.

>>> from impasto.dream import dream
>>> dream("photo.jpg").save("dream.png")  # doctest: +SKIP
PosixPath('dream.png')
"""

from impasto.dream.config import DreamConfig
from impasto.dream.dreaming import Dreamer, DreamResult, dream
from impasto.dream.neurons import see_neurons
from impasto.dream.records import Answer, NeuronsConfig, NeuronsResult
from impasto.dream.zoom import ZoomConfig, ZoomResult, dream_zoom

__all__ = [
    "Answer",
    "DreamConfig",
    "DreamResult",
    "Dreamer",
    "NeuronsConfig",
    "NeuronsResult",
    "ZoomConfig",
    "ZoomResult",
    "dream",
    "dream_zoom",
    "see_neurons",
]
