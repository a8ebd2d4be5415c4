"""The arms of a study: all combinations of its factors, its controls, and both again for each sensitivity value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Literal

from impasto.errors import UnknownNameError, UsageError
from impasto.runs import digest
from impasto.study.reading import settings_with
from impasto.study.spec import Control, Settings, Study

PRIMARY = ""
# A level that does nothing and need not be told.
_NOTHING = "none"


@dataclass(frozen=True)
class Arm:
    """One way of teaching (or of repainting).

    Attributes:
        name: of its levels but those called "none", joined by " + "; "baseline" where there are no others.
        settings: all of them.
        levels: factor -> level; none for a control.
        role: an arm that is compared, or a control.
        reference: the name of the arm that it is compared with, "" for a baseline.
        family: the sensitivity value it belongs to, ``PRIMARY`` for the study itself. Holm's correction is made within.
        expect, why: of a control.
    """

    name: str
    settings: Settings
    levels: Mapping[str, str] = field(default_factory=dict)
    role: Literal["arm", "control"] = "arm"
    reference: str = ""
    family: str = PRIMARY
    expect: str = ""
    why: str = ""

    @cached_property
    def key(self) -> str:
        """What its cells are filed under: arms of equal settings are one."""
        return digest(self.settings)[:12]


def arms_of(study: Study) -> tuple[Arm, ...]:
    """Return all arms; of each family the baselines come first, the controls last.

    Raises:
        UsageError, UnknownNameError: levels that contradict each other, or a reference that is none.
    """
    primary = sorted(_crossed(study), key=lambda arm: bool(arm.reference)) + _controls(study)
    arms = [*primary]
    for key, values in study.sensitivity.items():
        changing = _following(study, primary, key)
        arms += [other for value in values for other in _changed(changing, key, value)]
    if len({arm.name for arm in arms}) < len(arms):
        raise UsageError("a value of [sensitivity] is there twice.", "Each makes arms of its own: leave one out.")
    return tuple(arms)


def _crossed(study: Study) -> list[Arm]:
    factors = {name: list(levels) for name, levels in study.factors.items()}
    arms = []
    for chosen in product(*factors.values()):
        levels = dict(zip(factors, chosen, strict=True))
        settings = _settings(study, levels)
        base = {name: level if name in study.tests.within else factors[name][0] for name, level in levels.items()}
        name, reference = _name(levels), _name(base)
        arms.append(Arm(name, settings, levels, "arm", "" if name == reference else reference))
    if len({arm.name for arm in arms}) < len(arms):
        raise UsageError("two arms of the study have one name.", "Give the levels of its factors different names.")
    return arms


def _settings(study: Study, levels: Mapping[str, str]) -> Settings:
    said: dict[str, object] = {}
    for factor, level in levels.items():
        for key, value in study.factors[factor][level].items():
            if key in said and said[key] != value:
                raise UsageError(f"the level {level} of {factor} says {key} = {value!r}, another says {said[key]!r}.")
            said[key] = value
    return settings_with(study.settings, said, "factors")


def _name(levels: Mapping[str, str]) -> str:
    return " + ".join(level for level in levels.values() if level != _NOTHING) or "baseline"


def _controls(study: Study) -> list[Arm]:
    return [_control(study, name, control) for name, control in study.controls.items()]


def _control(study: Study, name: str, control: Control) -> Arm:
    known = [arm.name for arm in _crossed(study)]
    against = control.against or known[0]
    others = [*known, *(other for other in study.controls if other != name)]
    if against not in others:
        raise UnknownNameError("arm", against, others)
    if name in known:
        raise UsageError(f"the control {name} has the name of an arm.", "Rename it.")
    settings = settings_with(study.settings, control.settings, f"controls.{name}.settings")
    if control.expect == "zero" and not settings.solved:
        raise UsageError(
            f"the control {name} is to come out at exactly 0, and {settings.model} is taught step by step: copies "
            "change its batches.",
            'Leave expect = "zero" out, or give it a linear head on a frozen encoder.',
        )
    return Arm(name, settings, {}, "control", against, PRIMARY, control.expect, control.why)


def _following(study: Study, arms: list[Arm], key: str) -> list[Arm]:
    """Return the arms that do not say a setting themselves, and whose reference does not."""
    said = {arm.name for arm in arms if any(key in study.factors[name][level] for name, level in arm.levels.items())}
    said |= {name for name, control in study.controls.items() if key in control.settings}
    while more := {arm.name for arm in arms if arm.reference in said} - said:
        said |= more
    return [arm for arm in arms if arm.name not in said]


def _changed(arms: list[Arm], key: str, value: object) -> list[Arm]:
    """Return arms with another value of one setting."""
    family = f"{key} = {_told(value)}"
    return [
        replace(
            arm,
            name=f"{arm.name} ({family})",
            settings=settings_with(arm.settings, {key: value}, "sensitivity"),
            reference=f"{arm.reference} ({family})" if arm.reference else "",
            family=family,
        )
        for arm in arms
    ]


def _told(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
