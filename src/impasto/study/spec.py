"""What a study file says, as frozen records: a question, data, arms, splits, tests and a budget.

The names here are the keys of the file. :mod:`impasto.study.reading` turns one into the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from impasto.classify.models.heads import HEADS, SOLVED_HEADS
from impasto.classify.models.names import parse_model
from impasto.data.load.augmentations import Augmentation
from impasto.encoders import DEFAULT_ENCODER
from impasto.errors import UnknownNameError, UsageError
from impasto.style.config import DEFAULT_NETWORK, FastConfig, StylizeConfig

Task = Literal["classes", "styles", "repaints"]


@dataclass(frozen=True)
class Settings:
    """What one arm is made of; ``[settings]`` gives what all arms share, a level of a factor says what differs.

    Attributes:
        add: what is added to the training pictures: nothing, their repaints, or copies of themselves.
        copies: how many copies, if copies are added.
        strengths: of the repaints, one repaint for each; what they mean is the method's business (see ``stylize``).
        styles: names of style pictures; none for all of the study's.
        method: how pictures are repainted: by a network in one pass, or by optimisation.
        network: of one pass, a name of ``impasto network list`` or a file.
        encoder: what an optimisation looks through.
        preset, ratio, steps: of an optimisation.
        dream, dream_strength: layers that are amplified while repainting, see ``impasto stylize --dream``.
        repaint_size: longer side of repaints in pixels.
        augment: classical augmentation of training pictures, a name of ``impasto train --augment``.
        views: how many augmented views of a picture a frozen encoder sees.
        model, head, image_size, epochs, batch_size, learning_rate: of the classifier, see ``impasto train``.
        penalty: scikit-learn's C of a linear head on frozen features; fixed, for there is nothing to choose it on.
        weigh: "matched": a photo and what was made of it weigh as much together as a photo alone, so that the penalty
            means the same in all arms (and networks take as many steps); "naive": every picture weighs the same.
        normalise: whether a pretrained encoder gets pictures as it was trained on. False is R2's mistake: x / 255.
        train_per_class: photos of each class that teach.
        apart: what never lies on both sides of a split: "photo" and all repaints of it, each "picture" for itself
            (R0's mistake), or "nothing": test pictures are copies of training pictures (R2's).
    """

    add: Literal["nothing", "repaints", "copies"] = "nothing"
    copies: int = 1
    strengths: tuple[float, ...] = (0.5,)
    styles: tuple[str, ...] = ()
    method: Literal["network", "optimise"] = "network"
    network: str = DEFAULT_NETWORK
    encoder: str = DEFAULT_ENCODER
    preset: str = "default"
    ratio: float = 1e8
    steps: int | None = None
    dream: str = ""
    dream_strength: float = 1.0
    repaint_size: int = 256
    augment: str = "none"
    views: int = 4
    model: str = "frozen:impasto-vgg"
    head: str | None = None
    image_size: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    penalty: float = 0.01
    weigh: Literal["matched", "naive"] = "matched"
    normalise: bool = True
    train_per_class: int = 10
    apart: Literal["photo", "picture", "nothing"] = "photo"

    def __post_init__(self) -> None:
        for name in ("copies", "views", "train_per_class"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in ("image_size", "epochs", "batch_size"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, value, "1 or more")
        rate = self.learning_rate
        _require(rate is None or 0 < rate < math.inf, "learning_rate", rate, "above 0")
        _require(0 < self.penalty < math.inf, "penalty", self.penalty, "above 0")
        _require(bool(self.strengths), "strengths", list(self.strengths), "one or more numbers")
        parse_model(self.model)
        if self.head is not None and self.head not in HEADS:
            raise UnknownNameError("head", self.head, HEADS)
        Augmentation(self.augment)
        for strength in self.strengths:
            self.painting(strength)

    @property
    def solved(self) -> bool:
        """Whether the classifier is a linear head that is solved for, not a network that is taught."""
        return parse_model(self.model).kind == "frozen" and self.head in (None, *SOLVED_HEADS)

    def painting(self, strength: float, seed: int = 0) -> StylizeConfig | FastConfig:
        """Return how a repaint is made."""
        if self.method == "network":
            return FastConfig(network=self.network, size=self.repaint_size, strength=strength, seed=seed)
        return StylizeConfig(
            preset=self.preset,
            encoder=self.encoder,
            size=self.repaint_size,
            steps=self.steps,
            strength=strength,
            ratio=self.ratio,
            dream=self.dream,
            dream_strength=self.dream_strength,
            seed=seed,
        )


@dataclass(frozen=True)
class Data:
    """Which pictures take part.

    Attributes:
        classes: folders that take part, in this order; none for all.
        photos: at most so many of each class (of all, where there are no classes), drawn by the seed; 0 for all.
        styles: names of style pictures, with or without ending, in the folder of styles; none for all there are.
        near_copies: "aside": of pictures that are nearly the same the first stays; "keep": nobody looked.
    """

    classes: tuple[str, ...] = ()
    photos: int = 0
    styles: tuple[str, ...] = ()
    near_copies: Literal["aside", "keep"] = "aside"

    def __post_init__(self) -> None:
        _require(self.photos >= 0, "data.photos", self.photos, "0 (all) or more")


@dataclass(frozen=True)
class Split:
    """How pictures are dealt.

    Attributes:
        kind: "few-shot": so many of each class teach, the rest is tested; "folds": cross-validation; "fixed": the
            data set's own splits (or 70 : 15 : 15 by groups), the same for all.
        draws: few-shot: how often to deal; folds: how many repetitions; fixed: how many seeds.
        folds: of a cross-validation.
        test_per_class: of few-shot: so many of each class are tested; 0 for all the rest.
        short: "refuse": a class with fewer is an error; "take": what there is (as it was published).
    """

    kind: Literal["few-shot", "folds", "fixed"] = "few-shot"
    draws: int = 25
    folds: int = 5
    test_per_class: int = 0
    short: Literal["refuse", "take"] = "refuse"

    def __post_init__(self) -> None:
        _require(self.draws >= 1, "split.draws", self.draws, "1 or more")
        _require(self.folds >= 2, "split.folds", self.folds, "2 or more")
        _require(self.test_per_class >= 0, "split.test_per_class", self.test_per_class, "0 (the rest) or more")


@dataclass(frozen=True)
class Tests:
    """How arms are compared.

    Attributes:
        within: factors that are not compared: an arm's reference has the same level of them.
        alpha: chance of calling an arm different that is not, over all arms together (Holm).
        effect: the smallest difference that would matter, in points of the metric.
        sd: what paired differences of one split usually spread by, in points; for the plan. 0 if unknown.
        source: where ``sd`` is from.
    """

    within: tuple[str, ...] = ()
    alpha: float = 0.05
    effect: float = 2.0
    sd: float = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        _require(0 < self.alpha < 1, "tests.alpha", self.alpha, "between 0 and 1")
        _require(self.effect > 0, "tests.effect", self.effect, "above 0 points")
        _require(self.sd >= 0, "tests.sd", self.sd, "0 (unknown) or more points")


@dataclass(frozen=True)
class Budget:
    """What a study may cost; 0 sets no limit.

    Attributes:
        minutes: that the estimate may say.
        gigabytes: on disk.
    """

    minutes: float = 0.0
    gigabytes: float = 0.0

    def __post_init__(self) -> None:
        _require(self.minutes >= 0, "budget.minutes", self.minutes, "0 (no limit) or more")
        _require(self.gigabytes >= 0, "budget.gigabytes", self.gigabytes, "0 (no limit) or more")


@dataclass(frozen=True)
class Control:
    """An arm that checks the study itself.

    Attributes:
        settings: what differs from ``[settings]``.
        expect: "zero": it must come out exactly as its reference; "" only shows what it shows.
        against: the arm that it is compared with; "" for the baseline.
        why: what it is for.
    """

    settings: Mapping[str, Any]
    expect: Literal["", "zero"] = ""
    against: str = ""
    why: str = ""


@dataclass(frozen=True)
class Mistake:
    """What was wrong in the published system, and what the sound version does in its place."""

    what: str
    instead: str


@dataclass(frozen=True)
class Published:
    """A figure of the published system."""

    what: str
    value: str


@dataclass(frozen=True)
class Study:
    """A whole study file.

    Attributes:
        name: short, of letters, digits and dashes.
        title, question, null: what it is about, what it asks, and what is believed until shown otherwise.
        task: what is taught and compared: the photos' "classes", the "styles" of their repaints, or nothing: how close
            "repaints" come to style and content.
        version: "sound", or "literal" for a system as it was published, mistakes included.
        twin: the name of the other version.
        seed: of everything random.
        settings: shared by all arms.
        factors: name -> level -> settings that differ; the first level of each is the baseline. Arms are all
            combinations.
        controls: name -> arm that checks the study.
        sensitivity: a name of ``settings`` -> other values with which everything is done once more.
        mistakes, published, threats: for the report.
    """

    name: str
    title: str
    question: str
    null: str = ""
    task: Task = "classes"
    version: Literal["sound", "literal"] = "sound"
    twin: str = ""
    seed: int = 0
    data: Data = field(default_factory=Data)
    split: Split = field(default_factory=Split)
    settings: Settings = field(default_factory=Settings)
    factors: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    controls: Mapping[str, Control] = field(default_factory=dict)
    sensitivity: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    tests: Tests = field(default_factory=Tests)
    budget: Budget = field(default_factory=Budget)
    mistakes: tuple[Mistake, ...] = ()
    published: tuple[Published, ...] = ()
    threats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name or not self.name.replace("-", "").isalnum():
            raise UsageError(f"{self.name!r} is no name of a study.", "Use letters, digits and dashes.")
        _require(self.seed >= 0, "seed", self.seed, "0 or more")


def _require(holds: bool, name: str, value: Any, allowed: str) -> None:
    if not holds:
        raise UsageError(f"{name} is {value!r}; it must be {allowed}.")
