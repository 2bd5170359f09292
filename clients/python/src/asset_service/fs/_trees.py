"""What is behind a path: a file by its id, a version of a dataset, or a draft."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from asset_service.datasets._datasets import Datasets
from asset_service.datasets._draft import Draft
from asset_service.datasets._manifest import DRAFT, Entry, Manifest
from asset_service.fs._session import Session

_VERSION_SECONDS = 60.0
"""How long a version is used without another look whether it was deleted."""


class Tree(Protocol):
    """A list of files by path."""

    def entry(self, path: str) -> Entry | None:
        """The file at a path."""
        ...

    def children(self, path: str) -> Mapping[str, Entry | None] | None:
        """What is in a folder by name, None for a folder; None if there is no such folder."""
        ...


@dataclass(frozen=True)
class Place:
    """A path, taken apart."""

    head: str
    """The id of a file, or `DATASET@VERSION`."""
    rest: str
    """The path inside the dataset; empty for a file by its id."""

    @property
    def is_dataset(self) -> bool:
        """Whether it is in a dataset."""
        return "@" in self.head


def place_of(path: str) -> Place:
    """A path without `asset://`, taken apart."""
    head, _, rest = path.partition("/")
    return Place(head, rest.rstrip("/"))


class Trees:
    """The datasets that a filesystem reads and writes."""

    def __init__(self, session: Session, drafts: Path) -> None:
        self.datasets = Datasets(session.client)
        self._drafts = drafts
        self._versions = session.versions

    def draft(self, place: Place) -> Draft | None:
        """The draft that a path is in."""
        name, _, version = place.head.rpartition("@")
        return Draft(name, self._drafts) if version == DRAFT else None

    def tree(self, place: Place) -> Tree:
        """The draft or version that a path is in. Raises DATASET_NOT_FOUND."""
        draft = self.draft(place)
        if draft is not None:
            return draft
        known = self._versions.get(place.head)
        if known is not None and time.monotonic() < known[0]:
            return known[1]
        name, _, version = place.head.rpartition("@")
        manifest = self.datasets.get(name, version).manifest
        self._versions[place.head] = (time.monotonic() + _VERSION_SECONDS, manifest)
        return manifest

    def forget(self) -> None:
        """Reads versions again when they are used next."""
        self._versions.clear()
