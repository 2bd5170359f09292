"""Sources of uploads."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from io import TextIOBase
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from asset_service._async._io import run_blocking
from asset_service._async._pull import check_source
from asset_service._async._source import Opened, Source
from asset_service._async._streams import OpenedStream, StreamSource, bytes_of
from asset_service.errors import make_error, source_failed

CHUNK_BYTES = 1024 * 1024
"""Bytes per message: large enough to be cheap, small enough to keep many uploads in memory."""


ByteSource: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Iterable[bytes] | AsyncIterable[bytes]
)
"""Bytes to upload: a path, bytes, a file object (from its current position), or an iterable of bytes."""


UploadSource: TypeAlias = ByteSource | Callable[[], ByteSource] | Callable[[], Awaitable[ByteSource]]
"""The source of an upload.

A path, bytes and a seekable file object can be read from any offset. Of other sources the client keeps what the service
may need again. A function that opens a source is called once per try, and bytes that the service already has are skipped.
"""


def prepare_source(source: UploadSource) -> Source:
    """Determines the kind of a source without reading it. Raises SOURCE_FAILED."""
    if isinstance(source, (str, os.PathLike)):
        return _PathSource(_to_path(source))
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _BytesSource(source)
    if isinstance(source, TextIOBase):
        raise source_failed(TypeError("it is a file in text mode: open it with 'rb'"))
    if _is_seekable(source):
        return _FileSource(cast(BinaryIO, source))
    if callable(source) and not hasattr(source, "read"):
        return _OpenerSource(cast(Callable[[], Any], source))
    check_source(source)
    return StreamSource(source)


def _to_path(source: str | os.PathLike[str]) -> Path:
    text = os.fspath(source)
    if not isinstance(text, str):
        raise source_failed(TypeError("a path must be a text"))
    if text.startswith("file:"):
        text = url2pathname(urlsplit(text).path)
    return Path(text)


def _is_seekable(source: object) -> bool:
    if not (hasattr(source, "read") and hasattr(source, "seek") and hasattr(source, "tell")):
        return False
    seekable = getattr(source, "seekable", None)
    try:
        # The method of an asynchronous file returns an awaitable, which is read as a stream.
        return seekable is not None and seekable() is True
    except ValueError as error:
        raise source_failed(error) from error


class _BytesSource(Source):
    def __init__(self, content: bytes | bytearray | memoryview[Any]) -> None:
        view = memoryview(content)
        # A copy only if the bytes are not contiguous.
        self._content = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())

    async def size(self) -> int | None:
        return len(self._content)

    async def open(self, offset: int) -> Opened:
        return _OpenedBytes(self._content, offset)


class _OpenedBytes:
    def __init__(self, content: memoryview, position: int) -> None:
        self._content, self.position, self._at = content, position, position

    async def read(self, size: int) -> bytes:
        piece = bytes(self._content[self._at : self._at + size])
        self._at += len(piece)
        return piece

    async def close(self) -> None:
        return


class _PathSource(Source):
    """A file on disk. If it changes while it is sent, the upload fails: a mix of old and new bytes never was a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = path.name
        self._version: tuple[int, int, int] | None = None

    def look(self, found: os.stat_result) -> int:
        """The size, after checking that the file is unchanged."""
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{self._path} is not a regular file")
        now = (found.st_size, found.st_mtime_ns, found.st_ino)
        if self._version is not None and self._version != now:
            raise self.changed()
        self._version = now
        return found.st_size

    def changed(self) -> Exception:
        """The error of a file that changed."""
        message = f"{self._path} changed while it was being uploaded"
        return make_error("FAILED_PRECONDITION", message, reason="SOURCE_CHANGED")

    def longer(self, size: int) -> Exception:
        """The error of a file from which more bytes than its size can be read."""
        message = f"{self._path} has more bytes than its size, which is {size}: upload it as a stream"
        return make_error("FAILED_PRECONDITION", message, reason="SOURCE_CHANGED")

    async def size(self) -> int | None:
        return self.look(await run_blocking(os.stat, self._path))

    async def open(self, offset: int) -> Opened:
        return await run_blocking(_OpenedPath, self, self._path, offset)


class _OpenedPath:
    def __init__(self, source: _PathSource, path: Path, position: int) -> None:
        self.position = position
        self._source = source
        self._handle = path.open("rb", buffering=0)
        # A read of a call that has ended may still run in another thread.
        self._lock = threading.Lock()
        try:
            self._left = source.look(os.fstat(self._handle.fileno())) - position
            self._handle.seek(position)
        except BaseException:
            self._handle.close()
            raise

    async def read(self, size: int) -> bytes:
        return await run_blocking(self._read, size)

    def _read(self, size: int) -> bytes:
        with self._lock:
            if self._left <= 0:
                size = self._source.look(os.fstat(self._handle.fileno()))
                # Files of /proc and the like have the size 0 and are not empty.
                if self._handle.read(1):
                    raise self._source.longer(size)
                return b""
            piece = self._handle.read(min(size, self._left))
            if not piece:
                raise self._source.changed()
            self._left -= len(piece)
            return piece

    async def close(self) -> None:
        with self._lock:
            self._handle.close()


class _FileSource(Source):
    """A seekable file object, from its current position."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        try:
            self._start = file.tell()
        except (OSError, ValueError) as error:
            raise source_failed(error) from error
        name = getattr(file, "name", None)
        self.name = os.path.basename(name) if isinstance(name, str) else None
        self._lock = threading.Lock()

    async def size(self) -> int | None:
        return await run_blocking(self._measure)

    def _measure(self) -> int:
        with self._lock:
            end = self._file.seek(0, os.SEEK_END)
            self._file.seek(self._start)
            return max(0, end - self._start)

    async def open(self, offset: int) -> Opened:
        return _OpenedFile(self, offset)

    def read_at(self, offset: int, size: int) -> bytes:
        """Reads at an offset: a read of a call that has ended may still run in another thread."""
        with self._lock:
            self._file.seek(self._start + offset)
            return bytes_of(self._file.read(size))


class _OpenedFile:
    def __init__(self, source: _FileSource, position: int) -> None:
        self._source, self.position, self._at = source, position, position

    async def read(self, size: int) -> bytes:
        piece = await run_blocking(self._source.read_at, self._at, size)
        self._at += len(piece)
        return piece

    async def close(self) -> None:
        return


class _OpenerSource(Source):
    """A function that opens a source. Two calls may give different bytes, so every try reads and hashes from the start, and
    different bytes fail by their checksum."""

    def __init__(self, opener: Callable[[], Any]) -> None:
        self._opener = opener

    async def open(self, offset: int) -> Opened:
        opened = self._opener()
        if hasattr(opened, "__await__"):
            opened = await opened
        if isinstance(opened, TextIOBase) or (callable(opened) and not hasattr(opened, "read")):
            raise TypeError("the function must return a path, bytes, a binary file or an iterable")
        if isinstance(opened, (str, os.PathLike, bytes, bytearray, memoryview)):
            return await prepare_source(opened).open(0)
        check_source(opened)
        return OpenedStream(opened)
