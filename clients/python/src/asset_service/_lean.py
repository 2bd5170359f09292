"""The messages with the bytes of files, without the copies that the generated code makes.

A generated message copies its content when it is set, when it is written and when it is read, which is most of the cost
of a transfer. The fields and their numbers are those of the contract; tests compare both ways of writing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import file_pb2

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def _tag(message: type[pb.UploadRequest] | type[pb.ChecksummedData], name: str, wire_type: int) -> bytes:
    return _varint(message.DESCRIPTOR.fields_by_name[name].number << 3 | wire_type)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


_DATA = _tag(pb.UploadRequest, "data", _BYTES)
_CONTENT = _tag(pb.ChecksummedData, "content", _BYTES)
_CRC32C = _tag(pb.ChecksummedData, "crc32c", _FIXED32)


def write_upload(head: pb.UploadRequest, content: bytes, crc32c: int) -> bytes:
    """The bytes of a message with `head` and, if there is any, its content."""
    if len(content) == 0:
        return head.SerializeToString()
    inner = b"".join((_CRC32C, crc32c.to_bytes(4, "little"), _CONTENT, _varint(len(content))))
    return b"".join((head.SerializeToString(), _DATA, _varint(len(inner) + len(content)), inner, content))


@dataclass(frozen=True)
class DownloadPiece:
    """One message of a download."""

    content: memoryview
    crc32c: int | None
    file: file_pb2.File | None
    content_type: str = ""
    """Media type of what is downloaded; only with `file`."""
    size_bytes: int = 0
    """Size of what is downloaded; only with `file`."""


_RESPONSE = {field.number: field.name for field in pb.DownloadFileResponse.DESCRIPTOR.fields}
_CHECKSUMMED = {field.number: field.name for field in pb.ChecksummedData.DESCRIPTOR.fields}


def read_download(message: bytes) -> DownloadPiece:
    """Reads a DownloadFileResponse. Raises ValueError if it is damaged."""
    content = memoryview(b"")
    crc32c: int | None = None
    file: file_pb2.File | None = None
    content_type, size_bytes = "", 0
    for number, value, whole in _fields(memoryview(message)):
        name = _RESPONSE.get(number)
        if name == "file":
            file = file_pb2.File.FromString(bytes(value))
        elif name == "content_type":
            content_type = bytes(value).decode("utf8")
        elif name == "size_bytes":
            size_bytes = whole
        elif name == "data":
            for inner, part, _ in _fields(value):
                if _CHECKSUMMED.get(inner) == "content":
                    content = part
                elif _CHECKSUMMED.get(inner) == "crc32c":
                    crc32c = int.from_bytes(part, "little")
    return DownloadPiece(content, crc32c, file, content_type, size_bytes)


_NO_BYTES = memoryview(b"")


def _fields(view: memoryview) -> Iterator[tuple[int, memoryview, int]]:
    """The fields of a message: number, and bytes or the value of a varint."""
    at, end = 0, len(view)
    while at < end:
        tag, at = _read_varint(view, at)
        wire_type = tag & 7
        if wire_type == _VARINT:
            whole, at = _read_varint(view, at)
            yield tag >> 3, _NO_BYTES, whole
            continue
        if wire_type == _BYTES:
            size, at = _read_varint(view, at)
        elif wire_type == _FIXED32:
            size = 4
        elif wire_type == _FIXED64:
            size = 8
        else:
            raise ValueError("a message of the service is damaged")
        if at + size > end:
            raise ValueError("a message of the service ends early")
        yield tag >> 3, view[at : at + size], 0
        at += size


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(view) or shift > 63:
            raise ValueError("a message of the service is damaged")
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
