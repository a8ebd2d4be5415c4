"""impasto repaints pictures, learns to recognise styles, and measures honestly whether it helps.

Importing this package loads no torch: every name below is fetched when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from impasto._version import __version__

if TYPE_CHECKING:
    from impasto.classify import Classifier, evaluate, train
    from impasto.data.repaint.repainting import repaint_folder
    from impasto.encoders import load_encoder
    from impasto.errors import ImpastoError
    from impasto.style.apply import repaint_fast
    from impasto.style.config import FastConfig, StylizeConfig
    from impasto.style.optimize import StylizeResult, stylize

_HOME = {
    "Classifier": "impasto.classify",
    "FastConfig": "impasto.style.config",
    "ImpastoError": "impasto.errors",
    "StylizeConfig": "impasto.style.config",
    "StylizeResult": "impasto.style.optimize",
    "evaluate": "impasto.classify",
    "load_encoder": "impasto.encoders",
    "repaint_fast": "impasto.style.apply",
    "repaint_folder": "impasto.data.repaint.repainting",
    "stylize": "impasto.style.optimize",
    "train": "impasto.classify",
}

_ROOMS = (
    "classify",
    "data",
    "dream",
    "embed",
    "encoders",
    "errors",
    "explain",
    "images",
    "report",
    "style",
    "subjects",
)

__all__ = [
    "Classifier",
    "FastConfig",
    "ImpastoError",
    "StylizeConfig",
    "StylizeResult",
    "__version__",
    "evaluate",
    "load_encoder",
    "repaint_fast",
    "repaint_folder",
    "stylize",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _ROOMS:
        return import_module(f"impasto.{name}")
    raise AttributeError(f"module 'impasto' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
