"""Public data sets: what each is, its terms, where it is, and how it becomes a data set of ours.

Sizes and checksums are those in the sources of torchvision and of others who pin these files; a file without one has no
published checksum, and the digest found is recorded in the data set's manifest.
"""

from __future__ import annotations

from impasto.data.fetch.public_source import PublicSource
from impasto.data.fetch.remote import RemoteFile
from impasto.data.importing.records import ImportConfig
from impasto.errors import UnknownNameError

_COCO_TERMS = "The consortium does not own the photos: Flickr's terms of use, and each photo's own licence."

_SOURCES = (
    PublicSource(
        name="caltech101",
        title="Caltech 101",
        about="101 classes of things, 40 to 800 pictures each; without its class of background clutter",
        pictures=8677,
        size=137_414_764,
        licence="CC BY 4.0",
        terms="Name Li, Andreeto, Ranzato and Perona (2022), Caltech 101, CaltechDATA.",
        restricted=False,
        home="https://data.caltech.edu/records/mzrjq-6wc02",
        transport="http",
        files=(
            RemoteFile(
                name="caltech-101.zip",
                url="https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
                size=137_414_764,
                md5="3138e1922a9193bfa496528edbbc45d0",
                sha256="331234750fc7f77520e50d9565e8b6907b03565e30320da1401130db08c61f91",
            ),
        ),
        config=ImportConfig(rename=(("BACKGROUND_Google", ""),)),
    ),
    PublicSource(
        name="art-media",
        title="Art Images: Drawing/Painting/Sculptures/Engravings",
        about="five media: drawings, engraving, iconography, painting, sculpture; two archives that overlap, some "
        "files damaged; training and validation as published",
        pictures=8800,
        size=600_000_000,
        licence="none stated",
        terms="Collected from image searches and the Virtual Russian Museum: the pictures belong to their owners.",
        restricted=False,
        home="https://www.kaggle.com/datasets/thedownhill/art-images-drawings-painting-sculpture-engraving",
        transport="kaggle",
        files=(RemoteFile("archive.zip"),),
        handle="thedownhill/art-images-drawings-painting-sculpture-engraving",
        # dataset/dataset_updated/training_set/drawings/..., the same below musemart/, and folders that are no class
        config=ImportConfig(
            label_regex=r"(?P<split>training_set|validation_set)/"
            r"(?P<label>drawings|engraving|iconography|painting|sculpture)/"
        ),
    ),
    PublicSource(
        name="wikiart",
        title="WikiArt (huggan/wikiart)",
        about="paintings by 128 named artists, in 10 genres and 27 styles; --label-column artist, genre or style",
        pictures=81_444,
        size=30 * 2**30,
        licence="unknown; data files © original authors",
        terms="For non-commercial research only; the terms of WikiArt.org apply.",
        restricted=True,
        home="https://huggingface.co/datasets/huggan/wikiart",
        transport="hub",
        files=(RemoteFile("dataset_infos.json"), RemoteFile("data/train-00000-of-00072.parquet")),
        handle="huggan/wikiart",
        label_columns=("artist", "genre", "style"),
        left_out=("Unknown Artist", "Unknown Genre"),
    ),
    PublicSource(
        name="best-artworks",
        title="Best Artworks of All Time",
        about="works of 50 artists in full size",
        pictures=8400,
        size=2_300_000_000,
        licence="CC BY-NC-SA 4.0",
        terms="Non-commercial use only; collected from artchallenge.ru.",
        restricted=True,
        home="https://www.kaggle.com/datasets/ikarus777/best-artworks-of-all-time",
        transport="kaggle",
        files=(RemoteFile("archive.zip"),),
        handle="ikarus777/best-artworks-of-all-time",
        # resized/resized/ has the same works again, small
        config=ImportConfig(label_regex=r"(?:^|/)images/images/(?P<label>[^/]+)/"),
        # One artist is there twice, in two folders whose names were spoilt in two ways.
        mend=(
            ("Albrecht_Du╠êrer", "Albrecht_Dürer"),
            ("Albrecht_DuΓòá├¬rer", "Albrecht_Dürer"),
            ("Albrecht_Du\N{COMBINING DIAERESIS}rer", "Albrecht_Dürer"),
        ),
    ),
    PublicSource(
        name="coco-val2017",
        title="COCO 2017, validation photos",
        about="photos of everyday scenes without labels, in one folder: content for repainting and for networks",
        pictures=5000,
        size=815_585_330,
        licence="each photo its own (Flickr)",
        terms=_COCO_TERMS,
        restricted=False,
        home="https://cocodataset.org/#download",
        transport="http",
        files=(
            RemoteFile(
                name="val2017.zip",
                url="http://images.cocodataset.org/zips/val2017.zip",
                size=815_585_330,
                md5="442b8da7639aecaf257c1dceb8ba8c80",
                sha256="4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
            ),
        ),
        config=ImportConfig(rename=(("val2017", "photo"),)),
    ),
    PublicSource(
        name="coco-train2014",
        title="COCO 2014, training photos",
        about="the photos that fast style networks are usually trained on, without labels, in one folder",
        pictures=82_783,
        size=13_510_573_713,
        licence="each photo its own (Flickr)",
        terms=_COCO_TERMS,
        restricted=False,
        home="https://cocodataset.org/#download",
        transport="http",
        files=(
            RemoteFile(
                name="train2014.zip",
                url="http://images.cocodataset.org/zips/train2014.zip",
                size=13_510_573_713,
                sha256="ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
            ),
        ),
        config=ImportConfig(rename=(("train2014", "photo"),)),
    ),
    PublicSource(
        name="dtd",
        title="Describable Textures Dataset",
        about="47 classes of textures, 120 pictures each",
        pictures=5640,
        size=625_239_812,
        licence="none stated",
        terms="Made available to the computer vision community for research purposes.",
        restricted=True,
        home="https://www.robots.ox.ac.uk/~vgg/data/dtd/",
        transport="http",
        files=(
            RemoteFile(
                name="dtd-r1.0.1.tar.gz",
                url="https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz",
                size=625_239_812,
                md5="fff73e5086ae6bdbea199a49dfb8a4c1",
                sha256="e42855a52a4950a3b59612834602aa253914755c95b0cff9ead6d07395f8e205",
            ),
        ),
        config=ImportConfig(label_regex=r"(?:^|/)images/(?P<label>[^/]+)/"),
    ),
    PublicSource(
        name="flowers102",
        title="Oxford 102 Flowers",
        about="102 kinds of flowers, 40 to 258 pictures each; splits as published",
        pictures=8189,
        size=344_878_000,
        licence="none stated",
        terms="Collected from the web: the pictures belong to their owners.",
        restricted=False,
        home="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
        transport="torchvision",
        files=(
            RemoteFile(
                name="102flowers.tgz",
                url="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/102flowers.tgz",
                size=344_862_509,
                md5="52808999861908f626f3c1f4e79d11fa",
                sha256="2d01ecc807db462958cfe3d92f57a8c252b4abd240eb955770201e45f783b246",
            ),
            RemoteFile(
                name="imagelabels.mat",
                url="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/imagelabels.mat",
                size=502,
                md5="e0620be6f572b9609742df49c70aed4d",
                sha256="4903e94206bac23bf772aadf06451916df56b58fc483a62db32a97b82656651d",
            ),
            RemoteFile(
                name="setid.mat",
                url="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/setid.mat",
                size=14_989,
                md5="a5357ecc9cb78c4bef273ce3793fc85c",
                sha256="46b8678f91fd95d3c8f4feab80d271a6c834a1dd896fe29fd3e6ad9ce5c8dccd",
            ),
        ),
        handle="Flowers102",
        folder="flowers-102",
        splits=("train", "val", "test"),
    ),
    PublicSource(
        name="oxford-pets",
        title="Oxford-IIIT Pet Dataset",
        about="37 breeds of cats and dogs, about 200 pictures each",
        pictures=7390,
        size=791_918_971,
        licence="CC BY-SA 4.0",
        terms="Name Parkhi, Vedaldi, Zisserman and Jawahar (2012); share alike.",
        restricted=False,
        home="https://www.robots.ox.ac.uk/~vgg/data/pets/",
        transport="http",
        files=(
            RemoteFile(
                name="images.tar.gz",
                url="https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz",
                size=791_918_971,
                md5="5c4f3ee8e5d25df40f4fd59a7f44e54c",
                sha256="67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
            ),
        ),
        config=ImportConfig(label_regex=r"(?:^|/)(?P<label>[A-Za-z_]+)_[0-9]+\.jpg$"),
    ),
    PublicSource(
        name="imagenette",
        title="Imagenette, 320 pixels",
        about="ten easy classes of ImageNet, shorter side 320 pixels; training and validation as published",
        pictures=13_394,
        size=341_663_724,
        licence="Apache-2.0 for the selection; the photos are ImageNet's",
        terms="ImageNet's terms: non-commercial research and teaching.",
        restricted=True,
        home="https://github.com/fastai/imagenette",
        transport="http",
        files=(
            RemoteFile(
                name="imagenette2-320.tgz",
                url="https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz",
                size=341_663_724,
                md5="3df6f0d01a2c9592104656642f5e78a3",
                sha256="569b4497c98db6dd29f335d1f109cf315fe127053cedf69010d047f0188e158c",
            ),
        ),
        config=ImportConfig(
            rename=(
                ("n01440764", "tench"),
                ("n02102040", "English springer"),
                ("n02979186", "cassette player"),
                ("n03000684", "chain saw"),
                ("n03028079", "church"),
                ("n03394916", "French horn"),
                ("n03417042", "garbage truck"),
                ("n03425413", "gas pump"),
                ("n03445777", "golf ball"),
                ("n03888257", "parachute"),
            )
        ),
    ),
)
CATALOGUE = {source.name: source for source in _SOURCES}


def find_source(name: str) -> PublicSource:
    """Return a public source by its name.

    Raises:
        UnknownNameError: there is none; the nearest are offered.
    """
    if name not in CATALOGUE:
        raise UnknownNameError("public source", name, CATALOGUE)
    return CATALOGUE[name]
