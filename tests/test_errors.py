"""The error tree: what its module draws is what there is."""

from __future__ import annotations

import doctest
import inspect
import re

import pytest

from impasto import errors
from impasto.errors import ImpastoError, UnknownNameError, UsageError


def drawn_tree() -> dict[str, str | None]:
    """Each class of the drawing in the module's docstring with the class above it."""
    above: list[tuple[int, str]] = []
    tree: dict[str, str | None] = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"([\s│├└─]*)(\w+Error)\b", line)
        if found:
            depth, name = len(found[1]), found[2]
            above = [entry for entry in above if entry[0] < depth]
            tree[name] = above[-1][1] if above else None
            above.append((depth, name))
    return tree


def classes() -> dict[str, type[ImpastoError]]:
    members = inspect.getmembers(errors, inspect.isclass)
    return {name: item for name, item in members if issubclass(item, ImpastoError)}


def test_the_drawn_tree_is_the_real_one() -> None:
    real = {
        name: next((base.__name__ for base in item.__bases__ if issubclass(base, ImpastoError)), None)
        for name, item in classes().items()
    }
    assert drawn_tree() == real


def test_a_wrong_usage_leaves_with_2_and_all_else_with_1() -> None:
    for item in classes().values():
        assert item.exit_code == (2 if issubclass(item, UsageError) else 1)


def test_usage_errors_are_value_errors_too() -> None:
    with pytest.raises(ValueError, match="no such"):
        raise UsageError("no such thing.")


def test_message_and_hint_are_kept_apart_and_shown_together() -> None:
    error = ImpastoError("it failed.", "Try again.")
    assert (error.message, error.hint, str(error)) == ("it failed.", "Try again.", "it failed. Try again.")
    assert str(ImpastoError("it failed.")) == "it failed."


def test_the_nearest_names_are_offered_first() -> None:
    layers = ["relu1_1", "relu4_1", "relu4_2", "pool4"]
    assert UnknownNameError("layer", "relu42", layers).hint.startswith("Did you mean relu4_2")


def test_without_a_near_name_the_known_ones_are_listed_but_not_endlessly() -> None:
    assert UnknownNameError("preset", "zzz", ["fast", "fine"]).hint == "Known: fast, fine."
    many = UnknownNameError("layer", "zzz", [f"layer{number}" for number in range(99)]).hint
    assert "layer29" in many
    assert "layer30" not in many


def test_the_examples_in_the_docstrings() -> None:
    outcome = doctest.testmod(errors)
    assert outcome.attempted >= 1
    assert outcome.failed == 0
