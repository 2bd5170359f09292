"""Files, URLs and uploads as plain Python values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from asset_service.errors import AssetError, no_answer

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


Disposition: TypeAlias = Literal["attachment", "inline"]
"""Whether a browser saves the file, or shows it if its type is safe."""

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
    size_bytes: int | None = None
    """Size of the whole file; None while it is unknown."""
    create_time: datetime | None = None
    """When the upload began; for a finished one, when its file was created. None if it is not known."""
    description: AssetFile | None = None
    """What the upload will be: name, content_type, owner, usage, relations and attributes, with what the usage policy
    added. None if the upload is finished and the caller may not read its file."""
    part_size_bytes: int = 0
    """Size of each part of a direct upload except the last; 0 if the upload is finished."""
    stored_part_numbers: Sequence[int] = ()
    """Parts of a direct upload that are in the store; the others are to be sent."""


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


@dataclass(frozen=True)
class Subscription:
    """A watch whose place the service keeps."""

    name: str
    create_time: datetime | None
    unacknowledged_events: int
    """Number of events that were taken from the log and are not acknowledged yet."""
    parked_events: int
    cursor: str
    """Continues a watch behind the last event that was taken."""


@dataclass(frozen=True)
class ParkedEvent:
    """An event that failed too often."""

    event_id: str
    type: str
    file_id: str
    reason: str
    """Why it failed the last time."""
    attempts: int
    """Number of deliveries."""
    park_time: datetime | None
