"""Workers that share the events of a subscription."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from support import Proxy, Service, eventually

from asset_service import (
    AssetClient,
    AssetError,
    AsyncAssetClient,
    AsyncDelivery,
    Delivery,
    FileEvent,
    RetryPolicy,
    consume,
    consume_async,
)

FAST = RetryPolicy(base_delay=0.05)


@pytest.fixture
def name() -> str:
    return f"jobs-{uuid.uuid4().hex}"


class Lost:
    """The event `lost` of an asyncio worker, for a handler in a thread."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    def wait(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not self._event.is_set() and time.monotonic() < end:
            time.sleep(0.02)
        return self._event.is_set()


async def run_async(url: str, name: str, handler: Any, stop: threading.Event, options: dict[str, Any]) -> None:
    """Runs `consume_async` with a handler that is not asynchronous."""
    ended = asyncio.Event()

    async def handle(event: FileEvent, delivery: AsyncDelivery) -> None:
        adapted: Any = SimpleNamespace(attempt=delivery.attempt, lost=Lost(delivery.lost))
        await asyncio.to_thread(handler, event, adapted)

    async def follow() -> None:
        while not stop.is_set():
            await asyncio.sleep(0.02)
        ended.set()

    following = asyncio.ensure_future(follow())
    async with AsyncAssetClient(url, retry=FAST) as client:
        try:
            await consume_async(client, name, handle, stop=ended, **options)
        finally:
            following.cancel()


def run_sync(url: str, name: str, handler: Any, stop: threading.Event, options: dict[str, Any]) -> None:
    """Runs `consume`."""
    with AssetClient(url, retry=FAST) as client:
        consume(client, name, handler, stop=stop, **options)


class Workers:
    """Runs `consume` or `consume_async` in threads."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.failures: list[AssetError] = []

    def start(self, url: str, name: str, handler: Any, **options: Any) -> None:
        def work() -> None:
            try:
                if self.kind == "sync":
                    run_sync(url, name, handler, self.stop, options)
                else:
                    asyncio.run(run_async(url, name, handler, self.stop, options))
            except AssetError as error:
                self.failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        self._threads.append(thread)

    def end(self) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


@pytest.fixture(params=["sync", "async"])
def workers(request: pytest.FixtureRequest) -> Iterator[Workers]:
    made = Workers(request.param)
    yield made
    made.end()


def test_workers_share_events_and_keep_their_place(service: Service, name: str, workers: Workers) -> None:
    owner = name
    seen: list[tuple[str, str]] = []
    with AssetClient(service.url, retry=FAST) as client:
        files = [client.upload(b"%d" % number, owner=owner) for number in range(8)]

        def handle(event: FileEvent, delivery: Delivery) -> None:
            assert delivery.attempt == 1
            seen.append((event.type, event.file.id))

        for _ in range(2):
            workers.start(service.url, name, handle, start="existing", owner=owner, concurrency=2)
        eventually(lambda: len(seen) == 8)
        assert sorted(seen) == sorted(("CREATED", file.id) for file in files)
        client.update(files[0].id, name="new")
        client.delete(files[0].id)
        eventually(lambda: len(seen) == 10)
        assert seen[8:] == [("UPDATED", files[0].id), ("DELETED", files[0].id)]
        assert name in [each.name for each in client.subscriptions()]
        workers.end()
        assert not workers.failures

        # What happens while nobody works is not lost.
        client.undelete(files[0].id)
        again = Workers(workers.kind)
        again.start(service.url, name, handle)
        eventually(lambda: len(seen) == 11)
        again.end()
        client.delete_subscription(name)
        assert name not in [each.name for each in client.subscriptions()]


def test_an_event_that_fails_comes_again_and_is_parked(service: Service, name: str, workers: Workers) -> None:
    attempts: list[int] = []
    errors: list[str] = []
    works = threading.Event()
    with AssetClient(service.url, retry=FAST) as client:

        def handle(event: FileEvent, delivery: Delivery) -> None:
            attempts.append(delivery.attempt)
            if not works.is_set():
                raise ValueError("no disk \ud800")

        workers.start(
            service.url,
            name,
            handle,
            start="existing",
            owner=name,
            max_attempts=2,
            on_error=lambda error, event: errors.append(str(error)),
        )
        file = client.upload(b"x", owner=name)
        eventually(lambda: bool(client.parked_events(name)))
        [parked] = client.parked_events(name)
        assert (parked.file_id, parked.type, parked.attempts) == (file.id, "CREATED", 2)
        assert parked.reason.startswith("no disk") and attempts == [1, 2] and len(errors) == 2
        works.set()
        assert client.replay_parked_events(name, [parked.event_id]) == 1
        eventually(lambda: attempts == [1, 2, 1])
        eventually(lambda: not client.parked_events(name))


def test_goes_on_after_an_outage_and_keeps_the_lease_of_long_work(
    service: Service, name: str, workers: Workers, proxy: Proxy
) -> None:
    done: list[str] = []
    with AssetClient(service.url) as other:

        def handle(event: FileEvent, delivery: Delivery) -> None:
            assert not delivery.lost.wait(2.5)
            done.append(event.file.id)

        workers.start(proxy.url, name, handle, start="existing", owner=name, lease=1)
        first = other.upload(b"1", owner=name)
        eventually(lambda: done == [first.id])
        proxy.down = True
        proxy.cut()
        second = other.upload(b"2", owner=name)
        proxy.down = False
        eventually(lambda: done == [first.id, second.id])
        workers.end()
        assert not workers.failures


def test_says_what_is_wrong(service: Service, name: str, workers: Workers) -> None:
    with AssetClient(service.url) as client:
        for options in ({"concurrency": 0}, {"lease": 0.1}, {"start": "then"}, {"max_attempts": 0}):
            wrong: Any = options
            workers.start(service.url, name, lambda event, delivery: None, **wrong)
        workers.end()
        assert [error.reason for error in workers.failures] == ["OPTION_INVALID"] * 4
        with pytest.raises(AssetError) as caught:
            client.parked_events(name)
        assert caught.value.reason == "SUBSCRIPTION_NOT_FOUND"


def test_a_cancelled_worker_cancels_its_handlers_and_gives_their_events_back(service: Service, name: str) -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        begun = asyncio.Event()

        async def hang(event: FileEvent, delivery: AsyncDelivery) -> None:
            begun.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        async with AsyncAssetClient(service.url, retry=FAST) as client:
            file = await client.upload(b"x", owner=name)
            worker = asyncio.ensure_future(
                consume_async(client, name, hang, start="existing", owner=name, lease=1)
            )
            await begun.wait()
            worker.cancel()
            with pytest.raises(asyncio.CancelledError):
                await worker
            assert asyncio.all_tasks() == {asyncio.current_task()}
            stop = asyncio.Event()

            async def handle(event: FileEvent, delivery: AsyncDelivery) -> None:
                assert delivery.attempt == 2
                seen.append(event.file.id)
                stop.set()

            await consume_async(client, name, handle, stop=stop)
            assert seen == ["cancelled", file.id]
        return seen

    assert len(asyncio.run(main())) == 2
