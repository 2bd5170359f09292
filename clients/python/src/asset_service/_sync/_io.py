"""What differs between the synchronous client and the asyncio one: channels, waiting, threads, iterators."""

from __future__ import annotations

import inspect
import os
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeAlias, TypeVar

import grpc
import grpc.experimental

from asset_service._method import Method, Request, Response
from asset_service._options import ClientOptions
from asset_service.errors import client_closed, invalid_option
from asset_service.tokens import Token, TokenSource, read_fast

Item = TypeVar("Item")
Result = TypeVar("Result")


sleep = time.sleep


Stream: TypeAlias = Generator[Item, None, None]
"""An iterator that must be closed."""


Metadata = tuple[tuple[str, str], ...]


_ABANDONED: list[object] = []
"""Channels of another process. Their destructors would use threads that are not in this one."""


def run_blocking(work: Callable[..., Result], *arguments: Any) -> Result:
    """Calls a function that may block."""
    return work(*arguments)


def read_token(source: Token | None, refused: str | None = None) -> str | None:
    """Asks a source for a token."""
    found = read_fast(source, refused)
    if isinstance(found, str) or found is None:
        return found
    if isinstance(found, TokenSource):
        return found.get(refused)
    if inspect.iscoroutine(found):
        found.close()
    raise invalid_option("only AsyncAssetClient takes a token function that is asynchronous")


def finish(work: bool) -> None:
    """The work is done: there is nothing to wait for."""


class closing(AbstractContextManager[Any]):
    """Closes a generator, unless a read in another thread hangs in it."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def __enter__(self) -> Any:
        return self._generator

    def __exit__(self, *details: object) -> None:
        try:
            self._generator.close()
        except ValueError:
            return


_wires: weakref.WeakSet[Wire] = weakref.WeakSet()


class Wire:
    """The channel of a client: one for each process, opened with the first call."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._current: grpc.Channel | None = None
        self._closed = False
        _wires.add(self)

    def after_fork(self) -> None:
        """Forgets the channel of the parent process, and a lock that a thread of it may hold."""
        _ABANDONED.append(self._current)
        self._current, self._lock = None, threading.Lock()

    def _channel(self) -> grpc.Channel:
        with self._lock:
            if self._closed:
                raise client_closed()
            if self._current is None:
                options = self._options
                arguments = options.channel_arguments()
                # Reads a download in the thread that asks for it, without a second one.
                arguments.append((grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1))
                if options.secure:
                    credentials = options.tls.credentials() if options.tls else grpc.ssl_channel_credentials()
                    self._current = grpc.secure_channel(options.address, credentials, options=arguments)
                else:
                    self._current = grpc.insecure_channel(options.address, options=arguments)
            return self._current

    def unary(
        self, method: Method[Request, Response], request: Request, timeout: float | None, metadata: Metadata
    ) -> Response:
        """Makes a call with one request and one response."""
        call: grpc.UnaryUnaryMultiCallable[Request, Response] = self._channel().unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        try:
            return call(request, timeout=timeout, metadata=metadata)
        except ValueError as error:
            raise self._ended(error) from error

    def stream(
        self,
        method: Method[Request, Any],
        request: Request,
        timeout: float | None,
        metadata: Metadata,
        read: Callable[[bytes], Item],
    ) -> Stream[Item]:
        """Makes a call with one request and many responses. Closing the iterator ends the call."""
        start: grpc.UnaryStreamMultiCallable[Request, bytes] = self._channel().unary_stream(
            method.path, request_serializer=method.request.SerializeToString
        )
        try:
            call = start(request, timeout=timeout, metadata=metadata)
        except ValueError as error:
            raise self._ended(error) from error
        try:
            for message in call:
                yield read(message)
        finally:
            call.cancel()

    def upload(
        self,
        method: Method[Any, Response],
        messages: Iterator[bytes],
        timeout: float | None,
        metadata: Metadata,
    ) -> Response:
        """Makes a call with many requests and one response. A failure of `messages` ends the call and is raised; a failed
        call does not wait for a message."""
        start: grpc.StreamUnaryMultiCallable[bytes, Response] = self._channel().stream_unary(
            method.path, response_deserializer=method.response.FromString
        )
        failure: list[BaseException] = []
        started = threading.Event()

        def watched() -> Iterator[bytes]:
            # Runs in a thread of gRPC, which would log a failure and lose it.
            try:
                yield from messages
            except GeneratorExit:
                # The call failed before it asked for a message.
                raise
            except BaseException as error:
                failure.append(error)
                started.wait()
                future.cancel()

        try:
            future = start.future(watched(), timeout=timeout, metadata=metadata)
        except ValueError as error:
            raise self._ended(error) from error
        started.set()
        try:
            return future.result()
        except grpc.FutureCancelledError as error:
            if not failure:
                raise self._ended(error) from error
        except grpc.RpcError:
            if not failure:
                raise
        finally:
            future.cancel()
        raise failure[0]

    def _ended(self, error: Exception) -> Exception:
        """gRPC's own error of a call on a closed channel is a ValueError."""
        return client_closed() if self._closed else error

    def close(self) -> None:
        """Ends running calls and closes the channel."""
        with self._lock:
            self._closed = True
            channel, self._current = self._current, None
        if channel is not None:
            channel.close()


def _after_fork() -> None:
    for wire in list(_wires):
        wire.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
