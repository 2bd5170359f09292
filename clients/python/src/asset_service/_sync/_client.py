# Made from _async/_client.py by tools/generate_sync.py. Change that file.
"""The synchronous client."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal

from asset_service._arguments import check_ids, check_text, check_whole
from asset_service._sync import _download, _many, _upload, _watch
from asset_service._sync._caller import Caller
from asset_service._sync._download import Download, Range
from asset_service._sync._io import Wire, closing, map_limited
from asset_service._sync._sources import UploadSource
from asset_service._sync._upload import Transfer
from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import file_pb2, methods
from asset_service._method import Method
from asset_service._options import ClientOptions, Headers
from asset_service._target import TLS
from asset_service.errors import AssetError, invalid_option, no_answer
from asset_service.progress import ProgressTarget
from asset_service.records import (
    AssetFile,
    Attributes,
    Checkpoint,
    FileEvent,
    FileFields,
    FilePage,
    FileRef,
    FileResult,
    FileUrl,
    Relations,
    Start,
    StartedUpload,
    UploadPart,
    UploadStatus,
    UrlResult,
    set_ref,
    to_checksums,
    to_file,
    to_filter,
    to_list_request,
    to_time,
    to_url,
    to_url_request,
    to_watch_request,
)
from asset_service.retry import Attempt, CallOptions, RetryPolicy
from asset_service.tokens import Token

Timeout = float | timedelta | None
"""Time for a call with all retries, in seconds or as a timedelta; 0 for no limit, None for the client's."""

Disposition = Literal["attachment", "inline"]


@dataclass(frozen=True)
class UploadItem:
    """One of many files to upload, with its own name and description; None for that of all."""

    source: UploadSource
    name: str | None = None
    content_type: str | None = None
    owner: str | None = None
    usage: str | None = None
    relations: Relations | None = None
    attributes: Attributes | None = None
    request_id: str | None = None


class AssetClient:
    """A client of the Asset Service. It connects with the first call.

    Keep one client for the process, and close it at the end or use it as a context manager. It can be used by all threads,
    after a fork (every process opens its own connection) and pickled. Every failure of a call is an `AssetError`.
    """

    def __init__(
        self,
        target: str,
        *,
        token: Token | None = None,
        user_token: Token | None = None,
        tls: TLS | None = None,
        headers: Headers | None = None,
        timeout: float = 30.0,
        transfer_timeout: float = 3600.0,
        retry: RetryPolicy = RetryPolicy(),
        keepalive: float = 20.0,
        allow_tokens_over_http: bool = False,
    ) -> None:
        """Checks the options. Raises OPTION_INVALID, TOKEN_NOT_PROTECTED.

        target: `http://127.0.0.1:8080`, `https://assets.example`, or a target of gRPC such as `127.0.0.1:8080`.
        token: access token of this service.
        user_token: access token of the end user for whom this service calls.
        tls: certificates to trust and of this client; https without it trusts the authorities that gRPC brings.
        headers: headers of every call, such as `x-request-id`, or a function that is called before each.
        timeout: seconds for a call with all retries, unless it transfers bytes of files; 0 for no limit.
        transfer_timeout: seconds for an upload or a download.
        keepalive: seconds after which a connection that is silent during a call is probed; 0 for never.
        allow_tokens_over_http: permits tokens over http to another machine, where the network protects them.
        """
        options = ClientOptions(
            target,
            token,
            user_token,
            tls,
            headers,
            timeout,
            transfer_timeout,
            retry,
            keepalive,
            allow_tokens_over_http,
        ).checked()
        self._init(options, Wire(options), shared=False)

    def _init(self, options: ClientOptions, wire: Wire, shared: bool) -> None:
        self._options = options
        self._wire = wire
        self._shared = shared
        self._caller = Caller(options, wire)

    def __getstate__(self) -> dict[str, Any]:
        return {"_options": self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        options: ClientOptions = state["_options"]
        self._init(options, Wire(options), shared=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._options.target!r})"

    def for_user(self, user_token: Token) -> AssetClient:
        """A client for one end user over the same connection. It is cheap and need not be closed."""
        options = replace(self._options, user_token=user_token).checked()
        client = object.__new__(type(self))
        client._init(options, self._wire, shared=True)
        return client

    def upload(
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

        source: a path, bytes, a file object (from where it stands), an iterable of bytes, or a function that opens one.
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
        return _upload.upload_file(self._caller, source, fields, transfer)

    def upload_many(
        self,
        sources: Iterable[UploadSource | UploadItem] | Iterable[UploadSource | UploadItem],
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

        def one(index: int, item: UploadSource | UploadItem) -> FileResult:
            given = item if isinstance(item, UploadItem) else UploadItem(item)
            own = {name: getattr(given, name) for name in FileFields.__dataclass_fields__}
            fields = replace(shared, **{name: value for name, value in own.items() if value is not None})
            try:
                options = self._options.call(timeout, headers, transfer=True)
                transfer = Transfer(options, request_id=given.request_id, verify=verify)
                file = _upload.upload_file(self._caller, given.source, fields, transfer)
            except AssetError as error:
                return FileResult(error=error)
            return FileResult(file=file, id=file.id)

        return map_limited(one, sources, concurrency)

    def start_upload(
        self,
        *,
        name: str | None = None,
        content_type: str | None = None,
        owner: str | None = None,
        usage: str | None = None,
        relations: Relations | None = None,
        attributes: Attributes | None = None,
        size_bytes: int | None = None,
        request_id: str | None = None,
        direct: bool = False,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> StartedUpload:
        """Begins an upload to finish with `resume_upload`, or with `sign_upload_parts` and `complete_upload` if it is
        `direct`: its parts go straight to the store. It counts in the owner's quota until it is finished, cancelled or
        expired."""
        check_whole("size_bytes", size_bytes)
        used = check_text("request_id", request_id) or str(uuid.uuid4())
        fields = FileFields(name, content_type, owner, usage, relations, attributes)
        request = pb.StartUploadRequest(
            upload_spec=pb.UploadSpec(file=fields.to_message(), size_bytes=size_bytes, request_id=used),
            transport=pb.UPLOAD_TRANSPORT_DIRECT if direct else pb.UPLOAD_TRANSPORT_THROUGH_SERVICE,
        )
        started = self._caller.call(methods.START_UPLOAD, request, self._options.call(timeout, headers))
        return StartedUpload(started.upload_id, used, to_time(started, "expire_time"), started.part_size_bytes)

    def get_upload(
        self, upload_id: str, *, timeout: Timeout = None, headers: Mapping[str, str] | None = None
    ) -> UploadStatus:
        """The state of an upload."""
        request = pb.GetUploadRequest(upload_id=check_text("upload_id", upload_id))
        status = self._caller.call(methods.GET_UPLOAD, request, self._options.call(timeout, headers))
        file = to_file(status.file) if status.WhichOneof("write_status") == "file" else None
        persisted = status.persisted_size if file is None else file.size_bytes
        return UploadStatus(upload_id, persisted, file, to_time(status, "expire_time"))

    def resume_upload(
        self,
        upload_id: str,
        source: UploadSource,
        *,
        sha256: str | None = None,
        crc32c: int | None = None,
        verify: Literal["crc32c", "sha256"] = "crc32c",
        window_bytes: int | None = None,
        progress: ProgressTarget | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> AssetFile:
        """Sends what the service does not have yet and completes the upload. The source is the whole file. After a failure
        the upload stays and can be resumed again."""
        transfer = Transfer(
            self._options.call(timeout, headers, transfer=True),
            sha256=sha256,
            crc32c=crc32c,
            verify=verify,
            window_bytes=window_bytes,
            progress=progress,
        )
        return _upload.resume_upload(self._caller, upload_id, source, transfer)

    def sign_upload_parts(
        self,
        upload_id: str,
        part_numbers: Iterable[int],
        *,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> Sequence[UploadPart]:
        """URLs for up to 1,000 parts of a direct upload. They expire: use them soon."""
        numbers = list(part_numbers)
        for each in numbers:
            check_whole("part_numbers", each, 1)
        request = pb.SignUploadPartsRequest(upload_id=check_text("upload_id", upload_id), part_numbers=numbers)
        signed = self._caller.call(methods.SIGN_UPLOAD_PARTS, request, self._options.call(timeout, headers))
        return [UploadPart(part.part_number, part.url, dict(part.headers)) for part in signed.parts]

    def complete_upload(
        self,
        upload_id: str,
        *,
        sha256: str | None = None,
        crc32c: int | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> AssetFile:
        """Completes an upload after all its bytes were sent, for example a direct one."""
        request = pb.CompleteUploadRequest(
            upload_id=check_text("upload_id", upload_id), checksums=to_checksums(sha256, crc32c)
        )
        options = self._options.call(timeout, headers, transfer=True)
        return _file_of(self._caller.call(methods.COMPLETE_UPLOAD, request, options))

    def cancel_upload(
        self, upload_id: str, *, timeout: Timeout = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Cancels an upload and removes what was sent."""
        request = pb.CancelUploadRequest(upload_id=check_text("upload_id", upload_id))

        def once(attempt: Attempt) -> None:
            try:
                self._caller.unary(methods.CANCEL_UPLOAD, request, attempt)
            except AssetError as error:
                # The previous try succeeded and its response was lost.
                if attempt.number == 1 or error.reason != "UPLOAD_NOT_FOUND":
                    raise

        self._caller.run(self._caller.retries(self._options.call(timeout, headers)), once)

    def open(
        self,
        file: FileRef,
        *,
        offset: int = 0,
        length: int | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> Download:
        """Opens a file, or `length` bytes of it from `offset`, for reading: an iterator over its bytes with its record."""
        options = self._options.call(timeout, headers, transfer=True)
        return _download.open_download(self._caller, file, Range(offset, length), options, each=True)

    def download(
        self,
        file: FileRef,
        target: str | os.PathLike[str],
        *,
        offset: int = 0,
        length: int | None = None,
        progress: ProgressTarget | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> Path:
        """Downloads a file, or a range of it, to a path. Returns the path of the file.

        The path gets all bytes after they match their checksums (a whole file its SHA-256), or stays unchanged. A broken
        download resumes. A regular file is replaced and keeps its mode; a symbolic link stays and its target is replaced. A
        directory gets the file under a safe form of its name; an existing file there is TARGET_EXISTS. Named pipes and
        devices are written directly, so the check comes after the bytes.
        """
        options = self._options.call(timeout, headers, transfer=True)
        if not isinstance(target, (str, os.PathLike)):
            raise invalid_option("target must be a path; download_to takes a file object")
        wanted = Range(offset, length)
        _, path = _download.download_to_path(self._caller, file, target, wanted, progress, options)
        return path

    def download_to(
        self,
        file: FileRef,
        target: BinaryIO | Any,
        *,
        offset: int = 0,
        length: int | None = None,
        progress: ProgressTarget | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> AssetFile:
        """Downloads a file, or a range of it, into a file object, which stays open. A whole file is checked against its
        SHA-256 at the end: do not use the bytes before this returns."""
        options = self._options.call(timeout, headers, transfer=True)
        if not hasattr(target, "write"):
            raise invalid_option("target must be a file object, open for writing bytes")
        return _download.download_to_file(
            self._caller, file, target, Range(offset, length), progress, options
        )

    def download_bytes(
        self,
        file: FileRef,
        *,
        offset: int = 0,
        length: int | None = None,
        max_bytes: int | None = None,
        progress: ProgressTarget | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Downloads a file, or a range of it, into memory. More than `max_bytes` (64 MiB) is DOWNLOAD_TOO_LARGE."""
        options = self._options.call(timeout, headers, transfer=True)
        return _download.download_bytes(
            self._caller, file, Range(offset, length), max_bytes, progress, options
        )

    def url(
        self,
        file: FileRef,
        *,
        ttl: float | timedelta | None = None,
        disposition: Disposition = "attachment",
        download_name: str | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> FileUrl:
        """A signed URL for a file. It lives `ttl` seconds, at least half of it; by default 15 minutes."""
        request = to_url_request(file, ttl, disposition, download_name)
        return to_url(self._caller.call(methods.GET_FILE_URL, request, self._options.call(timeout, headers)))

    def urls(
        self,
        files: Iterable[FileRef],
        *,
        ttl: float | timedelta | None = None,
        disposition: Disposition = "attachment",
        download_name: str | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> Sequence[UrlResult]:
        """The URLs of many files, in their order: each result has a URL or an error."""
        options = self._options.call(timeout, headers)
        return _many.get_urls(self._caller, files, ttl, disposition, download_name, options)

    def get(
        self, file: FileRef, *, timeout: Timeout = None, headers: Mapping[str, str] | None = None
    ) -> AssetFile:
        """The record of a file, also of a soft-deleted one."""
        request = pb.GetFileRequest()
        set_ref(request, file)
        return _file_of(self._caller.call(methods.GET_FILE, request, self._options.call(timeout, headers)))

    def get_many(
        self, ids: Iterable[str], *, timeout: Timeout = None, headers: Mapping[str, str] | None = None
    ) -> Sequence[FileResult]:
        """The records of many files, in the order of `ids`: each result has a record or an error."""
        return _many.get_many(self._caller, ids, self._options.call(timeout, headers))

    def list(
        self,
        *,
        owner: str | None = None,
        usage: str | None = None,
        relation: tuple[str, str] | None = None,
        content_type: str | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        show_deleted: bool = False,
        page_size: int | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[AssetFile]:
        """All files that meet every given condition, newest first. Fetches pages as they are consumed.

        relation: name of the relation and id of the target. content_type: `image/png`, or `image/*` for every image.
        """
        token: str | None = None
        while True:
            page = self.list_page(
                owner=owner,
                usage=usage,
                relation=relation,
                content_type=content_type,
                created_from=created_from,
                created_before=created_before,
                show_deleted=show_deleted,
                page_size=page_size,
                page_token=token,
                timeout=timeout,
                headers=headers,
            )
            for file in page.files:
                yield file
            token = page.next_page_token
            if token is None:
                return

    def list_page(
        self,
        *,
        owner: str | None = None,
        usage: str | None = None,
        relation: tuple[str, str] | None = None,
        content_type: str | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        show_deleted: bool = False,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> FilePage:
        """One page of the files that meet the conditions of `list`."""
        request = to_list_request(
            owner=owner,
            usage=usage,
            relation=relation,
            content_type=content_type,
            created_from=created_from,
            created_before=created_before,
            show_deleted=show_deleted,
            page_size=page_size,
            page_token=page_token,
        )
        page = self._caller.call(methods.LIST_FILES, request, self._options.call(timeout, headers))
        return FilePage([to_file(each) for each in page.files], page.next_page_token or None)

    def watch(
        self,
        *,
        start: Start = "now",
        cursor: str | None = None,
        owner: str | None = None,
        usage: str | None = None,
        relation: tuple[str, str] | None = None,
        content_type: str | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[FileEvent | Checkpoint]:
        """Every change of the files that meet the conditions of `list`, in commit order per file, without end.

        After a lost connection it continues behind the last message; an event may come twice (`event_id`). Keep the `cursor`
        of the last message to continue later; CURSOR_EXPIRED means to start again with "existing".

        start: with changes after the call, the "earliest" change that is kept, or every "existing" file.
        cursor: continues a watch with the same conditions; `start` has no effect then.
        """
        wanted = to_filter(owner, usage, relation, content_type, created_from, created_before)
        request = to_watch_request(start, cursor, wanted)
        with closing(_watch.watch_files(self._caller, request, self._options.call(0, headers))) as events:
            for event in events:
                yield event

    def update(
        self,
        file_id: str,
        *,
        name: str | None = None,
        content_type: str | None = None,
        owner: str | None = None,
        usage: str | None = None,
        relations: Relations | None = None,
        attributes: Attributes | None = None,
        mask: Iterable[str] | None = None,
        etag: str | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> AssetFile:
        """Changes the record of a file; what is not given stays.

        relations, attributes: only the given names change; an empty list clears a relation, None an attribute.
        mask: the paths to change, in place of those of what is given: a path without a value is cleared, `*` replaces all.
        etag: changes the record only if this is its current etag; otherwise ETAG_MISMATCH.
        """
        fields = FileFields(name, content_type, owner, usage, relations, attributes)
        paths = fields.to_mask() if mask is None else check_ids("mask", mask)
        # An empty mask means "every non-empty field" to the service.
        if not paths:
            raise invalid_option("nothing to change was given")
        request = pb.UpdateMetadataRequest(file=fields.to_message(file_id, etag or ""))
        request.update_mask.paths.extend(paths)
        options = self._options.call(timeout, headers)
        return _file_of(self._caller.call(methods.UPDATE_METADATA, request, options))

    def delete(
        self,
        file_id: str,
        *,
        etag: str | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> AssetFile:
        """Soft-deletes a file; `undelete` restores it until its `purge_time`."""
        request = pb.DeleteFileRequest(file_id=check_text("file_id", file_id), etag=check_text("etag", etag))
        options = self._options.call(timeout, headers)
        return self._switch(methods.DELETE_FILE, request, "FILE_DELETED", options)

    def delete_many(
        self,
        ids: Iterable[str],
        *,
        concurrency: int = 8,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> Sequence[FileResult]:
        """Soft-deletes many files, at most `concurrency` at once: each result has a record or an error, in order."""
        check_whole("concurrency", concurrency, 1)

        def one(index: int, file_id: str) -> FileResult:
            try:
                return FileResult(file=self.delete(file_id, timeout=timeout, headers=headers), id=file_id)
            except AssetError as error:
                return FileResult(error=error, id=file_id)

        return map_limited(one, check_ids("ids", ids), concurrency)

    def undelete(
        self,
        file_id: str,
        *,
        etag: str | None = None,
        timeout: Timeout = None,
        headers: Mapping[str, str] | None = None,
    ) -> AssetFile:
        """Restores a soft-deleted file."""
        request = pb.UndeleteFileRequest(file_id=check_text("file_id", file_id), etag=check_text("etag", etag))
        options = self._options.call(timeout, headers)
        return self._switch(methods.UNDELETE_FILE, request, "FILE_NOT_DELETED", options)

    def _switch(
        self, method: Method[Any, Any], request: Any, done: str, options: CallOptions
    ) -> AssetFile:
        """If a retry finds the change already made, the first try made it and its response was lost."""

        def once(attempt: Attempt) -> AssetFile:
            try:
                return _file_of(self._caller.unary(method, request, attempt))
            except AssetError as error:
                if attempt.number == 1 or error.reason != done:
                    raise
            again = pb.GetFileRequest(file_id=request.file_id)
            return _file_of(self._caller.unary(methods.GET_FILE, again, attempt))

        return self._caller.run(self._caller.retries(options), once)

    def close(self) -> None:
        """Ends running calls and closes the connection. Do not call other methods afterwards."""
        if not self._shared:
            self._wire.close()

    def __enter__(self) -> AssetClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _file_of(response: Any) -> AssetFile:
    if not response.HasField("file"):
        raise no_answer()
    file: file_pb2.File = response.file
    return to_file(file)
