"""The options of a client, checked, in a form that can be pickled and used for a new channel in another process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from asset_service._arguments import check_headers, check_number, to_seconds
from asset_service._target import TLS, assert_protected, parse_target
from asset_service.errors import invalid_option
from asset_service.retry import CallOptions, RetryPolicy
from asset_service.tokens import Token, check_source

Headers = Mapping[str, str] | Callable[[], Mapping[str, str] | None]
"""Headers of every call: fixed, or from a function that is called before each call."""

MAX_MESSAGE = 4 * 1024 * 1024
"""Maximum message that a client reads: pieces of a file have at most 2 MiB, other responses less than 4 MiB."""

_MAX_FRAME = 1024 * 1024
"""Bytes that one HTTP/2 frame may have; the default of 16 KiB costs more processor time."""

_WINDOW = 8 * 1024 * 1024
"""Receive window of one download: 100 MB/s at 40 ms. A stalled reader can buffer as much, for each download."""


@dataclass(frozen=True)
class ClientOptions:
    """Address, identity, times and retries of a client."""

    target: str
    token: Token | None
    user_token: Token | None
    tls: TLS | None
    headers: Headers | None
    timeout: float
    transfer_timeout: float
    retry: RetryPolicy
    keepalive: float
    allow_tokens_over_http: bool
    secure: bool = False
    address: str = ""

    def checked(self) -> ClientOptions:
        """The options with the parsed target. Raises OPTION_INVALID, TOKEN_NOT_PROTECTED."""
        if self.tls is not None and not isinstance(self.tls, TLS):
            raise invalid_option("tls must be a TLS")
        target = parse_target(self.target, self.tls)
        for name, source in (("token", self.token), ("user_token", self.user_token)):
            check_source(name, source)
        if not callable(self.headers):
            check_headers(self.headers)
        if not isinstance(self.retry, RetryPolicy):
            raise invalid_option("retry must be a RetryPolicy")
        for name in ("timeout", "transfer_timeout", "keepalive"):
            check_number(name, getattr(self, name), 0)
        # An empty token is none: an environment variable that is not set.
        sends_tokens = (self.token is not None and self.token != "") or self.user_token is not None
        if sends_tokens and not target.secure and not target.local and not self.allow_tokens_over_http:
            assert_protected(target.address, "token")
        return replace(self, secure=target.secure, address=target.address)

    def call(
        self, timeout: float | timedelta | None, headers: Mapping[str, str] | None, transfer: bool = False
    ) -> CallOptions:
        """The options of a call. Raises OPTION_INVALID."""
        given = to_seconds("timeout", timeout)
        default = self.transfer_timeout if transfer else self.timeout
        return CallOptions(default if given is None else given, check_headers(headers))

    def channel_arguments(self) -> list[tuple[str, Any]]:
        """The arguments of gRPC for a channel."""
        arguments: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", MAX_MESSAGE),
            ("grpc.max_send_message_length", MAX_MESSAGE),
            ("grpc.http2.max_frame_size", _MAX_FRAME),
            ("grpc.http2.lookahead_bytes", _WINDOW),
            # The retries of this package know the reasons of the service.
            ("grpc.enable_retries", 0),
            ("grpc.service_config_disable_resolution", 1),
            # A connection that was made before a fork must not be found by the channel of the other process.
            ("grpc.use_local_subchannel_pool", 1),
            # gRPC would wait up to two minutes before it connects to a service that is back.
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 2000),
            ("grpc.min_reconnect_backoff_ms", 5000),
        ]
        if self.keepalive > 0:
            # Finds a peer that vanished while a call waits for it.
            arguments += [
                ("grpc.keepalive_time_ms", int(self.keepalive * 1000)),
                ("grpc.keepalive_timeout_ms", 20_000),
                ("grpc.http2.max_pings_without_data", 0),
            ]
        return arguments
