"""From TOML to a study: every key is known and typed, or the error names it and the nearest known one."""

from __future__ import annotations

import contextlib
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from impasto.errors import DataError, UnknownNameError, UsageError
from impasto.runs import to_plain
from impasto.study.spec import Control, Settings, Study

_BUNDLED = files("impasto.study") / "recipes"


def bundled() -> dict[str, Study]:
    """Return the studies that come with impasto, by name."""
    names = sorted(item.name.removesuffix(".toml") for item in _BUNDLED.iterdir() if item.name.endswith(".toml"))
    return {name: read_study(name) for name in names}


def read_study(name: str | Path, changes: Sequence[str] = ()) -> Study:
    """Read a study file, or a bundled study by its name.

    Args:
        name: ``R0`` .. ``R4``, ``R0-literal`` .. , or the path of a TOML file.
        changes: ``split.draws=50`` and the like, with values as in TOML; they come before what the file says.

    Raises:
        DataError: the file is none, or no TOML. UnknownNameError: an unknown study or key. UsageError: a value of the
            wrong type, or one that cannot be.
    """
    table = _parsed(read_text(name), str(name))
    for change in changes:
        _apply(table, change)
    return study_from(table)


def study_from(table: Mapping[str, Any]) -> Study:
    """Build a study from the tables of its file, or from ``study_table`` of another.

    >>> study_from({"name": "mine", "title": "", "question": "?", "split": {"drawz": 3}})
    Traceback (most recent call last):
    ...
    impasto.errors.UnknownNameError: unknown key of [split] 'drawz'. Did you mean draws?
    """
    study: Study = _record(Study, table, "")
    for factor, levels in study.factors.items():
        if not levels:
            raise UsageError(f"the factor {factor} has no levels.", f"Write [factors.{factor}.none], for the baseline.")
        for level, said in levels.items():
            settings_with(study.settings, said, f"factors.{factor}.{level}")
    for name, control in study.controls.items():
        settings_with(study.settings, control.settings, f"controls.{name}.settings")
    for key, values in study.sensitivity.items():
        for value in values:
            settings_with(study.settings, {key: value}, "sensitivity")
    for factor in study.tests.within:
        if factor not in study.factors:
            raise UnknownNameError("factor", factor, study.factors)
    return study


def study_table(study: Study) -> dict[str, Any]:
    """Return what ``study_from`` takes, without what is not said."""
    return {key: value for key, value in to_plain(study).items() if value is not None and value != {}}


def settings_with(settings: Settings, said: Mapping[str, Any], where: str) -> Settings:
    """Return ``settings`` with what a level says otherwise.

    Raises:
        UnknownNameError, UsageError: no such setting, or a value that it cannot have.
    """
    known = {item.name: getattr(settings, item.name) for item in fields(settings)}
    return _record(Settings, {**known, **said}, where)  # type: ignore[no-any-return]


def read_text(name: str | Path) -> str:
    """Return the text of a study file, or of a bundled study."""
    path = Path(name)
    if path.suffix.lower() == ".toml" or path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read: {error}.") from error
    known = {item.name.removesuffix(".toml"): item for item in _BUNDLED.iterdir() if item.name.endswith(".toml")}
    by_case = {key.casefold(): item for key, item in known.items()}
    if str(name).casefold() not in by_case:
        raise UnknownNameError(
            "study", str(name), sorted(known), f"Known: {', '.join(sorted(known))}; or a .toml file."
        )
    return by_case[str(name).casefold()].read_text(encoding="utf-8")


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{name} is no TOML file: {error}.") from error


def _apply(table: dict[str, Any], change: str) -> None:
    """Take ``change`` as a line of TOML; a value that is none is a text, without quotes that a shell would eat."""
    key, equals, value = change.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"{change!r} changes nothing.", "Write --set split.draws=50.")
    for line in (f"{key} = {value}", f"{key} = {json.dumps(value.strip())}"):
        with contextlib.suppress(tomllib.TOMLDecodeError):
            _merge(table, tomllib.loads(line), key.strip())
            return
    raise UsageError(f"{key.strip()!r} is no key.", """Write --set 'factors.strength."very light".steps=20'.""")


def _merge(table: dict[str, Any], said: Mapping[str, Any], key: str) -> None:
    for name, value in said.items():
        inner = table.get(name)
        if isinstance(value, dict) and (inner is None or isinstance(inner, dict)) and value:
            _merge(table.setdefault(name, {}), value, key)
        elif isinstance(value, dict) and inner is not None:
            raise UsageError(f"{key} is inside of something that is no table.", "See `impasto study list`.")
        else:
            table[name] = value


def _record(kind: type, table: Any, where: str) -> Any:
    if not isinstance(table, Mapping):
        raise UsageError(f"{where} is {table!r}; it must be a table.")
    hints = get_type_hints(kind)
    known = [item.name for item in fields(kind)]
    for key in table:
        if key not in known:
            raise UnknownNameError(f"key of [{where}]" if where else "key", key, known)
    values = {key: _value(hints[key], value, f"{where}.{key}".lstrip(".")) for key, value in table.items()}
    missing = [item for item in ("name", "title", "question") if kind is Study and item not in values]
    if missing:
        raise UsageError(f"the study has no {missing[0]}.", f'Write {missing[0]} = "..." at its top.')
    try:
        return kind(**values)
    except TypeError as error:
        raise UsageError(f"[{where}] is not complete: {error}.") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    """Return ``value`` as what the annotation says, or refuse it."""
    origin, inner = get_origin(hint), get_args(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        if hint is Control and isinstance(value, Mapping) and "settings" not in value:
            value = {"settings": {}, **value}
        return _record(hint, value, where)
    if origin in (Union, UnionType):
        if value is None and NoneType in inner:
            return None
        return _value(next(item for item in inner if item is not NoneType), value, where)
    if origin is Literal:
        if value not in inner:
            raise UnknownNameError(where, str(value), [str(item) for item in inner])
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise _wrong(where, value, "a list")
        return tuple(_value(inner[0], item, where) for item in value)
    if origin is not None:  # a mapping
        if not isinstance(value, Mapping):
            raise _wrong(where, value, "a table")
        return {key: _value(inner[1], item, f"{where}.{key}") for key, item in value.items()}
    return _plain(hint, value, where)


_PLAIN: Mapping[Any, tuple[str, Callable[[Any], bool]]] = {
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    float: ("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
    str: ("a text", lambda value: isinstance(value, str)),
}


def _plain(hint: Any, value: Any, where: str) -> Any:
    if hint is Any:
        return value
    what, is_one = _PLAIN[hint]
    if not is_one(value):
        raise _wrong(where, value, what)
    return float(value) if hint is float else value


def _wrong(where: str, value: Any, what: str) -> UsageError:
    return UsageError(f"{where} is {value!r}; it must be {what}.")
