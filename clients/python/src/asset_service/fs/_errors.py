"""Errors as those expect who use files: `FileNotFoundError`, `PermissionError`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from asset_service.errors import AssetError


@contextmanager
def as_os_errors(path: str) -> Iterator[None]:
    """Raises FileNotFoundError and PermissionError for what means the same; the AssetError is their cause."""
    try:
        yield
    except AssetError as error:
        if error.code == "NOT_FOUND":
            raise FileNotFoundError(2, str(error), path) from error
        if error.code in ("PERMISSION_DENIED", "UNAUTHENTICATED"):
            raise PermissionError(13, str(error), path) from error
        raise
