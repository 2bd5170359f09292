# Made from _async/_source.py by tools/generate_sync.py. Change that file.
"""What a source of an upload is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asset_service._sync._streams import StreamWindow


class Opened(Protocol):
    """A source opened for one try."""

    position: int
    """Offset of the first byte: the requested one, or 0 if the source cannot seek."""

    def read(self, size: int) -> bytes:
        """At most `size` next bytes; none at the end."""
        ...

    def close(self) -> None:
        """Closes what was opened for this try."""
        ...


class Source:
    """A source before it is read."""

    name: str | None = None
    window: StreamWindow | None = None
    """Set for a stream; keeps its bytes until they are durable."""

    def size(self) -> int | None:
        """Size in bytes, if it is known before the source is opened."""
        return None

    def can_open(self, offset: int) -> bool:
        """True if the bytes can be read from this offset."""
        return True

    def open(self, offset: int) -> Opened:
        """Opens the source."""
        raise NotImplementedError

    def discard(self) -> None:
        """Closes a source that will not be read any more."""
