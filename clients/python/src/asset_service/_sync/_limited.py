"""Work for many items, some at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_limited(work: Callable[[int, Item], Result], items: Iterable[Item], concurrency: int) -> list[Result]:
    """Calls a function for each item, at most `concurrency` at once. Takes items as there is room. In order."""
    results: dict[int, Result] = {}
    source = iter(items)
    lock = threading.Lock()
    failed = threading.Event()
    count = 0

    def worker() -> None:
        nonlocal count
        while not failed.is_set():
            with lock:
                try:
                    item = next(source)
                except StopIteration:
                    return
                except BaseException:
                    failed.set()
                    raise
                index, count = count, count + 1
            try:
                results[index] = work(index, item)
            except BaseException:
                failed.set()
                raise

    with ThreadPoolExecutor(concurrency, thread_name_prefix="asset-service") as pool:
        # Each thread runs in the context of the caller, in which its span is active.
        workers = [pool.submit(copy_context().run, worker) for _ in range(concurrency)]
        try:
            for each in workers:
                each.result()
        except BaseException:
            failed.set()
            raise
    return [results[index] for index in range(count)]
