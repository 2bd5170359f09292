"""What only asyncio has: cancellation."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest
from support import MiB

from asset_service import AssetError, AsyncAssetClient, Progress


def tasks() -> set[asyncio.Task[Any]]:
    """The other tasks of the loop."""
    return {each for each in asyncio.all_tasks() if each is not asyncio.current_task()}


async def settled() -> bool:
    """True when no other task is left."""
    for _ in range(250):
        if not tasks():
            return True
        await asyncio.sleep(0.02)
    return False


async def cancelled(work: Coroutine[Any, Any, Any], begun: asyncio.Event) -> None:
    """Cancels work that has begun."""
    task = asyncio.ensure_future(work)
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_cancelled_upload_leaves_nothing(service: Any, content: bytes, path: Path) -> None:
    async def main() -> None:
        owner = f"cancelled-{os.urandom(4).hex()}"
        async with AsyncAssetClient(service.url) as client:
            begun = asyncio.Event()
            loop = asyncio.get_running_loop()
            closed = False
            ids: list[str] = []

            def progress(event: Progress) -> None:
                if event.done >= 9 * MiB:
                    loop.call_soon_threadsafe(begun.set)

            async def slow() -> AsyncIterator[bytes]:
                nonlocal closed
                try:
                    yield content[: 9 * MiB]
                    begun.set()
                    await asyncio.sleep(3600)
                finally:
                    closed = True

            await cancelled(client.upload(slow(), owner=owner), begun)
            assert closed
            begun.clear()
            await cancelled(client.upload(path, owner=owner, progress=progress), begun)
            # With an id of its own an upload stays, to be resumed.
            begun.clear()
            request_id = f"id-{owner}"
            await cancelled(client.upload(path, owner=owner, progress=progress, request_id=request_id), begun)
            assert await settled()
            again = await client.start_upload(
                name="content.bin", owner=owner, size_bytes=len(content), request_id=request_id
            )
            ids.append(again.upload_id)
            file = await client.upload(path, owner=owner, request_id=request_id)
            assert [each.id async for each in client.list(owner=owner)] == [file.id] == ids
            assert not [name for name in os.listdir("/proc/self/fd") if _is(path, name)]
        assert await settled()

    asyncio.run(main())


def _is(path: Path, fd: str) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{fd}") == str(path)
    except OSError:
        return False


def test_a_cancelled_download_leaves_nothing(service: Any, content: bytes, tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncAssetClient(service.url) as client:
            file = await client.upload(content)
            begun = asyncio.Event()

            def progress(event: Progress) -> None:
                begun.set()

            await cancelled(client.download(file.id, tmp_path / "copy", progress=progress), begun)
            begun.clear()
            opened = await client.open(file.id)
            async for _ in opened:
                break
            await opened.aclose()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    async for _ in client.watch():
                        await asyncio.sleep(0)
            assert await settled()
            assert list(tmp_path.iterdir()) == []
            # The connection is still good.
            assert await client.download_bytes(file.id) == content

    asyncio.run(main())


def test_closing_ends_running_calls(service: Any, content: bytes) -> None:
    async def main() -> None:
        client = AsyncAssetClient(service.url)
        file = await client.upload(content)
        opened = await client.open(file.id)
        hanging = asyncio.Event()

        async def source() -> AsyncIterator[bytes]:
            yield b"x" * 9 * MiB
            await hanging.wait()

        async def watch() -> None:
            async for _ in client.watch():
                pass

        running = [asyncio.ensure_future(client.upload(source())), asyncio.ensure_future(watch())]
        await asyncio.sleep(0.3)
        await client.close()
        for each in await asyncio.gather(*running, return_exceptions=True):
            assert isinstance(each, AssetError) and each.reason == "CLIENT_CLOSED", each
        with pytest.raises(AssetError):
            await opened.read()
        await opened.aclose()
        assert await settled()

    asyncio.run(main())


def test_many_calls_at_once(service: Any) -> None:
    async def main() -> None:
        async with AsyncAssetClient(service.url) as client:
            files = await asyncio.gather(*(client.upload(b"%d" % number) for number in range(100)))
            found = await asyncio.gather(*(client.download_bytes(file.id) for file in files))
            assert found == [b"%d" % number for number in range(100)]

    asyncio.run(main())
