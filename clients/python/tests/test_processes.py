"""Clients in other processes and in many threads."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from asset_service import AssetClient, AssetError, AsyncAssetClient, ClientCredentials, NotFoundError, RetryPolicy


def use(client: AssetClient, file_id: str, answers: Any) -> None:
    """What a worker process does."""
    file = client.upload(client.download_bytes(file_id)[::-1])
    try:
        client.get("0")
    except AssetError as error:
        answers.put((file.size_bytes, file.crc32c, error))


def use_async(client: AsyncAssetClient, file_id: str, answers: Any) -> None:
    """What a worker process does with asyncio."""

    async def work() -> None:
        async with client:
            file = await client.upload((await client.download_bytes(file_id))[::-1])
            try:
                await client.get("0")
            except AssetError as error:
                answers.put((file.size_bytes, file.crc32c, error))

    asyncio.run(work())


def run(method: str, work: Any, client: Any, file_id: str) -> Any:
    """The answer of a worker process."""
    context = multiprocessing.get_context(method)
    answers = context.SimpleQueue()
    process: Any = context.Process(target=work, args=(client, file_id, answers))  # type: ignore[attr-defined]
    process.start()
    process.join(60)
    code = process.exitcode
    if code is None:
        process.kill()
    assert code == 0
    return answers.get()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_works_in_another_process(service: Any, method: str) -> None:
    with AssetClient(service.url, retry=RetryPolicy(base_delay=0.05)) as client:
        content = b"forward" * 1000
        file = client.upload(content)
        reverse = client.upload(content[::-1])
        wanted = (len(content), reverse.crc32c)
        # Other threads are in the middle of calls. At a fork they are not: gRPC itself does not survive that every time.
        stop = threading.Event()

        def busy() -> None:
            while not stop.is_set():
                assert client.download_bytes(file.id) == content

        with ThreadPoolExecutor(4) as pool:
            running = [pool.submit(busy) for _ in range(0 if method == "fork" else 4)]
            try:
                for _ in range(3 if method == "fork" else 1):
                    *found, error = run(method, use, client, file.id)
                    assert tuple(found) == wanted
                    assert isinstance(error, NotFoundError) and error.reason == "FILE_NOT_FOUND"
                    assert error.metadata == {"file_id": "0"}
            finally:
                stop.set()
            for each in running:
                each.result()
        assert client.get(file.id) == file


async def prepare(client: AsyncAssetClient) -> tuple[str, int | None]:
    """Uploads a text forwards and backwards."""
    file = await client.upload(b"forward")
    return file.id, (await client.upload(b"drawrof")).crc32c


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_asyncio_in_another_process(service: Any) -> None:
    async def main() -> None:
        async with AsyncAssetClient(service.url, retry=RetryPolicy(base_delay=0.05)) as client:
            file_id, crc32c = await prepare(client)
            *found, error = await asyncio.to_thread(run, "spawn", use_async, client, file_id)
            assert found == [7, crc32c]
            assert isinstance(error, NotFoundError)
            # gRPC's asyncio cannot be used after a fork that it did not know of; this says so and does not hang.
            *_, error = run("fork", use_forked, client, file_id)
            assert (error.code, error.reason) == ("FAILED_PRECONDITION", "FORKED")
            # The synchronous client can.
            with AssetClient(service.url) as other:
                *found, _ = run("fork", use, other, file_id)
                assert found == [7, crc32c]
            assert await client.download_bytes(file_id) == b"forward"

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_asyncio_after_a_fork_before_its_first_call(service: Any) -> None:
    with AssetClient(service.url) as other:
        file = other.upload(b"forward")
    client = AsyncAssetClient(service.url, retry=RetryPolicy(base_delay=0.05))
    *found, error = run("spawn", fork_inside, client, file.id)
    assert found[0] == 7
    assert isinstance(error, NotFoundError)


def fork_inside(client: AsyncAssetClient, file_id: str, answers: Any) -> None:
    """A process that used asyncio and closed the client, and then forks."""

    async def before() -> None:
        async with AsyncAssetClient(client._options.target) as own:
            await own.get(file_id)

    asyncio.run(before())
    answers.put(run("fork", use_async, client, file_id))


def use_forked(client: AsyncAssetClient, file_id: str, answers: Any) -> None:
    """What a process sees that was forked at the wrong moment."""
    try:
        asyncio.run(client.get(file_id))
    except AssetError as error:
        answers.put((error,))


def test_each_event_loop_has_its_own_connection(service: Any) -> None:
    client = AsyncAssetClient(service.url)
    assert asyncio.run(prepare(client))[1] == asyncio.run(prepare(client))[1]
    asyncio.run(client.close())


def test_32_threads_share_a_client(service: Any, content: bytes, tmp_path: Any) -> None:
    with AssetClient(service.url) as client:
        large = client.upload(content)

        def work(number: int) -> str:
            data = b"%d" % number * (number * 10_000)
            file = client.upload(data)
            assert client.download_bytes(file.id) == data
            assert client.download_bytes(large.id, offset=number, length=1000) == content[number : number + 1000]
            if number % 8 == 0:
                assert client.download(large.id, tmp_path / str(number)).read_bytes() == content
            return file.id

        with ThreadPoolExecutor(32) as pool:
            assert len(set(pool.map(work, range(32)))) == 32


def test_a_closed_client_says_so(service: Any) -> None:
    client = AssetClient(service.url)
    client.get_many([])
    file = client.upload(b"x")
    client.close()
    client.close()
    for call in (lambda: client.get(file.id), lambda: client.upload(b"x"), lambda: client.open(file.id)):
        with pytest.raises(AssetError) as caught:
            call()
        assert caught.value.reason == "CLIENT_CLOSED"


def test_a_source_of_tokens_can_be_pickled() -> None:
    import pickle

    source = ClientCredentials("http://127.0.0.1:9/token", "worker", "secret", scope="a b")
    copy = pickle.loads(pickle.dumps(AssetClient("127.0.0.1:9", token=source)))
    assert repr(copy) == "AssetClient('127.0.0.1:9')"
    assert "secret" not in repr(source)
