"""Every error a user can meet, as one tree.

.. code-block:: text

    ImpastoError                 message + hint, exit status 1
    ├── UsageError               a value that cannot be, exit status 2
    │   └── UnknownNameError     an unknown layer, encoder, preset ...: names the nearest known ones
    ├── PictureError             a file that is no usable picture
    │   ├── UnreadablePictureError   truncated, empty, not an image
    │   └── PictureSizeError         more pixels than the limit, or too few
    ├── WeightsError             pretrained weights
    │   ├── MissingWeightsError      no network and no file: says where to put which file
    │   └── WrongWeightsError        a file of another shape, or one that is not safe to load
    ├── DataError                a folder, a table or a split that cannot serve
    ├── ResourceError            the machine is too small: names what would fit
    ├── NumericalError           NaN or infinity during an optimisation
    └── RunError                 a run folder that belongs to another configuration, or is damaged

The message says what is wrong with which file or value; ``hint`` says what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ImpastoError(Exception):
    """Base of all errors that are the user's to see. ``exit_code`` is what the command line returns."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(ImpastoError, ValueError):
    """A value that cannot be: out of range, contradictory, or of the wrong form."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not in the list; the nearest known names are offered.

    >>> str(UnknownNameError("layer", "relu4-2", ["relu4_1", "relu4_2"]))
    "unknown layer 'relu4-2'. Did you mean relu4_2 or relu4_1?"
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.name = name
        self.known = list(known)
        super().__init__(f"unknown {kind} {name!r}.", hint or self._suggest())

    def _suggest(self) -> str:
        near = difflib.get_close_matches(self.name, self.known, n=3, cutoff=0.5)
        if near:
            return f"Did you mean {' or '.join(near)}?"
        return f"Known: {', '.join(self.known[:30])}{', ...' if len(self.known) > 30 else ''}."


class PictureError(ImpastoError):
    """A file that is no usable picture."""


class UnreadablePictureError(PictureError):
    """Truncated, empty, of an unknown format, or not an image at all."""


class PictureSizeError(PictureError):
    """More pixels than the limit, or too few to work with."""


class WeightsError(ImpastoError):
    """Pretrained weights that cannot be used."""


class MissingWeightsError(WeightsError):
    """No network and no file. The hint says where to put which file and names the embedded alternative."""


class WrongWeightsError(WeightsError):
    """A file whose tensors have other names or shapes, or that is not safe to load."""


class DataError(ImpastoError):
    """A folder, a table or a split that cannot serve."""


class ResourceError(ImpastoError):
    """Too little memory or disk. The hint names what would fit."""


class NumericalError(ImpastoError):
    """NaN or infinity where a number must be."""


class RunError(ImpastoError):
    """A run folder that belongs to another configuration, or is damaged."""
