"""Pictures that a network makes much of: DeepDream, and what a single channel or class answers to.

>>> from impasto.dream import dream
>>> dream("photo.jpg").save("dream.png")  # doctest: +SKIP
PosixPath('dream.png')
"""

from impasto.dream.config import DreamConfig
from impasto.dream.dreaming import Dreamer, DreamResult, dream
from impasto.dream.zoom import ZoomConfig, ZoomResult, dream_zoom

__all__ = ["DreamConfig", "DreamResult", "Dreamer", "ZoomConfig", "ZoomResult", "dream", "dream_zoom"]
