"""Builds requests from arguments. Each function raises OPTION_INVALID."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any, get_args

from google.protobuf.timestamp_pb2 import Timestamp

from asset_service._arguments import check_ids, check_text, check_whole, to_seconds
from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import file_pb2
from asset_service.errors import invalid_option
from asset_service.records import FileRef, LegacyPath, Start


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
    ref: FileRef,
    ttl: float | timedelta | None,
    disposition: str,
    download_name: str | None,
    variant: str | None = None,
    accept: str | None = None,
) -> pb.GetFileUrlRequest:
    """The request for a URL. Raises OPTION_INVALID."""
    request = pb.GetFileUrlRequest(
        download_name=check_text("download_name", download_name),
        variant=check_text("variant", variant),
        accept=check_text("accept", accept),
    )
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
