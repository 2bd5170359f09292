"""Converts between messages and plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, cast, get_args

from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from asset_service._arguments import check_ids, check_json, check_text
from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import file_pb2
from asset_service.errors import invalid_option, no_answer
from asset_service.records import (
    AssetFile,
    Attributes,
    Checkpoint,
    EventType,
    FileEvent,
    FileUrl,
    Json,
    ParkedEvent,
    Relations,
    Subscription,
)


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


def to_event(message: pb.WatchFilesResponse) -> FileEvent | Checkpoint | None:
    """The message of a watch; None for a kind that this client does not know."""
    kind = message.WhichOneof("kind")
    if kind == "checkpoint":
        return Checkpoint(message.cursor, message.checkpoint.existing_done)
    if kind != "event":
        return None
    return to_file_event(message.event, message.cursor)


def to_file_event(event: pb.FileEvent, cursor: str) -> FileEvent | None:
    """An event; None for a type that this client does not know."""
    name = pb.FileEventType.Name(event.type) if event.type in pb.FileEventType.values() else ""
    what = cast(EventType, name.removeprefix("FILE_EVENT_TYPE_"))
    if what not in get_args(EventType):
        return None
    return FileEvent(event.event_id, what, to_file(event.file), to_time(event, "event_time"), cursor)


def to_subscription(message: pb.Subscription) -> Subscription:
    """A subscription."""
    return Subscription(
        message.name,
        to_time(message, "create_time"),
        message.unacknowledged_events,
        message.parked_events,
        message.cursor,
    )


def to_parked_event(message: pb.ParkedEvent) -> ParkedEvent:
    """A parked event."""
    name = pb.FileEventType.Name(message.type) if message.type in pb.FileEventType.values() else ""
    what = name.removeprefix("FILE_EVENT_TYPE_")
    return ParkedEvent(
        message.event_id, what, message.file_id, message.reason, message.attempts, to_time(message, "park_time")
    )


def to_url(response: pb.GetFileUrlResponse) -> FileUrl:
    """The URL of a response."""
    return FileUrl(response.url, to_time(response, "expire_time"), response.content_type, response.size_bytes)


def file_of(response: Any) -> AssetFile:
    """The record of a response that must have one."""
    if not response.HasField("file"):
        raise no_answer()
    file: file_pb2.File = response.file
    return to_file(file)
