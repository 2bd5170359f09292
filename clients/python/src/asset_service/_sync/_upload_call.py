# Made from _async/_upload_call.py by tools/generate_sync.py. Change that file.
"""One Upload call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from asset_service._sync._caller import Caller
from asset_service._sync._io import Stream, closing
from asset_service._sync._source import Opened, Source
from asset_service._sync._sources import CHUNK_BYTES
from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import file_pb2
from asset_service._hash import WholeHash, crc32c
from asset_service._lean import write_upload
from asset_service.errors import make_error, source_failed
from asset_service.retry import Attempt


@dataclass
class UploadCall:
    """What one call sends."""

    source: Source
    hash: WholeHash
    """The hash of what was read so far; continues, or restarts if the source can only be read from its start."""
    expected: file_pb2.Checksums
    """Checksums that the caller gave."""
    start: int
    """Offset of the first byte to send."""
    until: int | None
    """Offset where the call ends without finishing the upload, unless the source ends earlier."""
    first: pb.UploadRequest
    """The first message: description or upload id."""
    on_sent: Callable[[int], None]
    """Called after each piece with the offset of its end."""
    over: bool = False
    gate: threading.Lock = field(default_factory=threading.Lock)
    """Held where `over` is read or set: a read that ends after its call changes nothing."""


def send_upload(caller: Caller, call: UploadCall, attempt: Attempt) -> pb.UploadResponse:
    """Sends the bytes of a source from an offset. Raises the error of the call or of the source."""
    opened = open_at(call.source, min(call.start, call.hash.position))
    try:
        if opened.position == 0:
            call.hash.restart()
        # Before the call, because the service does not wait long for the bytes of a running one.
        skip(opened, call.hash, call.start, call.source)
        with closing(_messages(opened, call)) as messages:
            return caller.upload(messages, attempt)
    finally:
        with call.gate:
            call.over = True
        opened.close()


def open_at(source: Source, offset: int) -> Opened:
    """Opens a source. Raises SOURCE_FAILED."""
    try:
        return source.open(offset)
    except Exception as error:
        raise source_failed(error) from error


def skip(opened: Opened, whole: WholeHash, to: int | None, source: Source) -> None:
    """Reads and hashes what the service already has, or all. Raises SOURCE_CHANGED if the source ends earlier."""
    at = opened.position
    while to is None or at < to:
        piece = _read(opened, CHUNK_BYTES if to is None else min(CHUNK_BYTES, to - at))
        if len(piece) == 0:
            break
        whole.update(piece, at)
        at += len(piece)
        if source.window is not None:
            source.window.acknowledge(at)
    if to is not None and at < to:
        message = f"the source ends after {at} bytes, but the service has {to} of this upload already"
        raise make_error("FAILED_PRECONDITION", message, reason="SOURCE_CHANGED")


def _read(opened: Opened, size: int) -> bytes:
    try:
        return opened.read(size)
    except Exception as error:
        raise source_failed(error) from error


def _read_full(opened: Opened, size: int) -> bytes:
    """Exactly `size` bytes, unless the source ends. Copies only smaller pieces."""
    piece = _read(opened, size)
    if len(piece) in (0, size):
        return piece
    parts, length = [piece], len(piece)
    while length < size:
        piece = _read(opened, size - length)
        if len(piece) == 0:
            break
        parts.append(piece)
        length += len(piece)
    return b"".join(parts)


def _messages(opened: Opened, call: UploadCall) -> Stream[bytes]:
    """The messages, each with the checksum of its piece, the last one with those of the whole file."""
    offset = call.start
    head = call.first
    piece = _read_full(opened, CHUNK_BYTES)
    while True:
        # Only the piece after it shows that a piece is the last.
        following: bytes = _read_full(opened, CHUNK_BYTES) if len(piece) == CHUNK_BYTES else b""
        last = len(following) == 0
        with call.gate:
            if call.over:
                return
            call.hash.update(piece, offset)
            head.write_offset = offset
            if last:
                head.finish_write = True
                head.checksums.CopyFrom(call.hash.finish())
                head.checksums.MergeFrom(call.expected)
        yield write_upload(head, piece, crc32c(piece))
        offset += len(piece)
        head = pb.UploadRequest()
        with call.gate:
            if call.over:
                return
            call.on_sent(offset)
        if last or (call.until is not None and offset >= call.until):
            return
        piece = following
