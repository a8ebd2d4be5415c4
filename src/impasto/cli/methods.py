"""The two ways of repainting, and which options belong to which."""

from __future__ import annotations

import typer

from impasto.errors import UnknownNameError, UsageError

# What means nothing to the other method.
_OWN = {
    "fast": ("network", "memory", "smoothing"),
    "optimise": (
        *("preset", "steps", "ratio", "encoder", "weights", "init", "pooling", "padding"),
        *("dream", "dream_strength", "compare_plain"),
    ),
}


def choose_method(context: typer.Context, method: str | None, usual: str) -> str:
    """Return the method: the one asked for, else that of an option which only one has, else the usual one.

    Raises:
        UnknownNameError: no such method.
        UsageError: an option that means nothing to the method, which would be ignored.
    """
    if method is not None and method not in _OWN:
        raise UnknownNameError("method", method, _OWN)
    given = {each: [name for name in names if _is_given(context, name)] for each, names in _OWN.items()}
    implied = next((each for each in _OWN if given[each]), usual)
    chosen = method or implied
    for other, names in given.items():
        if other != chosen and names:
            raise UsageError(
                f"--{names[0].replace('_', '-')} has no meaning with {_reason(method, given[chosen], chosen)}.",
                f"It belongs to --method {other}.",
            )
    return chosen


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name) if name in context.params else None
    return source is not None and source.name == "COMMANDLINE"


def _reason(method: str | None, names: list[str], chosen: str) -> str:
    return f"--method {chosen}" if method or not names else f"--{names[0].replace('_', '-')}"
