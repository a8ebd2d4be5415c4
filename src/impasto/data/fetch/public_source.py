"""The record of a public data set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from impasto.data.fetch.remote import RemoteFile
from impasto.data.importing.records import ImportConfig

Transport = Literal["http", "torchvision", "hub", "kaggle"]


@dataclass(frozen=True)
class PublicSource:
    """A public data set.

    Attributes:
        name: what it is fetched by.
        title: its own name.
        about: what is in it.
        pictures: how many, about.
        size: bytes to download, about.
        licence: under which it is published.
        terms: what that means for whoever uses it.
        restricted: whether the terms allow research or non-commercial use only.
        home: its page.
        transport: http: files; torchvision: a class of ``torchvision.datasets``, which reads the labels; hub: Parquet
            files of a Hugging Face repository; kaggle: Kaggle's client.
        files: what is downloaded, or what to download by hand.
        handle: the class, the repository, or the name at Kaggle.
        folder: the folder that the class of torchvision keeps its files in.
        splits: its names of the splits.
        label_columns: hub: the columns that can be the label, the usual one first.
        left_out: hub: classes that stand for "not known".
        config: how it is imported.
        mend: classes to rename where they are there: names that some copies of it carry.
    """

    name: str
    title: str
    about: str
    pictures: int
    size: int
    licence: str
    terms: str
    restricted: bool
    home: str
    transport: Transport
    files: tuple[RemoteFile, ...] = ()
    handle: str = ""
    folder: str = ""
    splits: tuple[str, ...] = ()
    label_columns: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    config: ImportConfig = field(default_factory=ImportConfig)
    mend: tuple[tuple[str, str], ...] = ()
