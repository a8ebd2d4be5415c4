"""The data card: what a folder holds is what the page shows, and its verdict follows from what was found."""

from __future__ import annotations

import doctest
import io
import json
import os
import random
import re
import shlex
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

import impasto.report.data_figures
import impasto.report.data_words
from impasto.cli import main
from impasto.data.check.checking import CheckResult, Finding
from impasto.data.check.duplicates import Pair
from impasto.data.check.looks import Look, Signatures
from impasto.data.check.probes import Probe
from impasto.data.dataset import Dataset, Sample, read_dataset, write_split_table
from impasto.errors import DataError, RunError, UsageError
from impasto.files import file_digest
from impasto.report import data_card
from impasto.report.data_card import build_data_card, render_data_card
from impasto.report.data_facts import balance, class_counts, file_facts
from impasto.report.data_figures import ClassCount, _cells, _dots, _ticks, draw_counts, draw_sizes, shortened
from impasto.report.data_origin import read_origin
from impasto.report.data_words import exposures, fine, limits, printable, split_names, verdict, verdict_on
from impasto.report.figures import to_svg
from impasto.report.thumbnails import Thumbnails
from impasto.runtime import Progress
from report_fixtures import make_dataset, make_sources, write_object, write_rows
from test_report import Page, decode

SPLIT_OF = ("train", "train", "train", "train", "validation", "test")
# What a card does not show: features, maps, hashes.
NOTHING = Signatures(**{each.name: () for each in fields(Signatures)})
TOLD = Probe("file size", 45, 60, 0.6, 0.88, 0.5, 9.0)
SILENT = Probe("image size", 31, 60, 0.35, 0.68, 0.5)


def paint(path: Path, seed: int, size: tuple[int, int] = (64, 48)) -> Path:
    """Save a smooth random picture of a hue of its own."""
    dice = np.random.default_rng(seed)
    small = (dice.integers(0, 256, 3) + dice.integers(-60, 60, (5, 6, 3))).clip(0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def sizes_of(path: Path) -> tuple[int, int, str] | None:
    try:
        with Image.open(path) as image:
            return (*image.size, image.mode)
    except OSError:
        return None


def checked(
    data: Dataset | Path, pairs: Sequence[Pair] = (), findings: Sequence[Finding] = (), probes: Sequence[Probe] = ()
) -> CheckResult:
    """Return what a check would, with the pairs, findings and probes given: no encoder takes part."""
    dataset = data if isinstance(data, Dataset) else read_dataset(data)
    seen = {index: sizes_of(sample.path) for index, sample in enumerate(dataset.samples)}
    kept = {index: size for index, size in seen.items() if size}
    looks = tuple(
        Look(file_digest(dataset.samples[index].path), *size, np.zeros(3), np.zeros(48)) for index, size in kept.items()
    )
    lost = [dataset.samples[index].path for index in seen if index not in kept]
    unreadable = tuple((path, f"{path} cannot be read as a picture: it is empty.") for path in lost)
    signatures = replace(NOTHING, kept=tuple(kept), looks=looks, unreadable=unreadable)
    return CheckResult(dataset, tuple(findings), tuple(probes), tuple(pairs), signatures, 0.0)


def unseen(samples: Sequence[Sample], pairs: Sequence[Pair], probes: Sequence[Probe] = ()) -> CheckResult:
    """Return the check of samples without files."""
    return CheckResult(Dataset(Path(), tuple(samples)), (), tuple(probes), tuple(pairs), NOTHING, 0.0)


def page_of(check: CheckResult) -> Page:
    return Page(render_data_card(check))


def index_of(data: Dataset, name: str) -> int:
    return next(index for index, sample in enumerate(data.samples) if data.relative(sample) == name)


def joined(data: Dataset, pair: Pair) -> str:
    return " = ".join(data.relative(data.samples[end]) for end in (pair.first, pair.second))


def command(*words: str) -> str:
    result = CliRunner().invoke(main.app, ["dataset", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of thirty pictures in three splits, no two alike."""
    root = tmp_path_factory.mktemp("card") / "sea & <sky>"
    for index in range(60):
        label = ("sea", "sky")[index % 2]
        paint(root / SPLIT_OF[index // 2 % 6] / label / f"{label}-{index:02}.png", index)
    return root


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(made, tmp_path / made.name))


@pytest.fixture(scope="module")
def sound(made: Path) -> CheckResult:
    return checked(made, probes=[SILENT])


@pytest.fixture(scope="module")
def page(sound: CheckResult) -> Page:
    return page_of(sound)


# The page as a document.


def check_document(page: Page) -> None:
    """Balanced, self-contained, without scripts; ids are unique, links lead somewhere, pictures have words."""
    assert page.open == []
    assert page.html.startswith("<!DOCTYPE html>")
    values = re.findall(r"""\s(?:src|href|srcset|action|poster|data)\s*=\s*"([^"]*)""", page.html)
    assert all(value.startswith(("#", "data:image/webp;base64,")) for value in values)
    assert "script" not in {tag for tag, _ in page.elements}
    assert not {name for _, item in page.elements for name in item if name.startswith("on")}
    ids = [item["id"] for _, item in page.elements if "id" in item]
    assert len(ids) == len(set(ids))
    links = {str(item[name])[1:] for _, item in page.elements for name in ("href", "xlink:href") if name in item}
    assert links <= set(ids)
    assert {str(item["aria-labelledby"]) for _, item in page.elements if "aria-labelledby" in item} <= set(ids)
    assert all(item.get("alt") for tag, item in page.elements if tag == "img")
    assert all(item.get("aria-label") for _, item in page.elements if item.get("role") == "img")
    assert all(item.get("scope") in ("col", "row") for tag, item in page.elements if tag == "th")
    assert printable(page.html) == page.html


def test_the_page_is_one_whole_document_without_scripts(page: Page) -> None:
    check_document(page)
    policy = next(item for tag, item in page.elements if tag == "meta" and "http-equiv" in item)
    assert "default-src 'none'" in str(policy["content"])
    assert not re.search(r"https?:|@import|url\((?!#)", page.html)


def test_sections_come_in_the_order_of_the_story(page: Page) -> None:
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", page.html) == [
        *("What was found", "The pictures", "The classes", "The files"),
        *("Shortcuts", "What this cannot tell", "Where it comes from"),
    ]


def test_the_same_pictures_give_the_same_bytes_wherever_they_lie(own: Path, page: Page) -> None:
    assert page_of(checked(own, probes=[SILENT])).html == page.html


def test_the_same_pictures_in_another_order_or_under_other_names_are_told_by_the_digest(own: Path, made: Path) -> None:
    key = "all pictures, labels and splits"
    before = read_origin(checked(made)).digests[key]
    data = read_dataset(own)
    assert read_origin(checked(replace(data, samples=data.samples[::-1]))).digests[key] == before
    assert read_origin(checked(replace(data, samples=data.samples[1:]))).digests[key] != before
    paint(data.samples[0].path, 99)
    assert read_origin(checked(own)).digests[key] != before


# The verdict.


def test_where_nothing_was_found_the_page_says_so_with_numbers(page: Page, sound: CheckResult) -> None:
    assert verdict(sound)[0].startswith("Nothing was found that makes a score on these 60 pictures worthless")
    assert "none of 1 shortcuts tells the label" in page.text
    assert "Every picture can be read." in page.text
    assert "No picture is in two splits" in page.text


def test_a_copy_across_splits_bounds_what_a_score_gains(made: Path) -> None:
    data = read_dataset(made)
    train = [index for index, sample in enumerate(data.samples) if sample.split == "train"]
    test = [index for index, sample in enumerate(data.samples) if sample.split == "test"]
    pairs = [
        Pair(test[0], train[0], 1.0, "bytes"),
        Pair(test[0], train[1], 0.97, "features"),
        Pair(train[2], test[1], 0.97, "features"),
        Pair(train[3], train[4], 1.0, "bytes"),
    ]
    check = checked(data, pairs)
    (found,) = exposures(check)
    assert (found.split, found.certain, found.likely, found.total, found.earlier) == ("test", 1, 1, 10, ("train",))
    assert verdict(check)[0] == (
        "There is a leak: 1 of the 10 test pictures are in train, too, and 1 look as if they were. "
        "A score on test may be up to 20 points too high."
    )
    likely = verdict(checked(data, pairs[2:3]))[0]
    assert likely.startswith("There may be a leak: 1 of the 10 test pictures look like pictures in train. If they are")
    assert "up to 10 points too high" in likely


@given(st.data())
def test_each_exposed_picture_counts_once_in_its_own_split(draw: st.DataObject) -> None:
    splits = draw.draw(st.lists(st.sampled_from(["train", "validation", "test", ""]), min_size=2, max_size=12))
    ends = st.integers(0, len(splits) - 1)
    drawn = draw.draw(st.sets(st.tuples(ends, ends).filter(lambda each: each[0] < each[1])))
    samples = tuple(Sample(Path(f"{index}.png"), "a", split) for index, split in enumerate(splits))
    found = exposures(unseen(samples, [Pair(*each, 1.0, "hash") for each in sorted(drawn)]))
    order = {"train": 0, "validation": 1, "test": 2}
    late = {
        max(pair, key=lambda index: order[splits[index]])
        for pair in drawn
        if splits[pair[0]] and splits[pair[1]] and splits[pair[0]] != splits[pair[1]]
    }
    assert {each.split: each.likely for each in found} == {
        name: sum(splits[index] == name for index in late) for name in order if any(splits[i] == name for i in late)
    }
    assert all(each.points <= 100 for each in found)


def test_parted_groups_shortcuts_and_two_labels_are_said(made: Path) -> None:
    data = read_dataset(made)
    sea = index_of(data, "train/sea/sea-00.png")
    sky = index_of(data, "train/sky/sky-01.png")
    leak = Finding("leak", "1 groups are in more than one split", ("monet",))
    sentences = verdict(checked(data, [Pair(sea, sky, 0.99, "hash")], [leak], [TOLD, SILENT]))
    assert sentences[0] == "There is a leak: 1 group is in more than one split."
    assert "1 pair looks like one picture and has two labels." in sentences
    assert (
        "Of 60 labels, the number of bytes alone tells 45 (75\xa0%); chance is 50\xa0%. A score counts only above that."
    ) in sentences


def test_what_moves_a_score_by_less_than_a_point_comes_later() -> None:
    samples = tuple(Sample(Path(f"{index}.png"), "ab"[index % 2]) for index in range(500))
    pair = Pair(0, 1, 0.99, "features")
    assert [sentence[:6] for sentence in verdict(unseen(samples, [pair], [TOLD]))] == ["Of 60 ", "1 pair"]
    assert [sentence[:6] for sentence in verdict(unseen(samples[:100], [pair], [TOLD]))] == ["1 pair", "Of 60 "]


def test_one_class_is_no_task(tmp_path: Path) -> None:
    for index in range(3):
        paint(tmp_path / "one" / f"{index}.png", index)
    page = page_of(checked(tmp_path))
    assert "There is one class: nothing is to be told apart" in page.text
    assert "Nothing was found" not in page.text
    assert "Not probed" in page.text
    check_document(page)


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        (TOLD, "tells the label"),
        (SILENT, "does not tell the label"),
        (replace(SILENT, low=0.52), "a little above chance"),
        (replace(TOLD, deviations=1.0), "a little above chance"),
    ],
)
def test_probes_are_put_in_words(made: Path, probe: Probe, words: str) -> None:
    assert verdict_on(probe) == words
    page = page_of(checked(made, probes=[probe]))
    row = next(row for row in page.rows if row[0] == probe.name)
    low, high = (round(100 * end) for end in (probe.low, probe.high))
    assert row[1] == f"{probe.correct}/60"
    assert row[3:] == [f"{low} to {high}", "50\xa0%", words]


def test_what_stays_unknown_is_counted(sound: CheckResult, made: Path) -> None:
    text = " ".join(limits(sound))
    assert "The 10 test pictures tell a score to within 26 points either way" in text
    assert "sea, has 5 pictures: one more or less moves its recall by 20 points" in text
    unsplit = replace(sound.dataset, samples=tuple(replace(each, split="") for each in sound.dataset.samples))
    assert "With 15\xa0% that is 9 pictures" in " ".join(limits(replace(sound, dataset=unsplit)))
    small = replace(SILENT, total=50)
    assert "10 pictures of smaller classes had no part in it" in " ".join(limits(replace(sound, probes=(small,))))
    assert len(fine(sound)) == 6


# Findings and their pictures.


def test_findings_name_twenty_files_and_count_the_rest(made: Path) -> None:
    names = tuple(f"train/sea/{index:03}.png" for index in range(43))
    page = page_of(checked(made, findings=[Finding("odd", "43 pictures have a side of fewer than 48 pixels", names)]))
    assert names[19] in page.text
    assert names[20] not in page.text
    assert "and 23 more; impasto dataset check --json lists all." in page.text


def test_pairs_are_shown_whole_and_side_by_side(own: Path) -> None:
    wide = own / "train" / "sky" / "wide.png"
    Image.fromarray(np.repeat([[[250, 0, 0], [0, 0, 250]]], 20, axis=0).astype(np.uint8)).resize((120, 30)).save(wide)
    data = read_dataset(own)
    pair = Pair(index_of(data, "test/sea/sea-10.png"), index_of(data, "train/sky/wide.png"), 0.98, "features")
    findings = [
        Finding("leak", "1 pairs of pictures in different splits are the same to the encoder", (joined(data, pair),)),
        Finding("conflict", "1 pairs of one picture have two labels", (joined(data, pair),)),
    ]
    page = page_of(checked(data, [pair], findings))
    section = page.html.split('id="findings"')[1].split("</section>")[0]
    assert section.count("train/sky/wide.png</bdi>") == 2
    assert "<bdi>sea</bdi> or <bdi>sky</bdi>?" in section
    assert "Possible leak" in section
    image = decode(page.images("train/sky/wide.png")[0])
    assert image.shape == (52, 208, 3)
    assert image[:, 0, 0].mean() > 200 > 60 > image[:, -1, 0].mean()


def test_many_pairs_are_sampled(made: Path) -> None:
    data = read_dataset(made)
    sky = [index for index, each in enumerate(data.samples) if (each.label, each.split) == ("sky", "train")]
    pairs = [Pair(one, other, 0.98, "hash") for one in sky for other in sky if one < other]
    page = page_of(checked(data, pairs))
    assert f"{len(pairs)} pairs of one class and split look like one picture. 12 shown, evenly chosen." in page.text
    assert page.html.count('<div class="both">') == 12


def test_damaged_files_are_named_below_the_folder_and_not_shown(own: Path) -> None:
    bad = own / "train" / "sea" / "bad.png"
    bad.write_bytes(b"")
    reasons = (f"{bad} cannot be read as a picture: it is empty.",)
    page = page_of(checked(own, findings=[Finding("damaged", "1 of 61 pictures cannot be read", reasons)]))
    assert "train/sea/bad.png cannot be read as a picture: it is empty." in page.text
    assert "1 damaged: bad.png" in page.text
    assert str(own) not in page.html
    assert "31 pictures" in page.text
    assert page.images("bad.png") == []


def test_a_picture_that_changed_after_the_check_is_left_out_and_named(own: Path) -> None:
    check = checked(own)
    name = page_of(check).html.split('alt="sea, ')[1].split(", ")[0]
    paint(own / "train" / "sea" / name, 77)
    page = page_of(check)
    assert f"Changed or gone since they were checked, so not shown: {name}" in page.text
    assert page.images(name) == []


# The pictures of each class.


def test_each_class_has_a_row_of_pictures_from_all_its_splits(made: Path, page: Page) -> None:
    for label in ("sea", "sky"):
        alts = [str(item["alt"]) for tag, item in page.elements if tag == "img" and f"{label}, " in str(item["alt"])]
        assert len(alts) == 20
        splits = [alt.rsplit(", ", 1)[1] for alt in alts]
        assert splits == sorted(splits, key=("train", "validation", "test").index)
        assert {name: splits.count(name) for name in ("train", "validation", "test")} == pytest.approx(
            {"train": 40 / 3, "validation": 10 / 3, "test": 10 / 3}, abs=1
        )
    (uri,) = page.images("sea-10.png, test") or page.images("sea-22.png, test")
    assert decode(uri).shape == (208, 208, 3)
    assert "cut to squares here" in page.text


def test_a_cell_shows_the_middle_of_its_own_file(made: Path, page: Page) -> None:
    shown = [(tag, item) for tag, item in page.elements if tag == "img"]
    for _, item in shown:
        label, name, split = str(item["alt"]).split(", ")
        with Image.open(made / split / label / name) as image:
            middle = np.asarray(image, float)[:, 8:56].mean((0, 1))
        assert abs(decode(str(item["src"])).mean((0, 1)) - middle).max() < 4


def test_many_classes_are_sampled_drawn_in_columns_and_tabled_in_full(tmp_path: Path) -> None:
    for index in range(101):
        for number in range(1 + index % 3):
            paint(tmp_path / f"class-{index:03}" / f"{index}-{number}.png", index, (20, 16))
    page = page_of(checked(tmp_path))
    check_document(page)
    assert "30 of 101 classes shown, evenly chosen" in page.text
    assert page.html.count('class="strip"') == 30
    assert page.html.count("Pictures of each class as bars, part") == 3
    assert sum(row[0].startswith("class-") for row in page.rows) == 101
    assert ["class-100", "2"] in page.rows


def test_a_page_of_pure_noise_stays_below_six_megabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thumbnail as large as it is for noise: measured on one, taken for all, because 400 would take a minute."""
    pixels = np.random.default_rng(0).integers(0, 256, (208, 208, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    measure, sizes = Thumbnails.data_uri, {}

    def data_uri(self: Thumbnails, path: Path, sha256: str = "") -> str:
        if self.side not in sizes:
            sizes[self.side] = len(str(measure(self, tmp_path / "noise.png")))
        return "data:image/webp;base64,".ljust(sizes[self.side], "A")

    monkeypatch.setattr(Thumbnails, "data_uri", data_uri)
    for index in range(330):
        paint(tmp_path / "set" / f"class-{index // 10:02}" / f"{index}.png", index, (8, 8))
    data = read_dataset(tmp_path / "set")
    pairs = [Pair(10 * index, 10 * index + 12, 0.99, "hash") for index in range(30)]
    findings = [Finding(kind, "", tuple(joined(data, pair) for pair in pairs)) for kind in ("leak", "leak", "conflict")]
    page = page_of(checked(data, pairs, findings))
    assert sum(tag == "img" for tag, _ in page.elements) == 300 + 3 * 24
    assert min(sizes.values()) > 8_000
    assert len(page.html.encode()) < 6_000_000


# Counts and sizes.


def test_counts_are_those_of_the_folder(page: Page, sound: CheckResult) -> None:
    assert ["sea", "20", "5", "5", "30"] in page.rows
    assert ["all classes", "40", "10", "10", "60"] in page.rows
    assert class_counts(sound.dataset) == [ClassCount("sea", (20, 5, 5)), ClassCount("sky", (20, 5, 5))]
    assert balance(sound.dataset) == "All classes have 30 pictures: guessing one of them scores 50\xa0%."
    fewer = replace(sound.dataset, samples=sound.dataset.samples[:45])
    assert sorted(fewer.counts().values())[0] < sorted(fewer.counts().values())[1]
    most, least = max(fewer.counts().values()), min(fewer.counts().values())
    assert f"{most / least:.1f} times as many. Always naming the largest scores {most / 45:.1%}" in balance(
        fewer
    ).replace("\xa0", "")


def test_sizes_and_kinds_are_those_of_the_files(own: Path) -> None:
    for size, name in (((1, 1), "dot"), ((3, 5000), "strip")):
        paint(own / "test" / "sky" / f"{name}.png", 1, size)
    Image.new("L", (64, 48), 90).save(own / "test" / "sky" / "grey.JPG")
    facts = file_facts(checked(own))
    assert len(facts.sizes) == 63
    assert ("longer side", "median 64 pixels, from 1 to 5,000") in facts.table
    assert [(kind.ending, kind.pixels, kind.count) for kind in facts.kinds] == [
        (".png", "RGB, colour", 62),
        (".jpg", "L, grey", 1),
    ]
    page = page_of(checked(own))
    check_document(page)
    dot, strip = (decode(page.images(f"sky, {name}.png, test")[0]) for name in ("dot", "strip"))
    assert dot.shape == strip.shape == (208, 208, 3)


def test_a_strip_is_cut_before_it_is_enlarged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strip = paint(tmp_path / "strip.png", 0, (3, 50_000))
    opened = Image.open(strip).convert("RGB").crop((0, 24_999, 3, 25_002))
    resize, made = Image.Image.resize, []

    def recorded(self: Image.Image, size: tuple[int, int], *rest: object, **options: object) -> Image.Image:
        made.append(size)
        return resize(self, size, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", recorded)
    cut = decode(str(Thumbnails(208, 9999).data_uri(strip)))
    assert made == [(208, 208)]
    assert abs(cut.mean((0, 1)) - np.asarray(opened, float).mean((0, 1))).max() < 4
    assert decode(str(Thumbnails(208, 9999, whole=True).data_uri(strip))).shape == (208, 1, 3)


def test_one_size_is_said_and_not_drawn(page: Page) -> None:
    assert ["longer side", "64 pixels, all of them"] in page.rows
    assert "Width and height of the pictures" not in page.html


def test_bars_are_as_long_as_the_counts_and_stacked_by_split() -> None:
    counts = [ClassCount("few", (2, 0, 1)), ClassCount("many", (10, 4, 3))]
    (figure,) = draw_counts(counts, ("train", "validation", "test"))
    bars = [(patch.get_x(), patch.get_width()) for patch in figure.axes[0].patches]
    assert bars == [(0, 10), (10, 4), (14, 3), (0, 2), (2, 0), (2, 1)]
    assert [text.get_text() for text in figure.axes[0].texts] == ["many", "17", "few", "3"]


@pytest.mark.parametrize(("classes", "columns"), [(1, 1), (3, 1), (34, 1), (35, 2), (101, 3), (500, 4)])
def test_columns_of_bars_have_one_scale_and_about_one_length(classes: int, columns: int) -> None:
    counts = [ClassCount(f"class {index}", (index + 1,)) for index in range(classes)]
    figures = draw_counts(counts, ("",))
    lengths = [len(figure.axes[0].patches) for figure in figures]
    assert len(figures) == columns
    assert max(lengths) <= 34
    assert sum(lengths) == min(classes, 120)
    assert len({figure.axes[0].get_xlim() for figure in figures}) == 1
    assert len({tuple(figure.axes[0].get_position().x0 for _ in "1") for figure in figures}) == 1


@given(st.text(max_size=60), st.integers(3, 30))
def test_labels_keep_within_their_width(name: str, letters: int) -> None:
    label = shortened(name, letters)
    assert _cells(label) <= letters
    assert "\n" not in label
    line = " ".join(printable(name).split())
    assert label == line or (label.endswith("…") and line.startswith(label[:-1]))


@given(st.lists(st.tuples(st.integers(1, 9000), st.integers(1, 9000)), min_size=1, max_size=40))
def test_dots_lie_among_the_sizes_and_figures_hold_them(sizes: list[tuple[int, int]]) -> None:
    dots = [dot for level in _dots(sizes).values() for dot in level]
    assert len(dots) <= len(set(sizes))
    for axis in (0, 1):
        sides = [size[axis] for size in sizes]
        assert all(min(sides) * 0.999 <= dot[axis] <= max(sides) * 1.001 for dot in dots)


def test_a_size_that_many_share_is_one_larger_dot() -> None:
    assert _dots([(100, 50)] * 20 + [(300, 200)]) == {
        2: [(pytest.approx(100), pytest.approx(50))],
        0: [(pytest.approx(300), pytest.approx(200))],
    }


@pytest.mark.parametrize("sizes", [[(1, 1)], [(1, 1), (3, 5000)], [(500, 500)], [(640, 480), (480, 640)]])
def test_figures_of_sizes_are_drawn_for_any_range(sizes: list[tuple[int, int]]) -> None:
    figure = draw_sizes(sizes)
    low, high = figure.axes[0].get_xlim()
    assert low < min(map(min, sizes)) <= max(map(max, sizes)) < high
    assert 2 <= len(_ticks(low, high)) <= 6
    assert to_svg(figure, "sizes").startswith("<svg")


# Where it comes from.


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the real import makes of an archive with a copy, a damaged file and two classes that become one."""
    root = tmp_path_factory.mktemp("import")
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for index in range(12):
            path = paint(root / "pictures" / f"{index}.png", index)
            archive.writestr(f"{('crab', 'lobster', 'ant')[index % 3]}/{index}.png", path.read_bytes())
        archive.writestr("ant/copy.png", (root / "pictures" / "2.png").read_bytes())
        archive.writestr("ant/<bad>.png", b"no picture")
    (root / "arthropods.zip").write_bytes(data.getvalue())
    command(
        *("import", str(root / "arthropods.zip"), "-o", str(root / "set"), "--quiet"),
        *("--rename", "crab=sea food", "--rename", "lobster=sea food"),
    )
    return root / "set"


def test_an_import_is_told_by_its_tables(imported: Path) -> None:
    page = page_of(checked(imported))
    check_document(page)
    assert "Made by impasto dataset import ." in page.text
    assert ["arthropods.zip", "12"] in page.rows
    assert ["crab", "sea food"] in page.rows
    assert "1 file: copy" in page.text
    assert "1 file: damaged" in page.text
    assert any(row[0] == "arthropods.zip/ant/<bad>.png" for row in page.rows)
    for name in ("manifest.csv", "rejected.csv", "config.json", "manifest.json"):
        assert [name, file_digest(imported / name)] in page.rows


def parsed(line: str) -> dict[str, object]:
    """Return the parameters that the real command line understands."""
    words = shlex.split(line.replace("\\\n", ""))[2:]
    group = typer.main.get_group(main.app).commands["dataset"]  # type: ignore[attr-defined]
    return dict(group.commands[words[0]].make_context(words[0], words[1:]).params)


def test_commands_to_make_it_again_are_understood(imported: Path, made: Path) -> None:
    again, card = read_origin(checked(imported)).commands
    found = parsed(again)
    assert (found["output"], found["rename"]) == (Path("set"), ["crab=sea food", "lobster=sea food"])
    assert parsed(card)["folder"] == Path("set")
    assert parsed(read_origin(checked(made)).commands[0])["folder"] == Path(made.name)


def test_a_repaint_is_told_by_its_table(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "repaints", *make_sources(tmp_path))
    check = checked(folder)
    page = page_of(check)
    check_document(page)
    assert "32 repaints of 8 photos in 4 styles" in page.text
    assert ["night.png", "8"] in page.rows
    assert ["broken.jpg", "the file is truncated"] in page.rows
    assert ["config.stylize.seed", "7"] in page.rows
    assert parsed(read_origin(check).commands[0])["seed"] == 7
    (folder / "manifest.json").unlink()
    assert "It was interrupted" in page_of(check).text


def test_a_damaged_record_is_named(imported: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(imported, tmp_path / "set"))
    (folder / "config.json").write_text("[1]")
    with pytest.raises(RunError, match=r"config\.json is damaged"):
        render_data_card(checked(folder))


def test_what_a_record_says_is_text_and_never_markup(imported: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(imported, tmp_path / "set"))
    settings = {"rename": [["<u>", "`<b>`"], 3], "label_regex": "$(reboot) `x`"}
    write_object(folder / "config.json", {"procedure": "dataset import", "config": settings})
    rows = [{"path": "</td>", "kind": "<i>", "reason": "<script>"}] * 25
    write_rows(folder / "rejected.csv", rows)
    origin = read_origin(checked(folder))
    assert parsed(origin.commands[0])["label_regex"] == "$(reboot) `x`"
    page = page_of(checked(folder))
    check_document(page)
    assert ["<u>", "`<b>`"] in page.rows
    assert "and 5 more; rejected.csv has them all." in page.text
    write_object(folder / "config.json", {"procedure": "<s onclick=x>"})
    page = page_of(checked(folder))
    check_document(page)
    assert "Made by impasto <s onclick=x>" in page.text


def test_strangers_files_of_our_names_say_nothing_and_an_interrupted_import_is_told(own: Path) -> None:
    (own / "config.json").write_text("[1, 2")
    (own / "rejected.csv").write_text("\x00")
    assert read_origin(checked(own)).config == {}
    write_object(own / "config.json", {"procedure": "dataset import"})
    assert "impasto dataset import was interrupted" in page_of(checked(own)).text.replace(" .", ".")


def test_a_table_of_splits_is_named_with_its_digest(own: Path) -> None:
    data = read_dataset(own)
    dealt = replace(data, samples=tuple(replace(each, split="train") for each in data.samples[:30]))
    table = own / "my split.csv"
    write_split_table(table, dealt)
    origin = read_origin(checked(read_dataset(table)), table)
    assert origin.digests["my split.csv"] == file_digest(table)
    assert "my split.csv says which picture is in which split." in origin.sentences
    assert parsed(origin.commands[-1])["folder"] == Path(own.name, "my split.csv")


# Hostile names.

EVIL = (
    """<script>alert("1")<b> & '星月夜' $x^2$ {{ 7*7 }} [red]""",
    "\u202egnp.exe",
    "a" * 200,
    "tab\tand\x1b[31mred",
    "<img src=x onerror=alert(1)>",
)


def test_names_are_text_and_never_markup(tmp_path: Path) -> None:
    folder = tmp_path / EVIL[0]
    for place, label in enumerate(EVIL):
        for index in range(2):
            paint(folder / label / f"{EVIL[(place + index) % 5][:180]}.png", 2 * place + index)
    write_rows(folder / "rejected.csv", [{"path": EVIL[0], "reason": EVIL[4]}])
    findings = [Finding("odd", f"{EVIL[0]} is odd", EVIL), Finding("imbalance", f"{EVIL[2]} has 3", EVIL)]
    page = page_of(checked(folder, findings=findings))
    check_document(page)
    assert "onerror" not in {name for _, item in page.elements for name in item}
    for name in EVIL:
        assert [printable(name), "2"] in page.rows
    assert not re.search("[\u202e\x1b]", page.html)


@pytest.mark.skipif(os.name == "nt" or os.uname().sysname == "Darwin", reason="its file names are Unicode")
def test_names_that_are_no_unicode_are_shown_as_far_as_they_are(tmp_path: Path) -> None:
    for index in range(4):
        folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/set/caf\xe9" + str(index % 2).encode()))
        paint(tmp_path / "tmp.png", index)
        folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tmp.png").rename(folder / os.fsdecode(b"\xff%d.png" % index))
    page = page_of(checked(tmp_path / "set"))
    check_document(page)
    assert "caf\ufffd0" in page.text


def test_folder_names_like_findings_do_no_harm(tmp_path: Path) -> None:
    for index in range(4):
        paint(tmp_path / "a = b" / f"c = {index}.png", index)
    data = read_dataset(tmp_path)
    pair = Pair(0, 1, 1.0, "bytes")
    page = page_of(checked(data, [pair], [Finding("leak", "1 pairs", (joined(data, pair),))]))
    assert "a = b/c = 0.png" in page.text


# The function and the command, with the real check.


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set with a copy across splits under another label, a damaged file, and two odd sizes."""
    root = tmp_path_factory.mktemp("planted") / "set"
    dice = random.Random(0)
    for index in range(24):
        size = (80 + 8 * dice.randrange(3), 64)
        paint(root / ("train", "train", "test")[index // 2 % 3] / "ab"[index % 2] / f"{index:02}.png", index, size)
    shutil.copy(root / "train/a/00.png", root / "test/b/copy.png")
    (root / "train/a/broken.png").write_bytes(b"\x89PNG\r\n")
    paint(root / "train/b/dot.png", 50, (1, 1))
    paint(root / "train/b/strip.png", 51, (3, 5000))
    return root


def test_the_command_writes_a_page_on_what_the_check_finds(planted: Path, tmp_path: Path) -> None:
    told = json.loads(command("card", str(planted), "-o", str(tmp_path / "card.html"), "--json"))
    assert told["card"] == str(tmp_path / "card.html")
    assert (told["pictures"], told["classes"], told["splits"]) == (28, 2, {"train": 19, "test": 9})
    assert told["damaged"] == 1
    assert {"leak", "conflict", "damaged", "odd"} <= told["findings"].keys()
    page = Page((tmp_path / "card.html").read_text(encoding="utf-8"))
    check_document(page)
    assert "There is a leak: 1 of the 9 test pictures are in train, too" in page.text
    assert "<bdi>b</bdi> or <bdi>a</bdi>?" in page.html
    assert "1 of 28 pictures cannot be read." in page.text
    assert "train/a/broken.png cannot be read as a picture" in page.text


def test_the_command_says_where_the_page_is_and_writes_the_same_again(tmp_path: Path) -> None:
    for index in range(4):
        paint(tmp_path / "set" / "ab"[index % 2] / f"{index}.png", index)
    for name in ("one.html", "two.html"):
        output = tmp_path / name
        assert command("card", str(tmp_path / "set"), "-o", str(output), "--quiet") == f"{output}\n"
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_progress_rises_to_its_total(sound: CheckResult) -> None:
    seen: list[Progress] = []
    render_data_card(sound, on_progress=seen.append)
    assert [(each.stage, each.step, each.total) for each in seen] == [("drawing", step, 2) for step in range(3)]


def test_an_older_page_stays_where_there_is_no_data(tmp_path: Path) -> None:
    card = tmp_path / "card.html"
    card.write_text("older")
    (tmp_path / "set").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        build_data_card(tmp_path / "set", card)
    (tmp_path / "set" / "a").mkdir()
    (tmp_path / "set" / "a" / "x.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="no picture of"):
        build_data_card(tmp_path / "set", card)
    assert card.read_text() == "older"
    assert [path.name for path in tmp_path.glob("*.html")] == ["card.html"]


def test_a_bad_place_for_the_page_is_known_before_the_check(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_card, "check_dataset", lambda *_, **__: pytest.fail("the check was begun"))
    with pytest.raises(UsageError, match="could not be written"):
        build_data_card(made, made / "train" / "sea" / "sea-00.png" / "card.html")


def test_splits_of_other_names_come_last() -> None:
    samples = tuple(Sample(Path(f"{name}.png"), "a", name) for name in ("dev", "test", "", "train"))
    assert split_names(Dataset(Path(), samples)) == ("train", "test", "", "dev")


@pytest.mark.parametrize("module", [impasto.report.data_words, impasto.report.data_figures])
def test_doctests(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
