"""A finished study, made up: the draws are dealt as in a real one, the answers are dice."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from impasto.runs import digest, to_plain, write_csv, write_json
from impasto.study.arms import Arm, arms_of
from impasto.study.draws import Deal, Draw, deal
from impasto.study.pool import Photo, Pool, StylePicture
from impasto.study.reading import study_from, study_table
from impasto.study.spec import Study

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "$a_b^{c$ & 'x' " + "very-long-" * 20)
KIB = 1024


def make_study(
    folder: Path,
    study: Study,
    *,
    photos: int = 24,
    skills: Mapping[str, float] | None = None,
    failing: Collection[tuple[str, int]] = (),
    broken: Collection[str] = (),
    examples: bool = False,
    names: Sequence[str] = (),
) -> Path:
    """Write the folder that ``impasto study run`` would write.

    Args:
        folder: where.
        study: what is asked; its data need not exist.
        photos: of each class.
        skills: by how many logits the answers of an arm are better than those of a baseline; by default chance says.
        failing: arms and replicates whose cells failed.
        broken: controls that are to come out at zero and do not.
        examples: whether to write thumbnails.
        names: of the first photos, in place of harmless ones.
    """
    arms = arms_of(study)
    pool = make_pool(study, photos, names)
    dealt = deal(study, pool, arms)
    rows = [
        {
            "item": number,
            "photo": pool.photos[item.photo].name,
            "style": pool.styles[item.style].name if item.style >= 0 else "",
            "label": item.label,
            "group": item.photo,
        }
        for number, item in enumerate(dealt.items)
    ]
    folder.mkdir(parents=True)
    config = {"study": study_table(study), "pictures": digest(pool.record()), "draws": digest(dealt.draws)}
    write_json(folder / "config.json", {"procedure": "study", "version": "0.1.0", **config, "networks": {}})
    write_csv(folder / "items.csv", rows, list(rows[0]))
    aside = [{"path": path, "reason": reason} for path, reason in pool.aside]
    write_csv(folder / "rejected.csv", aside, ["path", "reason"])
    draws = []
    for arm in arms:
        skill = (skills or {}).get(arm.name, 0.3 * _dice("skill", arm.name).normal())
        if not arm.reference or (arm.expect == "zero" and arm.name not in broken):
            skill = 0.0
        for draw in dealt.of(arm):
            name = f"{arm.key}-{draw.replicate:03}-{draw.fold}"
            error = "the picture cannot be read: it is <empty>." if (arm.name, draw.replicate) in failing else ""
            draws.append({"arm": arm.name, "cell": name, **_dealt(draw), "error": error})
            write_json(folder / "cells" / f"{name}.json", _cell(study, arm, dealt, draw, skill, pool.classes))
    write_json(folder / "draws.json", draws)
    if examples:
        _write_examples(folder, arms, pool)
    cost = {
        "seconds": 754.3,
        "workers": 2,
        "work": {"repaint": 610.2, "features": 181.0, "cell": 12.7},
        "units": {"repaint": 744, "features": 20, "cell": len(draws)},
        "memory": 1180 * KIB * KIB,
        "disk": 46 * KIB * KIB,
    }
    manifest = {"procedure": "study", "version": "0.1.0", "config": digest(config), "cost": cost}
    write_json(folder / "manifest.json", {**manifest, "failed": len(failing), "data": "photos", "styles": "styles"})
    return folder


def small_study(**changes: Any) -> Study:
    """Return a study of two factors, two controls and a sensitivity value, with changes of its table."""
    table: dict[str, Any] = {
        "name": "small",
        "title": "Do repaints help?",
        "question": "Six photos of each class teach. Does it get better with repaints?",
        "null": "Repaints make no difference.",
        "data": {"classes": ["scorpion", "crab", "butterfly"]},
        "split": {"draws": 7},
        "settings": {"train_per_class": 6},
        "factors": {
            "strength": {"none": {}, "light": {"add": "repaints", "strengths": [0.1]}, "heavy": {"add": "repaints"}},
            "classical": {"none": {}, "moved": {"augment": "r1"}},
        },
        "controls": {
            "duplicated": {"settings": {"add": "copies"}, "expect": "zero", "why": "Nothing has changed."},
            "heavy, unmatched": {"settings": {"add": "repaints", "weigh": "naive"}, "why": "The penalty's doing."},
        },
        "sensitivity": {"penalty": [0.1]},
        "tests": {"effect": 1.5, "sd": 2.4, "source": "a pilot"},
        "threats": ["One style picture."],
    }
    return study_from({**to_plain(table), **changes})


def make_pool(study: Study, photos: int, names: Sequence[str] = ()) -> Pool:
    """Return a pool of photos that do not exist."""
    labels = study.data.classes or ("a", "b")
    known = [f"{label}/image_{number:04}.jpg" for label in labels for number in range(photos)]
    known[: len(names)] = names
    found = tuple(Photo(Path(name), name, f"{place:064x}", labels[place // photos]) for place, name in enumerate(known))
    styles = tuple(
        StylePicture(Path(f"{label}.jpg"), f"{label}.jpg", f"{place:064x}", label)
        for place, label in enumerate(("kandinsky", "monet"))
    )
    classes = tuple(style.label for style in styles) if study.task == "styles" else tuple(labels)
    aside = (("crab/image_0099.jpg", "is nearly the same picture as crab/image_0001.jpg"), (HOSTILE[0], "is empty"))
    return Pool(Path("photos"), found, styles, classes, aside)


def _dice(*stream: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(stream).encode()))


def _dealt(draw: Draw) -> dict[str, Any]:
    train = [row for part in draw.train for row in part]
    return {"replicate": draw.replicate, "fold": draw.fold, "round": draw.round, "train": train, "test": draw.test}


def _cell(study: Study, arm: Arm, dealt: Deal, draw: Draw, skill: float, classes: Sequence[str]) -> dict[str, Any]:
    """Return answers: every picture is easy or hard for all arms, every draw good or bad for each."""
    if study.task == "repaints":
        hard = _dice("hard").lognormal(0, 0.3, len(dealt.items))
        own = _dice("own", arm.key).lognormal(skill / 4, 0.1, len(hard))
        return {"style": list(hard * own), "content": list(hard / own)}
    easy = _dice("easy").normal(0.8, 1.5, len(dealt.items))
    luck = _dice("luck", draw.replicate, draw.fold).normal(0, 0.2)
    if skill:  # an arm without is the baseline again, answer by answer
        own = _dice(arm.key, draw.replicate, draw.fold)
        easy = easy + skill + own.normal(0, 0.15) + own.normal(0, 0.5, len(easy))
    chance = _dice("answer", draw.replicate).random(len(dealt.items))
    said = []
    for row in draw.test:
        truth = classes.index(dealt.items[row].label)
        right = chance[row] < 1 / (1 + np.exp(-easy[row] - luck))
        said.append(truth if right else (truth + 1 + int(997 * chance[row]) % (len(classes) - 1)) % len(classes))
    train = sum(map(len, draw.train))
    copies = len(arm.settings.strengths) if arm.settings.add == "repaints" else arm.settings.copies
    found = {"taught": train, "added": 0 if arm.settings.add == "nothing" else train * copies, "said": said}
    return found if arm.settings.solved else {**found, "curve": _curve(arm, draw)}


def _curve(arm: Arm, draw: Draw) -> list[list[float]]:
    dice = _dice("curve", arm.key, draw.replicate, draw.fold)
    epochs, speed = int(dice.integers(14, 19)), dice.uniform(4, 7)
    rows = []
    for epoch in range(1, epochs + 1):
        train, held = np.exp(-epoch / speed), 0.35 + 0.65 * np.exp(-epoch / speed) + dice.normal(0, 0.03)
        rows.append([epoch, 1.1 * train, 1 - 0.6 * train, 1.1 * held, float(np.clip(1 - 0.6 * held, 0, 1))])
    return rows


def _write_examples(folder: Path, arms: Sequence[Arm], pool: Pool) -> None:
    found = []
    (folder / "examples").mkdir()
    for place, arm in enumerate(arm for arm in arms if not arm.family):
        for number, photo in enumerate(pool.photos[:2]):
            pictures = []
            for copy, caption in enumerate(("the photo", "kandinsky, 0.5")[: 1 + (arm.settings.add != "nothing")]):
                name = f"examples/{place:03}-{number}-{copy}.jpg"
                ramp = Image.linear_gradient("L").resize((160, 110))
                ends = [Image.new("RGB", ramp.size, tuple(_dice(name, end).integers(0, 256, 3))) for end in (0, 1)]
                Image.composite(*ends, ramp).save(folder / name, quality=80)
                pictures.append({"file": name, "caption": caption})
            found.append({"arm": arm.name, "photo": photo.name, "pictures": pictures})
    (folder / "examples.json").write_text(json.dumps(found))
