"""Files, URLs and uploads as plain Python values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Literal, TypeAlias, cast, get_args

from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from asset_service._arguments import check_ids, check_json, check_text, check_whole, to_seconds
from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import file_pb2
from asset_service.errors import AssetError, invalid_option, no_answer

Json: TypeAlias = Any
"""A value that JSON has: a text, a number, a truth value, None, a list or a dict with texts as keys."""

Relations: TypeAlias = Mapping[str, Sequence[str]]
"""Relation targets by name of the relation."""

Attributes: TypeAlias = Mapping[str, Json]
"""Other fields of a file by name."""


EventType: TypeAlias = Literal["CREATED", "UPDATED", "DELETED", "UNDELETED", "PURGED"]
"""What happened to a file. CREATED also stands for one that exists already."""

Start: TypeAlias = Literal["now", "earliest", "existing"]
"""Where a watch starts: with changes after the call, with the oldest change that is kept, or with every existing file."""


@dataclass(frozen=True)
class LegacyPath:
    """Path of a file in the old system, in place of its id: a key of the old bucket, a path of PocketBase's files, or a
    whole URL of either. Each use is counted, so that the operators see who still needs it."""

    path: str


FileRef: TypeAlias = str | LegacyPath
"""Which file: its id, or its path in the old system."""


@dataclass(frozen=True)
class AssetFile:
    """The record of a file. It has an id, never a location.

    If an earlier call finished the upload and the caller may not read the file, only the id is set.
    """

    id: str
    name: str = ""
    content_type: str = ""
    size_bytes: int = 0
    sha256: str | None = None
    """SHA-256 in lower-case hexadecimal; None for a file whose bytes were never read."""
    crc32c: int | None = None
    """CRC32C as an unsigned number; None like `sha256`."""
    owner: str = ""
    usage: str = ""
    relations: Mapping[str, Sequence[str]] = field(default_factory=dict)
    attributes: Mapping[str, Json] = field(default_factory=dict)
    etag: str = ""
    """Changes with every change of the record; send it back to change only what was read."""
    create_time: datetime | None = None
    update_time: datetime | None = None
    delete_time: datetime | None = None
    """Set while the file is soft-deleted."""
    purge_time: datetime | None = None
    """When a soft-deleted file is removed permanently."""
    created_by: str = ""
    """The principal that uploaded the file."""


@dataclass(frozen=True)
class FileResult:
    """The result for one of many files: either `file` or `error` is set."""

    file: AssetFile | None = None
    error: AssetError | None = None
    id: str | None = None
    """Id of the file; None for an upload that failed."""

    def unwrap(self) -> AssetFile:
        """The file. Raises the error."""
        if self.file is None:
            raise self.error or no_answer()
        return self.file


@dataclass(frozen=True)
class FileUrl:
    """A signed URL. Whoever has it can read the file until it expires."""

    url: str
    expire_time: datetime | None
    content_type: str
    size_bytes: int


@dataclass(frozen=True)
class UrlResult:
    """The result for one of many files: either `url` or `error` is set."""

    ref: FileRef
    url: FileUrl | None = None
    error: AssetError | None = None

    def unwrap(self) -> FileUrl:
        """The URL. Raises the error."""
        if self.url is None:
            raise self.error or no_answer("a URL")
        return self.url


@dataclass(frozen=True)
class FilePage:
    """One page of a list, newest first. It may have fewer files than requested, also none, while there are more."""

    files: Sequence[AssetFile]
    next_page_token: str | None
    """Token of the next page; None at the end of the list."""


@dataclass(frozen=True)
class StartedUpload:
    """A begun upload."""

    upload_id: str
    """Id of the upload and of the resulting file."""
    request_id: str
    expire_time: datetime | None
    """When the upload expires unless bytes are sent."""
    part_size_bytes: int
    """Size of each part of a direct upload except the last."""


@dataclass(frozen=True)
class UploadStatus:
    """State of an upload."""

    upload_id: str
    persisted_bytes: int
    """Number of durable bytes."""
    file: AssetFile | None
    """The file, if the upload is finished."""
    expire_time: datetime | None


@dataclass(frozen=True)
class UploadPart:
    """Where to send one part of a direct upload: by PUT, with exactly these headers."""

    part_number: int
    """Starts at 1."""
    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class FileEvent:
    """One change of one file."""

    event_id: str
    """The same whenever and to whomever the event is sent."""
    type: EventType
    file: AssetFile
    """The record right after the change; of a purged file the last one."""
    event_time: datetime | None
    """When it happened. For an existing file, when its record last changed."""
    cursor: str
    """Continues a watch behind this event."""


@dataclass(frozen=True)
class Checkpoint:
    """The watch has sent every event up to its cursor. Sent at least every 15 seconds while there is no event."""

    cursor: str
    """Continues a watch here."""
    existing_done: bool
    """True once in a watch from "existing": every existing file was sent."""


def to_time(message: Any, name: str) -> datetime | None:
    """A field with a time; None if it is not set. Times are in UTC, to the microsecond."""
    if not message.HasField(name):
        return None
    stamp: Timestamp = getattr(message, name)
    return stamp.ToDatetime(tzinfo=timezone.utc)


def to_file(file: file_pb2.File) -> AssetFile:
    """The record of a message."""
    sums = file.checksums
    return AssetFile(
        id=file.id,
        name=file.name,
        content_type=file.content_type,
        size_bytes=file.size_bytes,
        sha256=sums.sha256.hex() or None,
        crc32c=sums.crc32c if sums.HasField("crc32c") else None,
        owner=file.owner,
        usage=file.usage,
        relations={name: tuple(targets.ids) for name, targets in file.relations.items()},
        attributes=_whole_numbers(MessageToDict(file.attributes)),
        etag=file.etag,
        create_time=to_time(file, "create_time"),
        update_time=to_time(file, "update_time"),
        delete_time=to_time(file, "delete_time"),
        purge_time=to_time(file, "purge_time"),
        created_by=file.created_by,
    )


def _whole_numbers(value: Any) -> Any:
    """JSON has one kind of number, which Struct returns as float: 3 is an int again."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    if isinstance(value, list):
        return [_whole_numbers(each) for each in value]
    if isinstance(value, dict):
        return {key: _whole_numbers(each) for key, each in value.items()}
    return value


@dataclass(frozen=True)
class FileFields:
    """Writable fields of a file; None where nothing was given."""

    name: str | None = None
    content_type: str | None = None
    owner: str | None = None
    usage: str | None = None
    relations: Relations | None = None
    attributes: Attributes | None = None

    def to_message(self, file_id: str = "", etag: str = "") -> file_pb2.File:
        """The message. Raises OPTION_INVALID."""
        message = file_pb2.File(
            id=check_text("file_id", file_id),
            etag=check_text("etag", etag),
            name=check_text("name", self.name),
            content_type=check_text("content_type", self.content_type),
            owner=check_text("owner", self.owner),
            usage=check_text("usage", self.usage),
        )
        for name, ids in _items("relations", self.relations):
            message.relations[name].ids.extend(check_ids(f"relations.{name}", ids))
        for name, value in _items("attributes", self.attributes):
            check_json(f"attributes.{name}", value)
            _set_value(message.attributes.fields[name], value)
        return message

    def to_mask(self) -> list[str]:
        """The mask of an update: the given fields, with each relation and attribute by name."""
        plain = ("name", "content_type", "owner", "usage")
        return [
            *(name for name in plain if getattr(self, name) is not None),
            *(f"relations.{name}" for name in self.relations or ()),
            *(f"attributes.{name}" for name in self.attributes or ()),
        ]


def _items(name: str, given: Mapping[str, Any] | None) -> Iterable[tuple[str, Any]]:
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise invalid_option(f"{name} must be a dict")
    for key in given:
        if not isinstance(key, str):
            raise invalid_option(f"{name} must have texts as keys, not {key!r}")
        check_text(f"a key of {name}", key)
    return given.items()


def _set_value(target: struct_pb2.Value, value: Json) -> None:
    if value is None:
        target.null_value = struct_pb2.NULL_VALUE
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, (int, float)):
        target.number_value = value
    elif isinstance(value, Mapping):
        target.struct_value.SetInParent()
        for key, each in value.items():
            _set_value(target.struct_value.fields[key], each)
    else:
        target.list_value.SetInParent()
        for each in value:
            _set_value(target.list_value.values.add(), each)


def to_list_request(
    *,
    owner: str | None,
    usage: str | None,
    relation: tuple[str, str] | None,
    content_type: str | None,
    created_from: datetime | None,
    created_before: datetime | None,
    show_deleted: bool,
    page_size: int | None,
    page_token: str | None,
) -> pb.ListFilesRequest:
    """The request for one page. Raises OPTION_INVALID."""
    check_whole("page_size", page_size)
    if page_size is not None and page_size >= 2**31:
        raise invalid_option("page_size must be at most 1000")
    return pb.ListFilesRequest(
        filter=to_filter(owner, usage, relation, content_type, created_from, created_before),
        page_size=page_size or 0,
        page_token=check_text("page_token", page_token),
        show_deleted=bool(show_deleted),
    )


def to_filter(
    owner: str | None,
    usage: str | None,
    relation: tuple[str, str] | None,
    content_type: str | None,
    created_from: datetime | None,
    created_before: datetime | None,
) -> pb.FileFilter:
    """The conditions of a list or a watch. Raises OPTION_INVALID."""
    wanted = pb.FileFilter(
        owner=check_text("owner", owner),
        usage=check_text("usage", usage),
        content_type=check_text("content_type", content_type),
        create_time_from=_stamp("created_from", created_from),
        create_time_to=_stamp("created_before", created_before),
    )
    if relation is not None:
        name, target = check_ids("relation", relation) if len(relation) == 2 else ("", "")
        if not name:
            raise invalid_option("relation must be a pair: its name and the id of the target")
        wanted.relation.name, wanted.relation.id = name, target
    return wanted


def to_watch_request(start: str, cursor: str | None, wanted: pb.FileFilter) -> pb.WatchFilesRequest:
    """The request for a watch. Raises OPTION_INVALID."""
    request = pb.WatchFilesRequest(filter=wanted)
    if start not in get_args(Start):
        raise invalid_option(f"start must be one of {', '.join(get_args(Start))}, not {start!r}")
    if cursor is not None:
        request.cursor = check_text("cursor", cursor)
    else:
        # Its name is a word of Python.
        setattr(request, "from", pb.WatchStart.Value(f"WATCH_START_{start.upper()}"))
    return request


def to_event(message: pb.WatchFilesResponse) -> FileEvent | Checkpoint | None:
    """The message of a watch; None for a kind that this client does not know."""
    kind = message.WhichOneof("kind")
    if kind == "checkpoint":
        return Checkpoint(message.cursor, message.checkpoint.existing_done)
    if kind != "event":
        return None
    event = message.event
    name = pb.FileEventType.Name(event.type) if event.type in pb.FileEventType.values() else ""
    what = cast(EventType, name.removeprefix("FILE_EVENT_TYPE_"))
    if what not in get_args(EventType):
        return None
    return FileEvent(event.event_id, what, to_file(event.file), to_time(event, "event_time"), message.cursor)


def _stamp(name: str, time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    # A time without a zone means another moment on another machine.
    if not isinstance(time, datetime) or time.tzinfo is None:
        raise invalid_option(f"{name} must be a datetime with a time zone")
    stamp = Timestamp()
    stamp.FromDatetime(time.astimezone(timezone.utc))
    return stamp


def to_url_request(
    ref: FileRef, ttl: float | timedelta | None, disposition: str, download_name: str | None
) -> pb.GetFileUrlRequest:
    """The request for a URL. Raises OPTION_INVALID."""
    request = pb.GetFileUrlRequest(download_name=check_text("download_name", download_name))
    set_ref(request, ref)
    seconds = to_seconds("ttl", ttl)
    if seconds is not None:
        if seconds > 10**9:
            raise invalid_option("ttl must be at most 7 days")
        request.ttl.FromMicroseconds(round(seconds * 1_000_000))
    if disposition not in ("attachment", "inline"):
        raise invalid_option(f"disposition must be 'attachment' or 'inline', not {disposition!r}")
    request.disposition = pb.DISPOSITION_INLINE if disposition == "inline" else pb.DISPOSITION_ATTACHMENT
    return request


def set_ref(request: Any, ref: FileRef) -> None:
    """Sets which file a request is about."""
    if isinstance(ref, LegacyPath):
        request.legacy_path = check_text("path", ref.path)
    elif isinstance(ref, str):
        request.file_id = check_text("file_id", ref)
    else:
        raise invalid_option(f"a file is named by its id or a LegacyPath, not {type(ref).__name__}")


def to_url(response: pb.GetFileUrlResponse) -> FileUrl:
    """The URL of a response."""
    return FileUrl(response.url, to_time(response, "expire_time"), response.content_type, response.size_bytes)


def to_checksums(sha256: str | None, crc32c: int | None) -> file_pb2.Checksums:
    """Checksums that the caller expects. Raises OPTION_INVALID."""
    sums = file_pb2.Checksums()
    if sha256 is not None:
        if not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
            raise invalid_option("sha256 must be 64 hexadecimal digits")
        sums.sha256 = bytes.fromhex(sha256)
    if crc32c is not None:
        check_whole("crc32c", crc32c)
        if crc32c >= 2**32:
            raise invalid_option("crc32c must be less than 2**32")
        sums.crc32c = crc32c
    return sums
