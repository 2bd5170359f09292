# Made from _async/_client_base.py by tools/generate_sync.py. Change that file.
"""What all methods of a client share."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from asset_service._sync._caller import Caller
from asset_service._sync._io import Wire
from asset_service._options import ClientOptions, Headers
from asset_service._target import TLS
from asset_service.retry import RetryPolicy
from asset_service.tokens import Token


class ClientBase:
    """The options and the connection of a client."""

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
        headers: headers of every call, such as `x-request-id`, or a function that is called before each. Without
            `traceparent` among them the active span of OpenTelemetry is sent.
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

    def for_user(self, user_token: Token) -> Self:
        """A client for one end user over the same connection. It is cheap and need not be closed."""
        options = replace(self._options, user_token=user_token).checked()
        client = object.__new__(type(self))
        client._init(options, self._wire, shared=True)
        return client

    def close(self) -> None:
        """Ends running calls and closes the connection. Do not call other methods afterwards."""
        if not self._shared:
            self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
