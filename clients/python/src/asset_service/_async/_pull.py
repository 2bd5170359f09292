"""Reads pieces from what is read once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

from asset_service.errors import source_failed

READ_BYTES = 512 * 1024
"""How much is read at once of a file that is read once."""


class Puller:
    """Takes pieces from an iterable or from a file that is read once. A read goes on although its reader was cancelled."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self._pending: asyncio.Task[object] | None = None
        self._iterator: Any = None
        if not hasattr(source, "read"):
            self._iterator = aiter(source) if hasattr(source, "__aiter__") else iter(source)

    async def pull(self) -> object:
        """The next piece; None at the end."""
        task = self._pending
        if task is None:
            task = self._pending = asyncio.ensure_future(self._next())
        piece = await asyncio.shield(task)
        if self._pending is task:
            self._pending = None
        return piece

    async def _next(self) -> object:
        if self._iterator is None:
            return await self._read()
        if hasattr(self._iterator, "__anext__"):
            return await anext(self._iterator, None)
        return await asyncio.to_thread(next, self._iterator, None)

    async def _read(self) -> object:
        read = self._source.read
        if asyncio.iscoroutinefunction(read) or asyncio.iscoroutinefunction(getattr(read, "__func__", None)):
            return await read(READ_BYTES) or None
        piece = await asyncio.to_thread(read, READ_BYTES)
        if hasattr(piece, "__await__"):
            piece = await piece
        return piece or None

    async def close(self) -> None:
        """Ends a read that hangs, and the iterator."""
        task, self._pending = self._pending, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        close = getattr(self._iterator, "aclose", None)
        if close is not None:
            try:
                await close()
            except Exception:
                return


def check_source(source: object) -> None:
    """Raises SOURCE_FAILED for a source that only the other client takes."""
    if isinstance(source, Iterator) or hasattr(source, "read") or hasattr(source, "__aiter__"):
        return
    if isinstance(source, Iterable):
        return
    raise source_failed(
        TypeError(f"it is neither a path, bytes, a file, an iterable nor a function, but a {type(source).__name__}")
    )
