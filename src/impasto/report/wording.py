"""Numbers as a careful writer puts them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NBSP = "\u00a0"  # keeps a number and its sign on one line


def percent(share: float, decimals: int = 0) -> str:
    """Return a share in 0..1 as a percentage; only 0 and 1 themselves become 0 and 100.

    >>> percent(22 / 24), percent(1 / 8, 1), percent(0.25, 1), percent(0.9999), percent(1)
    ('92\\xa0%', '12.5\\xa0%', '25\\xa0%', '>99\\xa0%', '100\\xa0%')
    """
    value = f"{100 * share:.{decimals}f}"
    if float(value) == 100 and share < 1:
        value = ">99"
    elif float(value) == 0 and share > 0:
        value = "<1"
    return f"{value.removesuffix('.0')}{NBSP}%"


def interval(ends: tuple[float, float]) -> str:
    """Return the ends of an interval in percent.

    >>> interval((0.742, 0.977))
    '74 to 98'
    """
    return f"{100 * ends[0]:.0f} to {100 * ends[1]:.0f}"


def p_value(p: float) -> str:
    """Return a p-value with its sign.

    >>> p_value(0.0312), p_value(0.25), p_value(1e-7)
    ('p\xa0=\xa00.031', 'p\xa0=\xa00.25', 'p\xa0<\xa00.001')
    """
    if p < 0.001:
        return f"p{NBSP}<{NBSP}0.001"
    return f"p{NBSP}={NBSP}{p:.2g}"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "photo"), plural(1200, "photo"), plural(3, "class")
    ('1 photo', '1,200 photos', '3 classes')
    """
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"


def listing(items: Sequence[str], limit: int = 6) -> str:
    """Return names as a list in a sentence, the rest counted.

    >>> listing(["a"]), listing(["a", "b", "c"]), listing(list("abcdefgh"), limit=3)
    ('a', 'a, b and c', 'a, b, c and 5 more')
    """
    shown = list(items[:limit])
    if len(items) > limit:
        shown.append(f"{len(items) - limit} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def flatten(value: object, prefix: str = "") -> Iterable[tuple[str, str]]:
    """Yield the leaves of nested settings as dotted names with their values.

    >>> dict(flatten({"encoder": {"name": "impasto-vgg"}, "classes": ["a", "b"]}))
    {'encoder.name': 'impasto-vgg', 'classes': 'a, b'}
    """
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from flatten(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        yield prefix, ", ".join(map(str, value)) or "none"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from flatten(item, f"{prefix}.{index}")
    else:
        yield prefix, "none" if value is None or value == {} else str(value)
