"""Units of work, by name. Each computes on one core from files alone, so that no worker can change what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from impasto.classify.models.heads import HEADS
from impasto.classify.models.names import parse_model
from impasto.runs import digest
from impasto.runtime import derive_seed
from impasto.study.arms import Arm
from impasto.study.draws import Draw
from impasto.study.pool import Pool, names_of
from impasto.study.spec import Settings
from impasto.style.config import FastConfig, StylizeConfig


@dataclass(frozen=True)
class Painting:
    """One repaint: which photo, which style (places in the pool), and how."""

    photo: int
    style: int
    config: StylizeConfig | FastConfig
    photo_sha256: str
    style_sha256: str

    @property
    def key(self) -> str:
        """64 hexadecimal digits of everything that determines it; the file is named after the first 16."""
        return _painting_key(self.photo_sha256, self.style_sha256, self.config)

    @property
    def kind(self) -> str:
        """What it is a unit of."""
        return "repaint"

    @property
    def name(self) -> str:
        """Of its file, without ending."""
        return self.key[:16]


@cache
def _painting_key(photo_sha256: str, style_sha256: str, config: StylizeConfig | FastConfig) -> str:
    # Once for each repaint, and not for each cell that needs it: a study has thousands of those.
    return digest([photo_sha256, style_sha256, config])


@dataclass(frozen=True)
class Shown:
    """A picture that a classifier is taught or tested with: a photo, or a repaint of it."""

    photo: int
    painting: Painting | None = None


@dataclass(frozen=True)
class Way:
    """How features come about: by which encoder, of which size and grid, after which augmentation."""

    encoder: str
    image_size: int | None
    grid: int
    normalise: bool
    augment: str
    views: int


@dataclass(frozen=True)
class Encoding:
    """The features of a few pictures."""

    way: Way
    pictures: tuple[Shown, ...]
    hashes: tuple[str, ...]
    seed: int

    @cached_property
    def name(self) -> str:
        """Of its file, without ending."""
        return digest([self.way, self.hashes, self.seed])[:16]

    @property
    def kind(self) -> str:
        """What it is a unit of."""
        return "features"


@dataclass(frozen=True)
class Cell:
    """One arm on one draw, as places in the lists of both."""

    arm: int
    draw: int
    name: str

    @property
    def kind(self) -> str:
        """What it is a unit of."""
        return "cell"


Unit = Painting | Encoding | Cell


def painting(pool: Pool, settings: Settings, photo: int, style: int, strength: float, seed: int) -> Painting:
    """Return one repaint; its seed comes from what it is of, so that other pictures do not change it."""
    one, other = pool.photos[photo].sha256, pool.styles[style].sha256
    own = derive_seed(seed, one, other, f"{strength:g}")
    return Painting(photo, style, settings.painting(strength, own), one, other)


def chosen_styles(pool: Pool, settings: Settings) -> list[int]:
    """Return the places of the styles that an arm paints in."""
    wanted = set(settings.styles)
    return [place for place, style in enumerate(pool.styles) if not wanted or wanted & set(names_of(style.name))]


def repaints_of(pool: Pool, settings: Settings, photo: int, seed: int) -> list[Painting]:
    """Return what an arm adds of one photo: every style in every strength."""
    return [
        painting(pool, settings, photo, style, strength, seed)
        for style in chosen_styles(pool, settings)
        for strength in settings.strengths
    ]


def way_of(settings: Settings, augment: bool) -> Way:
    """Return how an arm's features come about, of its training pictures or (``augment`` is false) of others."""
    encoder = parse_model(settings.model).encoder
    assert encoder is not None
    name, views = (settings.augment, settings.views) if augment and settings.augment != "none" else ("none", 1)
    return Way(encoder, settings.image_size, HEADS[settings.head or "linear"].grid, settings.normalise, name, views)


def hash_of(pool: Pool, shown: Shown) -> str:
    """Return what identifies a picture and seeds its augmentation."""
    return shown.painting.key if shown.painting else pool.photos[shown.photo].sha256


def cell_of(arm: int, draw: int, arms: Sequence[Arm], dealt: Draw) -> Cell:
    """Return a cell; its file is named after its settings and its draw: arms of equal settings share it."""
    return Cell(arm, draw, f"{arms[arm].key}-{dealt.replicate:03}-{dealt.fold}")
