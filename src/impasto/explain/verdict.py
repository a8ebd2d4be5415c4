"""Can these maps be believed? Checks of a network and a method on some pictures, and what they come to in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.explain.attribution import attribute, enlarged, facts, positive
from impasto.explain.borders import Regions, regions
from impasto.explain.faithful import Faithfulness, faithfulness
from impasto.explain.pixels import veiled
from impasto.explain.randomise import Stage, cascade
from impasto.explain.targets import Target
from impasto.runtime import OnProgress, Progress, ignore_progress
from impasto.statistics import Proportion, bootstrap_interval
from impasto.subjects import Subject

# A map is compared with itself in at least so many other places, over all pictures together; a single picture needs 20
# for one of them to be as good by chance no oftener than once in twenty.
_MOVES, _LEAST_MOVES = 3, 20
# Maps of shuffled weights must agree less than this with those of the true ones (rank correlation).
_INDEPENDENT = 0.3
_CASCADED = 8
# From this share of answers that stay when nothing can be recognised, and are all one, nothing was listened to.
_DEAF, _FEWEST_TO_BE_DEAF = 0.95, 8
# From this share of answers on (Wilson's lower end) that change without border and letterbox, a network needs them.
_NEEDED = 0.1
OUTSIDE = "it looks at border or letterbox, or needs them"


@dataclass(frozen=True)
class Check:
    """One check: passed, failed, or None where too little is known; and what was seen, in words.

    ``of_network`` marks what is no fault of the maps: they can be believed, and what they show is a fault.
    """

    name: str
    passed: bool | None
    text: str
    of_network: bool = False


@dataclass(frozen=True)
class Region:
    """How much of the maps lies in one region of the pictures.

    Attributes:
        saliency, area: mean shares.
        ratio: saliency for its area, over the pictures that have the region; ``interval`` of it (BCa, 95 %).
        pictures: how many have the region.
    """

    saliency: float
    area: float
    ratio: float
    interval: tuple[float, float] | None
    pictures: int


@dataclass(frozen=True)
class Verdict:
    """What the checks found.

    Attributes:
        checks: in order of weight.
        faithful: of each picture.
        stages: of the cascading randomisation.
        regions: "letterbox", "border" and "inside"; those that are there.
        changed: answers that change when border and letterbox are painted over.
    """

    checks: tuple[Check, ...]
    faithful: tuple[Faithfulness, ...]
    stages: tuple[Stage, ...]
    regions: Mapping[str, Region]
    changed: Proportion

    @property
    def believable(self) -> bool | None:
        """False if a check of the maps failed; None if none failed and one could not tell."""
        results = [check.passed for check in self.checks if not check.of_network]
        return False if False in results else None if None in results else True

    @property
    def words(self) -> str:
        """The verdict in a sentence or two."""
        failed = [check.name for check in self.checks if check.passed is False and not check.of_network]
        open_ = [check.name for check in self.checks if check.passed is None]
        if failed:
            return f"Do not believe these maps: {', '.join(failed)} failed."
        words = "These maps can be believed as far as these checks go."
        if open_:
            words = f"Nothing speaks against these maps, but {', '.join(open_)} cannot be told from so few pictures."
        if any(check.of_network and check.passed is False for check in self.checks):
            words += f" They show a fault of the network: {OUTSIDE}."
        return words

    def record(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "believable": self.believable,
            "words": self.words,
            "checks": [vars(check) for check in self.checks],
            "faithfulness": [
                {**vars(item), "gain": item.gain, "advantage": item.advantage, "beaten": item.beaten}
                for item in self.faithful
            ],
            "cascade": [vars(stage) for stage in self.stages],
            "regions": {name: vars(region) for name, region in self.regions.items()},
            "border_painted_over": {"changed": self.changed.k, "n": self.changed.n},
        }


@dataclass(frozen=True)
class Case:
    """What is judged: a network, pictures B x 3 x S x S with labels (positions, -1 for none), and how maps are made."""

    subject: Subject
    pictures: Tensor
    labels: Sequence[int]
    target: Target
    method: str
    layer: str


def judge(case: Case, *, seed: int = 0, on_progress: OnProgress = ignore_progress) -> Verdict:
    """Check whether maps can be believed.

    The maps point at what matters (deletion and insertion, against themselves in other places); they depend on the
    weights (cascading randomisation); the network answers what is shown and not the same whatever it sees, and right
    more often than by chance where there are labels. What lies on letterboxes and borders is counted, and the pictures
    are shown to the network without them.
    """
    subject, count = case.subject, len(case.pictures)
    steps = count + 3
    logits = subject(case.pictures).detach()
    goal = case.target.bind(logits, case.labels)
    maps = attribute(subject, case.pictures, goal, case.method, case.layer)
    on_progress(Progress("verdict", 1, steps))
    moves = max(_MOVES, -(-_LEAST_MOVES // count))
    faithful = []
    for row in range(count):
        picture, own = case.pictures[row : row + 1], goal.repeated(row, 1)
        faithful.append(faithfulness(subject, picture, own, maps[row], moves=moves, seed=seed + row))
        on_progress(Progress("verdict", row + 2, steps))
    some = case.pictures[:_CASCADED]
    bound = case.target.bind(logits[:_CASCADED], case.labels[:_CASCADED])
    stages = cascade(subject, lambda: attribute(subject, some, bound, case.method, case.layer), seed=seed)
    on_progress(Progress("verdict", steps - 1, steps))
    answers = logits.argmax(1)
    parts = [regions(picture) for picture in case.pictures]
    checks = [
        _shown(maps),
        _points(faithful),
        _depends(stages),
        _listens(answers, subject(veiled(case.pictures)).detach().argmax(1)),
    ]
    if min(case.labels) >= 0:
        checks.append(_knows(answers.tolist(), case.labels, len(subject.classes)))
    where = _where(maps, parts)
    without = torch.stack([_without_border(*pair) for pair in zip(case.pictures, parts, strict=True)])
    changed = int((subject(without).detach().argmax(1) != answers).sum())
    checks.append(_looks_inside(where, Proportion(changed, count)))
    on_progress(Progress("verdict", steps, steps))
    return Verdict(tuple(checks), tuple(faithful), stages, where, Proportion(changed, count))


def _shown(maps: Tensor) -> Check:
    states = [facts(values)["state"] for values in maps]
    empty = {state: states.count(state) for state in ("flat", "negative")}
    text = f"{states.count('fine')} of {len(states)} maps have something to show"
    text += f"; {empty['negative']} hold only what speaks against the target" if empty["negative"] else ""
    text += f"; {empty['flat']} are 0 everywhere" if empty["flat"] else ""
    return Check("something to show", 2 * states.count("fine") > len(states), text)


def _points(faithful: Sequence[Faithfulness]) -> Check:
    beaten = sum(item.beaten for item in faithful)
    moves = sum(len(item.moved) for item in faithful)
    centre = sum(item.gain > item.centre for item in faithful)
    if len(faithful) == 1:
        passed = beaten >= 0.95 * moves
        text = f"better than {beaten} of {moves} of the same map in other places"
    else:
        better = Proportion(sum(item.advantage > 0 for item in faithful), len(faithful))
        passed = better.interval[0] > 0.5
        text = f"better than the same map in other places on {better} of the pictures"
    return Check(
        "points at what matters",
        passed if passed or len(faithful) > 5 else _undecided(beaten, moves),
        f"{text} (deletion and insertion), and than a spot in the middle on {centre} of {len(faithful)}",
    )


def _undecided(beaten: int, moves: int) -> bool | None:
    """A few pictures that look well prove nothing yet, and a few that look badly do."""
    return None if beaten > 0.5 * moves else False


def _depends(stages: Sequence[Stage]) -> Check:
    if not stages:
        return Check("depends on the weights", None, "the network has no weights that could be shuffled")
    last = stages[-1].correlation
    text = (
        f"with all weights shuffled the maps agree by {last:.2f} (rank correlation), with those of the logits' layer "
    )
    text += f"by {stages[0].correlation:.2f}"
    return Check("depends on the weights", abs(last) < _INDEPENDENT, text)


def _listens(answers: Tensor, veiled_answers: Tensor) -> Check:
    """Fail a network that says the same of everything, also of pictures in which nothing can be recognised.

    Answers that stay and differ are made from colours alone, which is no fault of the maps.
    """
    same = Proportion(int((answers == veiled_answers).sum()), len(answers))
    text = f"the answer stays for {same.k} of {same.n} pictures when nothing but colours in their places is left"
    deaf = same.value >= _DEAF and len(set(answers.tolist())) == 1
    text += ", and it is the same for all of them" if deaf else ""
    return Check("answers what is shown", None if deaf and same.n < _FEWEST_TO_BE_DEAF else not deaf, text)


def _knows(answers: Sequence[int], labels: Sequence[int], classes: int) -> Check:
    right = Proportion(sum(map(int.__eq__, answers, labels)), len(labels))
    chance = max(1 / classes, *(list(labels).count(label) / len(labels) for label in set(labels)))
    text = f"{right} of the answers are right, {100 * chance:.0f} % would be for naming always the same class"
    passed = True if right.interval[0] > min(chance, 0.99) else False if right.value <= chance else None
    if len(set(labels)) == 1:  # of one class nobody can be told from who always names it
        passed = None if passed else passed
    return Check("knows the classes", passed, text)


def _where(maps: Tensor, parts: Sequence[Regions]) -> dict[str, Region]:
    side = parts[0].inside.shape[0]
    saliency = [each.shares(values) for each, values in zip(parts, enlarged(positive(maps), side), strict=True)]
    areas = [each.shares(torch.ones(side, side)) for each in parts]
    found = {}
    for name in ("letterbox", "border", "inside"):
        rows = [(s[name], a[name]) for s, a in zip(saliency, areas, strict=True) if a[name] > 0 and any(s.values())]
        if rows:
            found[name] = _region(np.array(rows))
    return found


def _region(rows: np.ndarray) -> Region:
    def ratios(positions: np.ndarray) -> np.ndarray:
        chosen = rows[positions]
        value: np.ndarray = chosen[..., 0].sum(1) / chosen[..., 1].sum(1)
        return value

    saliency, area = rows.mean(0)
    interval = bootstrap_interval(ratios, len(rows)) if len(rows) > 1 else None
    return Region(float(saliency), float(area), float(saliency / area), interval, len(rows))


def _looks_inside(where: Mapping[str, Region], changed: Proportion) -> Check:
    drawn, texts = False, []
    for name in ("border", "letterbox"):
        if name in where:
            region = where[name]
            drawn |= region.interval is not None and region.interval[0] > 1
            texts.append(
                f"{100 * region.saliency:.0f} % of the saliency on the {name}, {100 * region.area:.0f} % of the area"
            )
    texts.append(f"{changed.k} of {changed.n} answers change when both are painted over")
    needed = changed.interval[0] > _NEEDED
    return Check("looks inside the picture", not (drawn or needed), "; ".join(texts), of_network=True)


def _without_border(picture: Tensor, parts: Regions) -> Tensor:
    """Paint letterbox and border over with the mean colour of the rest."""
    inside = parts.inside.to(picture)
    colour = (picture * inside).sum((1, 2), keepdim=True) / inside.sum().clamp(min=1)
    return picture * inside + colour * (1 - inside)
