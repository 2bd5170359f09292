"""The service killed, connections cut, a store that is down."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support import MiB, Proxy, Service

import asset_service._hash
import asset_service._lean
from asset_service import TLS, AssetError, Progress, RetryPolicy, SourceError, UnavailableError

RETRY = RetryPolicy(base_delay=0.05)


class Fault:
    """Does something once when a transfer has come so far."""

    def __init__(self, at: int, work: Callable[[], object]) -> None:
        self._at, self._work = at, work
        self.done = False
        self.events: list[Progress] = []

    def __call__(self, progress: Progress) -> None:
        self.events.append(progress)
        if progress.done >= self._at and not self.done:
            self.done = True
            self._work()


def restart(service: Service) -> Callable[[], object]:
    """Kills the service and starts it again."""

    def work() -> None:
        service.kill()
        service.start()

    return work


Make = Callable[[bytes, Path], Any]

SOURCES: dict[str, Make] = {
    "path": lambda content, path: path,
    "bytes": lambda content, path: content,
    "file object": lambda content, path: path.open("rb"),
    "iterator": lambda content, path: iter([content[at : at + MiB] for at in range(0, len(content), MiB)]),
    "function": lambda content, path: lambda: [content],
}


def assert_uploaded(client: Any, kind: str, content: bytes, path: Path, fault: Fault) -> None:
    """Uploads with a fault behind the first whole parts of a stream, whose window is two of them."""
    owner = f"fault-{os.urandom(4).hex()}"
    file = client.upload(SOURCES[kind](content, path), owner=owner, progress=fault, window_bytes=10 * MiB)
    assert fault.done
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert [each.id for each in client.list(owner=owner)] == [file.id]
    assert fault.events[-1].attempt >= 2
    if kind == "iterator":
        # The bytes before were durable and acknowledged, and are not in memory any more.
        again = fault.events[[each.attempt for each in fault.events].index(2)]
        assert again.done >= 10 * MiB


@pytest.mark.stores
@pytest.mark.parametrize("connect", ["sync", "async"], indirect=True)
def test_an_upload_goes_on_when_the_service_is_killed(
    connect: Any, service: Service, content: bytes, path: Path
) -> None:
    client = connect(service.url, retry=RETRY)
    assert_uploaded(client, "iterator", content, path, Fault(12 * MiB, restart(service)))


@pytest.mark.parametrize("connect", ["sync"], indirect=True)
def test_an_upload_of_a_path_goes_on_when_the_service_is_killed(
    connect: Any, service: Service, content: bytes, path: Path
) -> None:
    client = connect(service.url, retry=RETRY)
    assert_uploaded(client, "path", content, path, Fault(12 * MiB, restart(service)))


@pytest.mark.parametrize("kind", SOURCES)
def test_an_upload_goes_on_when_its_connection_breaks(
    connect: Any, proxy: Proxy, content: bytes, path: Path, kind: str
) -> None:
    client = connect(proxy.url, retry=RETRY)
    assert_uploaded(client, kind, content, path, Fault(12 * MiB, proxy.cut))


@pytest.mark.parametrize("connect", ["sync"], indirect=True)
def test_a_download_goes_on_when_the_service_is_killed(
    connect: Any, service: Service, content: bytes, path: Path, tmp_path: Path
) -> None:
    client = connect(service.url, retry=RETRY)
    file = client.upload(path)
    fault = Fault(MiB, restart(service))
    assert client.download(file.id, tmp_path / "copy", progress=fault).read_bytes() == content
    assert fault.done


@pytest.mark.parametrize("kind", ["path", "file object", "memory"])
def test_a_download_goes_on_when_its_connection_is_cut(
    connect: Any, proxy: Proxy, content: bytes, path: Path, tmp_path: Path, kind: str
) -> None:
    client = connect(proxy.url, retry=RETRY)
    file = client.upload(path)
    fault = Fault(MiB, proxy.cut)
    if kind == "path":
        copy = client.download(file.id, tmp_path / "copy", progress=fault, verify="crc32c").read_bytes()
    elif kind == "memory":
        copy = client.download_bytes(file.id, progress=fault, verify="none")
    else:
        target = io.BytesIO()
        client.download_to(file.id, target, progress=fault)
        copy = target.getvalue()
    assert fault.done
    assert copy == content


@pytest.mark.parametrize("after", [1, 300_000, 5 * MiB])
def test_a_download_goes_on_when_its_connection_breaks(
    connect: Any, shared_client: Any, proxy: Proxy, content: bytes, after: int
) -> None:
    file = shared_client.upload(content)
    client = connect(proxy.url, retry=RETRY)
    proxy.cut_after = after
    with client.open(file.id, offset=5) as opened:
        assert b"".join(opened) == content[5:]
    assert proxy.cuts == 1


def test_an_upload_whose_answer_is_lost_gives_one_file(connect: Any, service: Service, proxy: Proxy) -> None:
    client = connect(proxy.url, retry=RETRY)
    for number, data in enumerate((b"small", b"x" * 9 * MiB)):
        owner = f"lost-{os.urandom(4).hex()}"
        # The connection is there, so that the next long answer is that of the upload.
        client.list_page()

        def arm(progress: Progress) -> None:
            proxy.lose_answer = progress.done == len(data) and proxy.cuts == number

        file = client.upload(data, owner=owner, progress=arm)
        assert proxy.cuts == number + 1
        assert [each.id for each in client.list(owner=owner)] == [file.id]


def test_a_stream_that_cannot_be_repeated_says_so(connect: Any, service: Service) -> None:
    client = connect(service.url, retry=RETRY)
    started = client.start_upload()
    assert client.resume_upload(started.upload_id, [b"abc"]).size_bytes == 3
    # Another process sent ten bytes of another stream that was longer.
    other = client.start_upload()
    with pytest.raises(SourceError) as caught:

        def torn() -> Any:
            yield b"x" * 11 * MiB
            raise OSError("torn")

        client.resume_upload(other.upload_id, torn(), window_bytes=5 * MiB)
    assert caught.value.reason == "SOURCE_FAILED"
    with pytest.raises(SourceError) as caught:
        client.resume_upload(other.upload_id, [b"short"])
    assert caught.value.reason == "SOURCE_CHANGED"
    client.cancel_upload(other.upload_id)


def test_a_file_that_changes_is_not_mixed(connect: Any, service: Service, path: Path) -> None:
    client = connect(service.url, retry=RETRY)

    def change(progress: Progress) -> None:
        if progress.done >= 2 * MiB:
            path.write_bytes(b"other")

    with pytest.raises(SourceError) as caught:
        client.upload(path, progress=change, owner="changed")
    assert caught.value.reason == "SOURCE_CHANGED"
    assert list(client.list(owner="changed")) == []


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
def test_a_file_without_a_size_is_not_taken_for_an_empty_one(connect: Any, service: Service) -> None:
    client = connect(service.url, retry=RETRY)
    with pytest.raises(SourceError, match="as a stream"):
        client.upload(Path("/proc/self/status"), owner="sizeless")
    assert list(client.list(owner="sizeless")) == []


class Damage:
    """Changes a byte of every message of a download; with `lie` the checksum of the message too."""

    def __init__(self, lie: bool) -> None:
        self._lie = lie
        self._original = asset_service._lean.DownloadPiece.__init__

    def __enter__(self) -> None:
        def damage(piece: Any, content: memoryview, crc32c: int | None, *others: Any) -> None:
            wrong = bytes([content[0] ^ 1]) + bytes(content[1:]) if len(content) > 0 else b""
            crc = asset_service._hash.crc32c(wrong) if self._lie else crc32c
            self._original(piece, memoryview(wrong), crc, *others)

        asset_service._lean.DownloadPiece.__init__ = damage  # type: ignore[method-assign, assignment]

    def __exit__(self, *_error: object) -> None:
        asset_service._lean.DownloadPiece.__init__ = self._original  # type: ignore[method-assign]


def assert_damaged(call: Callable[[], object]) -> None:
    with pytest.raises(AssetError) as caught:
        call()
    assert (caught.value.code, caught.value.reason) == ("DATA_LOSS", "DOWNLOAD_DAMAGED")


@pytest.mark.parametrize("verify", ["sha256", "crc32c"])
def test_damage_on_the_way_leaves_the_target_alone(
    connect: Any, shared_client: Any, tmp_path: Path, verify: str
) -> None:
    target = tmp_path / "copy"
    target.write_bytes(b"old")
    # More than the check of a CRC32C takes at once.
    file = shared_client.upload(b"hello" * 20_000)
    client = connect(shared_client._options.target)
    for lie in (False, True):
        with Damage(lie):
            assert_damaged(lambda: client.download(file.id, target, verify=verify))
            assert_damaged(lambda: client.download_to(file.id, io.BytesIO(), verify=verify))
            assert_damaged(lambda: client.download_bytes(file.id, verify=verify))
            assert_damaged(lambda: client.open(file.id, verify=verify).read())
    # The record has no checksum of a range: that of each message tells.
    with Damage(lie=False):
        assert_damaged(lambda: client.download_bytes(file.id, offset=1, length=70_000, verify=verify))
        assert_damaged(lambda: client.open(file.id, length=5, verify=verify).read())
    assert target.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["copy"]
    assert client.download_bytes(file.id, verify=verify) == b"hello" * 20_000


def test_a_download_that_is_not_verified(connect: Any, shared_client: Any) -> None:
    file = shared_client.upload(b"hello")
    client = connect(shared_client._options.target)
    with Damage(lie=False):
        assert client.download_bytes(file.id, verify="none") == b"iello"
        assert client.open(file.id, verify="none").read() == b"iello"
    for wrong in ("md5", "", None, True, ["sha256"]):
        with pytest.raises(AssetError) as caught:
            client.download_bytes(file.id, verify=wrong)
        assert caught.value.reason == "OPTION_INVALID" and "'sha256', 'crc32c' or 'none'" in caught.value.message


def test_a_service_that_is_not_there_is_unavailable(connect: Any) -> None:
    waits: list[float] = []
    policy = RetryPolicy(retries=2, base_delay=0.01, on_retry=lambda error, delay: waits.append(delay))
    client = connect("http://127.0.0.1:9", retry=policy)
    with pytest.raises(UnavailableError) as caught:
        client.get("0")
    assert (caught.value.code, caught.value.reason, len(waits)) == ("UNAVAILABLE", "CONNECTION_LOST", 2)
    begun = time.monotonic()
    with pytest.raises(AssetError) as late:
        client.upload(b"x", timeout=0.5)
    assert late.value.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED") and time.monotonic() - begun < 20
    secure = connect("https://127.0.0.1:9", tls=TLS(), retry=policy)
    with pytest.raises(UnavailableError):
        secure.get("0")


def test_a_deadline_ends_a_source_that_hangs(connect: Any, service: Service) -> None:
    client = connect(service.url)
    hanging = threading.Event()

    def source() -> Any:
        yield b"x" * 9 * MiB
        hanging.wait()

    try:
        with pytest.raises(AssetError) as caught:
            client.upload(source(), timeout=1)
        assert caught.value.code == "DEADLINE_EXCEEDED"
        assert isinstance(caught.value, TimeoutError)
    finally:
        hanging.set()


@pytest.mark.stores
def test_a_store_that_is_down_is_retried(connect: Any, settings: dict[str, str], tmp_path: Path) -> None:
    if "ASSET_S3_ENDPOINT" not in settings:
        pytest.skip("the embedded store is a directory")
    address = urlsplit(settings["ASSET_S3_ENDPOINT"])
    assert address.port is not None
    store = Proxy(address.port)
    own = Service({**settings, "ASSET_S3_ENDPOINT": store.url}).start()
    try:
        client = connect(own.url, retry=RetryPolicy(retries=0))
        file = client.upload(b"before")
        store.down = True
        store.cut()
        calls: list[Callable[[], object]] = [
            lambda: client.upload(b"during"),
            lambda: client.download(file.id, tmp_path / "copy"),
        ]
        for call in calls:
            with pytest.raises(UnavailableError) as caught:
                call()
            assert caught.value.reason == "STORE_UNAVAILABLE"
            assert caught.value.retry_after is not None
        assert list(tmp_path.iterdir()) == []

        def back(error: AssetError, delay: float) -> None:
            store.down = False

        patient = connect(own.url, retry=RetryPolicy(on_retry=back))
        assert patient.download_bytes(file.id) == b"before"
        store.down = True
        store.cut()
        assert patient.upload(b"after").size_bytes == 5
    finally:
        own.dispose()
        store.close()
