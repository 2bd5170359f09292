"""The bytes behind a path, and reads of many ranges with few requests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from fsspec.spec import AbstractBufferedFile
from fsspec.utils import merge_offset_ranges

from asset_service.fs._errors import as_os_errors
from asset_service.fs._reader import StoreReader


@dataclass(frozen=True)
class Content:
    """The bytes of one file."""

    file_id: str
    size: int
    sha256: str | None

    def cut(self, start: int | None, end: int | None) -> tuple[int, int]:
        """A range as a slice means it, in offsets from the start."""
        first, last, _ = slice(start, end).indices(self.size)
        return first, max(first, last)


def read_range(reader: StoreReader, content: Content, start: int, end: int) -> bytes:
    """A range. A whole file is checked against its SHA-256; what the store got wrong is read through the service."""
    found = reader.read(content.file_id, start, end)
    is_whole = end - start == content.size
    if is_whole and content.sha256 is not None and hashlib.sha256(found).hexdigest() != content.sha256:
        return reader.read_through_service(content.file_id, start, end)
    return found


@dataclass(frozen=True)
class Wanted:
    """One range of one file, and its place in the answer."""

    index: int
    path: str
    content: Content
    start: int
    end: int


def read_many(
    reader: StoreReader, wanted: Sequence[Wanted], *, max_gap: int, max_block: int, concurrency: int
) -> dict[int, bytes | Exception]:
    """Many ranges. Those of one file that are at most `max_gap` apart are read by one request of at most `max_block`."""
    reader.prefetch(each.content.file_id for each in wanted)
    by_file: dict[str, list[Wanted]] = {}
    for each in wanted:
        by_file.setdefault(each.content.file_id, []).append(each)
    blocks: list[tuple[list[Wanted], int, int]] = []
    for ranges in by_file.values():
        blocks.extend(_blocks(ranges, max_gap, max_block))
    results: dict[int, bytes | Exception] = {}

    def work(block: tuple[list[Wanted], int, int]) -> None:
        ranges, start, end = block
        try:
            with as_os_errors(ranges[0].path):
                found = read_range(reader, ranges[0].content, start, end)
        except Exception as error:
            results.update({each.index: error for each in ranges})
        else:
            results.update({each.index: found[each.start - start : each.end - start] for each in ranges})

    run_all(work, blocks, concurrency)
    return results


def _blocks(ranges: Iterable[Wanted], max_gap: int, max_block: int) -> list[tuple[list[Wanted], int, int]]:
    ordered = sorted(ranges, key=lambda each: (each.start, each.end))
    starts: Any = [each.start for each in ordered]
    ends: Any = [each.end for each in ordered]
    names = [ordered[0].content.file_id] * len(ordered)
    _, starts, merged = merge_offset_ranges(names, starts, ends, max_gap=max_gap, max_block=max_block, sort=False)
    blocks: list[tuple[list[Wanted], int, int]] = [
        ([], start, end) for start, end in zip(starts, merged) if end is not None
    ]
    for each in ordered:
        # Each range is in at least one block.
        next(block for block in blocks if block[1] <= each.start and each.end <= block[2])[0].append(each)
    return [block for block in blocks if block[0]]


def run_all(work: Any, items: Sequence[Any], concurrency: int) -> None:
    """Does work for all items in threads, which end with it: none is left when the process forks."""
    if len(items) == 1:
        work(items[0])
    elif items:
        with ThreadPoolExecutor(min(concurrency, len(items))) as pool:
            # Each thread runs in the context of the caller, in which its span is active.
            contexts = [copy_context() for _ in items]
            list(pool.map(lambda context, item: context.run(work, item), contexts, items))


class ReadFile(AbstractBufferedFile):
    """A file opened for reading, with any of the block caches of fsspec."""

    DEFAULT_BLOCK_SIZE = 4 * 2**20

    def __init__(self, fs: Any, path: str, content: Content, reader: StoreReader, **options: Any) -> None:
        self._content = content
        self._reader = reader
        # A pickled file brings its size.
        super().__init__(fs, path, mode="rb", **{**options, "size": content.size})

    def _fetch_range(self, start: int, end: int) -> bytes:
        with as_os_errors(self.path):
            return read_range(self._reader, self._content, *self._content.cut(start, end))
