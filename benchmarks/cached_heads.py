"""R4's frozen recipe with features computed once, against the same recipe through the encoder in every epoch."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from impasto.classify.features import Extractor
from impasto.classify.fit.feeds import FeatureFeed, PictureFeed
from impasto.classify.fit.loop import Fitting
from impasto.classify.fit.processes import Crew
from impasto.classify.models import HEADS, OnFeatures
from impasto.classify.models.build import fresh_head
from impasto.classify.recipes import R4_HEAD_RECIPE, Recipe
from impasto.data.dataset import Dataset, read_dataset
from impasto.data.load.augmentations import Augmentation
from impasto.data.load.loaders import Loader, Side
from impasto.data.load.picture_set import Pictures, read_pictures
from impasto.data.load.pictures import Preprocessing, scaled
from impasto.encoders import Encoder, load_encoder
from impasto.files import file_digests
from impasto.runtime import Stopwatch, choose_dtype
from impasto.statistics import Proportion, mcnemar

_CPU = torch.device("cpu")
_WATCHED = 10  # pictures a class that choose the epoch, of those that training does not see


def cached_heads(folder: Path, encoder: str = "squeezenet1_0", views: int = 2, epochs: int = 80) -> None:
    """Seconds and right answers of both ways: R4's size, two classes, batches of 10, augmented, each with two heads.

    Ten pictures a class of the validation split choose the epoch, the others judge. The decoded pictures are kept for
    both ways, and both go through the encoder in the precision that the program chooses for training.
    """
    for head in ("r4-mean", "r4"):
        _race(folder, head, encoder, views, epochs)


def _race(folder: Path, head: str, encoder: str, views: int, epochs: int) -> None:
    network = load_encoder(encoder)
    assert isinstance(network, Encoder)
    with tempfile.TemporaryDirectory() as place:
        race = _Race.of(read_dataset(folder), head, network, Path(place))
        judged = int(race.judged.sum())
        taught = int(race.train.sum())
        print(f"cached-heads: R4's recipe, {epochs} epochs, {encoder} with {head}, {taught} pictures, {judged} judged")
        recipe = Recipe(**{**R4_HEAD_RECIPE.__dict__, "epochs": epochs})
        slow, straight = race.end_to_end(recipe)
        print(f"  through the encoder in each epoch: {slow:7.1f} s  {_score(straight)}")
        for label in ("computed   ", "found again"):
            fast, cached = race.cached(recipe, views)
            same = mcnemar(cached.tolist(), straight.tolist())
            verdict = f"ratio {slow / fast:.1f}, McNemar b {same.b}, c {same.c}, p {same.p:.2f}"
            print(f"  {views} views of each, {label}: {fast:15.1f} s  {_score(cached)}  {verdict}")


@dataclass(frozen=True)
class _Race:
    head: str
    encoder: Encoder
    place: Path
    preprocessing: Preprocessing
    pictures: Pictures
    hashes: list[str]
    labels: Tensor
    train: Tensor
    watched: Tensor
    judged: Tensor

    @classmethod
    def of(cls, dataset: Dataset, head: str, encoder: Encoder, place: Path) -> _Race:
        classes = dataset.classes[1:3]
        samples = [item for item in dataset.samples if item.label in classes]
        preprocessing = Preprocessing(encoder.input_size)
        paths = [item.path for item in samples]
        hashes = file_digests(paths)
        labels = torch.tensor([classes.index(item.label) for item in samples])
        train = torch.tensor([item.split == "train" for item in samples])
        held = ~train
        first = torch.stack([(held & (labels == label)).cumsum(0) for label in range(2)])[
            labels, torch.arange(len(labels))
        ]
        watched = held & (first <= _WATCHED)
        pictures = read_pictures(paths, hashes, preprocessing, folder=place / "pictures")
        return cls(head, encoder, place, preprocessing, pictures, hashes, labels, train, watched, held & ~watched)

    def end_to_end(self, recipe: Recipe) -> tuple[float, Tensor]:
        """Return seconds, and which of the judged pictures are named correctly."""
        watch = Stopwatch()
        network = OnFeatures(self.encoder, self._head())
        with Loader(self.pictures, recipe.batch_size, _CPU) as loader:
            feed = PictureFeed(
                loader, self._side(self.train), self._side(self.watched), Augmentation(recipe.augment), 0
            )
            Fitting(network, feed, recipe, 2, Crew(_CPU), dtype=choose_dtype("auto", _CPU, batches=True)).run()
        return watch.seconds, self._right(network)

    def cached(self, recipe: Recipe, views: int) -> tuple[float, Tensor]:
        """Return seconds, and which of the judged pictures are named correctly."""
        watch = Stopwatch()
        extract = Extractor(self.encoder, self.preprocessing, _CPU, self.place / "features", grid=self._grid)
        hashes = [self.hashes[index] for index in self.train.nonzero().flatten().tolist()]
        taught = _Some(self.pictures, self.train.nonzero().flatten().tolist())
        values = extract.views(taught, hashes, Augmentation(recipe.augment), seed=0, count=views)  # type: ignore[arg-type]
        watched = self._features(self.watched), self.labels[self.watched]
        head = self._head()
        feed = FeatureFeed(values, self.labels[self.train], watched, recipe.batch_size, 0, _CPU)
        Fitting(head, feed, recipe, 2, Crew(_CPU)).run()
        return watch.seconds, self._right(OnFeatures(self.encoder, head))

    def _side(self, chosen: Tensor) -> Side:
        return Side(chosen.nonzero().flatten(), self.labels[chosen])

    def _head(self) -> nn.Module:
        return fresh_head(self.head, self.encoder.feature_count(self._grid), 2, seed=0)

    @property
    def _grid(self) -> int:
        return HEADS[self.head].grid

    def _features(self, chosen: Tensor) -> Tensor:
        batch = scaled(self.pictures.batch(chosen.nonzero().flatten().tolist()))
        return self.encoder.features(batch.contiguous(memory_format=torch.channels_last), self._grid)

    @torch.no_grad()
    def _right(self, network: OnFeatures) -> Tensor:
        network.eval()
        return network.head(self._features(self.judged)).argmax(1) == self.labels[self.judged]


@dataclass(frozen=True)
class _Some:
    """Some of a set of pictures, numbered anew."""

    pictures: Pictures
    rows: list[int]

    def batch(self, rows: list[int]) -> Tensor:
        return self.pictures.batch([self.rows[row] for row in rows])


def _score(right: Tensor) -> Proportion:
    return Proportion(int(right.sum()), len(right))
