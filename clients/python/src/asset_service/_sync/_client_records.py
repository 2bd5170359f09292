# Made from _async/_client_records.py by tools/generate_sync.py. Change that file.
"""Records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from asset_service._arguments import Timeout, check_ids, check_text, check_whole
from asset_service._sync import _many
from asset_service._sync._client_base import ClientBase
from asset_service._sync._limited import map_limited
from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import methods
from asset_service._messages import FileFields, file_of
from asset_service._method import Method
from asset_service._requests import set_ref
from asset_service.errors import AssetError, invalid_option
from asset_service.records import AssetFile, Attributes, FileRef, FileResult, Relations
from asset_service.retry import Attempt, CallOptions


class RecordMethods(ClientBase):
    """Reads and changes records."""

    def get(
        self, file: FileRef, *, timeout: Timeout = None, headers: Mapping[str, str] | None = None
    ) -> AssetFile:
        """The record of a file, also of a soft-deleted one."""
        request = pb.GetFileRequest()
        set_ref(request, file)
        return file_of(self._caller.call(methods.GET_FILE, request, self._options.call(timeout, headers)))

    def get_many(
        self, ids: Iterable[str], *, timeout: Timeout = None, headers: Mapping[str, str] | None = None
    ) -> Sequence[FileResult]:
        """The records of many files, in the order of `ids`: each result has a record or an error."""
        return _many.get_many(self._caller, ids, self._options.call(timeout, headers))

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
        return file_of(self._caller.call(methods.UPDATE_METADATA, request, options))

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

    def _switch(self, method: Method[Any, Any], request: Any, done: str, options: CallOptions) -> AssetFile:
        """If a retry finds the change already made, the first try made it and its response was lost."""

        def once(attempt: Attempt) -> AssetFile:
            try:
                return file_of(self._caller.unary(method, request, attempt))
            except AssetError as error:
                if attempt.number == 1 or error.reason != done:
                    raise
            again = pb.GetFileRequest(file_id=request.file_id)
            return file_of(self._caller.unary(methods.GET_FILE, again, attempt))

        return self._caller.run(self._caller.retries(options), once)
