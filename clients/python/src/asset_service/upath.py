"""`asset://` for universal_pathlib, which finds it by its entry point."""

from __future__ import annotations

from upath import UPath  # pyright: ignore[reportMissingImports]


class AssetPath(UPath):  # pyright: ignore[reportGeneralTypeIssues]
    """A path in a version or a draft of a dataset, or a file by its id."""

    __slots__ = ()
