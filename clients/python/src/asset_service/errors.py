"""The errors of the clients. Every failure of a call is an `AssetError`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class FieldViolation:
    """One field of a request that breaks a rule of the contract."""

    field: str
    """Path of the field, such as `upload_spec.file.name`."""
    description: str
    """The rule that it breaks."""


class AssetError(Exception):
    """A call failed. Its class groups the reasons; `reason` is the exact one.

    An error can be pickled, so that worker processes can pass it on; the cause is left behind.
    """

    default_code: ClassVar[str] = "UNKNOWN"
    """The code of errors that this class is raised for without another one."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        reason: str | None = None,
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        field_violations: Sequence[FieldViolation] = (),
        token_renewed: bool = False,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        """What failed, in one sentence."""
        self.code = code or self.default_code
        """The canonical gRPC code, such as `NOT_FOUND`."""
        self.reason = reason
        """Why: a name of `asset.v1.ErrorReason` without its prefix, or a reason of the client; None if unknown."""
        self.metadata: dict[str, str] = dict(metadata or {})
        """Values that the reason documents, such as `file_id`."""
        self.retry_after = retry_after
        """How many seconds the service asks to wait before a retry."""
        self.field_violations: tuple[FieldViolation, ...] = tuple(field_violations)
        """The invalid fields, if the reason is FIELD_INVALID."""
        self.token_renewed = token_renewed
        """True if the service refused the call's token and its source has another one."""
        self.request_id = request_id
        """Request id of a failed upload: with it the upload is repeated or resumed without a second file."""

    def __str__(self) -> str:
        return f"{self.message} ({self.code}{f' {self.reason}' if self.reason else ''})"

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: value for name, value in self.__dict__.items() if not name.startswith("__")}
        return (_restore, (type(self), self.message, state))


def _restore(kind: type[AssetError], message: str, state: dict[str, Any]) -> AssetError:
    error = kind(message)
    error.__dict__.update(state)
    return error


class NotFoundError(AssetError):
    """There is no such file or upload, or it is deleted."""

    default_code = "NOT_FOUND"


class PermissionDeniedError(AssetError):
    """The caller, or its end user, may not do this. The same whether the file exists or not."""

    default_code = "PERMISSION_DENIED"


class UnauthenticatedError(AssetError):
    """There is no valid token or certificate, or the token source gave none."""

    default_code = "UNAUTHENTICATED"


class InvalidArgumentError(AssetError):
    """An argument or option is not valid; nothing was stored."""

    default_code = "INVALID_ARGUMENT"


class PolicyError(InvalidArgumentError):
    """The usage policy or the malware scanner does not allow the file."""


class IntegrityError(AssetError):
    """Bytes do not match their size or checksum, or are missing."""

    default_code = "DATA_LOSS"


class ConflictError(AssetError):
    """The state is another one: a changed etag, a used request id, a file that exists already."""

    default_code = "ABORTED"


class OutOfRangeError(AssetError):
    """An offset or a cursor is outside what there is."""

    default_code = "OUT_OF_RANGE"


class PreconditionError(AssetError):
    """The call does not fit the state of the file, the upload or this client."""

    default_code = "FAILED_PRECONDITION"


class LimitError(AssetError):
    """A rate, a quota or a size is exceeded."""

    default_code = "RESOURCE_EXHAUSTED"


class UnavailableError(AssetError):
    """The service, its store or its catalog cannot be reached."""

    default_code = "UNAVAILABLE"


class DeadlineExceededError(AssetError, TimeoutError):
    """The time for the call is over."""

    default_code = "DEADLINE_EXCEEDED"


class CancelledError(AssetError):
    """The call was cancelled, for example because the client was closed."""

    default_code = "CANCELLED"


class SourceError(AssetError):
    """The source of an upload could not be read, changed, or cannot be read again."""

    default_code = "FAILED_PRECONDITION"


class TargetError(AssetError):
    """The local target of a download could not be written."""

    default_code = "FAILED_PRECONDITION"


class InternalError(AssetError):
    """A fault of the service, or an answer that this client does not understand."""

    default_code = "INTERNAL"


_BY_REASON: Mapping[str, type[AssetError]] = {
    "CONTENT_TYPE_MISMATCH": PolicyError,
    "CONTENT_TYPE_NOT_ALLOWED": PolicyError,
    "FILE_TOO_LARGE": PolicyError,
    "USAGE_UNKNOWN": PolicyError,
    "MALWARE_FOUND": PolicyError,
    "DISPOSITION_NOT_ALLOWED": PolicyError,
    "CHECKSUM_MISMATCH": IntegrityError,
    "SIZE_MISMATCH": IntegrityError,
    "SOURCE_CHANGED": SourceError,
    "SOURCE_FAILED": SourceError,
    "SOURCE_NOT_REPEATABLE": SourceError,
    "TARGET_FAILED": TargetError,
    "TARGET_EXISTS": TargetError,
    "DOWNLOAD_TOO_LARGE": LimitError,
}
"""Reasons whose class is not that of their code."""

_BY_CODE: Mapping[str, type[AssetError]] = {
    "CANCELLED": CancelledError,
    "INVALID_ARGUMENT": InvalidArgumentError,
    "DEADLINE_EXCEEDED": DeadlineExceededError,
    "NOT_FOUND": NotFoundError,
    "ALREADY_EXISTS": ConflictError,
    "PERMISSION_DENIED": PermissionDeniedError,
    "RESOURCE_EXHAUSTED": LimitError,
    "FAILED_PRECONDITION": PreconditionError,
    "ABORTED": ConflictError,
    "OUT_OF_RANGE": OutOfRangeError,
    "UNIMPLEMENTED": InternalError,
    "INTERNAL": InternalError,
    "UNAVAILABLE": UnavailableError,
    "DATA_LOSS": IntegrityError,
    "UNAUTHENTICATED": UnauthenticatedError,
}


def error_class(code: str, reason: str | None) -> type[AssetError]:
    """The class for a reason or, if it has none of its own, for a code."""
    return _BY_REASON.get(reason or "") or _BY_CODE.get(code, AssetError)


def make_error(code: str, message: str, *, reason: str | None = None, **properties: Any) -> AssetError:
    """An error of the class that fits its reason and code."""
    return error_class(code, reason)(message, code=code, reason=reason, **properties)


def invalid_option(message: str) -> AssetError:
    """The error for an invalid argument or option."""
    return make_error("INVALID_ARGUMENT", message, reason="OPTION_INVALID")


def client_closed() -> AssetError:
    """The error of a call on a closed client."""
    return make_error("FAILED_PRECONDITION", "the client is closed", reason="CLIENT_CLOSED")


def damaged(file_id: str, message: str) -> AssetError:
    """The error for bytes that do not match the file."""
    return make_error("DATA_LOSS", message, reason="DOWNLOAD_DAMAGED", metadata={"file_id": file_id})


def source_failed(error: BaseException) -> AssetError:
    """The error for a source that could not be read."""
    if isinstance(error, AssetError):
        return error
    message = f"the source of the upload could not be read: {error}"
    failure = make_error("INVALID_ARGUMENT", message, reason="SOURCE_FAILED")
    failure.__cause__ = error
    return failure


def no_answer(what: str = "a file") -> AssetError:
    """The error for a response without what it must have."""
    return make_error("INTERNAL", f"the service answered without {what}")
