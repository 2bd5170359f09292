"""Uploads of one file."""

from __future__ import annotations

import os
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from asset_service._arguments import check_text, check_whole
from asset_service._async._caller import Caller
from asset_service._async._io import finish
from asset_service._async._resumable import ResumableUpload, UploadTask
from asset_service._async._source import Source
from asset_service._async._sources import UploadSource, prepare_source
from asset_service._async._upload_call import UploadCall, send_upload
from asset_service._gen import asset_service_pb2 as pb
from asset_service._hash import WholeHash
from asset_service._messages import FileFields, to_file
from asset_service._requests import to_checksums
from asset_service.errors import AssetError, invalid_option, no_answer, source_failed
from asset_service.progress import ProgressReporter, ProgressTarget
from asset_service.records import AssetFile
from asset_service.retry import Attempt, CallOptions, is_retriable

MiB = 1024 * 1024
SINGLE_CALL_BYTES = 8 * MiB
WINDOW_BYTES = 16 * MiB


@dataclass(frozen=True)
class Transfer:
    """Options of one upload, beside the description of its file."""

    call: CallOptions
    size_bytes: int | None = None
    request_id: str | None = None
    sha256: str | None = None
    crc32c: int | None = None
    verify: str = "crc32c"
    single_call_bytes: int | None = None
    window_bytes: int | None = None
    progress: ProgressTarget | None = None


async def upload_file(caller: Caller, source: UploadSource, fields: FileFields, options: Transfer) -> AssetFile:
    """Uploads one file."""
    request_id = check_text("request_id", options.request_id) or str(uuid.uuid4())
    check_whole("single_call_bytes", options.single_call_bytes)
    limit = SINGLE_CALL_BYTES if options.single_call_bytes is None else options.single_call_bytes

    async def send(prepared: Source, size: int | None, progress: ProgressReporter) -> AssetFile:
        message = fields.to_message()
        if fields.name is None and prepared.name is not None:
            # A name of the file system that is no text is not sent.
            message.name = os.fsencode(prepared.name).decode(errors="replace")
        spec = pb.UploadSpec(file=message, request_id=request_id, size_bytes=size)
        task = _task(caller, prepared, options, progress)
        task.spec, task.may_be_begun = spec, options.request_id is not None
        if size is not None and size <= limit:
            return await _upload_whole(task, spec)
        upload = ResumableUpload(task)
        try:
            return await upload.run()
        except BaseException:
            # With a request id of their own, callers can resume. Otherwise nobody could, and the bytes would count in the
            # owner's quota.
            if options.request_id is None:
                await finish(upload.give_up())
            raise

    try:
        return await _with_source(source, options, send)
    except AssetError as error:
        error.request_id = error.request_id or request_id
        raise


async def resume_upload(caller: Caller, upload_id: str, source: UploadSource, options: Transfer) -> AssetFile:
    """Sends what the service does not have yet of a begun upload."""
    if not check_text("upload_id", upload_id):
        raise invalid_option("upload_id must be the id of an upload")

    async def send(prepared: Source, size: int | None, progress: ProgressReporter) -> AssetFile:
        task = _task(caller, prepared, options, progress)
        task.upload_id, task.may_be_begun = upload_id, True
        return await ResumableUpload(task).run()

    return await _with_source(source, options, send)


async def _with_source(
    source: UploadSource,
    options: Transfer,
    upload: Callable[[Source, int | None, ProgressReporter], Awaitable[AssetFile]],
) -> AssetFile:
    """Prepares a source and closes it at the end."""
    check_whole("size_bytes", options.size_bytes)
    prepared = prepare_source(source)
    try:
        try:
            size = await prepared.size()
        except (OSError, ValueError) as error:
            raise source_failed(error) from error
        if options.size_bytes is not None:
            size = options.size_bytes
        progress = ProgressReporter(options.progress, size, prepared.name)
        try:
            return await upload(prepared, size, progress)
        finally:
            progress.close()
    finally:
        await prepared.discard()


def _task(caller: Caller, source: Source, options: Transfer, progress: ProgressReporter) -> UploadTask:
    check_whole("window_bytes", options.window_bytes, 1)
    if options.verify not in ("crc32c", "sha256"):
        raise invalid_option(f"verify must be 'crc32c' or 'sha256', not {options.verify!r}")
    return UploadTask(
        caller=caller,
        source=source,
        spec=None,
        upload_id=None,
        may_be_begun=False,
        expected=to_checksums(options.sha256, options.crc32c),
        with_sha256=options.verify == "sha256" or options.sha256 is not None,
        window_bytes=WINDOW_BYTES if options.window_bytes is None else options.window_bytes,
        retries=caller.retries(options.call, float("inf")),
        progress=progress,
    )


async def _upload_whole(task: UploadTask, spec: pb.UploadSpec) -> AssetFile:
    """Sends a small file in one call, and again after a failure. Keeps the bytes of a stream until the end."""

    async def once(attempt: Attempt) -> AssetFile:
        task.progress.begin(0, attempt.number)
        whole = WholeHash(task.with_sha256)
        call = UploadCall(
            source=task.source,
            hash=whole,
            expected=task.expected,
            start=0,
            until=None,
            first=pb.UploadRequest(upload_spec=spec),
            on_sent=lambda offset: task.progress.at(offset, attempt.number),
        )
        answer = await send_upload(task.caller, call, attempt)
        if answer.WhichOneof("write_status") != "file":
            raise no_answer()
        # The position of the hash, because a record that the caller may not read has no size.
        task.progress.at(whole.position, attempt.number)
        return to_file(answer.file)

    def again(failure: AssetError) -> bool:
        return is_retriable(failure) and task.source.can_open(0)

    return await task.caller.run(task.retries, once, again)
