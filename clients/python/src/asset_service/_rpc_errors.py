"""Converts errors of gRPC into errors of the clients."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from asset_service.errors import AssetError, FieldViolation, make_error

_CODES = {code.value[0]: code.name for code in grpc.StatusCode}

_DETAILS = "grpc-status-details-bin"

_TLS = re.compile(
    r"handshake failed|certificate[ _]verify[ _]failed|SSL_ERROR|TSI_PROTOCOL_FAILURE|peer name", re.IGNORECASE
)
"""Texts of gRPC about a TLS handshake that fails every time."""

_TLS_BROKEN = re.compile(r"socket closed|connection reset|eof|timed? ?out|deadline", re.IGNORECASE)
"""Texts about a handshake that the network ended."""

_BROKEN = re.compile(
    r"RST_STREAM|stream removed|internal error from core|socket closed|transport|connection|goaway|truncated|trailers",
    re.IGNORECASE,
)
"""Texts of gRPC about a connection that broke during a call."""


def from_rpc_error(error: grpc.RpcError) -> AssetError:
    """The error for one of gRPC, which becomes its cause."""
    # Both kinds of channel raise errors that are calls as well.
    call: Any = error
    code: str = call.code().name
    message: str = call.details() or ""
    failure = _from_details(code, message, _details(call.trailing_metadata()))
    if failure is None:
        failure = _local(code, message)
    failure.__cause__ = error
    return failure


def from_status(status: status_pb2.Status) -> AssetError:
    """The error in a response to a batch."""
    code = _CODES.get(status.code, "UNKNOWN")
    return _from_details(code, status.message, status.details) or make_error(code, status.message)


def _details(metadata: Iterable[tuple[str, str | bytes]] | None) -> Iterable[AnyMessage]:
    for key, value in metadata or ():
        if key == _DETAILS and isinstance(value, bytes):
            details: Iterable[AnyMessage] = status_pb2.Status.FromString(value).details
            return details
    return ()


def _from_details(code: str, message: str, details: Iterable[AnyMessage]) -> AssetError | None:
    """The error that the details describe; None if they are not from the service."""
    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    bad = error_details_pb2.BadRequest()
    known = False
    delay: float | None = None
    for detail in details:
        known = detail.Unpack(info) or known
        if detail.Unpack(retry):
            delay = retry.retry_delay.ToTimedelta().total_seconds()
        detail.Unpack(bad)
    if not known:
        return None
    return make_error(
        code,
        message,
        reason=info.reason.removeprefix("ERROR_REASON_"),
        metadata=dict(info.metadata),
        retry_after=delay,
        field_violations=[FieldViolation(each.field, each.description) for each in bad.field_violations],
    )


def _local(code: str, message: str) -> AssetError:
    """The error for a status that gRPC itself, or something between, made."""
    if code == "UNAVAILABLE" and _TLS.search(message) and not _TLS_BROKEN.search(message):
        return make_error(code, f"no TLS connection to the service: {message}", reason="TLS_FAILED")
    # The service shut down, or the connection broke: the caller itself cancels by an exception of its own.
    broken = code in ("UNAVAILABLE", "CANCELLED") or (code in ("INTERNAL", "UNKNOWN") and _BROKEN.search(message))
    if broken:
        text = f"the connection to the service failed: {message}"
        return make_error("UNAVAILABLE", text, reason="CONNECTION_LOST")
    if code == "RESOURCE_EXHAUSTED" and "larger than max" in message:
        return make_error(
            code, "the answer is larger than this client reads: ask for less at once", reason="MESSAGE_TOO_LARGE"
        )
    if code == "DEADLINE_EXCEEDED":
        return make_error(code, "the time for the call is over")
    return make_error(code, message)
