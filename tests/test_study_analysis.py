"""What is made of a study's answers, against examples that were counted by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from impasto.statistics import crossed_mean, factorial_anova, holm, mcnemar
from impasto.study import Analysis, StudyResult, analyse, verdict
from impasto.study.arms import arms_of
from impasto.study.reading import study_from
from impasto.study.result import CellResult, Thing
from impasto.study.spec import Study

THREE = {"f": {"none": {}, "a": {"penalty": 0.1}, "b": {"penalty": 0.2}}}
TWO = {"f": {"none": {}, "a": {"penalty": 0.1}}}
Said = Callable[[str, int, int, int], int]


def study(**more: Any) -> Study:
    return study_from({"name": "made-up", "title": "t", "question": "q?", "factors": TWO, **more})


def made(
    of: Study,
    said: Said,
    *,
    classes: Sequence[str] = ("x", "y"),
    counts: Sequence[int] = (4, 4),
    draws: int = 3,
    folds: int = 1,
    rounds: Sequence[int] | None = None,
    failing: Sequence[tuple[str, int, int]] = (),
) -> StudyResult:
    """Return a result in which arm, replicate, item and its class say what was answered."""
    labels = [place for place, count in enumerate(counts) for _ in range(count)]
    count = len(labels)
    # Beside what is tested, two pictures for each draw, which teach it.
    taught = [number % 2 for number in range(2 * draws)]
    items = tuple(Thing(f"{number}.png", "", classes[label], number) for number, label in enumerate(labels + taught))
    arms = arms_of(of)
    cells = []
    for arm in arms:
        for replicate in range(draws):
            for fold in range(folds):
                test = tuple(row for row in range(count) if row % folds == fold)
                train = tuple(row for row in range(count) if row not in test)
                train = train or (count + 2 * replicate, count + 2 * replicate + 1)
                where = (arm.name, replicate, fold, rounds[replicate] if rounds else -1, train, test)
                if (arm.name, replicate, fold) in failing:
                    cells.append(CellResult(*where, error="it broke"))
                else:
                    answers = tuple(said(arm.name, replicate, row, labels[row]) for row in test)
                    cells.append(CellResult(*where, 3, 0, answers))
    return StudyResult(Path("none"), of, arms, tuple(classes), items, tuple(cells), {}, ())


def right(*_: Any) -> int:
    return int(_[-1])


def dice(skills: Mapping[str, float], seed: int = 0) -> Said:
    """Return answers that are right so often; without a seed an arm of more skill is right wherever the others are."""

    def said(arm: str, replicate: int, row: int, truth: int) -> int:
        own = len(arm) if seed else 0
        chance = np.random.default_rng([seed, own, replicate, row]).random()
        return truth if chance < skills.get(arm.partition(" (")[0], 0.5) else 1 - truth

    return said


# -- scores


def test_scores_of_one_cell_are_counted_by_hand() -> None:
    # Of x three of four are right, of y one of two; z is never named, and w never tested.
    answers = [0, 0, 0, 1, 1, 0]
    result = made(study(), lambda arm, draw, row, truth: answers[row], counts=(4, 2), draws=1)
    found = result.scores(result.cells[0])
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["balanced"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert (found["recall x"], found["recall y"]) == (0.75, 0.5)
    assert (found["precision x"], found["precision y"]) == (3 / 4, 1 / 2)


def test_a_class_that_is_never_named_has_recall_0_and_no_precision() -> None:
    result = made(study(), lambda *_: 0, draws=1)
    found = result.scores(result.cells[0])
    assert found["recall y"] == 0
    assert np.isnan(found["precision y"])
    assert found["balanced"] == 0.5


def test_scores_of_arms_are_means_over_draws_and_classes_of_all_answers() -> None:
    def said(arm: str, draw: int, row: int, truth: int) -> int:
        return truth if row % 4 < (draw + 2 if truth == 0 else 2) else 1 - truth  # x: 2, 3, 4 of 4; y: 2 of 4

    score = analyse(made(study(), said)).scores["baseline"]
    assert list(score.per_draw.values()) == pytest.approx([0.5, 0.625, 0.75])
    assert score.metric == pytest.approx(0.625)
    assert score.spread == pytest.approx(0.125)
    assert score.recall == pytest.approx({"x": 9 / 12, "y": 6 / 12})
    assert score.precision == pytest.approx({"x": 9 / 15, "y": 6 / 9})
    assert (score.draws, score.failed) == (3, 0)


def test_folds_of_one_repetition_are_one_draw_of_the_metric() -> None:
    # Fold 0 is all right and fold 1 all wrong: the repetition is half right.
    result = made(
        study(split={"kind": "folds", "folds": 2}), lambda a, r, row, t: t if row % 2 == 0 else 1 - t, folds=2
    )
    score = analyse(result).scores["baseline"]
    assert score.per_draw == {0: 0.5, 1: 0.5, 2: 0.5}
    assert score.draws == 6


# -- pairs


def test_the_difference_is_of_the_same_pictures_in_the_same_draws() -> None:
    said = dice({"baseline": 0.5, "a": 0.8})
    result = made(study(), said, counts=(6, 6), draws=5)
    item = analyse(result).comparisons["a"]
    by_arm = {(cell.arm, cell.replicate): cell for cell in result.cells}
    rows = [
        (draw, row, result.truth[row], float(one == result.truth[row]) - float(other == result.truth[row]))
        for draw in range(5)
        for row, one, other in zip(range(12), by_arm["a", draw].said, by_arm["baseline", draw].said, strict=True)
    ]
    draws, items, strata, values = map(np.array, zip(*rows, strict=True))
    overlap = analyse(result).overlap
    assert item.difference == crossed_mean(
        draws.astype(int), items.astype(int), strata.astype(int), values, overlap=overlap
    )
    assert item.per_draw[2, 0] == pytest.approx(
        np.mean([values[(draws == 2) & (strata == label)].mean() for label in (0, 1)])
    )


def test_arms_that_are_dealt_otherwise_are_paired_by_picture() -> None:
    # The same answers from other folds: no difference, picture by picture.
    of = study(split={"kind": "folds", "folds": 2})
    one = made(of, lambda arm, r, row, truth: (truth + row) % 2, folds=2)
    cells = tuple(
        CellResult("a", cell.replicate, 1 - cell.fold, -1, cell.train, cell.test, 3, 0, cell.said)
        if cell.arm == "a"
        else cell
        for cell in one.cells
    )
    item = analyse(StudyResult(one.folder, of, one.arms, one.classes, one.items, cells, {}, ())).comparisons["a"]
    assert item.identical
    assert item.difference.mean == 0


@pytest.mark.parametrize("arm", ["a", "baseline"])
def test_a_draw_that_failed_in_one_arm_is_left_out_of_both(arm: str) -> None:
    result = made(study(), dice({"baseline": 0.4, "a": 0.9}), rounds=[0, 0, 0], failing=[(arm, 1, 0)])
    found = analyse(result)
    assert set(found.comparisons["a"].per_draw) == {(0, 0), (2, 0)}
    assert found.comparisons["a"].difference.draws == 2
    assert found.comparisons["a"].signs is not None
    assert found.scores[arm].failed == 1
    said = " ".join(verdict(found))
    assert "1 of 6 cells" in said
    assert "it broke" in said


def test_an_arm_that_failed_everywhere_has_no_comparison() -> None:
    failing = [("a", draw, 0) for draw in range(3)]
    found = analyse(made(study(factors=THREE), dice({}), failing=failing))
    assert set(found.comparisons) == {"b"}
    assert (found.effects, found.complete) == ((), 0)
    assert np.isnan(found.scores["a"].metric)
    assert any("3 of 9 cells" in sentence for sentence in verdict(found))


def test_a_study_that_failed_altogether_says_so() -> None:
    failing = [(arm, draw, 0) for arm in ("baseline", "a") for draw in range(3)]
    said = verdict(analyse(made(study(), right, failing=failing)))
    assert "no arm could be compared" in said[0].lower()
    assert "6 of 6 cells" in said[-1]


# -- tests


def test_holm_is_over_the_arms_of_one_family_and_not_over_controls() -> None:
    of = study(
        factors=THREE,
        controls={"c": {"settings": {"views": 2}}},
        sensitivity={"views": [3]},
    )
    result = made(of, dice({"baseline": 0.4, "a": 0.9, "b": 0.6, "c": 0.8}), counts=(12, 12), draws=8)
    found = analyse(result).comparisons
    for family in ("", " (views = 3)"):
        own = [found[f"{name}{family}"] for name in ("a", "b")]
        assert [item.p for item in own] == pytest.approx(holm([item.difference.p for item in own]))
    assert found["c"].p == found["c"].difference.p
    assert found["a"].p > found["a"].difference.p


def test_mcnemar_is_of_the_first_seed_of_fixed_splits() -> None:
    def said(arm: str, draw: int, row: int, truth: int) -> int:
        wrong = {("baseline", 0): {0, 1, 2, 8}, ("a", 0): {8, 9}}.get((arm, draw), set())
        return 1 - truth if row in wrong else truth

    item = analyse(made(study(split={"kind": "fixed"}), said, counts=(8, 8))).comparisons["a"]
    first = np.array([row not in {8, 9} for row in range(16)])
    second = np.array([row not in {0, 1, 2, 8} for row in range(16)])
    assert item.mcnemar == mcnemar(first, second)  # 3 to 1
    assert item.mcnemar is not None
    assert item.mcnemar.p == pytest.approx(stats.binomtest(1, 4).pvalue)
    assert item.corrected is None
    assert analyse(made(study(), said, counts=(8, 8))).comparisons["a"].mcnemar is None


def test_the_sign_test_is_of_the_first_round_only() -> None:
    # Better in the five draws of round 0, worse in the five of round 1.
    def said(arm: str, draw: int, row: int, truth: int) -> int:
        good = (arm == "a") == (draw < 5)
        return truth if good or row % 2 else 1 - truth

    result = made(study(), said, draws=10, rounds=[0] * 5 + [1] * 5)
    signs = analyse(result).comparisons["a"].signs
    assert signs is not None
    assert signs.p == pytest.approx(2 * 0.5**5)
    assert analyse(made(study(), said, draws=10)).comparisons["a"].signs is None


def test_factors_are_tested_over_complete_draws_only() -> None:
    factors = {"f": {"none": {}, "a": {"penalty": 0.1}}, "g": {"none": {}, "b": {"views": 2}}}
    skills = {"baseline": 0.4, "a": 0.7, "b": 0.5, "a + b": 0.8}
    result = made(study(factors=factors), dice(skills), draws=6, failing=[("b", 2, 0)])
    found = analyse(result)
    draws = [0, 1, 3, 4, 5]
    metrics = {name: [found.scores[name].per_draw[draw] for draw in draws] for name in ("baseline", "a", "b", "a + b")}
    values = np.array([[metrics["baseline"], metrics["b"]], [metrics["a"], metrics["a + b"]]]).transpose(2, 0, 1)
    assert found.complete == 5
    expected = factorial_anova(values, ["f", "g"], found.overlap)
    assert [effect.name for effect in found.effects] == ["f", "g", "f x g"]
    assert [effect.p for effect in found.effects] == pytest.approx([effect.p for effect in expected])


def test_a_repetition_with_a_failed_fold_is_not_complete() -> None:
    of = study(split={"kind": "folds", "folds": 2})
    found = analyse(made(of, dice({"a": 0.8}), counts=(8, 8), draws=4, folds=2, failing=[("a", 1, 0)]))
    assert found.complete == 3


# -- findings


def test_equal_answers_on_few_pictures_cannot_tell_and_on_many_can() -> None:
    few = analyse(made(study(), right, counts=(10, 10)))
    assert few.comparisons["a"].identical
    assert few.comparisons["a"].finding == "cannot tell"
    assert verdict(few)[0].startswith("Cannot tell")
    many = analyse(made(study(), right, counts=(100, 100)))
    assert many.comparisons["a"].finding == "no difference that matters"
    assert verdict(many)[0].startswith("No difference that matters")


def test_other_wrong_answers_are_other_answers() -> None:
    # As often right, on the same pictures; but what is wrong is named otherwise.
    def said(arm: str, draw: int, row: int, truth: int) -> int:
        return truth if row % 2 else (truth + (1 if arm == "baseline" else 2)) % 3

    of = study(controls={"twin": {"settings": {"views": 2}, "expect": "zero"}})
    found = analyse(made(of, said, classes=("x", "y", "z"), counts=(4, 4, 4)))
    assert not found.comparisons["a"].identical
    assert found.comparisons["twin"].finding == "control failed"
    assert found.comparisons["a"].difference.mean == 0


def test_a_control_that_fails_is_the_first_thing_said() -> None:
    of = study(controls={"twin": {"settings": {"views": 2}, "expect": "zero"}})
    good = analyse(made(of, dice({"baseline": 0.5, "twin": 0.5, "a": 0.5})))
    assert good.comparisons["twin"].finding == "exactly zero"
    assert any("twin came out exactly" in sentence for sentence in verdict(good))
    bad = analyse(made(of, dice({"baseline": 0.5, "twin": 0.55, "a": 0.5}, seed=3), counts=(30, 30)))
    assert bad.comparisons["twin"].finding == "control failed"
    assert verdict(bad)[0].startswith("Do not believe this study: twin")


CASES = [
    ({"baseline": 0.4, "a": 0.9}, "helps", "1 is better than the reference"),
    ({"baseline": 0.9, "a": 0.4}, "harms", "1 is worse than the reference"),
    ({"baseline": 0.5, "a": 0.5}, "cannot tell", "Cannot tell: the one arm does not differ"),
]


@pytest.mark.parametrize(("skills", "finding", "words"), CASES, ids=[case[1] for case in CASES])
def test_findings_and_their_words(skills: dict[str, float], finding: str, words: str) -> None:
    found = analyse(made(study(), dice(skills, seed=1), counts=(20, 20), draws=8))
    item = found.comparisons["a"]
    assert item.finding == finding
    assert words in verdict(found)[0]
    assert item.difference.low <= item.difference.mean <= item.difference.high
    if finding != "cannot tell":
        sign = "+" if finding == "helps" else "−"
        (said,) = (sentence for sentence in verdict(found) if sentence.startswith("a: "))
        assert said.startswith(f"a: {sign}{abs(100 * item.difference.mean):.1f} points [{sign}")
    else:
        assert "would have been found" in verdict(found)[0]


def test_a_small_interval_around_nothing_is_no_difference_that_matters() -> None:
    # One answer in a thousand differs.
    def said(arm: str, draw: int, row: int, truth: int) -> int:
        return 1 - truth if arm == "a" and (row, draw) == (0, 0) else truth

    found = analyse(made(study(), said, counts=(200, 200), draws=5))
    assert found.comparisons["a"].finding == "no difference that matters"
    assert "the one arm is not 2 points from its reference" in verdict(found)[0]


def test_another_value_that_leads_elsewhere_is_told() -> None:
    of = study(sensitivity={"views": [3]})
    skills = {"baseline": 0.4, "a": 0.9}

    def said(arm: str, draw: int, row: int, truth: int) -> int:
        return dice(skills)("baseline" if "(" in arm else arm, draw, row, truth)

    changed = analyse(made(of, said, counts=(20, 20), draws=8))
    assert any("a cannot be told apart with views = 3" in sentence for sentence in verdict(changed))
    same = analyse(made(of, dice(skills), counts=(20, 20), draws=8))
    assert any("With views = 3 the same arms" in sentence for sentence in verdict(same))


def test_a_class_without_two_pictures_is_left_out_of_comparisons() -> None:
    result = made(study(), dice({"a": 0.8}), classes=("x", "y", "z"), counts=(6, 6, 1))
    item = analyse(result).comparisons["a"]
    assert item.difference.items == 12


# -- repaints


def repaints(style: Mapping[str, Sequence[float]], photos: int, styles: int, **more: Any) -> Analysis:
    of = study(task="repaints", factors={"f": {"none": {}, "a": {"strengths": [0.9]}}}, **more)
    items = tuple(Thing(f"{p}.png", f"s{s}.png", f"s{s}", p) for p in range(photos) for s in range(styles))
    arms = arms_of(of)
    rows = tuple(range(len(items)))
    cells = tuple(
        CellResult(arm.name, 0, 0, -1, (), rows, style=tuple(style[arm.name]), content=tuple([1.0] * len(rows)))
        for arm in arms
    )
    return analyse(StudyResult(Path("none"), of, arms, (), items, cells, {}, ()))


@pytest.mark.parametrize(("factor", "finding"), [(0.5, "helps"), (2.0, "harms")])
def test_a_smaller_style_distance_is_better(factor: float, finding: str) -> None:
    base = np.random.default_rng(0).uniform(1, 3, 15)
    own = base * factor * np.random.default_rng(1).uniform(0.95, 1.05, 15)
    found = repaints({"baseline": base, "a": own}, 5, 3)
    item = found.comparisons["a"]
    relative = (own - base) / np.maximum(own, base)
    assert item.difference.mean == pytest.approx(relative.mean())
    assert item.per_draw[0, 0] == pytest.approx(relative[:3].mean())
    assert item.finding == finding
    assert "% of the style distance" in " ".join(verdict(found))
    assert found.scores["a"].metric == pytest.approx(own.mean())
    assert found.scores["a"].accuracy == 1.0


def test_one_style_or_one_photo_is_enough_and_one_repaint_is_not() -> None:
    for photos, styles in ((6, 1), (1, 6)):
        found = repaints({"baseline": [2.0] * 6, "a": [1.0, 1.1, 1.2, 0.9, 1.0, 1.1]}, photos, styles)
        assert verdict(found)
        assert found.comparisons["a"].finding == "helps"
    single = repaints({"baseline": [2.0], "a": [1.0]}, 1, 1)
    assert single.comparisons == {}
    assert single.scores["a"].metric == 1.0
    assert "no arm could be compared" in verdict(single)[0].lower()


def test_repaints_that_are_the_same_are_told_in_their_own_unit() -> None:
    found = repaints({"baseline": [2.0] * 200, "a": [2.0] * 200}, 20, 10, tests={"effect": 60})
    assert found.comparisons["a"].identical
    assert "points" not in " ".join(verdict(found))
