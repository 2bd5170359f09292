"""Uploads."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from asset_service._arguments import Timeout, check_whole
from asset_service._async import _upload
from asset_service._async._client_base import ClientBase
from asset_service._async._limited import map_limited
from asset_service._async._sources import UploadSource
from asset_service._async._upload import Transfer
from asset_service._messages import FileFields
from asset_service.errors import AssetError, invalid_option
from asset_service.progress import ProgressTarget
from asset_service.records import AssetFile, Attributes, FileResult, Relations


@dataclass(frozen=True)
class AsyncUploadItem:
    """One of many files to upload, with its own name and description; None for that of all."""

    source: UploadSource
    name: str | None = None
    content_type: str | None = None
    owner: str | None = None
    usage: str | None = None
    relations: Relations | None = None
    attributes: Attributes | None = None
    request_id: str | None = None


class UploadMethods(ClientBase):
    """Uploads files."""

    async def upload(
        self,
        source: UploadSource,
        *,
        name: str | None = None,
        content_type: str | None = None,
        owner: str | None = None,
        usage: str | None = None,
        relations: Relations | None = None,
        attributes: Attributes | None = None,
        size_bytes: int | None = None,
        sha256: str | None = None,
        crc32c: int | None = None,
        verify: Literal["crc32c", "sha256"] = "crc32c",
        request_id: str | None = None,
        single_call_bytes: int | None = None,
        window_bytes: int | None = None,
        progress: ProgressTarget | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> AssetFile:
        """Uploads one file. Returns its record when its bytes are durable and verified.

        A file of more than `single_call_bytes` (8 MiB), or of unknown size, resumes after a lost connection or a restart of
        the service; a smaller one is sent again. An upload that fails permanently or is cancelled leaves nothing, unless it
        has a `request_id`: then it can be resumed with the same id, also by another process.

        source: a path, bytes, a file object (from its current position), an iterable of bytes, or a function that
            opens one.
        name, content_type, owner, usage, relations, attributes: describe the file. The name is by default that of the path;
            the service detects the type.
        size_bytes: size of an iterable, if known. The upload fails if there are more or fewer bytes.
        sha256, crc32c: checksums that the file must have: hexadecimal, a number. CHECKSUM_MISMATCH stores nothing.
        verify: the checksum that this client computes of the whole file and the service verifies. Each piece also has its
            CRC32C. "sha256" costs twice the processor time.
        request_id: the same id with the same content gives the same file. By default a random one, for the retries.
        window_bytes: how much of an iterable is kept in memory until it is durable; default 16 MiB.
        progress: a function, a bar of tqdm, or True.
        """
        fields = FileFields(name, content_type, owner, usage, relations, attributes)
        transfer = Transfer(
            self._options.call(timeout, headers, transfer=True),
            size_bytes,
            request_id,
            sha256,
            crc32c,
            verify,
            single_call_bytes,
            window_bytes,
            progress,
        )
        return await _upload.upload_file(self._caller, source, fields, transfer)

    async def upload_many(
        self,
        sources: Iterable[UploadSource | AsyncUploadItem] | AsyncIterable[UploadSource | AsyncUploadItem],
        *,
        concurrency: int = 4,
        content_type: str | None = None,
        owner: str | None = None,
        usage: str | None = None,
        relations: Relations | None = None,
        attributes: Attributes | None = None,
        verify: Literal["crc32c", "sha256"] = "crc32c",
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> Sequence[FileResult]:
        """Uploads many files, at most `concurrency` at once. One result per file, in order; a failed file does not stop the
        others. Takes sources as there is room. The times are for each file."""
        check_whole("concurrency", concurrency, 1)
        if isinstance(sources, (str, bytes, bytearray, os.PathLike)):
            raise invalid_option("sources must be a list of sources")
        shared = FileFields(None, content_type, owner, usage, relations, attributes)

        async def one(index: int, item: UploadSource | AsyncUploadItem) -> FileResult:
            given = item if isinstance(item, AsyncUploadItem) else AsyncUploadItem(item)
            own = {name: getattr(given, name) for name in FileFields.__dataclass_fields__}
            fields = replace(shared, **{name: value for name, value in own.items() if value is not None})
            try:
                options = self._options.call(timeout, headers, transfer=True)
                transfer = Transfer(options, request_id=given.request_id, verify=verify)
                file = await _upload.upload_file(self._caller, given.source, fields, transfer)
            except AssetError as error:
                return FileResult(error=error)
            return FileResult(file=file, id=file.id)

        return await map_limited(one, sources, concurrency)
