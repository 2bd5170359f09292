"""What differs between the asyncio client and the synchronous one: channels, waiting, threads, iterators."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing as aclosing
from typing import Any, TypeAlias, TypeVar

import grpc
import grpc.aio

from asset_service._method import Method, Request, Response
from asset_service._options import ClientOptions
from asset_service.errors import client_closed, make_error
from asset_service.tokens import Token, TokenSource, check_token, read_fast

Item = TypeVar("Item")
Result = TypeVar("Result")


sleep = asyncio.sleep


Stream: TypeAlias = AsyncGenerator[Item, None]
"""An iterator that must be closed."""


Metadata = tuple[tuple[str, str], ...]


_ABANDONED: list[object] = []
"""Channels of another process or of an ended event loop. Their destructors would use what is not there any more."""


async def run_blocking(work: Callable[..., Result], *arguments: Any) -> Result:
    """Calls a function that may block, in a thread."""
    return await asyncio.to_thread(work, *arguments)


async def read_token(source: Token | None, refused: str | None = None) -> str | None:
    """Asks a source for a token."""
    found = read_fast(source, refused)
    if isinstance(found, str) or found is None:
        return found
    if isinstance(found, TokenSource):
        return await asyncio.to_thread(found.get, refused)
    return check_token(await found)


async def finish(work: Awaitable[Any]) -> None:
    """Waits for work that must end although the task is cancelled. Its failures are ignored."""
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            # A second cancellation: the work has its own limit of time.
            continue
        except Exception:
            return


class _State:
    """What a fork changes."""

    def __init__(self) -> None:
        self.wires: weakref.WeakSet[Wire] = weakref.WeakSet()
        self.forked = False
        """True in a process that was forked while an asyncio channel was open."""

    def after_fork(self) -> None:
        """In the child."""
        # The thread that gRPC's asyncio needs is not in this process, and it would not start another one.
        self.forked = self.forked or bool(_ABANDONED) or any(each.is_open for each in self.wires)
        for each in self.wires:
            each.after_fork()


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_state.after_fork)


class Wire:
    """The channels of a client: one for each process and event loop, opened with the first call."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._channels: dict[asyncio.AbstractEventLoop, grpc.aio.Channel] = {}
        self._closed = False
        _state.wires.add(self)

    @property
    def is_open(self) -> bool:
        """True while it has channels."""
        return len(self._channels) > 0

    def after_fork(self) -> None:
        """Forgets the channels of the parent process, and a lock that a thread of it may hold."""
        _ABANDONED.append(self._channels)
        self._channels, self._lock = {}, threading.Lock()

    def _channel(self) -> grpc.aio.Channel:
        if _state.forked:
            raise make_error(
                "FAILED_PRECONDITION",
                "this process was forked while an asyncio client was open, after which gRPC's asyncio cannot be used: close"
                " it before, start the process by spawn or forkserver, or use AssetClient",
                reason="FORKED",
            )
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._closed:
                raise client_closed()
            for ended in [each for each in self._channels if each.is_closed()]:
                _ABANDONED.append(self._channels.pop(ended))
            channel = self._channels.get(loop)
            if channel is None:
                options = self._options
                arguments = options.channel_arguments()
                if options.secure:
                    credentials = options.tls.credentials() if options.tls else grpc.ssl_channel_credentials()
                    channel = grpc.aio.secure_channel(options.address, credentials, options=arguments)
                else:
                    channel = grpc.aio.insecure_channel(options.address, options=arguments)
                self._channels[loop] = channel
            return channel

    def _ended(self, error: BaseException) -> BaseException:
        """A call that the closing of the channel ended looks like a cancelled task."""
        task = asyncio.current_task()
        if not self._closed or (task is not None and task.cancelling() > 0):
            return error
        return client_closed()

    async def unary(
        self, method: Method[Request, Response], request: Request, timeout: float | None, metadata: Metadata
    ) -> Response:
        """Makes a call with one request and one response."""
        call: grpc.aio.UnaryUnaryMultiCallable[Request, Response] = self._channel().unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        try:
            return await call(request, timeout=timeout, metadata=metadata)
        except (asyncio.CancelledError, grpc.aio.UsageError) as error:
            raise self._ended(error) from error

    async def stream(
        self,
        method: Method[Request, Any],
        request: Request,
        timeout: float | None,
        metadata: Metadata,
        read: Callable[[bytes], Item],
    ) -> Stream[Item]:
        """Makes a call with one request and many responses. Closing the iterator ends the call."""
        start: grpc.aio.UnaryStreamMultiCallable[Request, bytes] = self._channel().unary_stream(
            method.path, request_serializer=method.request.SerializeToString
        )
        call = start(request, timeout=timeout, metadata=metadata)
        try:
            async for message in call:
                yield read(message)
        except (asyncio.CancelledError, grpc.aio.UsageError) as error:
            raise self._ended(error) from error
        finally:
            call.cancel()

    async def upload(
        self,
        method: Method[Any, Response],
        messages: AsyncIterator[bytes],
        timeout: float | None,
        metadata: Metadata,
    ) -> Response:
        """Makes a call with many requests and one response. A failure of `messages` ends the call and is raised; a failed
        call does not wait for a message."""
        start: grpc.aio.StreamUnaryMultiCallable[bytes, Response] = self._channel().stream_unary(
            method.path, response_deserializer=method.response.FromString
        )
        call = start(timeout=timeout, metadata=metadata)
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        call.add_done_callback(lambda _: None if over.done() else over.set_result(None))
        pending: asyncio.Future[bytes | None] | None = None
        try:
            while not over.done():
                pending = asyncio.ensure_future(_next(messages))
                waiting: list[asyncio.Future[Any]] = [pending, over]
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                if not pending.done():
                    break
                message, pending = await pending, None
                if message is None:
                    await call.done_writing()
                    break
                await call.write(message)
        except (grpc.RpcError, asyncio.InvalidStateError):
            # The call has ended, and says why below.
            pass
        except asyncio.CancelledError as error:
            call.cancel()
            raise self._ended(error) from error
        except BaseException:
            call.cancel()
            raise
        finally:
            if pending is not None:
                pending.cancel()
                await asyncio.gather(pending, return_exceptions=True)
        try:
            return await call
        except (asyncio.CancelledError, grpc.aio.UsageError) as error:
            call.cancel()
            raise self._ended(error) from error

    async def close(self) -> None:
        """Ends running calls and closes the channels."""
        self._closed = True
        with self._lock:
            channels, self._channels = self._channels, {}
        loop = asyncio.get_running_loop()
        for owner, channel in channels.items():
            if owner is loop:
                await channel.close()
            elif not owner.is_closed():
                asyncio.run_coroutine_threadsafe(channel.close(), owner)
            else:
                _ABANDONED.append(channel)


async def _next(messages: AsyncIterator[bytes]) -> bytes | None:
    return await anext(messages, None)
