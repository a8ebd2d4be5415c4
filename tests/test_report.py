"""The page: what a reader sees is what the files say, and nothing else happens when it is opened."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from collections.abc import Sequence
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.errors import RunError, UsageError
from impasto.report import build_report
from impasto.runtime import Progress
from report_fixtures import PHOTOS, STYLES, make_dataset, make_run, make_sources, read_rows, write_object, write_rows

VOID = {"meta", "img", "col", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects elements, and the text of every table row; fails on an end tag without its start."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)
        if "tr" in self.open and self.rows and self.rows[-1]:
            self.rows[-1][-1] = f"{self.rows[-1][-1]} {data.strip()}".strip()

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words).replace("\xa0", " "))

    def images(self, alt: str) -> list[str]:
        return [str(item["src"]) for tag, item in self.elements if tag == "img" and alt in str(item["alt"])]


def build(folder: Path, dataset: Path, *runs: Path, title: str = "") -> Page:
    sources = [dataset.parent / "photos", dataset.parent / "styles"]
    output = build_report(dataset, runs, folder / "report.html", title=title, sources=sources)
    return Page(output.read_text(encoding="utf-8"))


def decode(uri: str) -> np.ndarray:
    kind, data = uri.split(",", 1)
    assert kind == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data, validate=True))).convert("RGB"), float)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    dataset = make_dataset(root / "data", *make_sources(root))
    make_run(root / "cnn", dataset, skill=0.5)
    make_run(root / "vgg", dataset, model="frozen:impasto-vgg", skill=1.0, epochs=9)
    return root


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(scope="module")
def page(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return build(tmp_path_factory.mktemp("page"), made / "data", made / "cnn", made / "vgg")


def test_the_page_is_balanced_html_with_a_language(page: Page) -> None:
    assert page.open == []
    assert page.html.startswith("<!DOCTYPE html>")
    assert ("html", {"lang": "en"}) in page.elements


def test_nothing_is_asked_of_any_other_place(page: Page) -> None:
    values = re.findall(r"""(?:src|href|srcset|action|poster|data)\s*=\s*["']([^"']*)""", page.html)
    values += re.findall(r"url\(([^)]*)\)", page.html)
    assert values
    assert all(value.startswith(("#", "data:image/webp;base64,")) for value in values)
    assert not re.search(r"https?:|@import|<script|\son\w+=", page.html)
    policy = next(item for tag, item in page.elements if tag == "meta" and "http-equiv" in item)
    assert "default-src 'none'" in str(policy["content"])


def test_links_lead_to_elements_and_ids_are_unique(page: Page) -> None:
    ids = [item["id"] for _, item in page.elements if "id" in item]
    assert len(ids) == len(set(ids))
    targets = {str(item["href"])[1:] for _, item in page.elements if "href" in item}
    targets |= {str(item["xlink:href"])[1:] for _, item in page.elements if "xlink:href" in item}
    assert targets <= set(ids)


def test_every_picture_and_figure_has_words_and_every_header_a_scope(page: Page) -> None:
    assert all(item.get("alt") for tag, item in page.elements if tag == "img")
    assert all(item.get("aria-label") for _, item in page.elements if item.get("role") == "img")
    assert all(item.get("scope") in ("col", "row") for tag, item in page.elements if tag == "th")


def test_sections_come_in_the_order_of_the_story(page: Page) -> None:
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", page.html)
    assert headings == [
        *("Contact sheet", "The data set", "The models"),
        *("Side by side", "What this cannot tell", "How it was made"),
    ]


def test_the_verdict_is_built_from_the_numbers(made: Path, page: Page) -> None:
    scores = json.loads((made / "vgg" / "evaluation.json").read_text())
    low, high = (round(100 * end) for end in scores["wilson95"])
    wanted = (
        f"Best model: frozen impasto-vgg names {scores['correct']} of {scores['n_evaluated']} held-out repaints "
        f"correctly (100 %, 95 % interval {low} to {high}); chance is 25 %."
    )
    assert wanted in page.text


@pytest.mark.parametrize("run", ["cnn", "vgg"])
def test_confusion_and_class_scores_are_those_of_the_file(made: Path, page: Page, run: str) -> None:
    scores = json.loads((made / run / "evaluation.json").read_text())
    for name, counts in zip(scores["classes"], scores["confusion"], strict=True):
        assert [name, *map(str, counts)] in page.rows
    for index, item in enumerate(scores["per_class"]):
        hits, named = scores["confusion"][index][index], sum(row[index] for row in scores["confusion"])
        recall = f"{hits}/{item['support']} {100 * item['recall']:.0f}\xa0%"
        precision = f"{hits}/{named} {100 * item['precision']:.0f}\xa0%" if named else "never named"
        assert [item["class"], recall, precision, f"{item['f1']:.2f}"] in page.rows


def test_the_comparison_lists_models_best_first(made: Path, page: Page) -> None:
    rows = [row for row in page.rows if len(row) == 6 and "/" in row[1]]
    assert [row[0] for row in rows] == ["frozen impasto-vgg", "r0-cnn"]
    for row, folder in zip(rows, ("vgg", "cnn"), strict=True):
        scores = json.loads((made / folder / "evaluation.json").read_text())
        assert row[1] == f"{scores['correct']}/{scores['n_evaluated']}"
        assert row[5] == f"{scores['macro_f1']:.3f}"


def test_counts_of_the_data_set_are_those_of_the_table(page: Page) -> None:
    for style in STYLES:
        assert [style, "4", "2", "2", "8"] in page.rows
    assert ["all classes", "16", "8", "8", "32"] in page.rows
    assert ["different photos", "4", "2", "2", "8"] in page.rows
    assert ["broken.jpg", "the file is truncated"] in page.rows


def test_each_cell_shows_its_own_picture(made: Path, page: Page) -> None:
    for row in read_rows(made / "data" / "manifest.csv"):
        photo, style = Path(row["content"]).stem, Path(row["style"]).stem
        (uri,) = page.images(f"{photo} in the style of {style}, {row['split']}")
        shown = decode(uri)
        with Image.open(made / "data" / row["output"]) as image:
            wanted = np.asarray(image, float)
        assert shown.shape == (208, 208, 3)
        assert abs(shown.mean((0, 1)) - wanted[:, 4:44].mean((0, 1))).max() < 4


def test_photos_and_style_pictures_head_the_rows_and_columns(made: Path, page: Page) -> None:
    for folder, names, alt in (("photos", PHOTOS, "photo"), ("styles", STYLES, "style")):
        for name in names:
            (uri,) = page.images(f"{alt} {name}")
            with Image.open(made / folder / f"{name}.png") as image:
                wanted = np.asarray(image, float)[:, 4:44].mean((0, 1))
            assert abs(decode(uri).mean((0, 1)) - wanted).max() < 4


def test_most_confident_pictures_come_in_falling_order(made: Path, page: Page) -> None:
    predictions = read_rows(made / "cnn" / "predictions.csv")
    wrong = [row for row in predictions if row["correct"] == "False"]
    assert len(wrong) > 1
    paths = [row["path"] for row in sorted(wrong, key=lambda row: -float(row["probability"]))][:6]
    gallery = page.html.split("Most confident and wrong")[1].split("</ul>")[0]
    assert re.findall(r'alt="([^"]*)"', gallery) == paths
    first = next(row for row in wrong if row["path"] == paths[0])
    assert gallery.index(f"in truth {first['label']}") < gallery.index(f"{100 * float(first['probability']):.0f}\xa0%")


def test_the_same_files_give_the_same_bytes_wherever_they_lie(made: Path, own: Path) -> None:
    pages = [
        build_report(
            root / "data",
            [root / "cnn", root / "vgg"],
            own / f"{index}.html",
            sources=[root / "photos", root / "styles"],
        ).read_bytes()
        for index, root in enumerate((made, made, own))
    ]
    assert pages[0] == pages[1] == pages[2]


def test_names_are_text_and_never_markup(own: Path) -> None:
    evil = """<script>alert("1")<b> & '星月夜' $x$ {{ 7*7 }}"""
    photos, styles = make_sources(own, [f"{evil} {index}" for index in range(4)], [evil, "calm"])
    dataset = make_dataset(own / "evil-data", photos, styles)
    run = make_run(own / "evil-run", dataset, model=f"frozen:{evil}", skill=0.5)
    page = build(own, dataset, run, title=evil)
    assert page.open == []
    assert "script" not in {tag for tag, _ in page.elements}
    assert evil in page.text
    assert page.images(f"photo {evil} 0")
    assert evil in unescape(page.html.split("<title>")[1].split("</title>")[0])


def test_a_run_without_evaluation_is_noted_and_the_page_is_made(own: Path) -> None:
    (own / "cnn" / "evaluation.json").unlink()
    page = build(own, own / "data", own / "cnn", own / "vgg")
    assert "Not evaluated yet: run `impasto evaluate` on it" in page.text
    assert "The model frozen impasto-vgg names 8 of 8 held-out repaints" in page.text


def test_runs_that_lack_parts_are_noted(own: Path) -> None:
    for name in ("curves.csv", "predictions.csv", "manifest.json"):
        (own / "cnn" / name).unlink()
    page = build(own, own / "data", own / "cnn")
    assert "kept no learning curves" in page.text
    assert "no predictions.csv" in page.text
    assert "training was interrupted" in page.text


def test_pictures_left_out_of_an_evaluation_are_named(own: Path) -> None:
    scores = json.loads((own / "cnn" / "evaluation.json").read_text())
    more = {"n_available": scores["n_evaluated"] + 1, "skipped": [{"path": "test/bad.png", "reason": "truncated"}]}
    write_object(own / "cnn" / "evaluation.json", scores | more)
    text = build(own, own / "data", own / "cnn").text
    assert "Left out of the evaluation: test/bad.png (truncated)." in text
    assert "Only 8 of 9 available pictures were scored." in text


def test_without_models_the_page_shows_the_pictures_alone(own: Path) -> None:
    page = build(own, own / "data")
    assert "No model has been trained yet: this page shows the pictures." in page.text
    assert "Side by side" not in page.text
    assert len(page.images(" in the style of ")) == len(PHOTOS) * len(STYLES)


def test_a_picture_that_changed_or_vanished_is_left_out_and_named(own: Path) -> None:
    rows = read_rows(own / "data" / "manifest.csv")
    Image.new("RGB", (48, 40)).save(own / "data" / rows[0]["output"])
    (own / "data" / rows[1]["output"]).unlink()
    page = build(own, own / "data")
    assert f"Changed since they were recorded, so not shown: {Path(rows[0]['output']).name}." in page.text
    assert f"Could not be read, so not shown: {Path(rows[1]['output']).name}." in page.text


def test_photos_are_found_by_hash_or_left_blank(own: Path) -> None:
    (own / "photos").rename(own / "moved")
    Image.new("RGB", (48, 40)).save(own / "moved" / "photo-01.png")
    page = build(own, own / "data")
    assert page.images("photo photo-00") == []
    assert "left blank" in page.text
    output = build_report(own / "data", [], own / "again.html", sources=[own / "styles", own / "moved"])
    again = Page(output.read_text())
    assert len(again.images("photo photo-00")) == 1
    assert again.images("photo photo-01") == []
    assert "Changed since they were recorded, so not shown: photo-01.png." in again.text


def test_photos_are_looked_for_where_the_data_set_says_they_were(own: Path) -> None:
    folders = {"content": "../photos", "styles": "../styles"}
    write_object(own / "data" / "manifest.json", {"procedure": "dataset stylize", "folders": folders})
    page = Page(build_report(own / "data", [], own / "page.html").read_text())
    assert len(page.images("photo photo-00")) == 1
    assert "left blank" not in page.text


def test_originals_in_the_data_set_stand_for_their_photos(own: Path) -> None:
    rows = read_rows(own / "data" / "manifest.csv")
    shutil.rmtree(own / "photos")
    first = rows[0] | {"kind": "original", "label": "original", "style": "", "style_sha256": ""}
    write_rows(own / "data" / "manifest.csv", [*rows[1:], first])
    page = build(own, own / "data", own / "cnn")
    assert len(page.images(f"photo {Path(first['content']).stem}")) == 1
    assert "held-out pictures correctly" in page.text
    assert "untouched originals" in page.text


def test_only_pictures_of_the_data_set_are_opened(own: Path) -> None:
    Image.new("RGB", (48, 40), "red").save(own / "private.png")
    rows = read_rows(own / "cnn" / "predictions.csv")
    for row in rows:
        row["path"] = str(own / "private.png")
    write_rows(own / "cnn" / "predictions.csv", rows)
    page = build(own, own / "data", own / "cnn")
    assert page.images("private.png") == []
    assert "evaluated on another data set" in page.text


def test_large_data_sets_are_sampled_and_the_page_stays_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)

    def paint(photo: Path, style: Path) -> Image.Image:
        return Image.fromarray(noise.integers(0, 256, (208, 208, 3), dtype=np.uint8))

    sources = make_sources(tmp_path, [f"p{i:02}" for i in range(24)], [f"s{i:02}" for i in range(13)])
    dataset = make_dataset(tmp_path / "data", *sources, painter=paint)
    runs = [make_run(tmp_path / f"run{index}", dataset, seed=index) for index in range(4)]
    page = build(tmp_path, dataset, *runs)
    assert "12 of 24 photos and 10 of 13 styles shown" in page.text
    assert len(page.images(" in the style of ")) == 120
    assert len(page.html.encode()) < 6_000_000


def test_runs_of_one_kind_are_told_apart_by_folder(own: Path) -> None:
    shutil.copytree(own / "cnn", own / "other" / "cnn")
    shutil.copytree(own / "cnn", own / "again")
    page = build(own, own / "data", own / "cnn", own / "other" / "cnn", own / "again")
    names = re.findall(r"<h3 id[^>]*>(.*?)</h3>", page.html)
    assert names == ["r0-cnn, cnn (run 1)", "r0-cnn, cnn (run 2)", "r0-cnn, again"]


def damage(path: Path, how: str) -> None:
    if how == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif how == "list":
        path.write_text("[1, 2]")
    else:
        path.write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize(
    ("name", "how"),
    [
        *(("cnn/evaluation.json", how) for how in ("cut", "list", "bytes")),
        *(("cnn/config.json", how) for how in ("cut", "list")),
        *(("cnn/predictions.csv", how) for how in ("cut", "bytes")),
        *(("cnn/curves.csv", how) for how in ("list", "bytes")),
        *(("data/manifest.csv", how) for how in ("cut", "bytes")),
        *(("data/config.json", how) for how in ("cut", "list")),
    ],
)
def test_a_damaged_file_is_named_and_an_older_report_stays(own: Path, name: str, how: str) -> None:
    (own / "report.html").write_text("older")
    damage(own / name, how)
    with pytest.raises(RunError, match=re.escape(name)) as caught:
        build(own, own / "data", own / "cnn")
    assert caught.value.hint
    assert (own / "report.html").read_text() == "older"


def test_a_folder_that_is_no_data_set_or_run_is_refused(own: Path) -> None:
    with pytest.raises(RunError, match=r"holds no manifest\.csv"):
        build(own, own / "cnn")
    with pytest.raises(RunError, match="is not a folder"):
        build(own, own / "data", own / "nowhere")
    with pytest.raises(UsageError, match="could not be written"):
        build_report(own / "data", [], own / "data")


def test_a_table_may_not_point_out_of_its_folder(own: Path) -> None:
    rows = read_rows(own / "data" / "manifest.csv")
    rows[0]["output"] = "../photos/photo-00.png"
    write_rows(own / "data" / "manifest.csv", rows)
    with pytest.raises(RunError, match="outside its folder"):
        build(own, own / "data")


def test_photos_of_one_scene_are_counted_as_such(own: Path) -> None:
    rows = read_rows(own / "data" / "manifest.csv")
    write_rows(own / "data" / "manifest.csv", [row | {"group": f"the {row['split']} scene"} for row in rows])
    page = build(own, own / "data", own / "cnn")
    assert ["different photos", "4", "2", "2", "8"] in page.rows
    assert ["groups of photos", "1", "1", "1", "3"] in page.rows
    assert "The scored pictures come from 2 photos of 1 scene." in page.text
    assert "its splits differ" in page.text


def test_an_interrupted_data_set_is_noted(own: Path) -> None:
    (own / "data" / "manifest.json").unlink()
    assert "repainting was interrupted" in build(own, own / "data").text


def test_other_splits_are_listed_and_not_compared(own: Path) -> None:
    run = make_run(own / "early", own / "data", model="frozen:other", split="validation", skill=0.5)
    page = build(own, own / "data", own / "cnn", run)
    assert "frozen other was scored on the validation pictures and is not compared" in page.text


def test_settings_hashes_and_versions_are_on_the_page(made: Path, page: Page) -> None:
    assert ["config.stylize.seed", "7"] in page.rows
    assert ["preprocessing.size", "128"] in page.rows
    assert any(row[:1] == ["evaluation.json"] and re.fullmatch("[0-9a-f]{64}", row[1]) for row in page.rows)


def test_progress_rises_to_its_total(made: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    build_report(made / "data", [made / "cnn"], tmp_path / "r.html", on_progress=seen.append)
    steps: Sequence[int] = [item.step for item in seen]
    assert steps == sorted(steps)
    assert steps[-1] == seen[-1].total


def test_a_leak_is_the_first_thing_said(own: Path) -> None:
    rows = read_rows(own / "data" / "manifest.csv")
    rows[-1]["content_sha256"] = rows[-1]["group"] = rows[0]["group"]
    write_rows(own / "data" / "manifest.csv", rows)
    scores = json.loads((own / "vgg" / "evaluation.json").read_text())
    write_object(own / "vgg" / "evaluation.json", scores | {"trained_on": ["a.png", "b.png"]})
    text = build(own, own / "data", own / "vgg").text
    assert "What this cannot tell There is a leak: 2 photos in more than one split" in text
    assert "frozen impasto-vgg was taught with 2 of the 8 pictures" in text
    assert "No test photo was seen in training" not in text
