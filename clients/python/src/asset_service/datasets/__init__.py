"""Datasets: named, immutable lists of files, and drafts of them."""

from __future__ import annotations

from asset_service.datasets._datasets import Datasets, DatasetVersion
from asset_service.datasets._diff import Diff, diff
from asset_service.datasets._draft import Draft, drafts_directory
from asset_service.datasets._manifest import Entry, Manifest

__all__ = ["DatasetVersion", "Datasets", "Diff", "Draft", "Entry", "Manifest", "diff", "drafts_directory"]
