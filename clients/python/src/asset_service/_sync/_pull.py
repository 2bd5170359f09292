"""Reads pieces from what is read once."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any, cast

from asset_service.errors import source_failed

READ_BYTES = 512 * 1024
"""How much is read at once of a file that is read once."""


class Puller:
    """Takes pieces from an iterable or from a file that is read once. A read goes on although its call has ended; the next
    one waits for it."""

    def __init__(self, source: Any) -> None:
        self._read = source.read if hasattr(source, "read") else None
        self._iterator = None if self._read else iter(source)
        self._lock = threading.Lock()

    def pull(self) -> object:
        """The next piece; None at the end."""
        with self._lock:
            if self._read is not None:
                return self._read(READ_BYTES) or None
            return next(cast(Iterator[object], self._iterator), None)

    def close(self) -> None:
        """Ends an iterator, unless a read of it hangs."""
        close = getattr(self._iterator, "close", None)
        if close is not None and self._lock.acquire(blocking=False):
            try:
                close()
            except Exception:
                return
            finally:
                self._lock.release()


def check_source(source: object) -> None:
    """Raises SOURCE_FAILED for a source that only the other client takes."""
    if hasattr(source, "read") or isinstance(source, Iterable):
        return
    if hasattr(source, "__aiter__"):
        raise source_failed(TypeError("only AsyncAssetClient takes an asynchronous iterable"))
    raise source_failed(
        TypeError(f"it is neither a path, bytes, a file, an iterable nor a function, but a {type(source).__name__}")
    )
