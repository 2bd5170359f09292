"""Uploads that take several calls."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from asset_service._arguments import Timeout, check_text, check_whole
from asset_service._async import _upload
from asset_service._async._client_base import ClientBase
from asset_service._async._sources import UploadSource
from asset_service._async._upload import Transfer
from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import methods
from asset_service._messages import FileFields, file_of, to_file, to_time
from asset_service._requests import to_checksums
from asset_service.errors import AssetError
from asset_service.progress import ProgressTarget
from asset_service.records import AssetFile, Attributes, Relations, StartedUpload, UploadPart, UploadStatus
from asset_service.retry import Attempt


class SessionMethods(ClientBase):
    """Begins, continues and ends uploads by their id."""

    async def start_upload(
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
        started = await self._caller.call(methods.START_UPLOAD, request, self._options.call(timeout, headers))
        return StartedUpload(started.upload_id, used, to_time(started, "expire_time"), started.part_size_bytes)

    async def get_upload(
        self, upload_id: str, *, timeout: Timeout = None, headers: Mapping[str, str] | None = None
    ) -> UploadStatus:
        """The state of an upload."""
        request = pb.GetUploadRequest(upload_id=check_text("upload_id", upload_id))
        status = await self._caller.call(methods.GET_UPLOAD, request, self._options.call(timeout, headers))
        file = to_file(status.file) if status.WhichOneof("write_status") == "file" else None
        persisted = status.persisted_size if file is None else file.size_bytes
        spec = status.upload_spec
        return UploadStatus(
            upload_id=upload_id,
            persisted_bytes=persisted,
            file=file,
            expire_time=to_time(status, "expire_time"),
            size_bytes=spec.size_bytes if spec.HasField("size_bytes") else None,
            create_time=to_time(status, "create_time"),
            description=to_file(spec.file) if spec.HasField("file") else None,
            part_size_bytes=status.part_size_bytes,
            stored_part_numbers=tuple(status.stored_part_numbers),
        )

    async def resume_upload(
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
        return await _upload.resume_upload(self._caller, upload_id, source, transfer)

    async def sign_upload_parts(
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
        signed = await self._caller.call(methods.SIGN_UPLOAD_PARTS, request, self._options.call(timeout, headers))
        return [UploadPart(part.part_number, part.url, dict(part.headers)) for part in signed.parts]

    async def complete_upload(
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
        return file_of(await self._caller.call(methods.COMPLETE_UPLOAD, request, options))

    async def cancel_upload(
        self, upload_id: str, *, timeout: Timeout = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Cancels an upload and removes what was sent."""
        request = pb.CancelUploadRequest(upload_id=check_text("upload_id", upload_id))

        async def once(attempt: Attempt) -> None:
            try:
                await self._caller.unary(methods.CANCEL_UPLOAD, request, attempt)
            except AssetError as error:
                # The previous try succeeded and its response was lost.
                if attempt.number == 1 or error.reason != "UPLOAD_NOT_FOUND":
                    raise

        await self._caller.run(self._caller.retries(self._options.call(timeout, headers)), once)
