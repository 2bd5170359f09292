"""Makes calls with identity, headers and retries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import grpc

from asset_service._arguments import check_headers
from asset_service._async._io import Stream, Wire, aclosing, read_token, sleep
from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import methods
from asset_service._method import Method, Request, Response
from asset_service._options import ClientOptions
from asset_service._rpc_errors import from_rpc_error
from asset_service._trace_context import trace_headers
from asset_service.errors import AssetError, make_error
from asset_service.retry import CALL_RETRIES, Attempt, CallOptions, Retries, is_retriable
from asset_service.tokens import Token, check_token

Result = TypeVar("Result")
Item = TypeVar("Item")


class Caller:
    """What the methods of a client share."""

    def __init__(self, options: ClientOptions, wire: Wire) -> None:
        self.options = options
        self.wire = wire

    async def call(self, method: Method[Request, Response], request: Request, options: CallOptions) -> Response:
        """Makes a call with retries."""

        async def once(attempt: Attempt) -> Response:
            return await self.unary(method, request, attempt)

        return await self.run(self.retries(options), once)

    def retries(self, options: CallOptions, retries: float = CALL_RETRIES) -> Retries:
        """The retries of one call."""
        return Retries(self.options.retry, options, retries)

    async def run(
        self,
        retries: Retries,
        work: Callable[[Attempt], Awaitable[Result]],
        again: Callable[[AssetError], bool] = is_retriable,
    ) -> Result:
        """Does work until it succeeds or fails with an error that `again` does not permit."""
        while True:
            attempt = retries.next()
            try:
                return await work(attempt)
            except AssetError as error:
                delay = retries.delay(error, again(error))
            await sleep(delay)

    async def unary(self, method: Method[Request, Response], request: Request, attempt: Attempt) -> Response:
        """Makes a call once."""
        metadata, used = await self._metadata(attempt)
        try:
            return await self.wire.unary(method, request, attempt.timeout, metadata)
        except grpc.RpcError as error:
            raise await self._failure(error, used)

    async def stream(
        self, method: Method[Request, Any], request: Request, attempt: Attempt, read: Callable[[bytes], Item]
    ) -> Stream[Item]:
        """Makes a call with many responses once. Closing the iterator ends the call."""
        metadata, used = await self._metadata(attempt)
        try:
            async with aclosing(self.wire.stream(method, request, attempt.timeout, metadata, read)) as items:
                async for item in items:
                    yield item
        except grpc.RpcError as error:
            raise await self._failure(error, used)
        except ValueError as error:
            raise make_error("INTERNAL", str(error)) from error

    async def upload(self, messages: AsyncIterator[bytes], attempt: Attempt) -> pb.UploadResponse:
        """Makes an Upload call once."""
        metadata, used = await self._metadata(attempt)
        try:
            return await self.wire.upload(methods.UPLOAD, messages, attempt.timeout, metadata)
        except grpc.RpcError as error:
            raise await self._failure(error, used)

    async def _metadata(self, attempt: Attempt) -> tuple[tuple[tuple[str, str], ...], dict[str, str]]:
        """The metadata of a call, and the tokens in it by the name of their credential."""
        own = self.options.headers
        headers = check_headers(own() if callable(own) else own) | dict(attempt.headers)
        if "traceparent" not in headers:
            headers |= trace_headers()
        used: dict[str, str] = {}
        token = await read_token(self.options.token)
        # An unset environment variable gives an empty text, and a service that needs a token says so. An empty user token
        # is refused: without it the call would have the service's own permissions.
        if token is not None and token != "":
            used["authorization"] = check_token(token)
            headers["authorization"] = f"Bearer {token}"
        user_token = await read_token(self.options.user_token)
        if user_token is not None:
            headers["asset-user-token"] = used["asset-user-token"] = check_token(user_token)
        return tuple(headers.items()), used

    async def _failure(self, error: grpc.RpcError, used: dict[str, str]) -> AssetError:
        """The error of a call. If the service refused a token, asks its source for another one."""
        failure = from_rpc_error(error)
        if failure.code != "UNAUTHENTICATED":
            return failure
        credential = failure.metadata.get("credential", "authorization")
        source: Token | None = self.options.token
        if credential == "asset-user-token":
            source = self.options.user_token
        refused = used.get(credential)
        if refused is None or source is None or isinstance(source, str):
            return failure
        try:
            failure.token_renewed = await read_token(source, refused) != refused
        except Exception:
            # Why the service refused the token says more.
            failure.token_renewed = False
        return failure
