"""Handles the events of a subscription, for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asset_service._arguments import check_whole
from asset_service._async._client import AsyncAssetClient
from asset_service._consume import (
    MAX_CONCURRENCY,
    WAIT_SECONDS,
    pull_again,
    pull_attempt,
    to_pull_request,
    to_reason,
    was_settled,
)
from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import methods
from asset_service._messages import to_file_event
from asset_service._requests import to_filter
from asset_service.errors import AssetError
from asset_service.records import FileEvent, Start
from asset_service.retry import Attempt, CallOptions


@dataclass(frozen=True)
class AsyncDelivery:
    """One delivery of an event to this worker."""

    attempt: int
    """Number of this delivery of the event, from 1."""
    lost: asyncio.Event
    """Set when another worker may have the event: give the work up."""


AsyncHandler = Callable[[FileEvent, AsyncDelivery], Awaitable[None]]
"""Does the work of one event. The event is acknowledged when it returns, and given back when it raises."""


async def consume_async(
    client: AsyncAssetClient,
    subscription: str,
    handler: AsyncHandler,
    *,
    start: Start = "now",
    owner: str | None = None,
    usage: str | None = None,
    relation: tuple[str, str] | None = None,
    content_type: str | None = None,
    created_from: datetime | None = None,
    created_before: datetime | None = None,
    concurrency: int = 1,
    lease: float = 60.0,
    max_attempts: int = 5,
    stop: asyncio.Event | None = None,
    on_error: Callable[[BaseException, FileEvent], None] | None = None,
) -> None:
    """Handles the events of a subscription until `stop` is set, or a call fails in a way that does not pass.

    Like `consume`, with one task for each event that is handled. Running handlers end before this returns. If it is
    cancelled, they are cancelled too, and their events are delivered again when their leases end.
    """
    check_whole("concurrency", concurrency, 1)
    wanted = to_filter(owner, usage, relation, content_type, created_from, created_before)
    request = to_pull_request(subscription, start, wanted, lease, max_attempts)
    worker = _Worker(client, request, handler, lease, on_error)
    await worker.run(min(concurrency, MAX_CONCURRENCY), asyncio.Event() if stop is None else stop)


class _Worker:
    def __init__(
        self,
        client: AsyncAssetClient,
        request: pb.PullEventsRequest,
        handler: AsyncHandler,
        lease: float,
        on_error: Callable[[BaseException, FileEvent], None] | None,
    ) -> None:
        self._caller = client._caller
        self._request = request
        self._handler = handler
        self._lease = lease
        self._on_error = on_error
        self._leased: dict[str, asyncio.Event] = {}
        self._cancelled = False

    async def run(self, concurrency: int, stop: asyncio.Event) -> None:
        running: set[asyncio.Task[None]] = set()
        extender = asyncio.create_task(self._extend())
        try:
            while not stop.is_set():
                running = {each for each in running if not each.done()}
                if len(running) == concurrency:
                    await asyncio.wait(running, timeout=WAIT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                    continue
                self._request.max_events = concurrency - len(running)
                running |= {asyncio.create_task(self._handle(each)) for each in await self._pull()}
            await _ended(running)
        except AssetError:
            await _ended(running)
            raise
        finally:
            # Nothing is left of them unless this task was cancelled.
            self._cancelled = True
            for each in (*running, extender):
                each.cancel()
            await _ended({*running, extender})

    async def _pull(self) -> list[pb.EventDelivery]:
        async def once(attempt: Attempt) -> list[pb.EventDelivery]:
            pulled = await self._caller.unary(methods.PULL_EVENTS, self._request, pull_attempt(attempt))
            return list(pulled.deliveries)

        return await self._caller.run(self._caller.retries(CallOptions(0, {}), float("inf")), once, pull_again)

    async def _handle(self, delivery: pb.EventDelivery) -> None:
        """Runs the handler and settles the event. Raises only when it is cancelled."""
        token = delivery.delivery_token
        lost = self._leased[token] = asyncio.Event()
        event = to_file_event(delivery.event, "") if delivery.HasField("event") else None
        settle: dict[str, Any] = {"subscription": self._request.subscription, "delivery_token": token}
        try:
            if event is not None:
                try:
                    await self._handler(event, AsyncDelivery(delivery.attempt, lost))
                except (Exception, asyncio.CancelledError) as error:
                    # A handler that cancels its own work has failed.
                    if self._cancelled:
                        raise
                    self._tell(error, event)
                    if not lost.is_set():
                        reject = pb.RejectEventRequest(reason=to_reason(error), **settle)
                        await self._settle(methods.REJECT_EVENT, reject)
                    return
            await self._settle(methods.ACK_EVENT, pb.AckEventRequest(**settle))
        except AssetError as error:
            # Another worker has the event, or will have it when the lease ends.
            if event is not None:
                self._tell(error, event)
        finally:
            self._leased.pop(token, None)

    def _tell(self, error: BaseException, event: FileEvent) -> None:
        if self._on_error is not None:
            self._on_error(error, event)

    async def _settle(self, method: Any, request: Any) -> None:
        """Makes a call until it succeeds; after the lease it has no use."""

        async def once(attempt: Attempt) -> None:
            try:
                await self._caller.unary(method, request, attempt)
            except AssetError as error:
                if not was_settled(error, attempt):
                    raise

        await self._caller.run(self._caller.retries(CallOptions(self._lease, {}), float("inf")), once)

    async def _extend(self) -> None:
        while True:
            await asyncio.sleep(max(0.3, self._lease / 3))
            for token, lost in list(self._leased.items()):
                request = pb.ExtendEventLeaseRequest(
                    subscription=self._request.subscription, delivery_token=token, lease=self._request.lease
                )
                try:
                    await self._caller.call(methods.EXTEND_EVENT_LEASE, request, CallOptions(self._lease / 3, {}))
                except AssetError as error:
                    if error.reason == "DELIVERY_LOST":
                        lost.set()


async def _ended(tasks: set[asyncio.Task[None]]) -> None:
    """Waits until all tasks have ended, however."""
    if tasks:
        await asyncio.wait(tasks)
