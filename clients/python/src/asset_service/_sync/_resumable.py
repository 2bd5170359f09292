# Made from _async/_resumable.py by tools/generate_sync.py. Change that file.
"""Uploads over several calls."""

from __future__ import annotations

from dataclasses import dataclass

from asset_service._sync._caller import Caller
from asset_service._sync._source import Source
from asset_service._sync._upload_call import UploadCall, open_at, send_upload, skip
from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import file_pb2, methods
from asset_service._hash import WholeHash
from asset_service._messages import to_file
from asset_service.errors import AssetError, error_class, make_error, no_answer
from asset_service.progress import ProgressReporter
from asset_service.records import AssetFile
from asset_service.retry import Attempt, CallOptions, Retries, RetryPolicy, is_retriable

_ASK_AGAIN = ("UPLOAD_TAKEN_OVER", "WRITE_OFFSET_MISMATCH", "UPLOAD_STALLED")
"""Reasons after which the client must ask the service for the offset."""

_MAY_HAVE_BEGUN = ("CANCELLED", "DEADLINE_EXCEEDED", "UNAVAILABLE", "UNKNOWN")
"""Codes of a failed call that may have taken effect."""

_CANCEL_SECONDS = 3.0
"""Maximum time for cancelling; the caller waits for it."""


@dataclass
class UploadTask:
    """What all tries of one upload share."""

    caller: Caller
    source: Source
    spec: pb.UploadSpec | None
    """Description of a new upload."""
    upload_id: str | None
    """Id of an upload that was begun before."""
    may_be_begun: bool
    """True if an earlier process may have begun the upload."""
    expected: file_pb2.Checksums
    with_sha256: bool
    window_bytes: int
    retries: Retries
    progress: ProgressReporter


class ResumableUpload:
    """An upload over several calls. After a temporary failure it asks the service how much is durable and continues.

    A source that can be read again is sent in one call to its end. A stream is sent in calls of as many bytes as may be kept
    in memory, each answered when they are durable, so that the client can send again whatever the service asks for.
    """

    def __init__(self, task: UploadTask) -> None:
        self._task = task
        self._upload_id = task.upload_id
        # True while the service may have begun an upload whose id was not received.
        self._may_be_unknown = False
        self._part_bytes = 0
        self._hash = WholeHash(task.with_sha256)
        # Maximum persisted size seen so far.
        self._best = 0

    def run(self) -> AssetFile:
        """Sends the file. Raises the first permanent failure, or the last one when time or retries are used up."""
        return self._task.caller.run(self._task.retries, self._try, self._may_go_on)

    def give_up(self) -> bool:
        """Tries for a short time to cancel the failed upload. True if nothing is left of it; otherwise it expires."""
        caller, spec = self._task.caller, self._task.spec
        if self._upload_id is None and not self._may_be_unknown:
            return True
        policy = RetryPolicy(retries=5, base_delay=0.1)
        retries = Retries(policy, CallOptions(_CANCEL_SECONDS, {}))

        def cancel(attempt: Attempt) -> None:
            if self._upload_id is None:
                started = caller.unary(methods.START_UPLOAD, pb.StartUploadRequest(upload_spec=spec), attempt)
                self._upload_id = started.upload_id
            caller.unary(methods.CANCEL_UPLOAD, pb.CancelUploadRequest(upload_id=self._upload_id), attempt)

        def again(failure: AssetError) -> bool:
            # The service may still be saving the end of the abandoned call.
            return is_retriable(failure) or failure.reason == "UPLOAD_TAKEN_OVER"

        try:
            caller.run(retries, cancel, again)
        except AssetError:
            return False
        return True

    def _try(self, attempt: Attempt) -> AssetFile:
        status: pb.GetUploadResponse | pb.UploadResponse | int = self._standing(attempt)
        while isinstance(status, int) or status.WhichOneof("write_status") == "persisted_size":
            start = status if isinstance(status, int) else status.persisted_size
            self._note(start, attempt)
            # One try may take many calls: each gets the remaining time.
            status = self._send(start, self._task.retries.next())
            # A service that makes no progress would be asked without end.
            if status.WhichOneof("write_status") == "persisted_size" and status.persisted_size <= start:
                raise make_error("INTERNAL", "the service kept nothing of what was sent")
        if status.WhichOneof("write_status") != "file":
            raise no_answer()
        file = to_file(status.file)
        self._assert_same(file)
        # The position of the hash, because a record that the caller may not read has no size.
        self._task.progress.at(self._hash.position, attempt.number)
        return file

    def _standing(self, attempt: Attempt) -> pb.GetUploadResponse | int:
        """Asks for the state of the upload; begins it if needed."""
        task = self._task
        if self._upload_id is None:
            # Also when the task is cancelled in between.
            self._may_be_unknown = True
            try:
                started = task.caller.unary(
                    methods.START_UPLOAD, pb.StartUploadRequest(upload_spec=task.spec), attempt
                )
            except AssetError as error:
                self._may_be_unknown = error.code in _MAY_HAVE_BEGUN
                raise
            self._upload_id, self._may_be_unknown = started.upload_id, False
            self._part_bytes = started.part_size_bytes
            if not task.may_be_begun:
                return 0
        return task.caller.unary(methods.GET_UPLOAD, pb.GetUploadRequest(upload_id=self._upload_id), attempt)

    def _note(self, persisted: int, attempt: Attempt) -> None:
        """Records the persisted size."""
        task = self._task
        if persisted > self._best:
            self._best = persisted
            task.retries.progressed()
        # Bytes that another process sent must still be read here for the hash.
        if task.source.window is not None:
            task.source.window.acknowledge(min(persisted, self._hash.position))
        task.progress.begin(persisted, attempt.number)

    def _send(self, start: int, attempt: Attempt) -> pb.UploadResponse:
        task = self._task
        if not task.source.can_open(min(start, self._hash.position)):
            raise self._lost(start)
        call = UploadCall(
            source=task.source,
            hash=self._hash,
            expected=task.expected,
            start=start,
            until=None if task.source.window is None else start + self._stretch(),
            first=pb.UploadRequest(upload_id=self._upload_id or ""),
            on_sent=lambda offset: task.progress.at(offset, attempt.number),
        )
        return send_upload(task.caller, call, attempt)

    def _stretch(self) -> int:
        """Bytes of one call: whole parts if they fit, because the service stores an incomplete part twice."""
        window, part = self._task.window_bytes, self._part_bytes
        return window - window % part if 0 < part <= window else window

    def _may_go_on(self, failure: AssetError) -> bool:
        """Whether a retry is possible. An upload that no longer exists begins again if the source can be read again."""
        if failure.reason == "UPLOAD_NOT_FOUND" and self._upload_id is not None:
            if self._task.upload_id is not None:
                return False
            self._upload_id = None
            if not self._task.source.can_open(0):
                raise self._lost(0, failure)
            return True
        return is_retriable(failure) or failure.reason in _ASK_AGAIN

    def _lost(self, start: int, cause: AssetError | None = None) -> AssetError:
        window = self._task.source.window
        kept = window.start if window is not None else 0
        why = cause.message if cause is not None else f"the service asks for the bytes from {start} on again"
        reason = "SOURCE_NOT_REPEATABLE" if cause is None else cause.reason
        code = "FAILED_PRECONDITION" if cause is None else cause.code
        failure = error_class(code, reason)(
            f"{why} (not tried again: the source is a stream of which only the bytes from {kept} on are still in memory, at"
            f" most {self._task.window_bytes}; upload a path, bytes, or a function that opens the stream)",
            code=code,
            reason=reason,
            metadata=cause.metadata if cause is not None else None,
        )
        failure.__cause__ = cause
        return failure

    def _assert_same(self, file: AssetFile) -> None:
        """Checks a file that an earlier process made under the same request id. The service did not get these bytes, so the
        client hashes and compares them."""
        task = self._task
        if not self._hash.finished:
            opened = open_at(task.source, self._hash.position)
            try:
                if opened.position == 0:
                    self._hash.restart()
                skip(opened, self._hash, None, task.source)
            finally:
                opened.close()
        own = self._hash.finish()
        if own.sha256 and file.sha256 is not None:
            same = own.sha256.hex() == file.sha256
        else:
            same = file.crc32c is None or (own.crc32c, self._hash.position) == (file.crc32c, file.size_bytes)
        if same:
            return
        what = f"the upload {file.id}" if task.spec is None else f"the request id {task.spec.request_id}"
        raise make_error(
            "ALREADY_EXISTS",
            f"{what} was used for other content: use a new one for a new upload",
            reason="REQUEST_ID_REUSED",
            metadata={"file_id": file.id},
        )
