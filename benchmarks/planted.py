"""Studies whose truth is known: how often intervals of a difference of two arms hold it, and how wide they are.

Pools of 83, 73 and 90 feature vectors stand for pictures of three classes; ridge regression is the classifier. Arms:

- chance: both arms add noisy copies of the training pictures, each its own, so that the true difference is 0;
- blocks: each arm trusts another block of equally good features, so that it is 0 as well, but not for a given pool;
- views: that block is half of the features;
- apart: and the other half is not seen at all, as where two encoders are compared;
- helps: the arm adds copies without most of their scatter, and is better by what fresh pools say.

The draws are those of a study: rounds of disjoint training sets of ten a class, the rest of the pool for the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from impasto.statistics import CorrectedT, CrossedMean, corrected_t, crossed_mean, holm, paired_t, sign_test, wilson

Array = npt.NDArray[np.float64]
Answers = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int64]

COUNTS = (83, 73, 90)
LABELS = np.repeat(np.arange(3), COUNTS)
SHOTS = 10
_BLOCKS, _WIDTH = 8, 3
_FEATURES = _BLOCKS * _WIDTH
# Distance of the classes from the origin in each block: the baseline is right in about 75 %.
_MEANS = 0.65 * np.tile(np.array([[1, 0, 0], [-0.5, 0.75**0.5, 0], [-0.5, -(0.75**0.5), 0]]), _BLOCKS)
_PENALTY = 5.0
# Of copies of training pictures, in standard deviations of a class.
_NOISE = 0.3
# The scatter that the copies of the arm that helps keep, and their noise.
_HELP = (0.82, 0.3)
# How many features an arm trusts, how much, and how much the others.
_TRUST = {"blocks": (_WIDTH, 1.6, 1.0), "views": (_FEATURES // 2, 2.5, 1.0), "apart": (_FEATURES // 2, 1.0, 0.0)}
_NULL_ARMS = 7


@dataclass(frozen=True)
class Design:
    """How a study draws: ``draws`` training sets, or ``folds``; ``tested`` pictures a class at most, 0 for all."""

    name: str
    draws: int = 25
    folds: int = 0
    tested: int = 0

    @property
    def overlap(self) -> float:
        """Share of training pictures that two draws have in common."""
        return (self.folds - 2) / (self.folds - 1) if self.folds else 3 * SHOTS / len(LABELS)


DESIGNS = (
    Design("25 draws"),
    Design("25 draws, 20 a class tested", tested=20),
    Design("10 draws", 10),
    Design("5 draws", 5),
    Design("5 folds", folds=5),
)


def planted(studies: int = 1000, seed: int = 0) -> None:
    """Print coverage, false alarms, power and width for each way to draw, each pair of arms and each method."""
    print(f"planted: {studies} simulated studies each; 95 % intervals, false alarms and power in %, width in points")
    for design in DESIGNS:
        for name in ("chance", "blocks", "views", "apart", "helps"):
            truth, error = truth_of(name, design, seed)
            print(f"  {design.name}, {name}: true difference {100 * truth:.2f} +- {100 * error:.2f} points")
            for method, row in simulate(name, design, truth, studies, seed).items():
                print(f"    {method:28s} {row}")
    print(f"  {_NULL_ARMS} arms that do nothing, 25 draws: studies with a false alarm")
    for method, alarms in family_errors(studies, seed).items():
        print(f"    {method:28s} {_told(alarms, studies)}")


def simulate(name: str, design: Design, truth: float, studies: int, seed: int = 0) -> dict[str, str]:
    """Return a line for each method: how its intervals fare with a difference that is known."""
    generator = np.random.default_rng([seed, 1])
    found: dict[str, list[tuple[float, float, float]]] = {}
    for _ in range(studies):
        for method, result in analyse(design, *study(generator, name, design)):
            found.setdefault(method, []).append(result)
    return {method: _line(np.array(results), truth) for method, results in found.items()}


def _line(results: Array, truth: float) -> str:
    low, high, p = results.T
    alarms = f"{'power' if truth else 'alarms'} {_told(int((p < 0.05).sum()), len(p))}"
    if np.isnan(low).all():
        return f"{'':32s}  {alarms}"
    held = _told(int(((low <= truth) & (truth <= high)).sum()), len(low))
    return f"holds {held}  {alarms}  width {100 * (high - low).mean():5.2f}"


def _told(k: int, n: int) -> str:
    return f"{100 * k / n:5.1f} [{', '.join(f'{100 * end:5.1f}' for end in wilson(k, n))}]"


def analyse(design: Design, differences: Array, tested: Answers) -> Iterator[tuple[str, tuple[float, float, float]]]:
    """Yield each method with its interval and p-value, of differences and tested pictures, draws x pictures."""
    own = np.eye(3, dtype=bool)[LABELS].T
    scores = np.mean([_share(differences[:, of], tested[:, of]) for of in own], axis=0)
    n_test = int(tested.sum(axis=1).mean())
    n_train = len(LABELS) - n_test if design.folds else 3 * SHOTS
    draw, item = np.nonzero(tested)
    rows = draw, item, LABELS[item], differences[tested]
    results: dict[str, CorrectedT | CrossedMean] = {
        "plain paired t": paired_t(scores),
        "Nadeau and Bengio": corrected_t(scores, n_train, n_test),
        "crossed_mean, overlap 0": crossed_mean(*rows),
        f"crossed_mean, overlap {design.overlap:.2f}": crossed_mean(*rows, overlap=design.overlap),
    }
    yield from ((method, (found.low, found.high, found.p)) for method, found in results.items())
    if not design.folds:
        disjoint = scores[: min(COUNTS) // SHOTS]
        yield f"sign test, {len(disjoint)} disjoint draws", (np.nan, np.nan, sign_test(disjoint).p)


def _share(differences: Array, tested: Answers) -> Array:
    return (differences * tested).sum(axis=1) / tested.sum(axis=1)


def study(generator: np.random.Generator, name: str, design: Design) -> tuple[Array, Answers]:
    """Return differences of right answers and which pictures were tested, draws x pictures, of a fresh pool."""
    pool = pictures(generator, LABELS)
    tested = _tested(generator, design)
    first, second = (_answers(generator, name, role, pool, tested) for role in (0, 1))
    allowed = np.ones(len(LABELS), dtype=bool)
    if design.tested:
        allowed = np.concatenate([generator.permutation(count) < design.tested for count in COUNTS])
    return second.astype(float) - first, tested & allowed


def _answers(generator: np.random.Generator, name: str, role: int, pool: Array, tested: Answers) -> Answers:
    """Train on what each draw does not test; folds differ in size, so they come one by one."""
    sizes = (~tested).sum(axis=1)
    groups = [tested] if (sizes == sizes[0]).all() else list(tested[:, None])
    answers = []
    for group in groups:
        taught = np.nonzero(~group)[1].reshape(len(group), -1)
        heads = train(generator, name, role, pool[taught], LABELS[taught])
        answers.append(right(heads, pool, LABELS))
    return np.concatenate(answers)


def _tested(generator: np.random.Generator, design: Design) -> Answers:
    if design.folds:
        fold = np.concatenate([generator.permutation(count) % design.folds for count in COUNTS])
        return fold == np.arange(design.folds)[:, None]
    rounds = min(COUNTS) // SHOTS
    tested = np.ones((design.draws, len(LABELS)), dtype=bool)
    for draw in range(design.draws):
        if draw % rounds == 0:
            places = np.concatenate([generator.permutation(count) // SHOTS for count in COUNTS])
        tested[draw] = places != draw % rounds
    return tested


def pictures(generator: np.random.Generator, labels: Labels) -> Array:
    """Return features of pictures of these classes."""
    return _MEANS[labels] + generator.standard_normal((*labels.shape, _FEATURES))


def train(generator: np.random.Generator, name: str, role: int, taught: Array, labels: Labels) -> Array:
    """Return heads, draws x features and bias x classes, of the baseline (role 0) or of another arm."""
    if name in _TRUST:
        width, own, others = _TRUST[name]
        gain = np.full(_FEATURES, others)
        gain[role * width : (role + 1) * width] = own
        heads = _ridge(taught * gain, labels)
        heads[:, :-1] *= gain[:, None]
        return heads
    scatter, noise = _HELP if name == "helps" and role else (1.0, _NOISE)
    copies = _MEANS[labels] + scatter * (taught - _MEANS[labels]) + noise * generator.standard_normal(taught.shape)
    return _ridge(np.concatenate([taught, copies], axis=1), np.concatenate([labels, labels], axis=1))


def _ridge(taught: Array, labels: Labels) -> Array:
    inputs = np.concatenate([taught, np.ones((*labels.shape, 1))], axis=2)
    penalty = np.diag([_PENALTY] * _FEATURES + [0.0])
    return np.linalg.solve(inputs.mT @ inputs + penalty, inputs.mT @ (np.eye(3)[labels] - 1 / 3))


def right(heads: Array, features: Array, labels: Labels) -> Answers:
    """Return right answers, draws x pictures."""
    return (features @ heads[:, :-1] + heads[:, None, -1]).argmax(axis=2) == labels


def truth_of(name: str, design: Design, seed: int = 0, pools: int = 20_000) -> tuple[float, float]:
    """Return the difference expected of a fresh training set and fresh test pictures, and its standard error."""
    if name != "helps":
        return 0.0, 0.0  # exchanging the arms changes nothing
    generator = np.random.default_rng([seed, 2])
    sizes = [round(count * (1 - 1 / design.folds)) if design.folds else SHOTS for count in COUNTS]
    taught, asked = np.tile(np.repeat(np.arange(3), sizes), (100, 1)), np.repeat(np.arange(3), 100)
    means = []
    for _ in range(pools // 100):
        sample, test = pictures(generator, taught), pictures(generator, asked)
        base, arm = (right(train(generator, name, role, sample, taught), test, asked) for role in (0, 1))
        means.append(arm.mean() - base.mean())
    return float(np.mean(means)), float(np.std(means) / len(means) ** 0.5)


def family_errors(studies: int, seed: int = 0) -> dict[str, int]:
    """Return how many studies of seven arms that do nothing claim that one of them does something."""
    generator = np.random.default_rng([seed, 3])
    design, claims = DESIGNS[0], {"crossed_mean": 0, "crossed_mean, Holm": 0}
    for _ in range(studies):
        pool, tested = pictures(generator, LABELS), _tested(generator, design)
        base = _answers(generator, "chance", 0, pool, tested).astype(float)
        arms = [_answers(generator, "chance", role, pool, tested) - base for role in range(1, _NULL_ARMS + 1)]
        draw, item = np.nonzero(tested)
        p_values = [crossed_mean(draw, item, LABELS[item], arm[tested], overlap=design.overlap).p for arm in arms]
        claims["crossed_mean"] += min(p_values) < 0.05
        claims["crossed_mean, Holm"] += min(holm(p_values)) < 0.05
    return claims
