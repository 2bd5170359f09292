"""Workers that share the events of a subscription."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from support import Proxy, Service, eventually

from asset_service import AssetClient, AssetError, Delivery, FileEvent, RetryPolicy, consume

FAST = RetryPolicy(base_delay=0.05)


@pytest.fixture
def name() -> str:
    return f"jobs-{uuid.uuid4().hex}"


class Workers:
    """Runs `consume` in threads."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.failures: list[AssetError] = []

    def start(self, client: AssetClient, name: str, handler: Any, **options: Any) -> None:
        def work() -> None:
            try:
                consume(client, name, handler, stop=self.stop, **options)
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


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers()
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
            workers.start(client, name, handle, start="existing", owner=owner, concurrency=2)
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
        again = Workers()
        again.start(client, name, handle)
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
            client,
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
    with AssetClient(proxy.url, retry=FAST) as client, AssetClient(service.url) as other:

        def handle(event: FileEvent, delivery: Delivery) -> None:
            assert not delivery.lost.wait(2.5)
            done.append(event.file.id)

        workers.start(client, name, handle, start="existing", owner=name, lease=1)
        first = other.upload(b"1", owner=name)
        eventually(lambda: done == [first.id])
        proxy.down = True
        proxy.cut()
        second = other.upload(b"2", owner=name)
        proxy.down = False
        eventually(lambda: done == [first.id, second.id])
        workers.end()
        assert not workers.failures


def test_says_what_is_wrong(service: Service, name: str) -> None:
    with AssetClient(service.url) as client:
        for options in ({"concurrency": 0}, {"lease": 0.1}, {"start": "then"}, {"max_attempts": 0}):
            wrong: Any = options
            with pytest.raises(AssetError) as caught:
                consume(client, name, lambda event, delivery: None, **wrong)
            assert caught.value.reason == "OPTION_INVALID"
        with pytest.raises(AssetError) as caught:
            client.parked_events(name)
        assert caught.value.reason == "SUBSCRIPTION_NOT_FOUND"
