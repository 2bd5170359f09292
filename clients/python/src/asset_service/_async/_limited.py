"""Work for many items, some at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


async def map_limited(
    work: Callable[[int, Item], Awaitable[Result]], items: Iterable[Item] | AsyncIterable[Item], concurrency: int
) -> list[Result]:
    """Calls a function for each item, at most `concurrency` at once. Takes items as there is room. In order."""
    results: dict[int, Result] = {}
    source = _iterate(items)
    lock = asyncio.Lock()
    count = 0

    async def worker() -> None:
        nonlocal count
        while True:
            async with lock:
                try:
                    item = await anext(source)
                except StopAsyncIteration:
                    return
                index, count = count, count + 1
            results[index] = await work(index, item)

    workers = [asyncio.ensure_future(worker()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*workers)
    finally:
        for each in workers:
            each.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return [results[index] for index in range(count)]


async def _iterate(items: Iterable[Item] | AsyncIterable[Item]) -> AsyncIterator[Item]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
