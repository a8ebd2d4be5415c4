"""Sample photographs that ship inside packages impasto depends on anyway. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from impasto.errors import DataError
from impasto.images import open_picture, resize_long, save_picture
from impasto.runs import write_csv

# Fewer would leave a split without a photo.
_FEWEST = 6
_LONG_SIDE = 512


@dataclass(frozen=True)
class PhotoRecord:
    """One photograph: its name, the file inside an installed package, and its credit."""

    name: str
    package: str
    file: str
    credit: str


# Licences as the packages state them.
PHOTOS = (
    PhotoRecord("astronaut", "skimage", "data/astronaut.png", "Eileen Collins, NASA, public domain"),
    PhotoRecord("cameraman", "skimage", "data/camera.png", "Lav Varshney, CC0"),
    PhotoRecord("cat", "skimage", "data/chelsea.png", "Chelsea the cat, Stefan van der Walt, CC0"),
    PhotoRecord("coffee", "skimage", "data/coffee.png", "Rachel Michetti, CC0"),
    PhotoRecord("coins", "skimage", "data/coins.png", "Greek coins from Pompeii, Brooklyn Museum, public domain"),
    PhotoRecord("galaxies", "skimage", "data/hubble_deep_field.jpg", "Hubble deep field, NASA, public domain"),
    PhotoRecord("moon", "skimage", "data/moon.png", "NASA, public domain"),
    PhotoRecord("motorcycle", "skimage", "data/motorcycle_left.png", "Daniel Scharstein, CC0"),
    PhotoRecord("rocket", "skimage", "data/rocket.jpg", "SpaceX, CC0"),
    PhotoRecord("temple", "sklearn", "datasets/images/china.jpg", "danielbuechele, CC BY 2.0"),
    PhotoRecord("flower", "sklearn", "datasets/images/flower.jpg", "vultilion, CC BY 2.0"),
    PhotoRecord("hopper", "matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "US Navy, public domain"),
)


def sample_photos(folder: Path, records: Sequence[PhotoRecord] = PHOTOS) -> list[Path]:
    """Copy the sample photos into ``folder`` as JPEG, longer side 512 pixels at most, with their credits.

    Raises:
        DataError: fewer than six of them are in the installed packages.
    """
    found = [(record, path) for record in records if (path := _installed(record))]
    if len(found) < _FEWEST:
        names = ", ".join(record.name for record, _ in found) or "none"
        raise DataError(
            f"only {len(found)} sample photos are in the installed packages ({names}).",
            "Give a folder of your own with --content.",
        )
    copies = [(_copy(record, source, folder), record) for record, source in found]
    rows = [{"photo": path.name, "credit": record.credit, "package": record.package} for path, record in copies]
    write_csv(folder / "credits.csv", rows, ["photo", "credit", "package"])
    return [path for path, _ in copies]


def _installed(record: PhotoRecord) -> Path | None:
    spec = find_spec(record.package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / record.file
    return path if path.is_file() else None


def _copy(record: PhotoRecord, source: Path, folder: Path) -> Path:
    picture = open_picture(source)
    image = resize_long(picture.image, _LONG_SIDE) if max(picture.image.size) > _LONG_SIDE else picture.image
    made = {"procedure": "sample photo", "credit": record.credit, "sha256": picture.sha256}
    path = folder / f"{record.name}.jpg"
    save_picture(image, path, provenance=made)
    return path
