# Made from _async/_streams.py by tools/generate_sync.py. Change that file.
"""Sources that are read once."""

from __future__ import annotations

import threading
from typing import Any

from asset_service._sync._pull import Puller
from asset_service._sync._source import Opened, Source


def bytes_of(piece: object) -> bytes:
    """A piece that nobody changes. Raises TypeError for anything but bytes."""
    if isinstance(piece, bytes):
        return piece
    if isinstance(piece, (bytearray, memoryview)):
        return bytes(piece)
    raise TypeError(f"it must give bytes, not {type(piece).__name__}")


class OpenedStream:
    """A stream that is read once, and closed with the try."""

    position = 0

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._puller = Puller(stream)
        self._pulled = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        if self._at >= len(self._pulled):
            self._pulled, self._at = _pull(self._puller), 0
        piece = self._pulled[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def close(self) -> None:
        self._puller.close()
        close = getattr(self._stream, "close", None)
        if hasattr(self._stream, "read") and close is not None:
            closing = close()


def _pull(puller: Puller) -> bytes:
    """The next piece that is not empty; empty at the end."""
    while True:
        piece = puller.pull()
        if piece is None:
            return b""
        if len(bytes_of(piece)) > 0:
            return bytes_of(piece)


class StreamSource(Source):
    def __init__(self, stream: object) -> None:
        self._puller = Puller(stream)
        self.window = StreamWindow(self._puller)

    def can_open(self, offset: int) -> bool:
        assert self.window is not None
        return self.window.holds(offset)

    def open(self, offset: int) -> Opened:
        assert self.window is not None
        return _OpenedWindow(self.window, offset)

    def discard(self) -> None:
        self._puller.close()


class StreamWindow:
    """The bytes of a stream that the service may need again."""

    def __init__(self, puller: Puller) -> None:
        self._puller = puller
        self._pieces: list[bytes] = []
        self._lock = threading.Lock()
        self.start = 0
        """Offset of the first byte in memory."""
        self._end = 0

    def holds(self, offset: int) -> bool:
        """True if the bytes from this offset on are in memory, or not yet read."""
        return self.start <= offset <= self._end

    def acknowledge(self, offset: int) -> None:
        """Bytes before this offset are not needed any more."""
        with self._lock:
            while self._pieces and self.start + len(self._pieces[0]) <= offset:
                self.start += len(self._pieces.pop(0))

    def _find(self, offset: int, size: int) -> bytes | None:
        with self._lock:
            at = self.start
            for piece in self._pieces:
                if offset < at + len(piece):
                    return piece[offset - at : offset - at + size]
                at += len(piece)
        return None

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from an offset that it holds; none at the end."""
        found = self._find(offset, size)
        if found is not None:
            return found
        pulled = _pull(self._puller)
        with self._lock:
            if len(pulled) > 0:
                self._pieces.append(pulled)
                self._end += len(pulled)
        return b"" if len(pulled) == 0 else self._find(offset, size) or b""


class _OpenedWindow:
    def __init__(self, window: StreamWindow, position: int) -> None:
        self._window, self.position, self._at = window, position, position

    def read(self, size: int) -> bytes:
        piece = self._window.read(self._at, size)
        self._at += len(piece)
        return piece

    def close(self) -> None:
        return
