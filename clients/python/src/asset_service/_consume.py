"""Handles the events of a subscription."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from asset_service._arguments import check_number, check_text, check_whole
from asset_service._gen import asset_service_pb2 as pb
from asset_service._gen import methods
from asset_service._messages import to_file_event
from asset_service._requests import to_filter, to_watch_request
from asset_service._sync._client import AssetClient
from asset_service.errors import AssetError
from asset_service.records import FileEvent, Start
from asset_service.retry import Attempt, CallOptions, is_retriable

WAIT_SECONDS = 5
"""How long a call waits for events; also how long it may take until `stop` is noticed."""
_PULL_SECONDS = 30.0
"""After this time a call that waits counts as lost."""
MAX_CONCURRENCY = 100
"""Events that one worker handles at the same time."""


@dataclass(frozen=True)
class Delivery:
    """One delivery of an event to this worker."""

    attempt: int
    """Number of this delivery of the event, from 1."""
    lost: threading.Event
    """Set when another worker may have the event: give the work up."""


Handler = Callable[[FileEvent, Delivery], None]
"""Does the work of one event. The event is acknowledged when it returns, and given back when it raises."""


def consume(
    client: AssetClient,
    subscription: str,
    handler: Handler,
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
    stop: threading.Event | None = None,
    on_error: Callable[[BaseException, FileEvent], None] | None = None,
) -> None:
    """Handles the events of a subscription until `stop` is set, or a call fails in a way that does not pass.

    Workers with the same subscription share its events. Each is delivered until one of them has handled it, at least once;
    those of one file come in order. Running handlers end before this returns.

    start and the conditions: of a new subscription, as for `watch`; without effect on one that exists.
    concurrency: how many events are handled at the same time, each in a thread; at most 100.
    lease: after how many seconds the events of a worker that is gone are delivered to another one.
    max_attempts: deliveries after which an event that fails is parked.
    on_error: called when a handler raised, and when an event was lost to another worker.
    """
    check_whole("concurrency", concurrency, 1)
    wanted = to_filter(owner, usage, relation, content_type, created_from, created_before)
    request = to_pull_request(subscription, start, wanted, lease, max_attempts)
    worker = _Worker(client, request, handler, lease, on_error)
    worker.run(min(concurrency, MAX_CONCURRENCY), threading.Event() if stop is None else stop)


def to_pull_request(
    subscription: str, start: Start, wanted: pb.FileFilter, lease: float, max_attempts: int
) -> pb.PullEventsRequest:
    """The request for the next events. Raises OPTION_INVALID."""
    check_whole("max_attempts", max_attempts, 1)
    check_number("lease", lease, 1)
    request = pb.PullEventsRequest(
        subscription=check_text("subscription", subscription), max_attempts=max_attempts, filter=wanted
    )
    setattr(request, "from", getattr(to_watch_request(start, None, wanted), "from"))
    request.lease.FromNanoseconds(int(lease * 1e9))
    request.wait.FromSeconds(WAIT_SECONDS)
    return request


def pull_attempt(attempt: Attempt) -> Attempt:
    """One attempt of a call that waits for events: it may be lost without an error."""
    return replace(attempt, timeout=_PULL_SECONDS)


def pull_again(error: AssetError) -> bool:
    """True if the call that waits for events is repeated after this error."""
    return is_retriable(error) or error.code == "DEADLINE_EXCEEDED"


def to_reason(error: BaseException) -> str:
    """Why a handler failed, for the list of parked events."""
    return str(error)[:500].encode("utf8", "replace").decode()


def was_settled(error: AssetError, attempt: Attempt) -> bool:
    """True if an earlier attempt settled the event, and its response was lost."""
    return attempt.number > 1 and error.reason == "DELIVERY_LOST"


class _Worker:
    def __init__(
        self,
        client: AssetClient,
        request: pb.PullEventsRequest,
        handler: Handler,
        lease: float,
        on_error: Callable[[BaseException, FileEvent], None] | None,
    ) -> None:
        self._caller = client._caller
        self._request = request
        self._handler = handler
        self._lease = lease
        self._on_error = on_error
        self._leased: dict[str, threading.Event] = {}
        self._ended = threading.Event()

    def run(self, concurrency: int, stop: threading.Event) -> None:
        running: set[Future[None]] = set()
        extender = threading.Thread(target=self._extend, daemon=True)
        extender.start()
        try:
            with ThreadPoolExecutor(concurrency) as pool:
                while not stop.is_set():
                    done = {each for each in running if each.done()}
                    running -= done
                    if len(running) == concurrency:
                        wait(running, timeout=WAIT_SECONDS, return_when=FIRST_COMPLETED)
                        continue
                    self._request.max_events = concurrency - len(running)
                    running |= {pool.submit(self._handle, each) for each in self._pull()}
        finally:
            self._ended.set()
            extender.join()

    def _pull(self) -> list[pb.EventDelivery]:
        def once(attempt: Attempt) -> list[pb.EventDelivery]:
            return list(self._caller.unary(methods.PULL_EVENTS, self._request, pull_attempt(attempt)).deliveries)

        return self._caller.run(self._caller.retries(CallOptions(0, {}), float("inf")), once, pull_again)

    def _handle(self, delivery: pb.EventDelivery) -> None:
        """Runs the handler and settles the event. Never raises."""
        token = delivery.delivery_token
        lost = self._leased[token] = threading.Event()
        event = to_file_event(delivery.event, "") if delivery.HasField("event") else None
        settle: dict[str, Any] = {"subscription": self._request.subscription, "delivery_token": token}
        try:
            if event is not None:
                try:
                    self._handler(event, Delivery(delivery.attempt, lost))
                except Exception as error:
                    self._tell(error, event)
                    if not lost.is_set():
                        self._settle(methods.REJECT_EVENT, pb.RejectEventRequest(reason=to_reason(error), **settle))
                    return
            self._settle(methods.ACK_EVENT, pb.AckEventRequest(**settle))
        except AssetError as error:
            # Another worker has the event, or will have it when the lease ends.
            if event is not None:
                self._tell(error, event)
        finally:
            self._leased.pop(token, None)

    def _tell(self, error: BaseException, event: FileEvent) -> None:
        if self._on_error is not None:
            self._on_error(error, event)

    def _settle(self, method: Any, request: Any) -> None:
        """Makes a call until it succeeds; after the lease it has no use."""

        def once(attempt: Attempt) -> None:
            try:
                self._caller.unary(method, request, attempt)
            except AssetError as error:
                if not was_settled(error, attempt):
                    raise

        self._caller.run(self._caller.retries(CallOptions(self._lease, {}), float("inf")), once)

    def _extend(self) -> None:
        while not self._ended.wait(max(0.3, self._lease / 3)):
            for token, lost in list(self._leased.items()):
                request = pb.ExtendEventLeaseRequest(
                    subscription=self._request.subscription, delivery_token=token, lease=self._request.lease
                )
                try:
                    self._caller.call(methods.EXTEND_EVENT_LEASE, request, CallOptions(self._lease / 3, {}))
                except AssetError as error:
                    if error.reason == "DELIVERY_LOST":
                        lost.set()
