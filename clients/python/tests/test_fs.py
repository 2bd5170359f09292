"""`asset://ID` for fsspec."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
from support import Proxy, Service

from asset_service import AssetClient, AssetError, AssetFile, RetryPolicy
from asset_service.fs import AssetFileSystem

DATA = random.Random(7).randbytes(3_000_000)


@pytest.fixture(scope="module")
def stored(service: Service) -> Iterator[AssetFile]:
    with AssetClient(service.url) as client:
        yield client.upload(DATA, name="data.bin")


@pytest.fixture
def fs(service: Service) -> Any:
    return AssetFileSystem(client=AssetClient(service.url), skip_instance_cache=True)


def reads(fs: Any) -> tuple[int, int]:
    """How many ranges came straight from the store, and how many through the service."""
    reader = fs._session.reader
    return reader.direct_reads, reader.service_reads


def read(fs: Any, file_id: str, answers: Any) -> None:
    """What another process does."""
    with fs.open(file_id) as file:
        file.seek(1_000_000)
        answers.put(file.read(10))


@pytest.mark.stores
def test_reads_straight_from_the_store(fs: Any, stored: AssetFile) -> None:
    url = f"asset://{stored.id}"
    info = fs.info(url)
    assert (info["name"], info["type"], info["size"]) == (stored.id, "file", len(DATA))
    assert (info["sha256"], info["file_name"], fs.created(url)) == (stored.sha256, "data.bin", stored.create_time)
    assert fs.cat_file(url) == DATA
    assert fs.cat_file(url, -10) == DATA[-10:]
    assert fs.cat_file(url, 5, -5) == DATA[5:-5]
    assert fs.cat_file(url, 10, 10**9) == DATA[10:]
    assert fs.cat_file(url, 10**9) == b""
    with fs.open(url) as file:
        file.seek(-7, 2)
        assert file.read() == DATA[-7:]
        file.seek(1234)
        assert file.read(10) == DATA[1234:1244]
    direct, through = reads(fs)
    assert direct > 0 and through == 0
    assert fs.client.upload(b"").size_bytes == 0
    assert fs.cat_file(fs.client.upload(b"").id) == b""


def test_is_found_by_fsspec_with_options_and_environment(
    service: Service, stored: AssetFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Any = fsspec.open
    with opened(f"asset://{stored.id}", "rb", endpoint=service.url, token="") as file:
        assert file.read(4) == DATA[:4]
    with pytest.raises(AssetError) as caught:
        AssetFileSystem(skip_instance_cache=True)
    assert caught.value.reason == "OPTION_INVALID"
    monkeypatch.setenv("ASSET_SERVICE_URL", service.url)
    with opened(f"asset://{stored.id}", "rt", encoding="latin-1", newline="") as file:
        assert file.read(4) == DATA[:4].decode("latin-1")
    assert AssetFileSystem().client is AssetFileSystem().client


def test_two_identities_have_nothing_in_common(service: Service) -> None:
    """Although fsspec would take them for the same by their texts."""
    clients = [AssetClient(service.url, token=token) for token in ("one", "two")]
    assert repr(clients[0]) == repr(clients[1])
    filesystems = [fsspec.filesystem("asset", client=client) for client in clients]
    assert [fs.client for fs in filesystems] == clients
    assert filesystems[0]._session is not filesystems[1]._session
    clients[0].close()
    with AssetClient(service.url, token="one") as again:
        file = again.upload(b"x")
        assert fsspec.filesystem("asset", client=again).cat_file(file.id) == b"x"


@pytest.mark.parametrize("cache", ["none", "readahead", "bytes", "blockcache", "background", "mmap", "first", "all"])
def test_works_with_the_block_caches(fs: Any, stored: AssetFile, cache: str) -> None:
    with fs.open(stored.id, block_size=64 * 1024, cache_type=cache) as file:
        for offset, length in [(0, 10), (100_000, 200_000), (2_999_990, 100), (64 * 1024 - 1, 2), (0, 3_000_000)]:
            file.seek(offset)
            assert file.read(length) == DATA[offset : offset + length]
    assert reads(fs)[1] == 0


def test_reads_ranges_together_that_are_close(fs: Any, stored: AssetFile) -> None:
    other = fs.client.upload(DATA[:1000])
    starts = [0, 2_000_000, 100, 50, 0, 2_999_999, 900]
    ends = [10, 2_000_010, 200, 60, 5, None, -50]
    paths = [stored.id] * 6 + [f"asset://{other.id}"]
    found = fs.cat_ranges(paths, starts, ends)
    assert found == [DATA[:1000][s:e] if p.endswith(other.id) else DATA[s:e] for p, s, e in zip(paths, starts, ends)]
    # Near the start, in the middle, near the end, and the other file.
    assert reads(fs) == (4, 0)
    assert fs.cat_ranges([stored.id] * 2, [0, 1000], 2000, max_gap=0) == [DATA[:2000], DATA[1000:2000]]
    missing = fs.cat_ranges([stored.id, "0"], [0, 0], [3, 3])
    assert missing[0] == DATA[:3] and isinstance(missing[1], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges(["0"], [0], [3], on_error="raise")
    assert fs.cat([stored.id, other.id]) == {stored.id: DATA, other.id: DATA[:1000]}
    assert fs.cat([other.id, "0"], on_error="omit") == {other.id: DATA[:1000]}
    many = random.Random(3).sample(range(len(DATA) - 100), 500)
    assert fs.cat_ranges([stored.id] * 500, many, [each + 100 for each in many]) == [DATA[s : s + 100] for s in many]


def test_copies_to_a_path(fs: Any, stored: AssetFile, tmp_path: Path) -> None:
    target = tmp_path / "sub" / "copy.bin"
    fs.get_file(stored.id, str(target))
    assert target.read_bytes() == DATA
    fs.get(f"asset://{stored.id}", str(tmp_path / "other"))
    assert (tmp_path / "other").read_bytes() == DATA
    # A record that does not describe the bytes: the path keeps what it had.
    fs._session._keep([replace(stored, sha256="00" * 32)])
    target.write_bytes(b"before")
    with pytest.raises(AssetError):
        fs.get_file(stored.id, str(target))
    assert target.read_bytes() == b"before"
    assert [each.name for each in target.parent.iterdir()] == ["copy.bin"]


def test_says_what_is_not_there(fs: Any) -> None:
    with pytest.raises(FileNotFoundError):
        fs.open("asset://000000000000000")
    assert not fs.exists("000000000000000") and not fs.isdir("0")
    file = fs.client.upload(b"short-lived")
    assert fs.cat_file(file.id) == b"short-lived"
    fs.client.delete(file.id)
    fs.invalidate_cache()
    with pytest.raises(FileNotFoundError):
        fs.cat_file(file.id)
    with pytest.raises(PermissionError):
        fs.open(file.id, "wb")


def test_a_service_that_is_away_is_not_a_missing_file(stored: AssetFile, service: Service) -> None:
    proxy = Proxy(service.port)
    fs: Any = AssetFileSystem(client=AssetClient(proxy.url, timeout=0.3), skip_instance_cache=True)
    proxy.down = True
    with pytest.raises(AssetError):
        fs.exists(stored.id)
    proxy.close()


@pytest.mark.stores
def test_renews_urls(service: Service, stored: AssetFile) -> None:
    fs: Any = AssetFileSystem(client=AssetClient(service.url), url_ttl=2, skip_instance_cache=True)
    with fs.open(stored.id, block_size=256 * 1024, cache_type="none") as file:
        found = bytearray()
        begin = time.monotonic()
        while piece := file.read(256 * 1024):
            found += piece
            time.sleep(0.4)
    assert bytes(found) == DATA
    assert time.monotonic() - begin > 4
    assert reads(fs)[1] == 0


@pytest.mark.stores
def test_gets_another_url_when_the_store_refuses_one(service: Service, stored: AssetFile) -> None:
    fs: Any = AssetFileSystem(client=AssetClient(service.url), url_ttl=1, skip_instance_cache=True)
    reader = fs._session.reader
    old = fs.client.url(stored.id, ttl=1)
    assert old.expire_time is not None
    while datetime.now(UTC) < old.expire_time + timedelta(seconds=0.1):
        time.sleep(0.1)
    # As with a wrong clock on this machine.
    reader._keep(stored.id, replace(old, expire_time=datetime.now(UTC) + timedelta(hours=1)))
    assert fs.cat_file(stored.id, 0, 10) == DATA[:10]
    assert reads(fs) == (1, 0)


def test_reads_through_the_service_when_the_store_cannot_be_reached(service: Service, stored: AssetFile) -> None:
    fs: Any = AssetFileSystem(client=AssetClient(service.url), skip_instance_cache=True)
    url = fs.client.url(stored.id)
    for wrong in ("http://127.0.0.1:9/x", f"{service.url}/nothing-here"):
        fs._session.reader._paused_until = 0
        fs._session.reader._keep(stored.id, replace(url, url=wrong))
        assert fs.cat_file(stored.id, 0, 10) == DATA[:10]
    assert reads(fs) == (0, 2)
    never: Any = AssetFileSystem(client=AssetClient(service.url), direct=False, skip_instance_cache=True)
    assert never.cat_file(stored.id) == DATA
    assert reads(never) == (0, 1)


def test_continues_after_a_restart_of_the_service(service: Service, stored: AssetFile) -> None:
    client = AssetClient(service.url, retry=RetryPolicy(base_delay=0.05))
    fs: Any = AssetFileSystem(client=client, skip_instance_cache=True)
    with fs.open(stored.id, block_size=1_000_000, cache_type="none") as opened:
        found = opened.read(1_000_000)
        service.kill()
        again = threading.Timer(0.2, service.start)
        again.start()
        found += opened.read()
        again.join()
    assert found == DATA


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_works_in_another_process(service: Service, stored: AssetFile, method: str) -> None:
    fs: Any = AssetFileSystem(service.url)
    assert fs.cat_file(stored.id, 0, 3) == DATA[:3]
    context = multiprocessing.get_context(method)
    answers = context.SimpleQueue()
    process: Any = context.Process(target=read, args=(fs, stored.id, answers))  # type: ignore[attr-defined]
    process.start()
    assert answers.get() == DATA[1_000_000:1_000_010]
    process.join(60)
    assert process.exitcode == 0
    assert fs.cat_file(stored.id, 3, 6) == DATA[3:6]


def test_can_be_pickled_with_its_files(service: Service, stored: AssetFile) -> None:
    fs: Any = pickle.loads(pickle.dumps(AssetFileSystem(service.url, max_gap=5)))
    assert fs.cat_file(stored.id) == DATA
    with fs.open(stored.id) as file:
        file.seek(5)
        with pickle.loads(pickle.dumps(file)) as copy:
            copy.seek(5)
            assert copy.read(5) == DATA[5:10]
    assert json.loads(fs.to_json())["cls"] == "asset_service.fs._filesystem:AssetFileSystem"


def test_32_threads_share_one_connection(service: Service, stored: AssetFile) -> None:
    def work(number: int) -> bytes:
        fs = fsspec.filesystem("asset", endpoint=service.url)
        with fs.open(stored.id, block_size=100_000) as file:
            file.seek(number * 90_000)
            found: bytes = file.read(90_000)
            return found

    with ThreadPoolExecutor(32) as pool:
        assert b"".join(pool.map(work, range(32))) == DATA[: 32 * 90_000]
    one, other = AssetFileSystem(service.url), AssetFileSystem(service.url, max_gap=1)
    assert one.client is other.client
