"""The page of a map: nothing from elsewhere, no name does harm, thumbnails where the script looks for them."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from classify_fixtures import COLOURS, paint
from embed_fixtures import clouds, collection
from impasto.data.dataset import Sample
from impasto.embed import CollectionMap
from impasto.embed.figure import draw_map, summary, to_png
from impasto.files import file_digest
from impasto.report import collection_sprites
from impasto.report.collection import build_collection_page, render_collection
from impasto.report.collection_sprites import Sprites, make_sprites, side_for

HOSTILE = ("</script><script>alert(1)</script>", "<img src=x onerror=alert(2)>", '"&amp;\u2028]]>', "$a_b^{c$")


class Page(HTMLParser):
    """Tags with their attributes, and the text of scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.scripts[-1] += data
        self.text += data


def without_pictures(found: CollectionMap) -> Sprites:
    return Sprites(32, (), ((0, 0),) * len(found.dataset))


def doubtful(labels: tuple[str, ...] = HOSTILE) -> CollectionMap:
    """A map with suspects, mixtures and twins, of classes with these names."""
    values, numbers = clouds(80, classes=4)
    names = [labels[int(name.split()[1])] for name in numbers]
    names[0], names[5] = labels[1], labels[2]
    values[11] = values[3]
    return collection(values, names)


def test_no_name_of_a_class_or_file_does_harm() -> None:
    found = doubtful()
    assert found.suspects
    assert found.twins
    page = Page(render_collection(found, without_pictures(found)))
    assert len(page.scripts) == 2
    data = json.loads(page.scripts[0])
    assert data["classes"] == sorted(HOSTILE)
    assert data["names"] == found.names
    assert not [tag for tag, _ in page.tags if tag in ("img", "iframe", "link", "object", "embed", "base", "form")]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    for name in HOSTILE:
        assert name in page.text


def test_the_page_needs_nothing_else_and_runs_its_own_script_alone() -> None:
    found = doubtful(("a", "b", "c", "d"))
    html = render_collection(found, without_pictures(found))
    page = Page(html)
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    policy = next(each["content"] for _, each in page.tags if each.get("http-equiv") == "Content-Security-Policy")
    assert policy == (f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'")
    assert not re.findall(r"https?://|@import|url\(|\bfetch\(|XMLHttpRequest|innerHTML|eval\(", html)
    ids = [each["id"] for _, each in page.tags if each.get("id")]
    assert len(ids) == len(set(ids))
    for wanted in re.findall(r'\$\("(\w+)"\)', page.scripts[1]):
        assert wanted in ids, wanted


def test_the_script_gets_what_the_tables_say() -> None:
    found = doubtful(("a", "b", "c", "d"))
    data = json.loads(Page(render_collection(found, without_pictures(found))).scripts[0])
    assert data["k"] == 8
    assert np.reshape(data["neighbours"], (80, 8)).tolist() == found.neighbours[:, :8].tolist()
    assert [data["classes"][place] for place in data["labels"]] == [item.label for item in found.dataset.samples]
    xy = np.reshape(data["maps"][0]["xy"], (80, 2))
    assert (xy.min(), xy.max()) == (0, 1)
    span = np.ptp(found.pca.numpy(), axis=0).max()
    np.testing.assert_allclose(xy[1:] - xy[:-1], np.diff(found.pca.numpy(), axis=0) / span * [1, -1], atol=3e-5)
    assert set(data["suspects"]) == {str(item.index) for item in found.suspects}


def test_thumbnails_lie_where_the_script_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection_sprites, "ROWS", 1)  # sheets of 32
    names = ("red", "blue", "green")
    samples = []
    for index in range(40):
        size = (40, 20) if index % 2 else (20, 40)
        path = paint(tmp_path / f"{index}.png", names[index % 3], index, size)
        samples.append(Sample(path, names[index % 3], sha256=file_digest(path)))
    samples[7].path.write_bytes(b"?")
    paint(samples[8].path, "grey", 3)  # readable, and not the picture of the map any more
    sprites = make_sprites(samples)
    assert (sprites.side, len(sprites.sheets), sprites.missing) == (160, 2, 2)
    assert [index for index, size in enumerate(sprites.sizes) if size == (0, 0)] == [7, 8]
    sheets = [Image.open(io.BytesIO(base64.b64decode(each.partition(",")[2]))) for each in sprites.sheets]
    for index in (0, 1, 31, 32, 39):
        cell, (width, height) = index % 32, sprites.sizes[index]
        assert (width, height) == ((160, 80) if index % 2 else (80, 160))
        columns = min(32, sheets[index // 32].width // 160)
        left, top = cell % columns * 160, cell // columns * 160
        seen = np.asarray(sheets[index // 32].convert("RGB").crop((left, top, left + width, top + height)))
        np.testing.assert_allclose(seen.mean((0, 1)), COLOURS[names[index % 3]], atol=12)


def test_ten_thousand_pictures_stay_below_the_limit() -> None:
    assert [side_for(count) for count in (1, 1000, 10_000, 10**6)] == [160, 154, 48, 32]
    noise = np.random.default_rng(0).integers(0, 256, (32 * 48, 32 * 48, 3), dtype=np.uint8)
    limit = collection_sprites._BYTES * 1024 // 10_000
    assert len(collection_sprites._encoded(Image.fromarray(noise), limit)) <= limit


def test_the_same_map_gives_the_same_page(tmp_path: Path) -> None:
    values, labels = clouds(12)
    found = collection(values, labels, tmp_path)
    for sample in found.dataset.samples:
        paint(sample.path, "red", 1)
    for name in ("one.html", "two.html"):
        build_collection_page(found, tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_a_page_without_labels_has_no_classes() -> None:
    values, _ = clouds(12)
    found = collection(values, [""] * 12)
    html = render_collection(found, without_pictures(found))
    assert "by chance" not in Page(html).text
    assert not json.loads(Page(html).scripts[0])["labelled"]
    assert [line for line in summary(found) if "class" in line] == []


@pytest.mark.parametrize("classes", [1, 4, 101])
def test_the_figure_names_every_class_and_says_what_it_is_worth(classes: int) -> None:
    values, labels = clouds(404, classes, length=110)
    figure = draw_map(collection(values, [f"${label}_$" for label in labels]))
    axes = figure.axes[0]
    legend = axes.get_legend()
    told = {text.get_text() for text in [*axes.texts, *(legend.get_texts() if legend else [])]}
    assert told == {f"${label}_$" for label in labels}
    for number in ("trustworthiness 0.", "continuity 0.", "by chance", "in the features"):
        assert number in axes.get_xlabel()
    with Image.open(io.BytesIO(to_png(figure))) as image:
        assert image.info.get("Software") is None
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24)}
        assert len(colours) > 100


def test_doubtful_labels_have_a_ring() -> None:
    found = doubtful(("a", "b", "c", "d"))
    legend = draw_map(found).axes[0].get_legend()
    assert legend is not None
    assert "label may be wrong" in [text.get_text() for text in legend.get_texts()]
    rings = next(each for each in draw_map(found).axes[0].collections if each.get_label() == "label may be wrong")
    expected = found.coordinates[torch.tensor([item.index for item in found.suspects])]
    np.testing.assert_allclose(np.asarray(rings.get_offsets()), expected.numpy())
