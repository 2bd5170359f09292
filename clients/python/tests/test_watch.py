"""Watches of changes."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest
from support import Proxy, eventually

from asset_service import AssetError, Checkpoint, FileEvent, InvalidArgumentError, RetryPolicy


@pytest.mark.stores
def test_events_come_in_order_and_go_on_after_a_cut(connect: Any, shared_client: Any, proxy: Proxy) -> None:
    owner = str(uuid.uuid4())
    client = connect(proxy.url, retry=RetryPolicy(base_delay=0.05))
    first = shared_client.upload(b"1", owner=owner)
    seen: list[FileEvent | Checkpoint] = []
    ended = threading.Event()

    def follow() -> None:
        try:
            for event in client.watch(start="existing", owner=owner):
                seen.append(event)
        except AssetError:
            ended.set()

    watcher = threading.Thread(target=follow)
    watcher.start()

    def events() -> list[tuple[str, str]]:
        found = {each.event_id: (each.type, each.file.id) for each in seen if isinstance(each, FileEvent)}
        return list(found.values())

    eventually(lambda: any(isinstance(each, Checkpoint) and each.existing_done for each in seen))
    assert events() == [("CREATED", first.id)]
    shared_client.update(first.id, name="new")
    shared_client.delete(first.id)
    eventually(lambda: len(events()) == 3)
    proxy.cut()
    second = shared_client.upload(b"2", owner=owner)
    shared_client.upload(b"3", owner="another")
    eventually(lambda: len(events()) >= 4)
    shared_client.undelete(first.id)
    eventually(lambda: len(events()) >= 5)
    assert events() == [
        ("CREATED", first.id),
        ("UPDATED", first.id),
        ("DELETED", first.id),
        ("CREATED", second.id),
        ("UNDELETED", first.id),
    ]
    # Its cursor continues in another client.
    cursor = next(each.cursor for each in seen if isinstance(each, FileEvent) and each.type == "DELETED")
    following = [event for event in take(connect(proxy.url).watch(cursor=cursor, owner=owner), 2)]
    assert [event.type for event in following] == ["CREATED", "UNDELETED"]
    client.close()
    assert ended.wait(10)
    watcher.join()


def take(watch: Any, count: int) -> list[FileEvent]:
    """The first events of a watch."""
    found: list[FileEvent] = []
    for event in watch:
        if isinstance(event, FileEvent):
            found.append(event)
        if len(found) == count:
            return found
    raise AssertionError("the watch has ended")


def test_refuses_what_is_no_start(client: Any) -> None:
    for wrong in ({"start": "later"}, {"cursor": 3}, {"cursor": "none"}):
        with pytest.raises(InvalidArgumentError):
            next(iter(client.watch(**wrong)))
